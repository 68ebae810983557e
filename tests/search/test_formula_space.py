import itertools
import json

import numpy as np
import pytest
from ase.data import chemical_symbols
from pymatgen.core import Composition

from gnndesign.errors import ParameterError, StructureError
from gnndesign.search.charge_neutrality import ChargeNeutrality
from gnndesign.search.element_filters import Contains
from gnndesign.search.formula_space import FormulaSpace
from gnndesign.search.prototype_exchanges import exchanges, prototype_names
from gnndesign.search.space import space_from_dict
from gnndesign.structures.library import list_prototypes, prototype


def candidates(space):
    return [space.candidate(index) for index in range(len(space))]


def place_of(name):
    return list_prototypes().index(prototype(name))


def test_prototypes_have_names_of_their_own():
    assert len(set(prototype_names())) == len(list_prototypes())


@pytest.mark.parametrize(
    ("name", "n_same"),
    [
        ("rocksalt", 2),
        ("cscl", 2),
        ("zincblende", 2),
        ("wurtzite", 2),
        # Niggli's B8_1: octahedra on one side, trigonal prisms on the other.
        ("nias", 1),
        ("perovskite", 1),
        # The two elements on 4a and 4b, those in the tetrahedral holes on their own.
        ("half heusler", 2),
        ("heusler", 2),
        ("fluorite", 1),
        # Both cations in octahedra, layer by layer.
        ("ilmenite", 2),
    ],
)
def test_sites_that_are_alike_exchange_their_elements(name, n_same):
    assert len(exchanges(place_of(name))) == n_same


def test_the_count_of_binaries_is_that_of_permutations():
    symbols = ("Na", "K", "Mg", "O", "Cl")
    names = ("rocksalt", "nias", "fluorite")
    space = FormulaSpace(symbols=symbols, n_elements=(2, 2), prototypes=names)
    # Pairs in rocksalt, ordered pairs where the sites differ.
    assert len(space) == space.n_combinations == 10 + 20 + 20
    in_rocksalt = {
        frozenset(c.composition)
        for c in candidates(space)
        if c.choices["prototype"] == prototype("rocksalt").aflow
    }
    assert in_rocksalt == set(map(frozenset, itertools.combinations(symbols, 2)))


