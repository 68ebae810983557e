import itertools
import json

import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from gnndesign.errors import ParameterError
from gnndesign.search.alloy_space import AlloySpace
from gnndesign.search.element_filters import Contains, NumberOfElements
from gnndesign.search.hume_rothery import HumeRothery
from gnndesign.search.quasirandom import random_symbols
from gnndesign.search.simplex import count_on_simplex, points_on_simplex
from gnndesign.search.space import space_from_dict


def compositions(space):
    return [dict(space.candidate(i).composition) for i in range(len(space))]


def disorder(atoms, reach):
    """Largest Warren-Cowley parameter of the first shell, 0 in a random alloy."""
    i, j = neighbor_list("ij", atoms, reach)
    z = atoms.numbers
    return max(
        abs(1 - np.mean(z[j][z[i] == a] == b) / np.mean(z == b))
        for a in np.unique(z)
        for b in np.unique(z)
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7)), min_size=1, max_size=4),
    st.integers(0, 9),
)
def test_points_on_a_simplex_are_those_of_brute_force(bounds, total):
    ranges = [range(low, high + 1) for low, high in bounds]
    wanted = [point for point in itertools.product(*ranges) if sum(point) == total]
    assert [tuple(p) for p in points_on_simplex(bounds, total).tolist()] == wanted
    assert count_on_simplex(bounds, total) == len(wanted)


def test_fractions_add_up_to_one_within_their_bounds():
    space = AlloySpace(
        lattice="fcc",
        symbols=("Ni", "Fe", "Cr"),
        step=0.125,
        minimum={"Ni": 0.25},
        maximum={"Cr": 0.375},
    )
    found = {tuple(c.get(s, 0) * 8 for s in space.symbols) for c in compositions(space)}
    wanted = {
        point
        for point in itertools.product(range(2, 9), range(9), range(4))
        if sum(point) == 8
    }
    assert found == wanted
    assert len(space) == space.n_combinations == len(wanted)
    assert dict(space.removed) == {}


def test_filters_count_what_they_leave_out():
    symbols = ("Al", "Ti", "Zr", "Nb")
    everything = AlloySpace(lattice="bcc", symbols=symbols, step=0.25, n_sites=8)
    rules = (NumberOfElements(at_least=2), Contains(elements=("Nb",)))
    space = AlloySpace(
        lattice="bcc", symbols=symbols, step=0.25, n_sites=8, filters=rules
    )
    alloys = [c for c in compositions(everything) if len(c) >= 2]
    with_niobium = [c for c in alloys if "Nb" in c]
    # Four parts in four steps: the binomial coefficient of 7 over 3.
    assert len(everything) == 35
    assert list(space.removed.values()) == [4, len(alloys) - len(with_niobium)]
    assert compositions(space) == with_niobium
    assert sum(space.removed.values()) + len(space) == space.n_combinations


def test_hume_rothery_sees_fractions():
    space = AlloySpace(
        lattice="bcc",
        symbols=("Nb", "Ni"),
        step=0.125,
        filters=[
            HumeRothery(size_mismatch_at_most=None, valence_electrons_at_most=6.5)
        ],
    )
    # Nb has 5 and Ni 10 valence electrons: at most 30 % of nickel.
    assert [c.get("Ni", 0.0) for c in compositions(space)] == [0.25, 0.125, 0.0]


@pytest.mark.parametrize(
    ("lattice", "reach"), [("fcc", 3.1), ("bcc", 2.75), ("hcp", 3.5)]
)
def test_neighbors_in_a_cell_are_as_in_a_random_alloy(lattice, reach):
    symbols = {"fcc": ("Ni", "Cu"), "bcc": ("Fe", "Cr"), "hcp": ("Mg", "Zn")}[lattice]
    space = AlloySpace(lattice=lattice, symbols=symbols, step=0.5, n_sites=16)
    candidate = space.candidate(space.pool.index_of(dict.fromkeys(symbols, 0.5)))
    atoms = space.build(candidate)
    assert sorted(atoms.symbols) == sorted([*symbols] * 8)
    i = neighbor_list("i", atoms, reach)
    assert np.all(np.bincount(i) == {"fcc": 12, "bcc": 8, "hcp": 12}[lattice])
    # Half of an atom's neighbors are of the other kind; of 100 random cells few come near.
    assert disorder(atoms, reach) < 1e-9
    random = atoms.copy()
    others: list[float] = []
    for seed in range(100):
        random.symbols = random_symbols(dict.fromkeys(symbols, 8), seed=seed)
        others.append(disorder(random, reach))
    assert np.mean(others) > 0.05
    again = space.build(candidate)
    assert again == atoms


