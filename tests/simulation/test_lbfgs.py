"""The quasi-Newton relaxer: its safety, and what it saves."""

import itertools
from dataclasses import replace

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk

from gnndesign.members import select
from gnndesign.potentials.base import EnergyModel, Potential
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.simulation import springs as springs_module
from gnndesign.simulation.base import Status
from gnndesign.simulation.cell import CellFreedom, CellMode
from gnndesign.simulation.lbfgs import LBFGS
from gnndesign.simulation.relaxation import relax
from gnndesign.simulation.run import run
from gnndesign.structures.build import build_crystal


class Washboard(EnergyModel):
    """Every atom in a wave of its own lattice: it knows neither others nor a batch."""

    def __init__(self):
        inner = LennardJones()
        self.card, self.device, self.cutoff = inner.card, inner.device, inner.cutoff
        self.needs_neighbors = False

    def atomic_energies(self, batch, edges):
        del edges
        cell = batch.cell[batch.system_index]
        scaled = torch.linalg.solve(cell.mT, batch.positions[:, :, None])[:, :, 0]
        waves = 1.0 - torch.cos(4 * torch.pi * scaled)
        stretch = (cell - 6.0 * torch.eye(3).double()).square().sum((1, 2))
        return (waves[:, 0] + 2 * waves[:, 1] + 5 * waves[:, 2]) + 0.1 * stretch


@pytest.mark.parametrize("cell", [None, "full"])
def test_a_batch_is_its_systems_alone_bit_for_bit(cell):
    rng = np.random.default_rng(1)
    sites = np.array(list(itertools.product((0.0, 0.5), repeat=3)))
    structures = [
        ase.Atoms(
            f"Ar{n}",
            scaled_positions=sites[:n] + rng.uniform(-0.08, 0.08, (n, 3)),
            cell=np.eye(3) * 6.0 + rng.normal(size=(3, 3)) * 0.3,
            pbc=True,
        )
        for n in (1, 2, 3, 2, 5)
    ]
    potential = Washboard()
    options = {"cell": cell, "method": "lbfgs", "max_force": 1e-6}
    together = relax(structures, potential, **options)
    assert len({result.steps for result in together}) > 1
    for atoms, result in zip(structures, together, strict=True):
        alone = relax(atoms, potential, **options)
        assert result.converged
        assert result.steps > 3
        np.testing.assert_array_equal(result.history.energy, alone.history.energy)
        np.testing.assert_array_equal(result.atoms.positions, alone.atoms.positions)
        np.testing.assert_array_equal(result.atoms.cell, alone.atoms.cell)


def test_a_crystal_of_springs_needs_few_steps(argon, springs):
    start = argon(amount=0.0)
    wanted = start.positions + np.random.default_rng(0).normal(size=(4, 3)) * 0.15
    result = relax(start, springs(wanted, k=3.0), method="lbfgs", max_force=1e-8)
    assert result.converged
    assert result.steps <= 12
    np.testing.assert_allclose(result.atoms.positions, wanted, rtol=0, atol=1e-8)


def test_the_energy_never_rises(lennard_jones, argon):
    start = argon(amount=0.6, repeats=(2, 1, 1), seed=0)
    result = relax(start, lennard_jones, cell="full", method="lbfgs", max_force=1e-3)
    assert result.converged
    rises = np.diff(result.history.energy)
    assert rises.max() <= 2e-6 * len(start)
    # Some steps were tried and taken back; they count.
    assert (rises == 0.0).any()
    assert result.history.step.tolist() == list(range(result.steps + 1))


class Failing(Potential):
    """Says NaN when it is asked for the nth time."""

    def __init__(self, inner, calls):
        self.inner, self.calls, self.asked = inner, calls, itertools.count()
        self.card, self.device, self.cutoff = inner.card, inner.device, inner.cutoff

    def predict(self, batch, edges):
        found = self.inner.predict(batch, edges)
        if next(self.asked) not in self.calls:
            return found
        return replace(found, energy=found.energy * torch.nan)


def test_a_step_into_the_unknown_is_taken_back(argon, lennard_jones):
    whole = relax(argon(), lennard_jones, method="lbfgs", max_force=1e-4)
    result = relax(
        argon(), Failing(lennard_jones, {2, 5}), method="lbfgs", max_force=1e-4
    )
    assert result.status is Status.CONVERGED
    assert np.isfinite(result.history.energy).all()
    assert result.energy == pytest.approx(whole.energy, abs=1e-6)
    lost = relax(
        argon(), Failing(lennard_jones, range(3, 99)), method="lbfgs", max_force=1e-4
    )
    assert lost.status is Status.DIVERGED
    assert "not finite" in lost.message
    assert 3 < lost.steps < 10
    assert np.isfinite(lost.energy)


def test_a_large_structure_does_without_springs(monkeypatch, argon, lennard_jones):
    start = [argon(), argon(repeats=(2, 1, 1), seed=2)]
    sprung = relax(start, lennard_jones, cell="full", method="lbfgs", max_force=1e-4)
    monkeypatch.setattr(springs_module, "MOST_ATOMS", 4)
    plain = relax(start, lennard_jones, cell="full", method="lbfgs", max_force=1e-4)
    assert plain[0].steps == sprung[0].steps
    assert plain[1].steps != sprung[1].steps
    assert plain[1].converged
    assert plain[1].energy == pytest.approx(sprung[1].energy, abs=1e-6)


def test_it_needs_less_than_half_of_the_evaluations_of_fire(sevennet_0):
    starts = [
        build_crystal("TiO2", "rutile"),
        build_crystal("ZnO", "wurtzite"),
        build_crystal("SrTiO3", "perovskite"),
        build_crystal("FeS2", "pyrite"),
        bulk("Cu", cubic=True),
        bulk("NaCl", "rocksalt", 5.7),
    ]
    for k, atoms in enumerate(starts):
        atoms.rattle(0.1, seed=k)
    options = {"cell": "full", "max_force": 0.01}
    quick = relax(starts, sevennet_0, method="lbfgs", **options)
    slow = relax(starts, sevennet_0, method="fire", **options)
    for one, other in zip(quick, slow, strict=True):
        assert one.converged
        assert other.converged
        assert one.steps < other.steps
        assert one.energy == pytest.approx(other.energy, abs=1e-4 * len(one.atoms))
    assert 2.5 * sum(r.steps for r in quick) < sum(r.steps for r in slow)


def test_noise_of_float32_does_not_keep_it_from_converging(sevennet_0):
    start = bulk("NaCl", "rocksalt", 5.7, cubic=True)
    start.rattle(0.1, seed=0)
    result = relax(start, sevennet_0, cell="full", method="lbfgs", max_force=1e-4)
    assert result.converged
    assert result.steps < 25


def test_a_state_is_on_the_same_path_whoever_evaluates(argon, lennard_jones):
    # Rows of a state are its systems: taking one out changes nothing for the others.
    stepper = LBFGS(max_force=1e-9, cell=CellFreedom(mode=CellMode.FULL))
    going = run(stepper, lennard_jones, [argon(), argon(seed=2)], max_steps=4)
    list(going)
    state = going.progress.parked
    mask = torch.tensor([False, True])
    alone = select(state, mask, mask[state.system.batch.system_index])
    both, one = stepper.propose(state), stepper.propose(alone)
    own = mask[state.system.batch.system_index]
    np.testing.assert_allclose(both.positions[own], one.positions, rtol=0, atol=1e-13)
    np.testing.assert_allclose(both.cell[mask], one.cell, rtol=0, atol=1e-13)
