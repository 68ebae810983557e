"""Supercells in which force constants are computed."""

from __future__ import annotations

from collections.abc import Sequence

import ase
import numpy as np
import spglib
from jaxtyping import Int

from gnndesign.errors import ParameterError, StructureError
from gnndesign.structures.symmetry import call_spglib, spglib_cell

_ALIKE = 1e-3
"""Lengths that differ by a smaller part of themselves are alike by symmetry."""

_MOST_REPEATS = 100


def chosen_supercell(
    atoms: ase.Atoms,
    *,
    min_length: float,
    max_atoms: int,
    even: bool = False,
    symprec: float = 1e-4,
) -> Int[np.ndarray, "3 3"]:
    """Repeat the conventional cell until its vectors are long enough.

    A multiple of the conventional cell has the symmetry of the crystal, which a
    multiple of an oblique primitive cell may lack, and its images are as far apart as
    its vectors are long.

    Args:
        atoms: a crystal.
        min_length: Å, of every lattice vector.
        max_atoms: above it the longest vectors are repeated less often; one cell is
            always taken.
        even: whether every number of repeats is even, so that displacements that
            alternate from cell to cell fit into it.
        symprec: Å, within which the conventional cell is found.

    Returns:
        (3, 3) whole numbers: the supercell's vectors, as rows, are this times the
        vectors of `atoms`.

    Raises:
        StructureError: not a crystal.
    """
    base = _conventional(atoms, symprec)
    lengths = np.linalg.norm(base @ atoms.cell.array, axis=1)
    step = 2 if even else 1
    repeats = step * np.ceil(min_length / lengths / step - 1e-6).astype(np.int64)
    repeats = np.maximum(repeats, step)
    n_atoms = len(atoms) * abs(round(np.linalg.det(base)))
    while n_atoms * repeats.prod() > max_atoms and repeats.max() > step:
        total = np.where(repeats > step, repeats * lengths, 0.0)
        repeats[total > (1 - _ALIKE) * total.max()] -= step
    return repeats[:, None] * base


def given_supercell(
    supercell: Sequence[int] | Sequence[Sequence[int]],
) -> Int[np.ndarray, "3 3"]:
    """(3, 3) of three numbers of repeats, or of a matrix whose rows are its vectors.

    Raises:
        ParameterError: neither, or without a volume.
    """
    refusal = ParameterError(
        "Wanted a supercell as three whole numbers >= 1, or as a (3, 3) matrix of "
        f"whole numbers with a positive determinant, got {supercell!r}."
    )
    try:
        array = np.array(supercell, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
        raise refusal from error
    matrix = np.diag(array) if array.shape == (3,) else array
    whole = matrix.shape == (3, 3) and np.array_equal(matrix, np.round(matrix))
    if not whole or np.abs(matrix).max() > _MOST_REPEATS or np.linalg.det(matrix) < 0.5:
        raise refusal
    return matrix.astype(np.int64)


def _conventional(atoms: ase.Atoms, symprec: float) -> Int[np.ndarray, "3 3"]:
    """(3, 3) the conventional cell in vectors of `atoms`; these where it is smaller."""
    cell, _ = spglib_cell(atoms, symprec)
    try:
        found = call_spglib(spglib.get_symmetry_dataset, cell, atoms, symprec=symprec)
    except StructureError:
        return np.eye(3, dtype=np.int64)
    exact = np.linalg.inv(found.transformation_matrix).T
    whole = np.round(exact).astype(np.int64)
    if np.abs(exact - whole).max() > 1e-3 or round(np.linalg.det(whole)) < 1:
        return np.eye(3, dtype=np.int64)
    return whole
