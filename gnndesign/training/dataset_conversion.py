"""From structures that carry labels somewhere to structures beside their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import ase
import numpy as np
from jaxtyping import Float
from pymatgen.core import IMolecule, IStructure

from gnndesign.batch import check_usable, name_of
from gnndesign.errors import StructureError
from gnndesign.structures.convert import from_pymatgen
from gnndesign.training.dataset_labels import (
    Kind,
    check,
    find,
    stress_matrix,
    unit_of_stress,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labeled:
    """Structures as they came, and their labels as `Dataset` has them."""

    structures: list[ase.Atoms]
    energy: Float[np.ndarray, " n_structures"]
    forces: list[np.ndarray | None]
    stress: Float[np.ndarray, "n_structures 3 3"]


def read_labels(
    structures: Sequence[ase.Atoms | IStructure | IMolecule],
    names: Mapping[Kind, str | None],
    stress_unit: str | None,
    source: str,
) -> Labeled:
    """The labels of structures; arguments and errors as of `Dataset.from_atoms`."""
    read = [_with_properties(atoms) for atoms in structures]
    for index, atoms in enumerate(read):
        check_usable(atoms, index)
    energies = [
        value.reshape(()) if value is not None and value.size == 1 else value
        for value in find("energy", read, names["energy"], source)[1]
    ]
    forces = find("forces", read, names["forces"], source)[1]
    name, raw = find("stress", read, names["stress"], source)
    unit = unit_of_stress(name, stress_unit)
    stresses = [
        None
        if value is None or not atoms.pbc.all()
        else _matrix(value, unit, atoms, index)
        for index, (atoms, value) in enumerate(zip(read, raw, strict=True))
    ]
    _refuse_unlabeled(energies, forces, read, source)
    check("energy", read, energies, source)
    check("forces", read, forces, source)
    known = stress_unit is not None
    check("stress", read, stresses, source, unit_is_known=known)
    nothing = np.full((3, 3), np.nan)
    return Labeled(
        structures=read,
        energy=np.array([np.nan if e is None else float(e) for e in energies]),
        forces=forces,
        stress=np.stack([nothing if s is None else s for s in stresses]),
    )


def groups_of(
    structures: Sequence[ase.Atoms], name: str | None, fallback: str = ""
) -> tuple[str, ...]:
    """The groups of structures: `info[name]` as text, else `fallback`."""
    if name is None:
        return (fallback,) * len(structures)
    info = [cast("Mapping[str, Any]", atoms.info) for atoms in structures]
    return tuple(str(entry.get(name, fallback)) for entry in info)


def _with_properties(structure: ase.Atoms | IStructure | IMolecule) -> ase.Atoms:
    """A structure of pymatgen as one of ASE, with what it carries in its properties."""
    if isinstance(structure, ase.Atoms):
        return structure
    atoms = from_pymatgen(structure)
    atoms.info.update(cast("dict[str, Any]", structure.properties))
    for name, values in structure.site_properties.items():
        rows = np.asarray(values)
        if rows.shape == (len(atoms), 3) and name not in atoms.arrays:
            atoms.set_array(name, rows)
    return atoms


def bare_copy(atoms: ase.Atoms) -> ase.Atoms:
    """Elements and geometry, and `info` without arrays, which are labels."""
    info = {
        key: value
        for key, value in cast("dict[str, Any]", atoms.info).items()
        if isinstance(value, str | bool | int | float | np.integer | np.floating)
    }
    return ase.Atoms(
        atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell.array,
        pbc=atoms.pbc,
        info=info,
    )


def _matrix(value: np.ndarray, unit: str, atoms: ase.Atoms, index: int) -> np.ndarray:
    matrix = stress_matrix(value, unit, atoms.cell.volume)
    if matrix is None:
        raise StructureError(
            f"{name_of(atoms, index)}: wanted a stress of six or nine numbers, got "
            f"shape {value.shape}."
        )
    return matrix


def _refuse_unlabeled(
    energies: Sequence[np.ndarray | None],
    forces: Sequence[np.ndarray | None],
    structures: Sequence[ase.Atoms],
    source: str,
) -> None:
    if any(value is not None for value in (*energies, *forces)):
        return
    names = sorted(
        {str(key) for atoms in structures for key in (*atoms.info, *atoms.arrays)}
        - {"numbers", "positions"}
    )
    raise StructureError(
        f"{source}: wanted energies or forces to learn from, found none among "
        f"{', '.join(names) or 'no labels at all'}. Say which they are with energy= "
        "and forces=."
    )
