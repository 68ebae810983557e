"""Copies of structures that a check may move and deform."""

from __future__ import annotations

import ase
import numpy as np


def free_copy(atoms: ase.Atoms) -> ase.Atoms:
    """Without constraints."""
    copy = atoms.copy()
    copy.set_constraint()
    return copy


def transformed(atoms: ase.Atoms, matrix: np.ndarray) -> ase.Atoms:
    """Positions and lattice vectors, as rows, times a matrix."""
    copy = free_copy(atoms)
    copy.set_cell(atoms.cell.array @ matrix)
    copy.positions = atoms.positions @ matrix
    return copy
