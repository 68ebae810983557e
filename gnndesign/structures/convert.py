"""`ase.Atoms` to and from pymatgen, and to and from plain JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import ase
import numpy as np
from ase.constraints import FixAtoms, FixCartesian
from ase.data import atomic_numbers
from pymatgen.core import Element, IMolecule, IStructure, Lattice, Molecule, Structure
from pymatgen.io.ase import AseAtomsAdaptor

from gnndesign.errors import StructureError

_OPTIONAL_ARRAYS = (
    "tags",
    "momenta",
    "masses",
    "initial_magmoms",
    "initial_charges",
)


def to_pymatgen(atoms: ase.Atoms) -> Structure | Molecule:
    """A `Structure` if any axis is periodic, else a `Molecule`.

    Initial magnetic moments become the site property "magmom", `FixAtoms` the site
    property "selective_dynamics".

    Raises:
        StructureError: a constraint that pymatgen cannot express.
    """
    copy = atoms.copy()
    copy.info = {}
    if not all(isinstance(c, FixAtoms | FixCartesian) for c in copy.constraints):
        raise StructureError(
            f"pymatgen knows fixed atoms only, got {_constraint_names(atoms)}; remove "
            "the other constraints first."
        )
    if atoms.pbc.any():
        structure = AseAtomsAdaptor.get_structure(cast("Any", copy))
        a, b, c = (bool(axis) for axis in atoms.pbc)
        structure.lattice = Lattice(structure.lattice.matrix, pbc=(a, b, c))
        return structure
    copy.cell = None
    copy.set_constraint()
    return AseAtomsAdaptor.get_molecule(cast("Any", copy))


def from_pymatgen(
    structure: IStructure | IMolecule | Structure | Molecule,
) -> ase.Atoms:
    """`ase.Atoms` of a pymatgen structure or molecule, sites in the same order.

    Magnetic moments, charges and selective dynamics are kept; deuterium becomes
    hydrogen of mass 2.014; oxidation states and other site properties are dropped.

    Raises:
        StructureError: a site is shared by several elements or partly empty.
    """
    if not structure.is_ordered:
        site = next(site for site in structure if not site.is_ordered)
        raise StructureError(
            f"Site {site.label} is {_occupancies(site.species.as_dict())}; order the "
            "structure first, so that every site holds one atom."
        )
    # Deuterium has the symbol H in pymatgen; only the name tells it apart.
    symbols = [
        "D"
        if getattr(site.specie, "element", site.specie) is Element("D")
        else str(site.specie.symbol)
        for site in structure
    ]
    unknown = sorted({s for s in symbols if s not in atomic_numbers} - {"D"})
    if unknown:
        raise StructureError(f"Wanted elements, got the site species {unknown}.")
    atoms = ase.Atoms(
        ["H" if symbol == "D" else symbol for symbol in symbols],
        positions=structure.cart_coords,
    )
    if "D" in symbols:
        heavy = np.array([symbol == "D" for symbol in symbols])
        masses = np.where(heavy, 2.01410177812, atoms.get_masses())
        atoms.set_array("masses", masses)
    if isinstance(structure, IStructure):
        atoms.set_cell(structure.lattice.matrix)
        atoms.set_pbc(structure.lattice.pbc)
    _copy_site_properties(structure.site_properties, atoms)
    return atoms


def _copy_site_properties(properties: Mapping[str, Any], atoms: ase.Atoms) -> None:
    magmoms = properties.get("magmom")
    if magmoms is not None and all(m is not None for m in magmoms):
        atoms.set_initial_magnetic_moments(_collinear_if_possible(magmoms))
    charges = properties.get("charge")
    if charges is not None and all(c is not None for c in charges):
        atoms.set_initial_charges(charges)
    movable = properties.get("selective_dynamics")
    if movable is not None and all(m is not None for m in movable):
        fixed = ~np.asarray(movable, dtype=bool)
        atoms.set_constraint(_constraints_of_mask(fixed))


def _constraints_of_mask(fixed: np.ndarray) -> list[FixAtoms | FixCartesian]:
    """Constraints of a (n_atoms, 3) mask of fixed Cartesian directions."""
    constraints: list[FixAtoms | FixCartesian] = []
    for row in np.unique(fixed, axis=0):
        atoms = np.flatnonzero((fixed == row).all(axis=1))
        if row.all():
            constraints.append(FixAtoms(atoms))
        elif row.any():
            constraints.append(FixCartesian(atoms, mask=row))
    return constraints


def _collinear_if_possible(magmoms: list[Any]) -> np.ndarray:
    """Magnetic moments (n_atoms,) if all lie on one axis, else (n_atoms, 3)."""
    moments = np.array([getattr(m, "global_moment", m) for m in magmoms], dtype=float)
    if moments.ndim == 1:
        return moments
    lengths = np.linalg.norm(moments, axis=1)
    if lengths.max() < 1e-8:
        return np.zeros(len(moments))
    axis = moments[lengths.argmax()] / lengths.max()
    along = moments @ axis
    if np.allclose(np.outer(along, axis), moments, atol=1e-6):
        return along
    return moments


def _occupancies(species: Mapping[str, float]) -> str:
    return " / ".join(f"{share:.3g} {symbol}" for symbol, share in species.items())


def atoms_to_dict(atoms: ase.Atoms) -> dict[str, Any]:
    """A structure as plain JSON values; floats survive exactly.

    Keys: numbers (n_atoms), positions (n_atoms, 3) Å, cell (3, 3) Å with lattice
    vectors as rows, pbc (3); where set also tags, momenta, masses (amu),
    initial_magmoms, initial_charges, fixed (indices of `FixAtoms`) and info (entries
    that are plain JSON; others are dropped, as are calculators and other arrays).

    Raises:
        StructureError: a constraint other than `FixAtoms`, or a number that is not
            finite.
    """
    for what, array in (("positions", atoms.positions), ("cell", atoms.cell.array)):
        if not np.isfinite(array).all():
            raise StructureError(f"The {what} are not finite; nothing to store.")
    result: dict[str, Any] = {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
    }
    for key in _OPTIONAL_ARRAYS:
        if atoms.has(key):
            result[key] = atoms.get_array(key).tolist()
    fixed = fixed_indices(atoms)
    if fixed:
        result["fixed"] = fixed
    info = {key: value for key, value in atoms.info.items() if _is_json(key, value)}
    if info:
        result["info"] = json.loads(json.dumps(info))
    return result


def atoms_from_dict(data: Mapping[str, Any]) -> ase.Atoms:
    """The structure that `atoms_to_dict` wrote.

    Raises:
        StructureError: a key is missing or an array has the wrong shape.
    """
    try:
        atoms = ase.Atoms(
            numbers=data["numbers"],
            positions=np.asarray(data["positions"], dtype=float).reshape(-1, 3),
            cell=data["cell"],
            pbc=data["pbc"],
            info=dict(data.get("info", {})),
        )
        for key in _OPTIONAL_ARRAYS:
            if key in data:
                atoms.set_array(key, np.asarray(data[key]))
        if data.get("fixed"):
            atoms.set_constraint(FixAtoms(data["fixed"]))
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise StructureError(
            "Wanted a structure as written by atoms_to_dict (numbers, positions, cell, "
            f"pbc, ...): {type(error).__name__}: {error}."
        ) from error
    return atoms


def fixed_indices(atoms: ase.Atoms) -> list[int]:
    """Ascending indices of the atoms that `FixAtoms` constraints hold.

    Raises:
        StructureError: there is another kind of constraint.
    """
    if not all(isinstance(c, FixAtoms) for c in atoms.constraints):
        raise StructureError(
            f"Only fixed atoms (ase.constraints.FixAtoms) are supported here, got "
            f"{_constraint_names(atoms)}; remove the other constraints first."
        )
    return sorted({int(i) for c in atoms.constraints for i in c.get_indices()})


def _constraint_names(atoms: ase.Atoms) -> str:
    return ", ".join(sorted({type(c).__name__ for c in atoms.constraints}))


def _is_json(key: object, value: object) -> bool:
    if not isinstance(key, str):
        return False
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
