"""A few steps of training, for tests: copper as ASE's EMT sees it."""

import numpy as np
import torch
from ase.build import bulk
from ase.calculators.emt import EMT

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.architectures import new_potential


def labelled_copper():
    """Four rattled crystals of 8 atoms: batch, eV, eV/Å."""
    frames = []
    for seed in range(4):
        atoms = bulk("Cu", "fcc", 3.6) * 2
        atoms.rattle(0.05 + 0.03 * seed, seed=seed)
        atoms.calc = EMT()
        frames.append(atoms)
    energy = torch.tensor([atoms.get_potential_energy() for atoms in frames])
    forces = np.concatenate([atoms.get_forces() for atoms in frames])
    return AtomicBatch.from_atoms(frames), energy, torch.from_numpy(forces)


def learned_copper(name, *, steps, **shape):
    """A potential after some steps of Adam, and its losses of energy and forces."""
    batch, energy, forces = labelled_copper()
    potential = new_potential(name, ["Cu"], **shape)
    edges = find_neighbors(batch, potential.cutoff)
    network = potential.network
    network.scale.fill_(float(forces.std()))
    network.shift.fill_(float(energy.mean()) / 8)
    potential.calibrate([(batch, edges)])
    network.requires_grad_(requires_grad=True)
    fixed = {id(network.scale), id(network.shift)}
    weights = [w for w in network.parameters() if id(w) not in fixed]
    optimizer = torch.optim.Adam(weights, lr=5e-3)
    losses = []
    for _ in range(steps):
        found = potential.labels(batch, edges, with_strain=False)
        total = batch.sum_over_atoms(found.atomic_energies)
        loss = ((total - energy) / 8).pow(2).mean()
        loss = loss + (found.positions + forces).pow(2).mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.requires_grad_(requires_grad=False)
    return potential, losses
