"""The images that a search for a path begins with.

The end is moved as near to the start as translations by lattice vectors (and, where
nothing holds the atoms, of the whole) allow. Between them the image-dependent pair
potential (S. Smidstrup et al., J. Chem. Phys. 140, 214106 (2014)) finds positions whose
distances come as near as they can to distances interpolated between those of the ends,
so that no atoms collide where straight lines would have them:

    S_k = Σ_ij w(d_ij) (d_ij^k - d_ij)²,   d_ij^k = d_ij^0 + (d_ij^n - d_ij^0) k / n

with w(d) = 1/d⁴, minimized along the band as an energy would be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
import vesin
from ase.geometry import complete_cell, find_mic, get_distances
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from gnndesign.properties.nudged_elastic_band import BandSearch, nudged

_REACH = 5.0
"""Å; pairs that are farther apart all along the straight path do not matter."""
_SPRING = 0.1
_CLOSE_ENOUGH = 0.02
_MOST_STEPS = 300
_NEVER_SHORTER = 0.3
"""Å; two atoms that pass through one another have no direction to avoid it in."""


def displacement(
    start: ase.Atoms, end: ase.Atoms, *, free: bool
) -> Float[np.ndarray, "n_atoms 3"]:
    """(n_atoms, 3) Å, from each atom of the start to its nearest image in the end.

    Args:
        start: with the cell of both.
        end: the same atoms in the same order.
        free: whether nothing holds the atoms: then a common translation is taken out,
            and in a molecule a common rotation.
    """
    pbc: Any = start.pbc
    moves, _ = find_mic(end.positions - start.positions, start.cell, pbc)
    if not free:
        return moves
    moves = moves - moves.mean(0)
    if start.pbc.any() or len(start) < 3:
        return moves
    center = start.positions.mean(0)
    from_center = start.positions - center
    rotation = Rotation.align_vectors(from_center, from_center + moves)[0]
    return rotation.apply(from_center + moves) - from_center


def shorter_order(start: ase.Atoms, end: ase.Atoms) -> Int[np.ndarray, " n_atoms"]:
    """(n_atoms,) the order of the end's atoms in which they have the shortest way.

    Atoms of one element are exchanged so that the sum of their squared displacements
    is least.
    """
    order = np.arange(len(start))
    for number in np.unique(start.numbers):
        alike = np.flatnonzero(start.numbers == number)
        _, distances = get_distances(
            start.positions[alike], end.positions[alike], start.cell, start.pbc
        )
        _, found = linear_sum_assignment(distances**2)
        order[alike] = alike[found]
    return order


def straight_path(
    start: Float[np.ndarray, "n_atoms 3"],
    moves: Float[np.ndarray, "n_atoms 3"],
    n_inner: int,
) -> Float[np.ndarray, "n_images n_atoms 3"]:
    """(n_inner + 2, n_atoms, 3) Å, evenly spaced on straight lines."""
    fractions = np.linspace(0.0, 1.0, n_inner + 2)
    return start + fractions[:, None, None] * moves


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDistances:
    """The image-dependent pair potential of a path.

    Attributes:
        first: (n_pairs,) atom.
        second: (n_pairs,) atom.
        shifts: (n_pairs, 3) Å, lattice vector to the image of the second.
        targets: (n_images, n_pairs) Å.
    """

    first: Int[np.ndarray, " n_pairs"]
    second: Int[np.ndarray, " n_pairs"]
    shifts: Float[np.ndarray, "n_pairs 3"]
    targets: Float[np.ndarray, "n_images n_pairs"]

    @classmethod
    def of(
        cls, atoms: ase.Atoms, positions: Float[np.ndarray, "n_images n_atoms 3"]
    ) -> PairDistances:
        """Of the pairs that are near each other anywhere on a first path."""
        search = vesin.NeighborList(cutoff=_REACH, full_list=True)
        box, periodic = complete_cell(atoms.cell.array), atoms.pbc
        found: list[np.ndarray] = []
        for place in positions:
            i, j, shift = search.compute(place, box, periodic, quantities="ijS")
            found.append(np.column_stack([i, j, shift])[i < j].astype(int))
        pairs = np.unique(np.concatenate(found), axis=0)
        first, second = pairs[:, 0], pairs[:, 1]
        shifts = pairs[:, 2:] @ atoms.cell.array
        ends = positions[[0, -1]]
        vectors = ends[:, second] + shifts - ends[:, first]
        begin, finish = np.linalg.norm(vectors, axis=-1)
        fractions = np.linspace(0.0, 1.0, len(positions))[:, None]
        targets = begin + fractions * (finish - begin)
        return cls(first=first, second=second, shifts=shifts, targets=targets)

    def __call__(
        self, positions: Float[np.ndarray, "n_images n_atoms 3"]
    ) -> tuple[Float[np.ndarray, " n_images"], Float[np.ndarray, "n_images n_atoms 3"]]:
        """(n_images,) S in Å⁻², and (n_images, n_atoms, 3) what it pulls with."""
        vectors = positions[:, self.second] + self.shifts - positions[:, self.first]
        distances = np.linalg.norm(vectors, axis=-1).clip(_NEVER_SHORTER)
        missing = self.targets - distances
        energies = (missing**2 / distances**4).sum(-1)
        # On the second atom, along the vector to it.
        pulls = 2 * missing / distances**4 + 4 * missing**2 / distances**5
        pulls = (pulls / distances)[:, :, None] * vectors
        forces = np.zeros_like(positions)
        for force, pull in zip(forces, pulls, strict=True):
            np.add.at(force, self.second, pull)
            np.subtract.at(force, self.first, pull)
        return energies, forces


def paired_path(
    atoms: ase.Atoms,
    positions: Float[np.ndarray, "n_images n_atoms 3"],
    let_through: Float[np.ndarray, "n_atoms 3 3"],
) -> Float[np.ndarray, "n_images n_atoms 3"]:
    """A path on which no atoms collide, from a straight one.

    Args:
        atoms: elements, cell and periodicity.
        positions: (n_images, n_atoms, 3) Å.
        let_through: (n_atoms, 3, 3) what the constraints leave of a vector v, v @ it.
    """
    pairs = PairDistances.of(atoms, positions)
    positions = positions.copy()
    search = BandSearch()
    for _ in range(_MOST_STEPS):
        energies, forces = pairs(positions)
        free = np.einsum("iax,axy->iay", forces, let_through)
        band = nudged(positions, energies, free[1:-1], spring=_SPRING, climb=False)
        pulls = np.einsum("iax,axy->iay", band.forces, let_through)
        if float(np.linalg.norm(pulls, axis=-1).max()) < _CLOSE_ENOUGH:
            break
        positions[1:-1] += search.move(pulls)
    return positions
