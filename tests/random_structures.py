"""Structures of every kind that a neighbor search meets, drawn by a seed."""

import ase
import numpy as np
from ase.cell import Cell
from ase.geometry import complete_cell

_FRACTIONS = np.array([-1.0, 0.0, 0.25, 1 / 3, 0.5, 1.0, 2.0])


def random_structure(rng):
    """A crystal, slab, wire or molecule: thin, skewed, left-handed or unreduced cell;
    with and without vectors along open axes; atoms far outside or exactly on faces."""
    pbc = np.array([True, True, True])
    if rng.random() < 0.5:
        pbc = rng.random(3) < 0.5
    cell = _cell(rng)
    if rng.random() < 0.3:
        cell = cell[[1, 0, 2]]  # the other hand
    if rng.random() < 0.5:
        cell[~pbc] = 0.0
    whole = complete_cell(cell)
    volume = abs(np.linalg.det(whole))
    n_atoms = int(rng.integers(1, 1 + max(1, min(12, volume / 3.0))))
    positions = _fractions(rng, n_atoms) @ whole
    return ase.Atoms(f"Ar{n_atoms}", positions=positions, cell=cell, pbc=pbc)


def _cell(rng):
    """Rows; no two planes of the lattice nearer than 0.7 Å, which would take ASE long."""
    while True:
        cell = _any_cell(rng)
        if (np.linalg.norm(np.linalg.inv(cell), axis=0) < 1 / 0.7).all():
            return cell


def _any_cell(rng):
    lengths = rng.choice([1.4, 2.5, 4.0, 9.0]) * rng.uniform(0.8, 1.25, 3)
    if rng.random() < 0.3:  # one vector much longer or shorter
        lengths[rng.integers(3)] *= rng.choice([0.4, 4.0])
    cell = Cell.fromcellpar([*lengths, *_angles(rng)]).array
    if rng.random() < 0.3:  # the same lattice by other vectors
        shear = np.eye(3)
        row, other = rng.choice(3, 2, replace=False)
        shear[row, other] = rng.integers(-2, 3)
        cell = shear @ cell
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return cell @ turn


def _angles(rng):
    """Degrees between lattice vectors that are not nearly in a plane; down to 15."""
    while True:
        angles = rng.choice([rng.uniform(15, 165, 3), rng.uniform(60, 120, 3)])
        cos = np.cos(np.radians(angles))
        if 1 - (cos**2).sum() + 2 * cos.prod() > 0.01:
            return angles


def _fractions(rng, n_atoms):
    kind = rng.choice(["inside", "outside", "far", "faces"], p=[0.4, 0.2, 0.2, 0.2])
    if kind == "faces":
        # No two at the same place.
        grid = np.stack(np.meshgrid(*[_FRACTIONS[1:5]] * 3), -1).reshape(-1, 3)
        chosen = grid[rng.choice(len(grid), n_atoms, replace=False)]
        return chosen + rng.choice([-1, 0, 1], (n_atoms, 3))
    low, high = {"inside": (0, 1), "outside": (-0.5, 1.5), "far": (-40, 40)}[kind]
    return rng.uniform(low, high, (n_atoms, 3))
