"""The model of springs from which L-BFGS starts."""

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.constraints import FixAtoms
from ase.neighborlist import neighbor_list

from gnndesign.batch import AtomicBatch
from gnndesign.members import join, select
from gnndesign.simulation import springs as springs_module
from gnndesign.simulation.cell import CellFreedom, CellMode
from gnndesign.simulation.constraints import Constraints
from gnndesign.simulation.coordinates import MANDEL, Vector
from gnndesign.simulation.springs import OWN, springs_between


def spring_matrix(atoms, strains=None):
    """The inverse Hessian of one structure, column by column."""
    batch = AtomicBatch.from_atoms(atoms)
    strains = torch.eye(6).double()[None] if strains is None else strains
    model = springs_between(batch, Constraints.from_atoms([atoms]), strains)
    columns: list[np.ndarray] = []
    for unit in torch.eye(3 * len(atoms) + 6).double():
        moved = Vector(atoms=unit[:-6].reshape(-1, 3), cell=unit[None, -6:])
        solved = model.solve(moved)
        columns.append(torch.cat([solved.atoms.flatten(), solved.cell[0]]).numpy())
    return np.array(columns).T


def test_springs_do_not_feel_a_translation_but_the_stretch_of_a_bond():
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
    generator = torch.Generator().manual_seed(0)
    vector = Vector(
        atoms=torch.randn((batch.n_atoms, 3), generator=generator).double(),
        cell=torch.randn((4, 6), generator=generator).double(),
    )
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
