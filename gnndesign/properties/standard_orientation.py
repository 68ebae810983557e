"""Crystals in the orientation in which tables give their tensors, and point groups."""

from __future__ import annotations

import warnings
from typing import cast

import ase
import numpy as np
from jaxtyping import Float
from pymatgen.core import Structure
from pymatgen.core.tensors import Tensor

from gnndesign.structures.convert import to_pymatgen
from gnndesign.structures.symmetrize import symmetrized, symmetry_operations


def standard_orientation(atoms: ase.Atoms, symprec: float = 1e-2) -> ase.Atoms:
    """A copy, turned so that Cartesian axes are as the IEEE standard has them.

    For a cubic, tetragonal or orthorhombic crystal they are along the edges of the
    conventional cell; for a hexagonal or trigonal one z is along c and x along a; for a
    monoclinic one y is along the unique axis and z along c. Fractional coordinates stay
    as they are. (IEEE Standard on Piezoelectricity 176 (1987), as read by pymatgen.)

    Args:
        atoms: a crystal.
        symprec: Å, within which its symmetry is found.

    Raises:
        StructureError: spglib finds no symmetry.
    """
    exact, _ = symmetrized(atoms, symprec)
    exact.set_constraint()
    crystal = cast("Structure", to_pymatgen(exact))
    with warnings.catch_warnings():
        # Of spglib, at what pymatgen asks it for.
        warnings.filterwarnings("ignore", "Set OLD_ERROR", DeprecationWarning)
        turn = np.asarray(Tensor.get_ieee_rotation(crystal))
    # A mirror image would be another crystal; inverted, the axes serve as well.
    turn = turn * np.sign(np.linalg.det(turn))
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ turn.T, scale_atoms=True)
    return copy


def point_group(
    atoms: ase.Atoms, symprec: float = 1e-2
) -> Float[np.ndarray, "n_operations 3 3"]:
    """(n_operations, 3, 3) orthogonal R of a crystal: a vector v, as a row, goes to v R.

    Raises:
        StructureError: spglib finds no symmetry.
    """
    exact, _ = symmetrized(atoms, symprec)
    turns = symmetry_operations(exact, symprec).turns
    return turns[np.sort(np.unique(turns.round(6), axis=0, return_index=True)[1])]
