"""Where there is room for an atom in a crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
import spglib
from jaxtyping import Float
from scipy.spatial import Voronoi

from gnndesign.structures.symmetry import call_spglib, spglib_cell

_ALIKE = 0.1
"""Å, within which two voids are one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Void:
    """A place between atoms.

    Attributes:
        position: (3,) Å.
        radius: Å to the nearest atoms.
        n_neighbors: number of atoms at that distance, to 5 %: 4 is tetrahedral, 6
            octahedral.
        multiplicity: number of such places in the cell.
    """

    position: Float[np.ndarray, " 3"]
    radius: float
    n_neighbors: int
    multiplicity: int


def find_voids(
    atoms: ase.Atoms, *, min_radius: float = 1.0, symprec: float = 1e-2
) -> tuple[Void, ...]:
    """Voids of a crystal that no symmetry turns into each other, the largest first.

    They are the corners of the Voronoi cells of the atoms: the points that are equally
    far from four or more of them, such as tetrahedral and octahedral sites of fcc, and
    tetrahedral ones of bcc (whose octahedral sites lie on faces, not corners).

    Args:
        atoms: a crystal.
        min_radius: Å to the nearest atom at least.
        symprec: Å, within which symmetry is found.

    Raises:
        StructureError: no crystal, or without symmetry operations.
    """
    cell = atoms.cell.array
    cloud = _cloud(atoms)
    corners = Voronoi(cloud).vertices
    scaled = np.linalg.solve(cell.T, corners.T).T
    inside = (scaled > -1e-3).all(1) & (scaled < 1 - 1e-3).all(1)
    scaled = _distinct(scaled[inside], cell)
    distances = np.linalg.norm((scaled @ cell)[:, None] - cloud[None], axis=2)
    radii = distances.min(axis=1)
    found: list[Void] = []
    spglib_input, _ = spglib_cell(atoms, symprec)
    symmetry: Any = call_spglib(
        spglib.get_symmetry, spglib_input, atoms, symprec=symprec
    )
    left = set(np.flatnonzero(radii >= min_radius).tolist())
    for place in np.argsort(-radii, kind="stable").tolist():
        if place not in left:
            continue
        images = (
            np.einsum("kij,j->ki", symmetry["rotations"], scaled[place])
            + symmetry["translations"]
        )
        orbit = {other for other in left if _is_among(scaled[other], images, cell)}
        left -= orbit
        found.append(
            Void(
                position=scaled[place] @ cell,
                radius=float(radii[place]),
                n_neighbors=int((distances[place] < 1.05 * radii[place]).sum()),
                multiplicity=len(orbit),
            )
        )
    return tuple(found)


def _cloud(atoms: ase.Atoms) -> Float[np.ndarray, "n 3"]:
    """(n, 3) Å, the atoms of the cell and of those around it."""
    thickness = 1.0 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    # A corner lies within the cell's own diagonal of the atoms around it.
    reach = np.linalg.norm(atoms.cell.array.sum(0)) / 2 + 4.0
    counts = np.ceil(reach / thickness).astype(int)
    steps = [np.arange(-n, n + 1) for n in counts]
    shifts = np.array(np.meshgrid(*steps)).reshape(3, -1).T
    positions = atoms.get_positions(wrap=True)
    return (positions[None] + (shifts @ atoms.cell.array)[:, None]).reshape(-1, 3)


def _distinct(
    scaled: Float[np.ndarray, "n 3"], cell: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "m 3"]:
    kept: list[np.ndarray] = []
    for point in scaled:
        if not kept or not _is_among(point, np.array(kept), cell):
            kept.append(point)
    return np.array(kept).reshape(-1, 3)


def _is_among(
    point: Float[np.ndarray, " 3"],
    others: Float[np.ndarray, "n 3"],
    cell: Float[np.ndarray, "3 3"],
) -> bool:
    difference = others - point
    difference -= np.round(difference)
    return bool((np.linalg.norm(difference @ cell, axis=1) < _ALIKE).any())
