import ase
import numpy as np
import pytest
import torch
from ase.build import bulk

from gnndesign.potentials.base import Card, EnergyModel, Potential, Prediction
from gnndesign.potentials.lennard_jones import LennardJones


class Springs(EnergyModel):
    """E = ½ k Σ |r - site|²: atoms that do not know of each other."""

    def __init__(self, sites, k):
        self.sites, self.k = torch.as_tensor(sites), k
        self.device = torch.device("cpu")
        self.cutoff = 1.0
        self.card = Card(
            name="springs",
            title="Springs",
            licence="MIT",
            level_of_theory="none",
            training_data="none",
            n_parameters=1,
            elements=tuple(range(1, 119)),
            cutoff=1.0,
            checksum="springs",
            citation="R. Hooke, De Potentia Restitutiva (1678)",
        )

    def atomic_energies(self, batch, edges):
        del edges
        return 0.5 * self.k * ((batch.positions - self.sites) ** 2).sum(-1)


class Breaking(Potential):
    """A Lennard-Jones whose forces on systems with krypton break after some calls."""

    def __init__(self, after, value=float("nan")):
        self.inner = LennardJones()
        self.card, self.device = self.inner.card, self.inner.device
        self.cutoff = self.inner.cutoff
        self.after, self.value = after, value

    def predict(self, batch, edges):
        prediction = self.inner.predict(batch, edges)
        self.after -= 1
        if self.after >= 0:
            return prediction
        forces = prediction.forces.clone()
        forces[batch.atomic_numbers == 36] = self.value
        return Prediction(
            energy=prediction.energy,
            atomic_energies=prediction.atomic_energies,
            forces=forces,
            stress=prediction.stress,
        )


@pytest.fixture(scope="session")
def springs():
    """Makes potentials of independent springs."""
    return Springs


@pytest.fixture(scope="session")
def breaking():
    """Makes potentials that break for krypton."""
    return Breaking


@pytest.fixture(scope="session")
def argon():
    """Makes distorted argon crystals: symbol, repeats, lattice constant, seed."""

    def make(symbol="Ar", repeats=(1, 1, 1), a=5.3, seed=1, amount=0.1):
        atoms = bulk(symbol, "fcc", a, cubic=True) * repeats
        atoms.rattle(amount, seed=seed)
        return atoms

    return make


@pytest.fixture(scope="session")
def sheared():
    """A strained crystal in which no atom feels a force."""
    atoms = bulk("Ar", "fcc", 5.3)
    strain = np.array([[0.02, 0.015, 0.0], [0.015, -0.01, 0.01], [0.0, 0.01, 0.01]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


@pytest.fixture(scope="session")
def trimer():
    """Three argon atoms near their minimum."""
    return ase.Atoms("Ar3", [[0, 0, 0], [4.1, 0.2, 0], [1.8, 3.6, 0.1]])
