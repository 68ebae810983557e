"""Changes of the cell: supercells, vacuum, slabs, strain.

Each function returns a new structure; the input stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import ase
import ase.build
import numpy as np
from ase.constraints import FixAtoms
from numpy.typing import NDArray

from gnndesign.errors import ParameterError, StructureError
from gnndesign.structures.convert import fixed_indices
from gnndesign.structures.symmetry import conventional_cell, primitive_cell

Strain: TypeAlias = float | Sequence[float] | Sequence[Sequence[float]] | NDArray[Any]
"""One number, three, six (Voigt) or a (3, 3) matrix."""

_FIXED = "gnndesign_fixed"
"""Array in which fixed atoms travel through functions that drop constraints."""


def supercell(
    atoms: ase.Atoms,
    repetitions: Sequence[int] | Sequence[Sequence[int]] | NDArray[Any],
) -> ase.Atoms:
    """Repeat a crystal.

    Args:
        atoms: with a lattice vector along every axis that is repeated.
        repetitions: three whole numbers, or a (3, 3) matrix P of whole numbers; the
            new lattice vectors are P @ cell, rows being vectors.

    Returns:
        |det P| times as many atoms. Magnetic moments, tags and fixed atoms are
        repeated along.

    Raises:
        ParameterError: not whole numbers, or a matrix that does not span space.
        StructureError: no cell, or a constraint other than `FixAtoms`.
    """
    matrix = np.asarray(repetitions, dtype=float)
    if matrix.shape == (3,):
        matrix = np.diag(np.maximum(matrix, 0.0))
    if matrix.shape != (3, 3) or not (matrix == np.round(matrix)).all():
        raise ParameterError(
            f"Wanted three whole numbers or a (3, 3) matrix of them, got {repetitions}."
        )
    if round(np.linalg.det(matrix)) == 0:
        raise ParameterError(
            f"The supercell {repetitions} has no volume; wanted at least 1 repetition "
            "along every axis, or a matrix whose rows span space."
        )
    repeated = np.any(matrix != np.eye(3), axis=1)
    if (repeated & (atoms.cell.lengths() < 1e-6)).any():
        raise StructureError(
            "A supercell needs a lattice vector along every repeated axis; give the "
            "structure a cell first."
        )
    copy = _mark_fixed(atoms)
    if np.array_equal(matrix, np.diag(np.diag(matrix))):
        result = copy.repeat(np.diag(matrix).astype(int))
    else:
        result = ase.build.make_supercell(copy, matrix.astype(int))
    return _restore_fixed(result)


def add_vacuum(atoms: ase.Atoms, vacuum: float, axis: int = 2) -> ase.Atoms:
    """Make `vacuum` Å of empty space between the images along one axis.

    The extent of the atoms, measured along the normal of the other two vectors, plus
    `vacuum` becomes the height of the cell; the atoms are centered in it. The axis
    becomes perpendicular to the other two and ceases to be periodic. Axes without a
    lattice vector get a box around the atoms, so that a molecule gets a cell.

    Args:
        atoms: crystal, slab or molecule.
        vacuum: total empty height in Å.
        axis: 0, 1 or 2.

    Raises:
        ParameterError: negative vacuum, or another axis.
    """
    if not 0.0 <= vacuum < np.inf:
        raise ParameterError(f"vacuum must be at least 0 Å, got {vacuum}.")
    if axis not in {0, 1, 2}:
        raise ParameterError(f"axis must be 0, 1 or 2, got {axis}.")
    result = atoms.copy()
    missing = [k for k in range(3) if k != axis and result.cell.lengths()[k] < 1e-6]
    if result.pbc[axis] and result.cell.rank == 3:
        _unite_across_boundary(result, axis)
    if missing:
        result.center(vacuum=vacuum / 2, axis=tuple(sorted((*missing, axis))))
    else:
        cell = result.cell.array
        normal = np.cross(cell[axis - 2], cell[axis - 1])
        normal /= np.linalg.norm(normal)
        height = result.positions @ normal
        cell[axis] = normal * max(float(np.ptp(height)) + vacuum, 1e-3)
        result.set_cell(cell)
        middle = cell[axis] @ normal / 2 - (height.max() + height.min()) / 2
        result.positions += middle * normal
    result.pbc[axis] = False
    return result


def _unite_across_boundary(atoms: ase.Atoms, axis: int) -> None:
    """Shift the boundary of the cell into the widest gap between the atoms."""
    scaled = atoms.get_scaled_positions(wrap=False)
    along = scaled[:, axis] % 1.0
    order = np.sort(along)
    gaps = np.diff(order, append=order[0] + 1.0)
    start = order[(int(gaps.argmax()) + 1) % len(order)]
    scaled[:, axis] = (along - start + 1e-9) % 1.0
    atoms.set_positions(scaled @ atoms.cell.array, apply_constraint=False)


def slab(
    atoms: ase.Atoms,
    miller: tuple[int, int, int],
    *,
    layers: int,
    vacuum: float,
    conventional: bool = True,
) -> ase.Atoms:
    """Cut a slab along a lattice plane, with the smallest cell in the plane.

    `ase.build.surface` on the primitive cell, which gives one of the possible
    terminations with the bulk stacking.

    Args:
        atoms: bulk crystal.
        miller: (h, k, l) in the conventional cell, so that (1, 0, 0) of primitive
            copper is the square face.
        layers: how many repeat units thick. A unit is one lattice plane: one plane of
            atoms in copper, one formula unit of several planes in an oxide.
        vacuum: empty height between the periodic images, in Å in total.
        conventional: false takes `miller` in the cell of `atoms` as it is, and keeps
            that cell's setting.

    Returns:
        Periodic in the plane only, its normal along z. Constraints are dropped, as
        the atoms are others.

    Raises:
        StructureError: not a crystal.
        ParameterError: (0, 0, 0), no layers, or negative vacuum.
    """
    if len(miller) != 3 or not any(miller) or any(int(m) != m for m in miller):
        raise ParameterError(
            f"miller must be three whole numbers, not all zero; got {miller}."
        )
    if layers < 1:
        raise ParameterError(f"layers must be at least 1, got {layers}.")
    if not 0.0 <= vacuum < np.inf:
        raise ParameterError(f"vacuum must be at least 0 Å, got {vacuum}.")
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        raise StructureError(
            f"A slab is cut from a bulk crystal; {atoms.get_chemical_formula()} is "
            f"periodic along {atoms.pbc.tolist()}."
        )
    indices = np.array(miller, dtype=int)
    if conventional:
        bulk = primitive_cell(atoms)
        basis = bulk.cell.array @ np.linalg.inv(conventional_cell(atoms).cell.array)
        # Indices of a plane transform as the lattice vectors do. The elements of the
        # basis are multiples of 1/2 or 1/3.
        indices = np.round(6 * basis @ indices).astype(int)
    else:
        bulk = atoms.copy()
        bulk.set_constraint()
    indices //= np.gcd.reduce(indices)
    cut = ase.build.surface(bulk, tuple(int(m) for m in indices), layers)
    return add_vacuum(cut, vacuum)


def strain(atoms: ase.Atoms, strain: Strain) -> ase.Atoms:
    """Deform the cell and the atoms with it: r' = (1 + e) r.

    Args:
        atoms: with a lattice vector along every periodic axis.
        strain: one number, the same strain along x, y and z; three, along x, y and z;
            six, Voigt (xx, yy, zz, yz, xz, xy) with engineering shear, so that e_yz is
            half the fourth; or a (3, 3) matrix e, which may hold a rotation. Positive
            stretches; 0.01 is 1 %.

    Returns:
        Fractional coordinates as before; fixed atoms move with the cell.

    Raises:
        ParameterError: another shape, numbers that are not finite, or a strain that
            turns the cell inside out.
        StructureError: no cell.
    """
    e = _strain_matrix(strain)
    if np.linalg.det(np.eye(3) + e) <= 0.0:
        raise ParameterError(f"The strain {strain} turns the cell inside out.")
    if atoms.cell.rank == 0:
        raise StructureError("A strain needs a cell; this structure has none.")
    result = atoms.copy()
    deform = (np.eye(3) + e).T  # rows are vectors, so the transpose acts from the right
    result.set_cell(atoms.cell.array @ deform)
    result.set_positions(atoms.positions @ deform, apply_constraint=False)
    return result


def _strain_matrix(strain: Strain) -> NDArray[np.float64]:
    values = np.asarray(strain, dtype=float)
    if not np.isfinite(values).all() or values.shape not in {(), (3,), (6,), (3, 3)}:
        raise ParameterError(
            "strain must be one finite number, three, six (Voigt) or a (3, 3) matrix; "
            f"got {strain}."
        )
    if values.shape == ():
        return np.eye(3) * float(values)
    if values.shape == (3,):
        return np.diag(values)
    if values.shape == (6,):
        xx, yy, zz, yz, xz, xy = values
        return np.array(
            [[xx, xy / 2, xz / 2], [xy / 2, yy, yz / 2], [xz / 2, yz / 2, zz]]
        )
    return values


def _mark_fixed(atoms: ase.Atoms) -> ase.Atoms:
    fixed = fixed_indices(atoms)
    copy = atoms.copy()
    copy.set_constraint()
    mask = np.zeros(len(atoms), dtype=bool)
    mask[fixed] = True
    copy.set_array(_FIXED, mask)
    return copy


def _restore_fixed(atoms: ase.Atoms) -> ase.Atoms:
    fixed = np.flatnonzero(atoms.arrays.pop(_FIXED))
    if len(fixed):
        atoms.set_constraint(FixAtoms(fixed))
    return atoms
