"""Coordinates of a relaxation, and what L-BFGS learns in them."""

from dataclasses import fields

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk

from gnndesign.batch import AtomicBatch
from gnndesign.simulation.coordinates import (
    MANDEL,
    Vector,
    cell_gradient,
    strain_of,
    weight,
)
from gnndesign.simulation.secant_pairs import MEMORY, descent, learnt, no_pairs

N_ATOMS = (2, 3)


@pytest.fixture(scope="module")
def two_systems():
    """A batch of two, of which only the sizes count."""
    return AtomicBatch.from_atoms(
        [ase.Atoms(f"Ar{n}", np.eye(3)[:n] * 4, cell=[9, 9, 9]) for n in N_ATOMS]
    )


def random_vector(batch, rng):
    return Vector(
        atoms=torch.as_tensor(rng.normal(size=(batch.n_atoms, 3))),
        cell=torch.as_tensor(rng.normal(size=(batch.n_systems, 6))),
    )


def flat(batch, vector, system):
    own = vector.atoms[batch.system_index == system]
    return np.concatenate([own.numpy().ravel(), vector.cell[system].numpy()])


def unflat(parts):
    atoms = [part[:-6].reshape(-1, 3) for part in parts]
    return Vector(
        atoms=torch.as_tensor(np.concatenate(atoms)),
        cell=torch.as_tensor(np.array([part[-6:] for part in parts])),
    )


def two_loops(gradient, moves, changes, solve):
    """Nocedal and Wright, algorithm 7.4, with their choice of the scale."""
    rest, shares = gradient.copy(), []
    for s, y in zip(reversed(moves), reversed(changes), strict=True):
        shares.append(s @ rest / (s @ y))
        rest -= shares[-1] * y
    s, y = moves[-1], changes[-1]
    step = s @ y / (y @ solve(y)) * solve(rest)
    for s, y, share in zip(moves, changes, reversed(shares), strict=True):
        step += (share - y @ step / (s @ y)) * s
    return -step


@pytest.mark.parametrize("n_pairs", [1, 4, MEMORY, MEMORY + 5])
def test_the_compact_form_is_the_two_loop_recursion(n_pairs, two_systems):
    rng = np.random.default_rng(n_pairs)
    sizes = [3 * n + 6 for n in N_ATOMS]
    factors = [rng.normal(size=(n, n)) for n in sizes]
    hessians = [a @ a.T + np.eye(len(a)) for a in factors]
    models = [np.diag(rng.uniform(0.5, 2.0, n)) for n in sizes]

    def applied(matrices, vector):
        parts = [m @ flat(two_systems, vector, k) for k, m in enumerate(matrices)]
        return unflat(parts)

    pairs = no_pairs(two_systems)
    known = [([], []) for _ in sizes]
    for step in range(n_pairs):
        move = random_vector(two_systems, rng)
        change = applied(hessians, move)
        # The second system learns only every other time.
        wanted = torch.tensor([True, step % 2 == 0])
        solved = applied(models, change)
        pairs = learnt(two_systems, pairs, move, change, solved, wanted)
        for k, (moves, changes) in enumerate(known):
            if bool(wanted[k]):
                moves.append(flat(two_systems, move, k))
                changes.append(flat(two_systems, change, k))
    gradient = random_vector(two_systems, rng)
    found = descent(two_systems, pairs, gradient, applied(models, gradient))
    for k, (moves, changes) in enumerate(known):
        own = flat(two_systems, gradient, k)
        by_loops = two_loops(
            own, moves[-MEMORY:], changes[-MEMORY:], models[k].__matmul__
        )
        np.testing.assert_allclose(flat(two_systems, found, k), by_loops, rtol=1e-8)
        assert flat(two_systems, found, k) @ own < 0


def test_without_anything_learnt_the_step_is_that_of_the_model(two_systems):
    rng = np.random.default_rng(0)
    gradient, solved = (random_vector(two_systems, rng) for _ in range(2))
    found = descent(two_systems, no_pairs(two_systems), gradient, solved)
    torch.testing.assert_close(found.atoms, -solved.atoms)
    torch.testing.assert_close(found.cell, -solved.cell)


def test_a_pair_of_negative_curvature_is_not_learnt(two_systems):
    rng = np.random.default_rng(0)
    move = random_vector(two_systems, rng)
    uphill = move.scaled(two_systems, torch.tensor([-1.0, 2.0]).double())
    everyone = torch.tensor([True, True])
    pairs = learnt(two_systems, no_pairs(two_systems), move, uphill, uphill, everyone)
    nothing = no_pairs(two_systems)
    for field in fields(pairs):
        first, second = (getattr(p, field.name) for p in (pairs, nothing))
        rows = 2 if field.name == "atoms" else 1
        assert torch.equal(first[:rows], second[:rows])
        assert not torch.equal(first, second)


def test_the_gradient_of_the_strain_is_that_of_the_energy(lennard_jones):
    start = bulk("Ar", "fcc", 5.0) * (2, 1, 1)
    start.set_cell(
        start.cell.array @ [[1, 0.1, 0], [0, 0.95, 0], [0, 0.2, 1]], scale_atoms=True
    )
    start.rattle(0.2, seed=1)
    batch = AtomicBatch.from_atoms(start)
    rng = np.random.default_rng(3)
    # Finite strains, turned against each other.
    place = torch.as_tensor(rng.normal(size=(1, 6)) * 0.1) * weight(batch)[:, None]

    def energy_and_virial(cell):
        stretch = torch.linalg.matrix_exp(strain_of(batch, cell))[0].numpy()
        moved = start.copy()
        moved.set_cell(start.cell.array @ stretch, scale_atoms=True)
        found = lennard_jones.compute(moved)
        return float(found.energy), found.stress * moved.cell.volume

    _, virial = energy_and_virial(place)
    gradient = cell_gradient(batch, strain_of(batch, place), virial)[0]
    for k in range(6):
        shift = torch.zeros_like(place)
        shift[0, k] = 1e-4
        up, _ = energy_and_virial(place + shift)
        down, _ = energy_and_virial(place - shift)
        assert float(gradient[k]) == pytest.approx((up - down) / 2e-4, abs=2e-6)
    assert float(gradient.abs().max()) > 0.1


def test_the_basis_of_strains_is_orthonormal():
    basis = MANDEL.flatten(1)
    torch.testing.assert_close(basis @ basis.T, torch.eye(6).double())
    assert torch.equal(MANDEL, MANDEL.mT)
