"""The universal repulsion: its formula in numbers, its end, its limits."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.data import covalent_radii

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.conformance import CHECKS
from gnndesign.potentials.zbl import ZBL


def pair(first, second, distance):
    return ase.Atoms([first, second], [[0, 0, 0], [distance, 0, 0]])


def energy(potential, first, second, distance):
    return float(potential.compute(pair(first, second, distance)).energy)


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [("H", "O", 0.6), ("C", "C", 0.9), ("Si", "O", 1.1), ("Au", "Cu", 2.0)],
)
def test_energy_is_that_of_the_formula_as_lammps_writes_it(first, second, distance):
    # pair_style zbl: E = e² Z Z' / r Σ c exp(-d r / a) with these c, d and a.
    z = [ase.Atom(symbol).number for symbol in (first, second)]
    a = 0.46850 / (z[0] ** 0.23 + z[1] ** 0.23)
    c = np.array([0.02817, 0.28022, 0.50986, 0.18175])
    d = np.array([0.20162, 0.40290, 0.94229, 3.19980])
    expected = 14.399645 * z[0] * z[1] / distance * c @ np.exp(-d * distance / a)
    # An end so far away that the switch is 1 there, to 1e-6.
    found = energy(ZBL(cutoff=40.0), first, second, distance)
    assert found == pytest.approx(expected, rel=2e-5)


def test_nuclei_are_bare_at_contact_and_screened_beyond():
    # φ(0) = 1 and φ falls: E r / Z² goes to e² / 4 π ε0 from below. Asked of a batch
    # that no door has looked at, for such atoms are refused there.
    potential = ZBL(cutoff=40.0)
    charges = []
    for distance in (1e-5, 1e-3, 0.1):
        batch = AtomicBatch.from_atoms(pair("Si", "Si", distance))
        found = potential.predict(batch, find_neighbors(batch, 1.0)).energy
        charges.append(float(found) * distance / 14**2)
    assert charges[0] == pytest.approx(14.399645, rel=1e-3)
    assert charges[0] > charges[1] > charges[2] > 0


def test_it_ends_at_the_sum_of_the_covalent_radii():
    potential = ZBL()
    end = covalent_radii[14] + covalent_radii[8]
    inside = [energy(potential, "Si", "O", end - h) for h in (0.1, 0.05)]
    assert inside[0] > 0
    # Third power of what is left: smooth up to the second derivative.
    assert inside[0] / inside[1] == pytest.approx(8.0, rel=0.4)
    assert energy(potential, "Si", "O", end) == 0.0
    assert energy(potential, "Si", "O", end + 0.1) == 0.0


def test_a_shorter_reach_ends_earlier():
    end = 2 * covalent_radii[6]
    assert energy(ZBL(reach=0.8), "C", "C", 0.85 * end) == 0.0
    assert energy(ZBL(reach=0.8), "C", "C", 0.75 * end) > 0.0


def test_it_pushes_apart():
    forces = ZBL().compute(pair("C", "C", 1.0)).forces
    assert float(forces[1, 0]) > 1.0
    torch.testing.assert_close(forces[0], -forces[1])


def test_the_cutoff_is_that_of_the_largest_of_the_elements_named():
    assert ZBL(elements=[1, 6]).cutoff == pytest.approx(2 * covalent_radii[6])
    assert ZBL(cutoff=1.5).cutoff == pytest.approx(1.5)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(check):
    silicon = bulk("Si")
    silicon.rattle(0.1, seed=1)
    ethanol = molecule("CH3CH2OH")
    ethanol.rattle(0.05, seed=2)
    check(ZBL(reach=1.3), [silicon, ethanol])


@pytest.mark.parametrize("given", [{"reach": 0.0}, {"reach": 9.0}, {"cutoff": -1.0}])
def test_a_range_that_is_none_is_refused(given):
    with pytest.raises(ParameterError, match="Wanted a reach"):
        ZBL(**given)