def test_the_volume_is_that_of_vegard():
    space = AlloySpace(lattice="fcc", symbols=("Cu", "Au"), step=0.25, n_sites=4)
    volumes = {
        c.choices["Au"]: space.build(c).cell.volume / 4
        for c in map(space.candidate, range(len(space)))
    }
    for fraction, volume in volumes.items():
        mean = (1 - fraction) * volumes[0.0] + fraction * volumes[1.0]
        assert volume == pytest.approx(mean)
    # Å³ an atom: 11.8 in copper, 16.9 in gold by experiment, PBE a little more.
    assert volumes[0.0] == pytest.approx(11.8, rel=0.05)
    assert volumes[1.0] == pytest.approx(16.9, rel=0.08)


def test_a_random_cell_depends_on_its_seed_alone():
    def build(seed):
        space = AlloySpace(
            lattice="fcc",
            symbols=("Ni", "Co", "Cr"),
            step=0.25,
            arrangement="random",
            seed=seed,
        )
        choices = {"Ni": 0.5, "Co": 0.25, "Cr": 0.25}
        return space.build(space.candidate(space.pool.index_of(choices)))

    assert build(3) == build(3)
    assert build(3) != build(4)


def test_one_site_of_a_compound_is_shared():
    space = AlloySpace(
        lattice="rocksalt",
        symbols=("Ti", "Hf", "B"),
        step=0.25,
        n_sites=8,
        site="A",
        others={"X": "C"},
        maximum={"B": 0.25},
    )
    candidate = space.candidate(space.pool.index_of({"Ti": 0.5, "Hf": 0.25, "B": 0.25}))
    assert candidate.formula == "Ti0.5Hf0.25B0.25C"
    atoms = space.build(candidate)
    assert sorted(atoms.symbols) == ["B"] * 2 + ["C"] * 8 + ["Hf"] * 2 + ["Ti"] * 4
    # A metal has six carbon atoms next to it.
    i, j = neighbor_list("ij", atoms, 2.6)
    carbon = np.array(atoms.symbols) == "C"
    assert np.all(np.bincount(i) == 6)
    assert np.all(carbon[i] != carbon[j])
    assert space.elements == ("B", "C", "Hf", "Ti")


def test_every_column_of_features_is_standardized():
    space = AlloySpace(lattice="fcc", symbols=("Ni", "Fe", "Cr"), step=0.125)
    features = space.features()
    assert len(features) == len(space) == 45
    assert np.allclose(features.mean(0), 0.0, atol=1e-6)
    assert np.allclose(features.std(0), 1.0)
    assert len(np.unique(features.round(6), axis=0)) == len(space)


def test_json_and_back():
    space = AlloySpace(
        lattice="rocksalt",
        symbols=("Ti", "Zr"),
        step=0.25,
        n_sites=4,
        site="A",
        others={"X": "N"},
        minimum={"Ti": 0.25},
        maximum={"Ti": 0.75},
        arrangement="random",
        seed=5,
        filters=[Contains(elements=("Zr",))],
    )
    again = space_from_dict(json.loads(json.dumps(space.to_dict())))
    assert again.to_dict() == space.to_dict()
    assert compositions(again) == compositions(space)


def test_a_hundred_thousand_compositions_are_listed():
    space = AlloySpace(
        lattice="fcc", symbols=("Ni", "Fe", "Cr", "Co", "Mn"), step=0.025, n_sites=40
    )
    # Forty steps over five elements: the binomial coefficient of 44 over 4.
    assert len(space) == space.n_combinations == 135_751


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symbols": ["Ni"]}, "at least two different elements"),
        ({"symbols": ["Ni", "Ni"]}, "at least two different elements"),
        ({"symbols": ["Ni", "Xx"]}, "'Xx' is not the symbol"),
        ({"step": 0.3}, "a step that divides 1"),
        ({"step": 0.1}, "Steps that are: 0.5, 0.25, 0.125, 0.0625; or n_sites=20"),
        ({"minimum": {"Ni": 0.7, "Fe": 0.7}}, "Widen the bounds"),
        ({"minimum": {"Cr": 0.1}}, "Cr, which is not among"),
        ({"lattice": "rocksalt"}, "Name the site to share"),
        ({"lattice": "hcp", "n_sites": 15}, "multiple of the 2 shared sites"),
        ({"arrangement": "ordered"}, "Unknown arrangement"),
        ({"filters": [Contains(elements=("O",))]}, "None of the 9 combinations"),
        (
            {"step": 0.001, "n_sites": 1000, "symbols": list("HBCN")},
            "at most 5,000,000",
        ),
    ],
)
def test_an_alloy_without_meaning_is_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        AlloySpace(**{"lattice": "fcc", "symbols": ["Ni", "Fe"], **options})
