"""How one cell becomes another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

_FLAT = 1e-6
"""Lattice vectors whose volume is this fraction of a box with their lengths, or less,
span none."""


def deformation_between(
    before: Float[np.ndarray, "n_systems 3 3"],
    after: Float[np.ndarray, "n_systems 3 3"],
) -> tuple[Float[np.ndarray, "n_systems 3 3"], Float[np.ndarray, " n_systems"]]:
    """F with after = before @ F, and its smallest singular value.

    Where a lattice vector is missing there is no F. If such a cell changes, the
    singular value is given as minus infinity, whatever pairs may be missing then.
    """
    changed = (before != after).any((1, 2))
    whole = _spans_volume(before) & _spans_volume(after)
    deformation = np.broadcast_to(np.eye(3), before.shape).copy()
    smallest = np.where(changed & ~whole, -np.inf, 1.0)
    strained = changed & whole
    found = np.linalg.solve(before[strained], after[strained])
    deformation[strained] = found
    smallest[strained] = np.linalg.svd(found, compute_uv=False)[:, -1]
    return deformation, smallest


def _spans_volume(
    cell: Float[np.ndarray, "n_systems 3 3"],
) -> Bool[np.ndarray, " n_systems"]:
    box = np.sqrt(np.einsum("nki,nki->nk", cell, cell)).prod(1)
    return np.abs(np.linalg.det(cell)) > _FLAT * box
