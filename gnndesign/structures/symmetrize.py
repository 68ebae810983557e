"""A crystal's symmetry operations, and the crystal made to obey them exactly."""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
import spglib
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from gnndesign.errors import StructureError
from gnndesign.structures.symmetry import call_spglib, spglib_cell

_MOST_PASSES = 5
"""Where the refined crystal has more symmetry than the one before; two is rare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SymmetryOperations:
    """The space group of a crystal, acting on its atoms.

    An operation takes the fractional coordinates x of atom i (a column) to those of
    another atom, or of one of its images:

        W x_i + w = x_j + whole numbers,   j = images[operation, i]

    Attributes:
        rotations: (n_operations, 3, 3) W.
        translations: (n_operations, 3) w.
        images: (n_operations, n_atoms) j.
    """

    rotations: Int[np.ndarray, "n_operations 3 3"]
    translations: Float[np.ndarray, "n_operations 3"]
    images: Int[np.ndarray, "n_operations n_atoms"]

    def cartesian(
        self, cell: Float[np.ndarray, "3 3"]
    ) -> Float[np.ndarray, "n_operations 3 3"]:
        """(n_operations, 3, 3) R: a vector v, as a row, goes to v @ R."""
        return np.linalg.inv(cell) @ self.rotations.transpose(0, 2, 1) @ cell


def symmetry_operations(atoms: ase.Atoms, symprec: float = 1e-2) -> SymmetryOperations:
    """The operations that spglib finds within `symprec` (Å).

    Atoms are alike if element, initial magnetic moment and mass are.

    Raises:
        StructureError: not a crystal, atoms on top of each other, or `symprec` is too
            coarse to tell which atom goes where.
        ParameterError: `symprec` is not positive.
    """
    cell, _ = spglib_cell(atoms, symprec)
    found = call_spglib(spglib.get_symmetry_dataset, cell, atoms, symprec=symprec)
    _, scaled, kinds = cell
    images = _images(scaled, found.rotations, found.translations)
    identity = np.arange(len(atoms))
    if (np.sort(images, 1) != identity).any() or (kinds[images] != kinds).any():
        raise StructureError(
            f"With symprec {symprec:g} Å it cannot be told which atom of "
            f"{atoms.get_chemical_formula()} an operation takes where. Choose a smaller "
            "symprec."
        )
    return SymmetryOperations(
        rotations=np.asarray(found.rotations, dtype=int),
        translations=np.asarray(found.translations, dtype=float),
        images=images,
    )


def symmetrized(atoms: ase.Atoms, symprec: float = 1e-2) -> tuple[ase.Atoms, float]:
    """The nearest crystal that has the symmetry of this one exactly.

    Positions and the metric of the cell are averaged over the operations found within
    `symprec`; the cell is stretched, not turned, and the center of the atoms keeps its
    fractional coordinates.

    Returns:
        A copy, and Å by which at most an atom, beside the stretch of the cell, or the
        end of a lattice vector moved.

    Raises:
        StructureError: as `symmetry_operations`; or an atom would move by more than
            `symprec`.
        ParameterError: `symprec` is not positive.
    """
    result = atoms.copy()
    operations = symmetry_operations(result, symprec)
    for _ in range(_MOST_PASSES):
        _average(result, operations)
        before = len(operations.rotations)
        operations = symmetry_operations(result, symprec)
        if len(operations.rotations) == before:
            break
    stretch = np.linalg.solve(atoms.cell.array, result.cell.array)
    moves = result.positions - atoms.positions @ stretch
    ends = result.cell.array - atoms.cell.array
    largest = float(np.linalg.norm(np.vstack([moves, ends]), axis=1).max())
    if largest > symprec:
        raise StructureError(
            f"To be symmetric {atoms.get_chemical_formula()} would have to move by "
            f"{largest:.2g} Å, which is more than symprec {symprec:g} Å. Choose a "
            "smaller symprec, which finds fewer operations, or symmetrize it yourself."
        )
    return result, largest


def _average(atoms: ase.Atoms, operations: SymmetryOperations) -> None:
    """Obey all operations, in place; exact, since they are a group."""
    rotations, images = operations.rotations.astype(float), operations.images
    cell = atoms.cell.array
    metric = np.einsum("gba,bc,gcd->ad", rotations, cell @ cell.T, rotations)
    inverse = np.linalg.inv(cell)
    square = inverse @ (metric / len(rotations)) @ inverse.T
    values, vectors = np.linalg.eigh(square)
    stretch = (vectors * np.sqrt(values)) @ vectors.T
    scaled = atoms.get_scaled_positions(wrap=False)
    center = scaled.mean(0)
    # Seen from the center of all atoms no translation is left but the whole numbers by
    # which images leave the cell, and those are exact.
    gone = np.einsum("gab,nb->gna", rotations, scaled)
    gone += operations.translations[:, None]
    whole = np.round(gone - scaled[images])
    arms = np.einsum("gab,nb->gna", rotations, scaled - center)
    arms -= whole - whole.mean(1, keepdims=True)
    # Sorted by where they arrive, instead of by where they come from.
    total = np.take_along_axis(arms, np.argsort(images, 1)[:, :, None], 1).sum(0)
    atoms.set_cell(cell @ stretch, apply_constraint=False)
    atoms.set_positions(
        (center + total / len(rotations)) @ atoms.cell.array, apply_constraint=False
    )


def _images(
    scaled: Float[np.ndarray, "n_atoms 3"],
    rotations: Int[np.ndarray, "n_operations 3 3"],
    translations: Float[np.ndarray, "n_operations 3"],
) -> Int[np.ndarray, "n_operations n_atoms"]:
    """The atom nearest to where an operation takes each atom.

    A large cell may have ten thousand operations, but each is one of at most 48, one
    for a rotation, followed by a translation alone; only those are searched for.
    """
    _, first, which = np.unique(
        rotations.reshape(-1, 9), axis=0, return_index=True, return_inverse=True
    )
    alone = np.flatnonzero((rotations == np.eye(3)).all((1, 2)))
    atoms = KDTree(_in_the_cell(scaled), boxsize=1.0)

    def found(operations: np.ndarray) -> np.ndarray:
        goes = np.einsum("gab,nb->gna", rotations[operations], scaled)
        goes += translations[operations, None]
        return np.asarray(atoms.query(_in_the_cell(goes))[1])

    rest = translations - translations[first[which]]
    steps = KDTree(_in_the_cell(translations[alone]), boxsize=1.0)
    step = np.asarray(steps.query(_in_the_cell(rest))[1])
    return np.take_along_axis(found(alone)[step], found(first)[which], 1)


def _in_the_cell(scaled: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
    """Fractional coordinates in [0, 1); also where rounding makes a 1 of them."""
    wrapped = scaled % 1.0
    wrapped[wrapped == 1.0] = 0.0
    return wrapped
