import itertools
import json

import numpy as np
import pytest
from ase.build import bulk

from gnndesign.errors import ParameterError, StructureError
from gnndesign.search.arrangement import compact_supercell, place_apart
from gnndesign.search.charge_neutrality import ChargeNeutrality
from gnndesign.search.charges import common_states
from gnndesign.search.defect_space import DefectSpace
from gnndesign.search.element_filters import NoToxic
from gnndesign.search.space import space_from_dict
from gnndesign.structures.build import build_crystal


def zirconia(**options):
    """Doped fluorite ZrO2: 8 Zr and 16 O in the supercell."""
    return DefectSpace(
        **{
            "host": build_crystal("ZrO2", "fluorite"),
            "supercell": (2, 2, 2),
            "site": "Zr",
            "dopants": ("Y", "Ca", "Nb", "Cd"),
            "n_dopants": (0, 1, 2, 4),
            "vacancy": "O",
            "n_vacancies": (0, 1, 2),
            **options,
        }
    )


def formulas(space):
    return [space.candidate(index).formula for index in range(len(space))]


def test_the_host_is_counted_once_whatever_the_dopant():
    space = zirconia()
    # Four dopants in three numbers, and the host; with three numbers of vacancies each.
    assert len(space) == space.n_combinations == (4 * 3 + 1) * 3 == 39
    assert len(set(formulas(space))) == 39
    assert formulas(space)[:3] == ["ZrO2", "Zr8O15", "Zr4O7"]


def test_vacancies_make_up_for_the_charge_of_dopants():
    space = zirconia(filters=[NoToxic(), ChargeNeutrality()])
    charges = {"Y": 3, "Ca": 2, "Nb": 5}
    wanted = set()
    for (dopant, charge), n, v in itertools.product(
        charges.items(), (0, 1, 2, 4), (0, 1, 2)
    ):
        if 4 * (8 - n) + charge * n == 2 * (16 - v):
            wanted.add((dopant if n else "none", n, v))
    assert charges == {s: common_states(s)[0] for s in charges}
    found = {tuple(space.pool.choices(i).values()) for i in range(len(space))}
    assert found == wanted
    assert ("Y", 2, 1) in found
    # Cadmium in three numbers, with three numbers of vacancies.
    assert list(space.removed.items()) == [
        ("no toxic elements", 9),
        ("charge neutrality", 30 - len(wanted)),
    ]
    assert sum(space.removed.values()) + len(space) == space.n_combinations


def test_atoms_are_replaced_and_left_out_where_the_host_has_them():
    space = zirconia()
    choices = {"dopant": "Y", "n_dopants": 2, "n_vacancies": 1}
    candidate = space.candidate(space.pool.index_of(choices))
    atoms = space.build(candidate)
    assert candidate.formula == "Zr6Y2O15"
    assert dict(candidate.composition) == {"Zr": 6, "Y": 2, "O": 15}
    assert atoms.symbols.get_chemical_formula("reduce") is not None
    counts = {s: list(atoms.symbols).count(s) for s in ("Zr", "Y", "O")}
    assert counts == {"Zr": 6, "Y": 2, "O": 15}
    # Every atom is where the host has one, of its own element but for the dopant.
    for atom in atoms:
        distances = np.linalg.norm(space.crystal.positions - atom.position, axis=1)
        symbol = space.crystal.symbols[int(distances.argmin())]
        assert distances.min() < 1e-9
        assert symbol == {"Y": "Zr"}.get(atom.symbol, atom.symbol)
    assert space.build(candidate) == atoms


@pytest.mark.parametrize("count", [2, 3, 4])
def test_defects_are_as_far_apart_as_brute_force_finds(count):
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat((2, 2, 1))
    sites = [i for i, s in enumerate(atoms.symbols) if s == "Na"]
    (chosen,) = place_apart(atoms, [(sites, count)])
    distances = atoms.get_all_distances(mic=True)

    def closest(subset):
        return min(distances[i, j] for i, j in itertools.combinations(subset, 2))

    best = max(map(closest, itertools.combinations(sites, count)))
    assert closest(chosen) == pytest.approx(best)
    assert set(chosen) <= set(sites)