def test_a_formula_is_placed_into_all_prototypes_of_its_stoichiometry():
    space = FormulaSpace(
        symbols=("Sr", "Ti", "O"),
        n_elements=(3, 3),
        max_atoms=20,
        fractions={"O": (0.6, 0.6), "Sr": (0.2, 0.2)},
    )
    wanted = [
        p
        for p in list_prototypes()
        if p.anonymous_formula == "ABC3" and len(p.symbols) <= 20
    ]
    assert {c.formula for c in candidates(space)} <= {"SrTiO3", "TiSrO3"}
    assert {c.choices["prototype"] for c in candidates(space)} == {
        prototype_names()[list_prototypes().index(p)] for p in wanted
    }
    # Two candidates for each prototype, one where A and B are alike.
    n_same = [len(exchanges(list_prototypes().index(p))) for p in wanted]
    assert len(space) == sum(2 // n for n in n_same)


def test_every_candidate_is_within_the_ranges_and_none_is_missing():
    symbols = ("Li", "Fe", "P", "O")
    space = FormulaSpace(
        symbols=symbols, n_elements=(2, 3), max_atoms=6, fractions={"O": (0.2, 0.7)}
    )
    found = set()
    for candidate in candidates(space):
        total = sum(candidate.composition.values())
        assert 0.2 <= candidate.composition.get("O", 0) / total <= 0.7
        assert 2 <= len(candidate.composition) <= 3
        found.add((candidate.choices["prototype"], candidate.formula))
    wanted = 0
    for place, entry in enumerate(list_prototypes()):
        if not 2 <= len(entry.species) <= 3 or len(entry.symbols) > 6:
            continue
        counts = [entry.symbols.count(s) for s in entry.species]
        crystals = set()
        for chosen in itertools.permutations(symbols, len(counts)):
            amounts = dict(zip(chosen, counts, strict=True))
            if 0.2 <= amounts.get("O", 0) / sum(counts) <= 0.7:
                same = [tuple(chosen[k] for k in order) for order in exchanges(place)]
                crystals.add(min(same))
        wanted += len(crystals)
    assert len(space) == len(found) == wanted == space.n_combinations


def test_filters_count_over_all_prototypes():
    symbols = ("Na", "Mg", "Al", "O", "F")
    every = FormulaSpace(symbols=symbols)
    rules = (Contains(elements=("O",)), ChargeNeutrality())
    space = FormulaSpace(symbols=symbols, filters=rules)
    with_oxygen = [c for c in candidates(every) if "O" in c.composition]
    charges = {"Na": 1, "Mg": 2, "Al": 3, "O": -2, "F": -1}
    neutral = [
        c
        for c in with_oxygen
        if sum(charges[symbol] * n for symbol, n in c.composition.items()) == 0
    ]
    assert list(space.removed.values()) == [
        len(every) - len(with_oxygen),
        len(with_oxygen) - len(neutral),
    ]
    assert [c.choices for c in candidates(space)] == [c.choices for c in neutral]
    magnesia = next(c for c in candidates(space) if c.formula == "MgO")
    assert dict(magnesia.oxidation_states) == {"A": 2, "B": -2}


def test_elements_land_on_the_sites_of_their_prototype():
    space = FormulaSpace(
        symbols=("Sr", "Ti", "O"),
        n_elements=(2, 3),
        prototypes=("perovskite", "rutile"),
    )
    for candidate in candidates(space):
        atoms = space.build(candidate)
        built = Composition(atoms.get_chemical_formula()).reduced_composition
        assert built == Composition(dict(candidate.composition)).reduced_composition
        entry = next(
            p
            for k, p in enumerate(list_prototypes())
            if prototype_names()[k] == candidate.choices["prototype"]
        )
        for site, symbol in zip("ABC", entry.species, strict=False):
            both = zip(atoms.symbols, entry.symbols, strict=True)
            assert {s for s, own in both if own == symbol} == {candidate.choices[site]}
        unused = "ABC"[len(entry.species) :]
        assert all(candidate.choices[site] == "none" for site in unused)


def test_every_column_of_features_is_standardized():
    space = FormulaSpace(symbols=("Sr", "Ba", "Ti", "O"), max_atoms=6)
    features = space.features()
    assert len(features) == len(space) > 100
    assert np.allclose(features.mean(0), 0.0, atol=1e-6)
    assert np.allclose(features.std(0), 1.0)


def test_json_and_back():
    space = FormulaSpace(
        symbols=("Na", "Cl", "O"),
        n_elements=(1, 2),
        max_atoms=4,
        fractions={"Na": (0.1, 0.9)},
        filters=[ChargeNeutrality()],
    )
    again = space_from_dict(json.loads(json.dumps(space.to_dict())))
    assert again.to_dict() == space.to_dict()
    assert [c.choices for c in candidates(again)] == [
        c.choices for c in candidates(space)
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symbols": ()}, "different elements"),
        ({"symbols": ("Na", "Na")}, "different elements"),
        ({"n_elements": (3, 2)}, "fewest and most"),
        ({"fractions": {"Fe": (0, 1)}}, "Fe, which is not among"),
        ({"fractions": {"O": (0.8, 0.1)}}, "between 0 and 1"),
        ({"max_atoms": 1}, "No prototype has 2 to 3"),
        ({"filters": [Contains(elements=("Fe",))]}, "None of the"),
        (
            {"symbols": chemical_symbols[1:103], "n_elements": (4, 4)},
            "Give fewer elements",
        ),
    ],
)
def test_a_space_without_meaning_is_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        FormulaSpace(**{"symbols": ("Na", "Cl", "O"), **options})


def test_an_unknown_prototype_is_refused():
    with pytest.raises(StructureError, match="perovskyte"):
        FormulaSpace(symbols=("Na", "Cl"), prototypes=("perovskyte",))
