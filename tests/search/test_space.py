import itertools
import json

import pytest

from gnndesign.errors import ParameterError, StructureError
from gnndesign.search.charges import common_states
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.sites import site_labels
from gnndesign.search.space import space_from_dict


def perovskite(a, b, x=("O",), **options):
    return PrototypeSpace(
        prototype="perovskite", sites={"A": a, "B": b, "X": x}, **options
    )


def formulas(space):
    return {candidate.formula for candidate in map(space.candidate, range(len(space)))}


def test_known_perovskites_are_in_and_charged_ones_are_out():
    space = perovskite(("Sr", "K", "La", "Cs"), ("Ti", "Nb", "Al", "Pb"), ("O", "I"))
    assert {"SrTiO3", "KNbO3", "LaAlO3", "CsPbI3"} <= formulas(space)
    assert not {"SrAlO3", "KTiO3", "SrNbO3", "LaTiO3"} & formulas(space)


def test_the_states_of_a_candidate_make_it_neutral():
    space = perovskite(("Sr", "Sn", "Pb"), ("Ti", "Sn", "Pb", "Fe"), ("O", "S", "Cl"))
    for candidate in map(space.candidate, range(len(space))):
        states = candidate.oxidation_states
        assert states["A"] + states["B"] + 3 * states["X"] == 0
        for label, symbol in candidate.choices.items():
            assert states[label] in common_states(symbol)


def test_the_count_is_that_of_brute_force():
    a = ("Na", "K", "Mg", "Ca", "Sr", "La", "Pb", "Sn")
    b = ("Ti", "Zr", "Nb", "Al", "Fe", "Sn", "Pb", "Mg")
    wanted = set()
    for first, second in itertools.product(a, b):
        totals = (
            p + q for p in common_states(first) for q in common_states(second) if p > 0
        )
        if first != second and 6 in totals:
            wanted.add(f"{first}{second}O3")
    assert formulas(perovskite(a, b)) == wanted
    assert len(perovskite(a, b)) == len(wanted)


def test_an_anion_is_more_electronegative_than_the_cations():
    # +5, +1 and three times -2 add up, but chlorine does not give electrons to sulfur.
    assert "NaClS3" not in formulas(perovskite(("Na", "Sr"), ("Cl", "Ti"), ("S",)))


def test_without_the_switch_all_is_in_but_repeated_elements():
    space = perovskite(("Sr", "Ti"), ("Ti", "Al"), charge_neutral=False)
    assert formulas(space) == {"SrTiO3", "SrAlO3", "TiAlO3"}
    assert space.candidate(0).oxidation_states is None


def test_more_oxidation_states_let_more_in():
    with pytest.raises(ParameterError, match="charge neutral"):
        perovskite(("La",), ("Ni",))
    allowed = perovskite(("La",), ("Ni",), oxidation_states={"Ni": [2, 3]})
    assert formulas(allowed) == {"LaNiO3"}


def test_elements_land_on_the_sites_they_were_given(small_space):
    candidate = small_space.candidate(0)
    atoms = small_space.build(candidate)
    assert candidate.formula == "SrTiO3"
    assert sorted(atoms.symbols) == ["O", "O", "O", "Sr", "Ti"]
    distances = atoms.get_all_distances(mic=True)
    strontium, titanium = (list(atoms.symbols).index(s) for s in ("Sr", "Ti"))
    oxygen = [index for index, s in enumerate(atoms.symbols) if s == "O"]
    # Six oxygen atoms around B at a/2, twelve around A at a/sqrt(2).
    assert distances[titanium, oxygen] == pytest.approx(atoms.cell.lengths()[0] / 2)
    assert distances[strontium, oxygen].min() > distances[titanium, oxygen].max()
    # The inverse arrangement is another candidate.
    swapped = perovskite(("Ti",), ("Sr",), charge_neutral=False)
    other = swapped.build(swapped.candidate(0))
    assert list(other.symbols).index("Ti") == strontium


@pytest.mark.parametrize(
    ("prototype", "sites", "formula"),
    [
        ("rocksalt", {"A": ["Mg"], "X": ["O"]}, "MgO"),
        ("spinel", {"A": ["Zn"], "B": ["Al"], "X": ["O"]}, "ZnAl2O4"),
        ("fluorite", {"A": ["Ce"], "X": ["O"]}, "CeO2"),
        ("wurtzite", {"A": ["Zn"], "X": ["O"]}, "ZnO"),
    ],
)
def test_other_prototypes_have_their_sites_and_formulas(prototype, sites, formula):
    space = PrototypeSpace(prototype=prototype, sites=sites)
    assert [c.formula for c in map(space.candidate, range(len(space)))] == [formula]
    atoms = space.build(space.candidate(0))
    assert atoms.get_chemical_formula("reduce") is not None
    assert set(atoms.symbols) == set(space.elements)


def test_labels_name_the_sites_of_a_prototype():
    assert site_labels("perovskite") == {"A": "Ca", "B": "Ti", "X": "O"}


def test_neighbors_differ_at_one_site(space):
    for index in range(len(space)):
        own = space.candidate(index).choices
        brute_force = [
            other
            for other in range(len(space))
            if sum(space.candidate(other).choices[s] != own[s] for s in own) == 1
        ]
        assert sorted(space.pool.neighbors_of(index)) == brute_force


def test_json_and_back(space):
    data = json.loads(json.dumps(space.to_dict()))
    again = space_from_dict(data)
    assert formulas(again) == formulas(space)
    assert again.to_dict() == space.to_dict()


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ({"A": ["Sr"], "B": ["Ti"]}, "has the sites A, B, X"),
        ({"A": ["Sr"], "B": ["Ti"], "X": []}, "Site X has no elements"),
        ({"A": ["Sr"], "B": ["Tj"], "X": ["O"]}, "'Tj' is not the symbol"),
        ({"A": ["Sr"], "B": ["X"], "X": ["O"]}, "'X' is not the symbol"),
        (
            {"A": ["Sr", "Sr"], "B": ["Ti"], "X": ["O"]},
            "Site A lists Sr more than once",
        ),
        ({"A": ["Sr"], "B": ["Al"], "X": ["O"]}, "charge neutral"),
    ],
)
def test_a_space_without_meaning_is_refused(sites, message):
    with pytest.raises(ParameterError, match=message):
        PrototypeSpace(prototype="perovskite", sites=sites)


def test_a_space_too_large_to_list_is_refused():
    many = [
        (
            "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu "
            "Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba "
            "La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi "
            "Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr"
        )
    ][0].split()
    sites = dict.fromkeys("ABXY", many)
    with pytest.raises(ParameterError, match="112,550,881 combinations"):
        PrototypeSpace(prototype="ABCD_tP8_129_c_b_a_c", sites=sites)


def test_an_unknown_prototype_is_refused():
    with pytest.raises(StructureError, match="perovskyte"):
        PrototypeSpace(prototype="perovskyte", sites={"A": ["Sr"]})


def test_an_unknown_entry_in_json_is_refused(space):
    with pytest.raises(ParameterError, match="to_dict"):
        space_from_dict({**space.to_dict(), "color": "blue"})
