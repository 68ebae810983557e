"""Space groups, primitive and conventional cells, found by spglib."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
import spglib

from gnndesign.errors import ParameterError, StructureError


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceGroup:
    """Space group of a crystal.

    Attributes:
        number: 1 to 230, as in the International Tables.
        symbol: Hermann-Mauguin symbol, such as "Fm-3m".
    """

    number: int
    symbol: str


def space_group(atoms: ase.Atoms, symprec: float = 1e-2) -> SpaceGroup:
    """Space group of a crystal.

    Atoms are alike if element and initial magnetic moment are; an antiferromagnet has
    the symmetry of its two sublattices.

    Args:
        atoms: periodic along all three axes.
        symprec: distance in Å within which two atoms coincide.

    Raises:
        StructureError: not a crystal, or atoms on top of each other.
        ParameterError: `symprec` is not positive.
    """
    cell, _ = spglib_cell(atoms, symprec)
    found = call_spglib(spglib.get_symmetry_dataset, cell, atoms, symprec=symprec)
    return SpaceGroup(number=int(found.number), symbol=str(found.international))


def primitive_cell(atoms: ase.Atoms, symprec: float = 1e-2) -> ase.Atoms:
    """The smallest cell of a crystal, in the setting of spglib, symmetrized.

    Lattice vectors are rotated to a standard orientation. Initial magnetic moments are
    kept; other arrays and constraints are not, since atoms are merged.

    Raises:
        StructureError: not a crystal, or atoms on top of each other.
        ParameterError: `symprec` is not positive.
    """
    return _standardize(atoms, symprec, to_primitive=True)


def conventional_cell(atoms: ase.Atoms, symprec: float = 1e-2) -> ase.Atoms:
    """The cell of the International Tables: four atoms for fcc, eight for diamond.

    Lattice vectors are rotated to a standard orientation. Initial magnetic moments are
    kept; other arrays and constraints are not, since atoms may be merged or copied.

    Raises:
        StructureError: not a crystal, or atoms on top of each other.
        ParameterError: `symprec` is not positive.
    """
    return _standardize(atoms, symprec, to_primitive=False)


def _standardize(atoms: ase.Atoms, symprec: float, *, to_primitive: bool) -> ase.Atoms:
    cell, representatives = spglib_cell(atoms, symprec)
    lattice, scaled_positions, kinds = call_spglib(
        spglib.standardize_cell,
        cell,
        atoms,
        to_primitive=to_primitive,
        symprec=symprec,
    )
    source = representatives[np.asarray(kinds) - 1]
    result = ase.Atoms(
        numbers=atoms.numbers[source],
        scaled_positions=scaled_positions,
        cell=lattice,
        pbc=True,
    )
    for key in ("initial_magmoms", "masses"):
        if atoms.has(key):
            result.set_array(key, atoms.get_array(key)[source])
    return result


def spglib_cell(
    atoms: ase.Atoms, symprec: float
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """What spglib takes, and for each kind of atom (from 1) one atom of it."""
    if not symprec > 0.0:
        raise ParameterError(
            f"symprec must be a positive distance in Å, got {symprec}."
        )
    if not atoms.pbc.all() or atoms.cell.rank < 3 or len(atoms) == 0:
        raise StructureError(
            f"{atoms.get_chemical_formula() or 'An empty structure'} is periodic along "
            f"{atoms.pbc.tolist()}; a space group needs a crystal that is periodic "
            "along all three axes."
        )
    keys = [key for key in ("initial_magmoms", "masses") if atoms.has(key)]
    columns = [atoms.get_array(k).reshape(len(atoms), -1) for k in ("numbers", *keys)]
    labels = np.round(np.hstack(columns).astype(float), 4)
    _, first, kinds = np.unique(labels, axis=0, return_index=True, return_inverse=True)
    scaled = atoms.get_scaled_positions(wrap=True)
    return (atoms.cell.array, scaled, kinds.reshape(-1) + 1), first


@contextmanager
def quiet_pymatgen() -> Generator[None]:
    """Without what it warns of and the user can do nothing about.

    It calls spglib, which announces how it will raise one day, and sorts atoms by
    electronegativity, which noble gases lack.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
        warnings.filterwarnings("ignore", "No Pauling electronegativity", UserWarning)
        yield


def call_spglib(function: Any, cell: Any, atoms: ase.Atoms, **parameters: Any) -> Any:
    """Call spglib; it either raises or returns None where it finds nothing."""
    reason = "no symmetry operations"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = function(cell, **parameters)
    except spglib.SpglibError as error:
        found, reason = None, str(error)
    if found is None:
        raise StructureError(
            f"spglib finds no symmetry in {atoms.get_chemical_formula()}: {reason}. Are "
            "two atoms closer than symprec, or is the cell flat?"
        )
    return found
