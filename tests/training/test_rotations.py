"""Violations of rotation: measured, differentiated, and found where they are worst."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from scipy.spatial.transform import Rotation

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError, ShapeError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.adapters.ase import ASEPotential
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.base import EnergyModel
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.training.rotations import (
    adversarial_rotations,
    random_rotations,
    rotated,
    rotation_matrix,
    rotation_violation,
)
from gnndesign.training.worst_rotation import worst_rotation


def argon(seed=1):
    crystal = bulk("Ar", "fcc", 5.2, cubic=True)
    crystal.rattle(0.1, seed=seed)
    return [crystal, ase.Atoms("Ar3", [[0, 0, 0], [3.7, 0.3, 0], [0.2, 4.0, 1]])]


class InAField(EnergyModel):
    """A Lennard-Jones whose pairs have an energy of their own where they lie along z."""

    def __init__(self, strength=0.01):
        self.inner = LennardJones(cutoff=6.0)
        self.card, self.device = self.inner.card, self.inner.device
        self.cutoff = self.inner.cutoff
        self.strength = torch.tensor(strength, dtype=torch.float64)
        self.is_equivariant = False

    def atomic_energies(self, batch, edges):
        vectors = edges.vectors(batch)
        distance = vectors.norm(dim=-1)
        near = torch.relu(1 - distance / self.cutoff) ** 3
        along = self.strength * vectors[:, 2] ** 2 / distance**2 * near
        energy = self.inner.atomic_energies(batch, edges)
        return energy.index_add(0, edges.centers, along)


def seen(potential, structures):
    batch = AtomicBatch.from_atoms(structures)
    return batch, find_neighbors(batch, potential.cutoff)


def test_rotation_matrices_turn_about_their_vector_by_its_length():
    vectors = np.random.default_rng(0).normal(size=(6, 3))
    vectors[0] = 0.0
    found = rotation_matrix(torch.tensor(vectors))
    np.testing.assert_allclose(
        found, Rotation.from_rotvec(vectors).as_matrix(), atol=1e-12
    )


def test_rotation_matrices_are_smooth_twice_also_at_no_rotation():
    vectors = torch.tensor([[0.0, 0, 0], [0.3, -1, 2]], dtype=torch.float64)
    vectors.requires_grad_()
    assert torch.autograd.gradcheck(rotation_matrix, vectors)
    assert torch.autograd.gradgradcheck(rotation_matrix, vectors)


def test_random_rotations_are_rotations_and_point_everywhere_alike():
    found = random_rotations(4000, torch.Generator().manual_seed(0))
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(found @ found.mT, eye.expand_as(found))
    torch.testing.assert_close(torch.linalg.det(found), torch.ones(4000).double())
    # The angle θ has the density (1 - cos θ)/π, so its cosine the mean -1/2.
    cosine = (found.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    assert float(cosine.mean()) == pytest.approx(-0.5, abs=0.04)
    assert found.mean(0).abs().max() < 0.04


def test_turned_structures_are_those_that_ase_turns():
    batch = AtomicBatch.from_atoms(argon())
    matrices = random_rotations(2, torch.Generator().manual_seed(3))
    turned = rotated(batch, matrices).to_atoms()
    for atoms, matrix, got in zip(argon(), matrices.numpy(), turned, strict=True):
        angle = Rotation.from_matrix(matrix)
        axis = angle.as_rotvec()
        atoms.rotate(np.degrees(angle.magnitude()), axis, rotate_cell=True)
        np.testing.assert_allclose(got.positions, atoms.positions, atol=1e-9)
        np.testing.assert_allclose(got.cell.array, atoms.cell.array, atol=1e-9)


def test_the_violation_is_that_of_energies_and_forces_of_turned_structures():
    potential = InAField()
    batch, edges = seen(potential, argon())
    matrices = random_rotations(2, torch.Generator().manual_seed(3))
    found = rotation_violation(potential, batch, edges, matrices, with_forces=True)
    here = potential.predict(batch, edges)
    there = potential.predict(rotated(batch, matrices), edges)
    for k, n in enumerate((4, 3)):
        mine = batch.system_index == k
        forces = there.forces[mine] @ matrices[k] - here.forces[mine]
        energy = (there.energy[k] - here.energy[k]) / n
        expected = energy**2 + (forces**2).mean()
        assert float(energy.abs()) > 1e-6
        assert float(found[k].detach()) == pytest.approx(float(expected), rel=1e-9)


def test_the_violation_of_an_equivariant_potential_is_zero():
    potential = LennardJones(cutoff=6.0)
    batch, edges = seen(potential, argon())
    vectors = torch.randn(2, 3, dtype=torch.float64)
    found = rotation_violation(potential, batch, edges, vectors, with_forces=True)
    assert float(found.detach().max()) < 1e-24


@pytest.mark.parametrize("with_forces", [False, True])
def test_the_violation_is_differentiable_in_rotations_and_weights(with_forces):
    potential = InAField()
    batch, edges = seen(potential, argon())

    def violation(vectors, strength):
        potential.strength = strength
        # In units in which its numbers are of order one.
        return 1e6 * rotation_violation(
            potential, batch, edges, vectors, with_forces=with_forces
        )

    vectors = torch.tensor([[0.5, 0.2, -0.4], [1.0, 0.3, 0.9]], dtype=torch.float64)
    strength = torch.tensor(0.02, dtype=torch.float64)
    inputs = (vectors.requires_grad_(), strength.requires_grad_())
    assert torch.autograd.gradcheck(violation, inputs, rtol=1e-4, atol=1e-4)


def test_adversarial_rotations_are_worse_than_random_ones():
    potential = InAField()
    batch, edges = seen(potential, [argon(s)[0] for s in range(12)])

    def mean_violation(steps):
        generator = torch.Generator().manual_seed(5)
        matrices = adversarial_rotations(
            potential, batch, edges, steps=steps, step_size=0.3, generator=generator
        )
        return float(rotation_violation(potential, batch, edges, matrices).mean())

    random, little, more = map(mean_violation, (0, 2, 8))
    assert random < little < more
    assert more > 1.5 * random


def test_adversarial_rotations_leave_no_gradient_in_the_weights():
    potential = new_potential("equivariant", ["Ar"], cutoff=6.0)
    potential.network.requires_grad_()
    batch, edges = seen(potential, argon())
    found = adversarial_rotations(potential, batch, edges, with_forces=True)
    assert not found.requires_grad
    assert all(weight.grad is None for weight in potential.network.parameters())


def test_what_adversarial_rotations_cannot_do_is_refused():
    potential = InAField()
    batch, edges = seen(potential, argon())
    with pytest.raises(ParameterError, match="step_size > 0"):
        adversarial_rotations(potential, batch, edges, step_size=0.0)
    with pytest.raises(ShapeError, match=r"\(2, 3\)"):
        rotation_violation(potential, batch, edges, torch.zeros(3, 3))


def test_the_worst_rotation_of_a_dimer_in_a_field_turns_it_into_the_field():
    potential = InAField(strength=0.01)
    dimer = ase.Atoms("Ar2", [[0, 0, 0], [3.8, 0, 0]])
    found = worst_rotation(potential, [dimer], steps=25, starts=3)
    # E(z) - E(x) an atom: strength times the envelope, once for each atom of the pair.
    worst = 0.01 * (1 - 3.8 / 6.0) ** 3
    assert found.energy_violation[0] == pytest.approx(worst, rel=1e-3)
    turned = found.energy_rotation[0] @ [1, 0, 0]
    assert abs(turned[2]) == pytest.approx(1.0, abs=1e-3)
    assert found.random_energy_violation[0] < worst


def test_a_search_without_gradients_finds_nearly_the_same():
    potential = InAField(strength=0.01)
    dimer = ase.Atoms("Ar2", [[0, 0, 0], [3.8, 0, 0]])
    potential.is_conservative = False
    found = worst_rotation(potential, [dimer], steps=25, starts=3)
    worst = 0.01 * (1 - 3.8 / 6.0) ** 3
    assert found.energy_violation[0] == pytest.approx(worst, rel=0.05)


def test_an_equivariant_network_and_a_foreign_one_have_no_worst_rotation():
    from ase.calculators.emt import EMT

    network = new_potential("equivariant", ["H", "O"])
    network.network.double()
    found = worst_rotation(network, [molecule("H2O")], steps=3, starts=2)
    # Its couplings were rounded to float32 before they were raised to float64.
    assert found.energy_violation[0] < 1e-7
    copper = bulk("Cu", cubic=True)
    copper.rattle(0.1)
    found = worst_rotation(ASEPotential(EMT()), [copper], steps=3, starts=2)
    assert found.energy_violation[0] < 1e-9
    assert found.force_violation[0] < 1e-9


@pytest.mark.parametrize("with_forces", [False, True])
def test_training_on_the_violation_lowers_it(with_forces):
    """The penalty reaches the weights; here one weight, that of the field."""
    potential = InAField(strength=0.05)
    potential.strength.requires_grad_()
    batch, edges = seen(potential, argon())
    generator = torch.Generator().manual_seed(0)
    values = []
    for _ in range(4):
        rotations = adversarial_rotations(
            potential, batch, edges, steps=2, generator=generator
        )
        loss = rotation_violation(
            potential, batch, edges, rotations, with_forces=with_forces
        ).mean()
        potential.strength.grad = None
        loss.backward()
        # A parabola in this weight: Newton's step, halved.
        with torch.no_grad():
            potential.strength -= 0.5 * loss / potential.strength.grad
        values.append(float(loss.detach()))
    assert values[-1] < 0.5 * values[0]
    assert float(potential.strength.detach()) < 0.03
