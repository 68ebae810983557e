"""The unconstrained network: which symmetries it has, which it has not, and learning."""

import numpy as np
import pytest
import torch
from ase.build import molecule
from learning import labelled_copper, learned_copper

from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.architectures import new_potential


def ethanol():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=2)
    return atoms


def turned(atoms, angle):
    copy = atoms.copy()
    copy.rotate(angle, (1, 2, 3))
    return copy


@pytest.fixture(scope="module")
def potential():
    potential = new_potential("unconstrained", ["H", "C", "O"])
    potential.network.double()
    return potential


def test_it_says_that_it_is_not_equivariant(potential):
    assert not potential.is_equivariant
    assert not potential.is_mirror_symmetric
    assert potential.is_conservative
    assert potential.is_translation_invariant
    assert potential.is_permutation_invariant
    assert potential.is_extensive


def test_a_turned_molecule_has_another_energy_and_a_full_turn_gives_it_back(potential):
    energy = potential.compute([turned(ethanol(), a) for a in (0, 90, 360)]).energy
    assert abs(float(energy[1] - energy[0])) > 1e-3
    assert abs(float(energy[2] - energy[0])) < 1e-10


def test_the_energy_changes_smoothly_as_the_molecule_turns(potential):
    # Its slope by the angle is minus the torque of the forces.
    angles = np.array([39.999, 40.0, 40.001])
    copies = [turned(ethanol(), angle) for angle in angles]
    found = potential.compute(copies)
    slope = float(found.energy[2] - found.energy[0]) / np.deg2rad(0.002)
    axis = np.array([1, 2, 3]) / np.sqrt(14)
    torque = np.cross(copies[1].positions, found.forces.numpy().reshape(3, -1, 3)[1])
    assert abs(slope) > 1e-3
    assert slope == pytest.approx(-torque.sum(0) @ axis, rel=1e-6)


def test_it_learns_copper():
    _, losses = learned_copper("unconstrained", n_channels=32, steps=40)
    assert losses[-1] < 0.2 * losses[0]


def test_forces_can_be_trained_to_the_last_weight():
    batch, _, _ = labelled_copper()
    potential = new_potential("unconstrained", ["Cu"], n_channels=8)
    potential.network.requires_grad_(requires_grad=True)
    labels = potential.labels(batch, find_neighbors(batch, 5.0), with_strain=True)
    loss = labels.positions.pow(2).sum() + labels.strain.pow(2).sum()
    loss.backward()
    for name, weight in potential.network.named_parameters():
        if name in ("scale", "shift", "readout.2.bias"):
            continue
        assert bool(torch.isfinite(weight.grad).all())
        assert float(weight.grad.norm()) > 0, name