@pytest.mark.parametrize("n_cells", [2, 3, 4, 8])
def test_the_compact_supercell_has_the_farthest_images(n_cells):
    primitive = bulk("Cu", a=3.6)
    made = compact_supercell(primitive, n_cells)
    assert len(made) == n_cells
    assert made.cell.volume == pytest.approx(n_cells * primitive.cell.volume)
    # In units of the nearest neighbor: of all sublattices of fcc of that size the one with
    # the longest shortest vector; 8 gives 2 x 2 x 2, 4 the cube.
    grid = np.array(list(itertools.product(range(-2, 3), repeat=3)))
    vectors = (grid @ made.cell.array)[np.any(grid != 0, axis=1)]
    shortest = np.linalg.norm(vectors, axis=1).min() / (3.6 / np.sqrt(2))
    assert shortest == pytest.approx({2: 1.0, 3: 1.0, 4: 2**0.5, 8: 2.0}[n_cells])


def test_concentrations_are_whole_numbers_of_atoms():
    space = zirconia(n_dopants=(), concentrations=(0.125, 0.5))
    assert space.pool.options["n_dopants"] == (1, 4)
    with pytest.raises(ParameterError, match=r"Give multiples of 0\.125"):
        zirconia(n_dopants=(), concentrations=(0.1,))


def test_a_dopant_that_the_host_has_adds_up():
    host = build_crystal("SrTiO3", "perovskite")
    space = DefectSpace(
        host=host, supercell=(2, 1, 1), site="Sr", dopants=("Ti",), n_dopants=(1,)
    )
    assert formulas(space) == ["SrTi3O6"]
    assert space.elements == ("O", "Sr", "Ti")


def test_every_column_of_features_is_standardized():
    features = zirconia().features()
    assert len(features) == 39
    assert np.allclose(features.mean(0), 0.0, atol=1e-6)
    assert np.allclose(features.std(0), 1.0)
    assert len(np.unique(features.round(6), axis=0)) == 39


def test_json_and_back():
    space = zirconia(filters=[ChargeNeutrality()])
    again = space_from_dict(json.loads(json.dumps(space.to_dict())))
    assert again.to_dict() == space.to_dict()
    assert formulas(again) == formulas(space)
    last = space.candidate(len(space) - 1)
    assert again.build(last) == space.build(last)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"site": "Hf"}, "has no Hf"),
        ({"vacancy": "F"}, "has no F"),
        ({"dopants": ()}, "dopants other than Zr"),
        ({"dopants": ("Zr",)}, "dopants other than Zr"),
        ({"dopants": ("Xx",)}, "'Xx' is not the symbol"),
        ({"n_dopants": ()}, "either n_dopants or concentrations"),
        ({"n_dopants": (1, 1)}, "different entries"),
        ({"n_dopants": (9,)}, "cannot have 9 replaced"),
        ({"n_vacancies": (17,)}, "cannot have 17 left out"),
        ({"vacancy": ""}, "which element's atoms"),
        ({"supercell": (0, 1, 1)}, "three positive repetitions"),
        (
            {"dopants": ("Cd",), "n_dopants": (1,), "filters": [NoToxic()]},
            "None of the 3",
        ),
    ],
)
def test_defects_without_meaning_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        zirconia(**options)


def test_a_host_that_is_no_structure_is_refused():
    with pytest.raises(StructureError, match="as written by atoms_to_dict"):
        zirconia(host={"atoms": []})


def test_a_neutral_candidate_says_with_which_states():
    space = zirconia(filters=[ChargeNeutrality()])
    choices = {"dopant": "Y", "n_dopants": 2, "n_vacancies": 1}
    candidate = space.candidate(space.pool.index_of(choices))
    assert dict(candidate.oxidation_states) == {"Zr": 4, "Y": 3, "O": -2}
