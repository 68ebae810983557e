"""Turning a structure turns its forces and stress to the last digits of the weights."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from scipy.spatial.transform import Rotation

from gnndesign.potentials.catalog import load_potential

RESIDUAL = {torch.float32: 1e-6, torch.float64: 1e-13}
"""Relative: of the largest energy of an atom, force, stress."""


def salt():
    atoms = bulk("NaCl", "rocksalt", 5.6, cubic=True)
    atoms.rattle(0.15, seed=4)
    atoms.set_cell(atoms.cell.array * [1.0, 1.02, 0.97], scale_atoms=True)
    return atoms


def ethanol():
    from ase.build import molecule

    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.1, seed=2)
    return atoms


def turned(atoms, turn):
    return ase.Atoms(
        atoms.symbols,
        positions=atoms.positions @ turn.T,
        cell=atoms.cell.array @ turn.T,
        pbc=atoms.pbc,
    )


def residuals(potential, atoms, turn):
    """Largest relative change of energy, forces and stress beyond the turn itself."""
    before, after = potential.compute(atoms), potential.compute(turned(atoms, turn))
    q = torch.as_tensor(turn)
    forces = after.forces - before.forces @ q.mT
    stress = after.stress - q @ before.stress @ q.mT
    scale = [before.energy, before.forces, before.stress]
    pairs = zip([after.energy - before.energy, forces, stress], scale, strict=True)
    return [
        float(change.norm() / size.norm()) for change, size in pairs if bool(size.any())
    ]


@pytest.fixture(params=["sevennet-0", "sevennet-l3i5"])
def potential(request):
    potential = load_potential(request.param, "cpu")
    potential.kernel = "plain"
    return potential


@pytest.mark.parametrize("dtype", RESIDUAL)
def test_rotations_are_exact_to_the_last_digits(potential, dtype):
    potential.network.to(dtype)
    found = [
        residual
        for atoms in (salt(), ethanol())
        for turn in Rotation.random(4, rng=3).as_matrix()
        for residual in residuals(potential, atoms, turn)
    ]
    assert max(found) < RESIDUAL[dtype]


def test_couplings_are_exact_also_after_a_stay_in_float32(potential):
    potential.network.double().float().double()
    turn = Rotation.random(rng=1).as_matrix()
    assert max(residuals(potential, salt(), turn)) < RESIDUAL[torch.float64]


def test_float32_is_float64_to_its_own_accuracy(potential):
    single = potential.compute([salt(), ethanol()])
    potential.network.double()
    double = potential.compute([salt(), ethanol()])
    np.testing.assert_allclose(single.energy, double.energy, rtol=3e-7)
    np.testing.assert_allclose(single.forces, double.forces, rtol=0, atol=1e-5)
    np.testing.assert_allclose(single.stress, double.stress, rtol=0, atol=6e-7)
