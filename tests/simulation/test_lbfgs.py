"""The quasi-Newton relaxer: its algebra, its safety, and what it saves."""

import itertools
from dataclasses import fields, replace

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.constraints import FixAtoms
from ase.neighborlist import neighbor_list

from gnndesign.batch import AtomicBatch
from gnndesign.members import join, select
from gnndesign.potentials.base import EnergyModel, Potential
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.simulation import springs as springs_module
from gnndesign.simulation.base import Status
from gnndesign.simulation.cell import CellFreedom, CellMode
from gnndesign.simulation.constraints import Constraints
from gnndesign.simulation.coordinates import (
    MANDEL,
    Vector,
    cell_gradient,
    strain_of,
    weight,
)
from gnndesign.simulation.lbfgs import LBFGS
from gnndesign.simulation.relaxation import relax
from gnndesign.simulation.run import run
from gnndesign.simulation.secant_pairs import MEMORY, descent, learnt, no_pairs
from gnndesign.simulation.springs import OWN, Springs, springs_between
from gnndesign.structures.build import build_crystal

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


def spring_matrix(atoms, strains=None):
    """The inverse Hessian of one structure, column by column."""
    batch = AtomicBatch.from_atoms(atoms)
    strains = torch.eye(6).double()[None] if strains is None else strains
    model = springs_between(batch, Constraints.from_atoms([atoms]), strains)
    size = 3 * len(atoms) + 6
    columns = []
    for k in range(size):
        unit = np.eye(size)[k]
        solved = model.solve(unflat([unit]))
        columns.append(flat(batch, solved, 0))
    return np.array(columns).T


def test_springs_do_not_feel_a_translation_nor_a_molecule_its_rotation():
    water = molecule("H2O")
    hessian = np.linalg.inv(spring_matrix(water))
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-9)
    assert np.linalg.eigvalsh(hessian)[0] > 0.99 * OWN
    shift = np.concatenate([np.tile([0.3, -0.1, 0.2], 3), np.zeros(6)])
    assert shift @ hessian @ shift == pytest.approx(OWN * shift @ shift)
    # Stretching an OH bond costs much more.
    bond = water.positions[1] - water.positions[0]
    stretch = np.zeros(15)
    stretch[3:6] = bond / np.linalg.norm(bond)
    assert stretch @ hessian @ stretch > 4 * OWN


def test_springs_know_that_a_strain_is_a_move_of_all_atoms():
    # What a strain does to bonds is undone by the opposite displacements.
    start = bulk("Si") * (2, 1, 1)
    hessian = np.linalg.inv(spring_matrix(start))
    rng = np.random.default_rng(0)
    move = rng.normal(size=(len(start), 3)) * 1e-4
    cell = rng.normal(size=6) * 1e-4
    strain = np.einsum("a,aij->ij", cell, MANDEL.numpy()) / len(start) ** 0.5
    i, j, bonds, length = neighbor_list("ijDd", start, 2 * 2 * 1.11 - 1e-6)
    change = move[j] - move[i] + bonds @ strain
    along = (change * bonds).sum(1) / length
    t = length / 2.22
    k = springs_module.STIFFNESS * t**-springs_module.DECAY
    k = k * (1 - (t / springs_module.REACH) ** 2) ** 2
    across = springs_module.ACROSS
    squares = across * (change**2).sum(1) + (1 - across) * along**2
    whole = np.concatenate([move.ravel(), cell])
    expected = 0.5 * (k * squares).sum() + OWN * whole @ whole
    assert whole @ hessian @ whole == pytest.approx(expected, rel=1e-9)


def test_what_is_fixed_has_no_springs():
    start = bulk("Si") * (2, 1, 1)
    start.set_constraint(FixAtoms([1]))
    isotropic = CellFreedom(mode=CellMode.ISOTROPIC)
    batch = AtomicBatch.from_atoms(start)
    rows = [
        isotropic.project(batch, one[None]).flatten() @ MANDEL.flatten(1).T
        for one in MANDEL
    ]
    inverse = spring_matrix(start, torch.stack(rows)[None])
    assert np.abs(inverse[3:6]).max() == 0.0
    moves = np.flatnonzero(np.abs(inverse).max(0) > 1e-12)
    assert len(moves) == 3 * 3 + 3
    assert np.linalg.matrix_rank(inverse, tol=1e-9) == 3 * 3 + 1


def test_springs_are_taken_out_and_put_together_like_all_else(argon, trimer):
    structures = [argon(), trimer, argon(seed=3), argon(repeats=(2, 1, 1))]
    batch = AtomicBatch.from_atoms(structures)
    strains = torch.eye(6).double().repeat(4, 1, 1)
    whole = springs_between(batch, Constraints.from_atoms(structures), strains)
    vector = random_vector(batch, np.random.default_rng(0))
    expected = whole.solve(vector)
    parts = [
        springs_between(
            AtomicBatch.from_atoms(atoms), Constraints.from_atoms([atoms]), strains[:1]
        )
        for atoms in structures
    ]
    found = join(parts).solve(vector)
    assert torch.equal(found.atoms, expected.atoms)
    assert torch.equal(found.cell, expected.cell)
    kept = torch.tensor([False, True, True, True])
    atoms = kept[batch.system_index]
    some = whole.select(kept).solve(select(vector, kept, atoms))
    assert torch.equal(some.atoms, expected.atoms[atoms])
    assert torch.equal(some.cell, expected.cell[kept])
    assert isinstance(whole, Springs)


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
