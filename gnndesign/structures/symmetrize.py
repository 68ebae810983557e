"""A crystal's symmetry operations, and the crystal made to obey them exactly.

All is done in the primitive cell: there an operation is a permutation of few atoms, and
a supercell of any shape keeps the symmetry of the crystal, not of its own lattice alone.
"""

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
    """The space group of a crystal, acting on the atoms of its primitive cell.

    An operation takes the fractional coordinates y of atom a (a column) to those of
    another atom, or of one of its copies:

        W y_a + w = y_b + whole numbers,   b = images[operation, a]

    Attributes:
        rotations: (n_operations, 3, 3) W.
        translations: (n_operations, 3) w.
        images: (n_operations, n_primitive) b.
        cell: (3, 3) Å, primitive lattice vectors, as rows.
        scaled: (n_primitive, 3) y, each the mean over the copies of its atom.
        primitive: (n_atoms,) of which atom of the primitive cell an atom of the crystal
            is a copy.
        shifts: (n_atoms, 3) whole primitive vectors by which it is displaced.
        multiples: (3, 3) lattice vectors of the crystal in primitive ones.
    """

    rotations: Int[np.ndarray, "n_operations 3 3"]
    translations: Float[np.ndarray, "n_operations 3"]
    images: Int[np.ndarray, "n_operations n_primitive"]
    cell: Float[np.ndarray, "3 3"]
    scaled: Float[np.ndarray, "n_primitive 3"]
    primitive: Int[np.ndarray, " n_atoms"]
    shifts: Int[np.ndarray, "n_atoms 3"]
    multiples: Int[np.ndarray, "3 3"]

    @property
    def turns(self) -> Float[np.ndarray, "n_operations 3 3"]:
        """(n_operations, 3, 3) R: a vector v, as a row, goes to v @ R."""
        return np.linalg.inv(self.cell) @ self.rotations.transpose(0, 2, 1) @ self.cell


def symmetry_operations(atoms: ase.Atoms, symprec: float = 1e-2) -> SymmetryOperations:
    """The operations that spglib finds within `symprec` (Å).

    Atoms are alike if element, initial magnetic moment and mass are.

    Raises:
        StructureError: not a crystal, atoms on top of each other, or `symprec` is too
            coarse to tell which atom goes where.
        ParameterError: `symprec` is not positive.
    """
    whole, _ = spglib_cell(atoms, symprec)
    found = call_spglib(spglib.get_symmetry_dataset, whole, atoms, symprec=symprec)
    multiples = np.rint(atoms.cell.array @ np.linalg.inv(found.primitive_lattice))
    copies_of, primitive = np.unique(found.mapping_to_primitive, return_inverse=True)
    one = np.array([np.argmax(primitive == k) for k in range(len(copies_of))])
    scaled = atoms.get_scaled_positions(wrap=False) @ multiples
    shifts = np.rint(scaled - scaled[one[primitive]])
    count = np.bincount(primitive)[:, None]
    mean = np.zeros((len(one), 3))
    np.add.at(mean, primitive, scaled - shifts)
    mean /= count

    kinds = whole[2][one]
    cell = np.linalg.solve(multiples, atoms.cell.array)
    small = (cell, mean % 1.0, kinds)
    found = call_spglib(spglib.get_symmetry_dataset, small, atoms, symprec=symprec)
    tree = KDTree(_in_the_cell(mean), boxsize=1.0)
    gone = np.einsum("gij,aj->gai", found.rotations, mean) + found.translations[:, None]
    images = np.asarray(tree.query(_in_the_cell(gone))[1])
    in_order = np.arange(len(one))
    if (
        (count != count[0]).any()
        or (np.sort(images, 1) != in_order).any()
        or (kinds[images] != kinds).any()
    ):
        raise StructureError(
            f"With symprec {symprec:g} Å it cannot be told which atom of "
            f"{atoms.get_chemical_formula()} an operation takes where. Choose a smaller "
            "symprec."
        )
    return SymmetryOperations(
        rotations=np.asarray(found.rotations, dtype=int),
        translations=np.asarray(found.translations, dtype=float),
        images=images,
        cell=cell,
        scaled=mean,
        primitive=primitive,
        shifts=shifts.astype(int),
        multiples=multiples.astype(int),
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
        StructureError: as `symmetry_operations`; or something would move by more than
            `symprec`.
        ParameterError: `symprec` is not positive.
    """
    result = atoms.copy()
    operations = symmetry_operations(result, symprec)
    for _ in range(_MOST_PASSES):
        _obey(result, operations)
        before = operations
        operations = symmetry_operations(result, symprec)
        if operations.images.shape == before.images.shape:
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


def _obey(atoms: ase.Atoms, operations: SymmetryOperations) -> None:
    """Average over all operations, in place; exact, since they are a group."""
    rotations, images = operations.rotations.astype(float), operations.images
    cell, scaled = operations.cell, operations.scaled
    metric = np.einsum("gba,bc,gcd->ad", rotations, cell @ cell.T, rotations)
    inverse = np.linalg.inv(cell)
    values, vectors = np.linalg.eigh(inverse @ (metric / len(rotations)) @ inverse.T)
    stretch = (vectors * np.sqrt(values)) @ vectors.T
    # Seen from the center of all atoms no translation is left but the whole numbers by
    # which images leave the cell, and those are exact.
    center = scaled.mean(0)
    gone = np.einsum("gij,aj->gai", rotations, scaled)
    gone += operations.translations[:, None]
    whole = np.rint(gone - scaled[images])
    arms = np.einsum("gij,aj->gai", rotations, scaled - center)
    arms -= whole - whole.mean(1, keepdims=True)
    # Sorted by where they arrive, instead of by where they come from.
    arrived = np.take_along_axis(arms, np.argsort(images, 1)[:, :, None], 1)
    obeying = center + arrived.mean(0)
    cell = cell @ stretch
    atoms.set_cell(operations.multiples @ cell, apply_constraint=False)
    positions = (obeying[operations.primitive] + operations.shifts) @ cell
    atoms.set_positions(positions, apply_constraint=False)


def _in_the_cell(scaled: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
    """Fractional coordinates in [0, 1); also where rounding makes a 1 of them."""
    wrapped = scaled % 1.0
    wrapped[wrapped == 1.0] = 0.0
    return wrapped
