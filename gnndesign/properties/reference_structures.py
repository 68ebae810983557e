"""Structures that a potential's properties are judged by, and what they should have.

All of it ships with gnndesign (or with ASE); `data/SOURCES.md` says where each is from.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import ase
import numpy as np
from ase.data import covalent_radii

from gnndesign.properties.base import Property
from gnndesign.properties.dissociation import SHORTEST, Dissociation
from gnndesign.properties.phonons import Phonons
from gnndesign.structures.library import elemental_ground_state
from gnndesign.structures.symmetry import space_group

HEAT_CAPACITY = "heat_capacity_per_atom_300K_J_per_mol_K"
MAGNETIC = frozenset({"Cr", "Mn", "Fe", "Co", "Ni"})
APART = "magnetic or f elements"
"""Structures with these are counted for themselves: the potentials know no spins, and
neither do most of the references."""

_LANTHANIDES, _ACTINIDES = range(57, 72), range(89, 104)
_BRAVAIS = {"BCC": 229, "FCC": 225, "Diamond": 227, "SC": 221}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One structure of a set.

    Attributes:
        name: in the set.
        atoms: where its computation starts.
        values: what it should have, by the set's `Target.key`.
        how: it is computed, where that is not the set's.
    """

    name: str
    atoms: ase.Atoms
    values: Mapping[str, float]
    how: Property[Any] | None = None

    @property
    def group(self) -> str:
        """`APART`, or empty."""
        numbers = set(self.atoms.numbers.tolist())
        f_element = any(n in _LANTHANIDES or n in _ACTINIDES for n in numbers)
        magnetic = MAGNETIC & set(self.atoms.get_chemical_symbols())
        return APART if f_element or magnetic else ""


@cache
def _read(name: str) -> Any:
    path = files("gnndesign.properties").joinpath("data", f"{name}.json.xz")
    return json.loads(lzma.decompress(path.read_bytes()))


def _crystal(entry: Mapping[str, Any]) -> ase.Atoms:
    return ase.Atoms(
        entry["species"], cell=entry["cell"], scaled_positions=entry["frac"], pbc=True
    )


def delta() -> list[Reference]:
    """Elements of the Delta project: volume and bulk modulus."""
    from ase.collections import dcdft

    return [
        Reference(
            name=name,
            atoms=dcdft[name],
            values={
                "volume_per_atom": row["wien2k_volume"],
                "bulk_modulus_GPa": row["wien2k_B"],
            },
        )
        for name, row in dcdft.data.items()
    ]


def unaries() -> list[Reference]:
    """Those whose prototype is the ground state of the element."""
    references: list[Reference] = []
    for row in _read("acwf_unaries"):
        element, _, bravais = row["id"].partition("-X/")
        ground = elemental_ground_state(element) if _has_ground_state(element) else None
        if ground is None or space_group(ground, 0.1).number != _BRAVAIS[bravais]:
            continue
        values = {"volume_per_atom": row["V0_A3_per_atom"]}
        values["bulk_modulus_GPa"] = row["B0_GPa"]
        references.append(Reference(name=row["id"], atoms=_crystal(row), values=values))
    return references


def _has_ground_state(element: str) -> bool:
    from gnndesign.errors import StructureError

    try:
        elemental_ground_state(element)
    except StructureError:
        return False
    return True


def pairs() -> list[Reference]:
    """Pairs of like atoms: bond length and well depth on the grid of the reference."""
    references: list[Reference] = []
    for name, row in _read("diatomics_pbe")["PBE"].items():
        atoms = ase.Atoms(name.split("-"), positions=[[0, 0, 0], [1, 0, 0]])
        shortest = SHORTEST * covalent_radii[atoms.numbers].sum()
        curve = [
            (distance, energy)
            for distance, energy in sorted(
                zip(row["distances"], row["energies"], strict=True)
            )
            if distance >= shortest
        ]
        distances, energies = zip(*curve, strict=True)
        lowest = min(range(len(energies)), key=energies.__getitem__)
        references.append(
            Reference(
                name=name,
                atoms=atoms,
                values={
                    "bond_length": distances[lowest],
                    "well_depth": energies[-1] - energies[lowest],
                },
                how=Dissociation(distances=distances),
            )
        )
    return references


def elastic() -> list[Reference]:
    """Binary crystals with bulk and shear moduli."""
    return [
        Reference(
            name=row["mp_id"],
            atoms=_crystal(row),
            values={
                "bulk_modulus_GPa": row["K_VRH_GPa"],
                "shear_modulus_GPa": row["G_VRH_GPa"],
            },
        )
        for row in _read("mp_binary_pbe_elasticity")
    ]


def heat_capacities() -> list[Reference]:
    """Binary crystals with heat capacities at 300 K."""
    return [
        Reference(
            name=row["mat_id"],
            atoms=_crystal(row),
            values={HEAT_CAPACITY: row["Cv300K_J_per_K_mol"]},
        )
        for row in _read("alexandria_binary_pbe_cv300")
    ]


def phonons() -> list[Reference]:
    """Crystals of phonopy's examples, in their supercells."""
    references: list[Reference] = []
    for name, row in _read("phonopy_dft_phonons").items():
        atoms = _crystal(row["unitcell"])
        # The reference is of the primitive cell.
        fraction = abs(np.linalg.det(np.array(row["primitive_matrix"])))
        references.append(
            Reference(
                name=name,
                atoms=atoms,
                values={
                    "max_frequency_THz": row["fmax_THz"],
                    HEAT_CAPACITY: row["Cv300_J_per_K_mol_primcell"] / fraction,
                },
                how=Phonons(
                    supercell=tuple(map(tuple, row["supercell_matrix"])),
                ),
            )
        )
    return references
