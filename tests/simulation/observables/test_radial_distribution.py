"""Pairs by distance: crystals whose shells are known, gases that have none."""

import numpy as np
import pytest
from ase.build import bulk

from gnndesign.errors import ParameterError
from gnndesign.simulation.observables.radial_distribution import (
    RadialDistributionAccumulator,
)

SKEWED = np.array([[9.0, 0.0, 0.0], [4.0, 8.0, 0.0], [-3.0, 2.0, 10.0]])


def counted(moments, **parameters):
    accumulator = RadialDistributionAccumulator(0, **{"every": 1} | parameters)
    for moment in moments:
        accumulator.add_moment(moment)
    return accumulator.result()


@pytest.fixture
def of_atoms(moment):
    def make(atoms, step=0):
        numbers = atoms.numbers
        return moment(step, atoms.positions, cell=atoms.cell.array, numbers=numbers)

    return make


@pytest.mark.parametrize("repeats", [(1, 1, 1), (3, 3, 3)])
def test_a_crystal_has_its_shells_whatever_the_cell(of_atoms, repeats):
    a = 5.3
    atoms = bulk("Ar", "fcc", a) * repeats
    found = counted([of_atoms(atoms)], r_max=7.0)
    within = dict(zip(found.r_outer.round(2), found.coordination[0], strict=True))
    # fcc: 12 at a/√2 = 3.75, 6 at a = 5.3, 24 at a √1.5 = 6.49.
    assert within[3.7] == 0
    assert within[3.8] == 12
    assert within[5.35] == pytest.approx(18)
    assert within[6.55] == pytest.approx(42)
    peak = np.argmax(found.g[0, found.r < 4.0])
    assert found.r[peak] == pytest.approx(a / np.sqrt(2), abs=0.03)
    # The whole peak: g ρ times the shell is the number of neighbors.
    shells = 4 / 3 * np.pi * np.diff(np.append(0.0, found.r_outer) ** 3)
    density = 4 / a**3
    neighbors = np.cumsum(found.g[0] * density * shells)
    np.testing.assert_allclose(neighbors, found.coordination[0], rtol=1e-12)


def test_species_are_told_apart_and_counted_from_either_side(of_atoms):
    cell = bulk("CaF2", "fluorite", 5.46)
    found = counted([of_atoms(cell * (2, 2, 2))], r_max=4.0)
    assert found.pairs == (("all", "all"), ("F", "F"), ("F", "Ca"), ("Ca", "Ca"))
    near = np.searchsorted(found.r_outer, 2.6)  # Ca-F at 2.36, F-F at 2.73
    assert found.coordination_of("F", "Ca")[near] == pytest.approx(4)
    assert found.coordination_of("Ca", "F")[near] == pytest.approx(8)
    assert found.coordination_of("F", "F")[near] == 0
    farther = np.searchsorted(found.r_outer, 3.0)
    assert found.coordination_of("F", "F")[farther] == pytest.approx(6)
    assert found.coordination_of("all", "all")[near] == pytest.approx(16 / 3)
    # All pairs together are those of the species, weighted by how many there are.
    x = {"F": 2 / 3, "Ca": 1 / 3}
    together = sum(x[a] * x[b] * found.g[found.row(a, b)] for a in x for b in x)
    np.testing.assert_allclose(found.g[0], together, rtol=1e-12, atol=1e-12)
    with pytest.raises(ParameterError, match="Wanted one of the pairs"):
        found.row("F", "Xe")


def test_an_ideal_gas_in_a_breathing_skewed_cell_has_none(moment):
    rng = np.random.default_rng(7)
    n_atoms, n_frames = 60, 800
    frames = []
    for k in range(n_frames):
        cell = SKEWED * (1.0 + 0.15 * rng.uniform(-1.0, 1.0))
        frames.append(moment(k, rng.uniform(size=(n_atoms, 3)) @ cell, cell=cell))
    # Below the shortest vector from an atom to its own image.
    found = counted(frames, r_max=6.5, bin_width=0.5)
    expected = 1 - 1 / n_atoms
    outside = found.r > 1.5  # where there are pairs enough
    deviation = (found.g[0] - expected) / found.g_error[0]
    assert np.abs(deviation[outside]).max() < 4.0
    assert np.sqrt(np.mean(deviation**2)) == pytest.approx(1.0, abs=0.45)
    # The mean volume in place of each moment's would show: < V > < 1/V > = 1.02.
    assert np.median(found.g_error[0][outside]) < 0.01
    mean_density = np.mean([n_atoms / frame.volume for frame in frames])
    sphere = 4 / 3 * np.pi * found.r_outer[-1] ** 3 * mean_density * expected
    assert abs(found.coordination[0, -1] - sphere) < 4 * found.coordination_error[0, -1]
    assert found.message == ""


def test_a_molecule_has_neighbors_but_no_density(moment):
    water = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    frames = [moment(k, water, numbers=[8, 1, 1]) for k in range(3)]
    found = counted(frames)
    assert np.isnan(found.g).all()
    assert "volume" in found.message
    near = np.searchsorted(found.r_outer, 1.2)
    assert found.coordination_of("O", "H")[near] == pytest.approx(2)
    assert found.coordination_of("H", "O")[near] == pytest.approx(1)


def test_every_tenth_regular_moment_is_looked_at_and_the_result_says_so(moment):
    gas = np.random.default_rng(0).uniform(0, 10, size=(20, 3))
    frames = [moment(5 * k, gas, cell=np.eye(3) * 10.0) for k in range(41)]
    found = counted(frames, every=10)
    assert found.every == 10
    assert found.n_samples == 5
    assert "too few" in found.message
    assert np.isnan(found.g_error).all()


def test_a_distance_at_the_edge_is_inside_or_outside_but_does_not_fail(moment):
    pair = np.array([[0.0, 0, 0], [8.0 - 1e-15, 0, 0]])
    found = counted([moment(0, pair)])
    assert found.coordination[0, -1] in (0.0, 1.0)


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ParameterError, match="r_max"):
        RadialDistributionAccumulator(0, r_max=0.0)
    with pytest.raises(ParameterError, match="bin_width"):
        RadialDistributionAccumulator(0, bin_width=9.0)
    with pytest.raises(ParameterError, match="every"):
        RadialDistributionAccumulator(0, every=0)
