"""Supercells chosen by how far a defect is from its images."""

from __future__ import annotations

import ase
import numpy as np

from gnndesign.errors import ParameterError

_MOST_ATOMS = 20_000


def supercell_of_length(atoms: ase.Atoms, min_length: float) -> ase.Atoms:
    """Repeat a cell along its vectors until opposite faces are far enough apart.

    The atoms of the given cell come first, in their order.

    Args:
        atoms: the cell; a cubic or hexagonal one gives a compact supercell.
        min_length: Å, the smallest distance between opposite faces that are periodic.

    Raises:
        ParameterError: a length that is not positive, or far too long.
    """
    if not min_length > 0:
        raise ParameterError(f"Wanted a positive length in Å, got {min_length}.")
    lengths = 1.0 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    repeats = np.where(atoms.pbc, np.ceil(min_length / lengths - 1e-6), 1)
    n_atoms = float(repeats.prod()) * len(atoms)
    if not n_atoms <= _MOST_ATOMS:
        raise ParameterError(
            f"A supercell of {min_length} Å has {n_atoms:.0f} atoms, wanted at most "
            f"{_MOST_ATOMS}. Choose a shorter length."
        )
    return atoms.repeat([max(int(n), 1) for n in repeats])


def shortest_image_distance(atoms: ase.Atoms) -> float:
    """Å between an atom and the nearest of its own periodic images."""
    steps = [(-2, -1, 0, 1, 2) if periodic else (0,) for periodic in atoms.pbc]
    shifts = np.array(np.meshgrid(*steps)).reshape(3, -1).T
    shifts = shifts[(shifts != 0).any(1)]
    if len(shifts) == 0:
        return float("inf")
    return float(np.linalg.norm(shifts @ atoms.cell.array, axis=1).min())
