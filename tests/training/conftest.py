import numpy as np
import pytest
from ase.build import bulk

from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.training.dataset import Dataset


def argon_frames(n, seed=0):
    """Rattled and strained argon crystals, labelled by a Lennard-Jones potential."""
    rng = np.random.default_rng(seed)
    teacher = LennardJones(cutoff=6.0)
    frames = []
    for k in range(n):
        atoms = bulk("Ar", "fcc", 5.3, cubic=True)
        if k % 2:
            atoms = atoms.repeat((2, 1, 1))
        strain = 0.02 * rng.normal(size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        atoms.positions += 0.12 * rng.normal(size=(len(atoms), 3))
        found = teacher.compute(atoms)
        atoms.info["energy"] = float(found.energy[0]) - 3.0 * len(atoms)
        atoms.info["stress"] = found.stress[0].numpy()
        atoms.arrays["forces"] = found.forces.numpy()
        frames.append(atoms)
    return frames


@pytest.fixture(scope="session")
def argon():
    """A data set of 24 frames, to learn from and to test on."""
    data = Dataset.from_atoms(argon_frames(24), source="Lennard-Jones argon")
    return data.split([16, 8], seed=1)
