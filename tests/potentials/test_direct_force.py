"""Forces that are no gradient: what they do along a closed path and in a run."""

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from learning import labelled_copper, learned_copper

from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.architectures import new_potential
from gnndesign.simulation.dynamics import molecular_dynamics


def ethanol():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=2)
    return atoms


def work_around_a_loop(name):
    """eV, ∮ F · dr along an ellipse in the space of all positions."""
    potential = new_potential(name, ["H", "C", "O"], seed=1)
    potential.network.double()
    atoms = ethanol()
    u, v = np.random.default_rng(4).normal(scale=0.1, size=(2, *atoms.positions.shape))
    # The trapezoidal rule is exact to rounding on a smooth closed path.
    angles = np.arange(96) * 2 * np.pi / 96
    path, steps = [], []
    for angle in angles:
        copy = atoms.copy()
        copy.positions += np.cos(angle) * u + np.sin(angle) * v
        path.append(copy)
        steps.append((np.cos(angle) * v - np.sin(angle) * u) * 2 * np.pi / 96)
    forces = potential.compute(path).forces.numpy().reshape(len(path), -1)
    along = np.einsum("ni,ni->n", forces, np.reshape(steps, forces.shape))
    return along.sum(), np.abs(along).sum()


@pytest.mark.parametrize("name", ["invariant", "unconstrained"])
def test_conservative_forces_do_no_work_around_a_loop(name):
    work, length = work_around_a_loop(name)
    assert abs(work) < 1e-10 * length


def test_direct_forces_do_work_around_a_loop():
    work, length = work_around_a_loop("direct-force")
    assert abs(work) > 1e-3 * length


def test_direct_forces_do_not_sum_to_zero():
    totals = {}
    for name in ("direct-force", "invariant"):
        potential = new_potential(name, ["H", "C", "O"])
        potential.network.double()
        totals[name] = float(potential.compute(ethanol()).forces.sum(0).norm())
    assert totals["invariant"] < 1e-12
    assert totals["direct-force"] > 1e-4


def test_stress_is_the_virial_of_the_forces_of_pairs():
    potential = new_potential("direct-force", ["Si"])
    potential.network.double()
    atoms = bulk("Si")
    atoms.rattle(0.1, seed=1)
    found = potential.compute(atoms)
    # Copies side by side have the same stress, and the virial of one is -½ Σ r F of
    # pairs: for a dimer in a box the forces themselves say it.
    dimer = bulk("Si").copy()
    dimer.set_cell([12.0] * 3)
    pair = potential.compute(dimer)
    separation = torch.from_numpy(dimer.positions[1] - dimer.positions[0])
    pulls = 0.5 * (pair.forces[0] - pair.forces[1])
    expected = torch.outer(separation, pulls) / 12.0**3
    torch.testing.assert_close(pair.stress[0], expected, rtol=1e-10, atol=1e-14)
    again = potential.compute(atoms * 2)
    torch.testing.assert_close(again.stress, found.stress, rtol=1e-9, atol=1e-14)


def test_what_is_trained_is_what_is_predicted():
    batch, _, _ = labelled_copper()
    potential = new_potential("direct-force", ["Cu"])
    potential.network.requires_grad_(requires_grad=True)
    edges = find_neighbors(batch, 5.0)
    labels = potential.labels(batch, edges, with_strain=False)
    forces = potential.predict(batch, edges).forces
    assert torch.equal(-labels.positions.detach(), forces)
    labels.positions.pow(2).sum().backward()
    assert float(potential.network.force_head.last.weight.grad.norm()) > 0


def test_it_learns_copper():
    _, losses = learned_copper("direct-force", n_channels=32, steps=60)
    assert losses[-1] < 0.25 * losses[0]


def wanderings(name, steps, timesteps_fs):
    """meV an atom, standard deviation of the total energy in runs of 240 fs."""
    potential, _ = learned_copper(
        name, n_channels=24, n_rounds=2, cutoff=4.5, steps=steps
    )
    found = []
    for timestep_fs in timesteps_fs:
        history = molecular_dynamics(
            bulk("Cu", "fcc", 3.6) * 2,
            potential,
            ensemble="nve",
            temperature_K=600.0,
            timestep_fs=timestep_fs,
            steps=round(240.0 / timestep_fs),
            record_every=round(8.0 / timestep_fs),
        ).history
        total = history.energy + history.kinetic_energy
        found.append(1000.0 * total.std() / 8)
    return np.array(found)


def test_total_energy_wanders_with_direct_forces_whatever_the_time_step():
    # The error of velocity Verlet falls as the square of the time step. What forces
    # that are no gradient do remains.
    conservative = wanderings("invariant", 60, (4.0, 2.0))
    direct = wanderings("direct-force", 60, (4.0, 2.0))
    assert conservative[1] < 0.35 * conservative[0]
    assert direct[1] > 0.7 * direct[0]
    assert direct[1] > 10 * conservative[1]


@pytest.mark.slow
def test_a_long_run_heats_up_or_cools_down_with_direct_forces_alone():
    drifts = {}
    for name in ("invariant", "direct-force"):
        potential, _ = learned_copper(
            name, n_channels=24, n_rounds=2, cutoff=4.5, steps=60
        )
        history = molecular_dynamics(
            bulk("Cu", "fcc", 3.6) * 2,
            potential,
            ensemble="nve",
            temperature_K=600.0,
            timestep_fs=2.0,
            steps=3000,
            record_every=100,
        ).history
        total = 1000.0 * (history.energy + history.kinetic_energy) / 8
        drifts[name] = abs(np.polyfit(history.time_fs / 1000.0, total, 1)[0])
    assert drifts["direct-force"] > 10 * drifts["invariant"]
