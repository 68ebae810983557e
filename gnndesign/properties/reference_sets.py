"""Reference data that a potential's properties are judged by: `REFERENCE_SETS`.

All of it ships with gnndesign (or with ASE); `data/SOURCES.md` says where each is from.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import ase
import numpy as np
from ase.data import covalent_radii

from gnndesign.errors import ParameterError
from gnndesign.properties.base import Property
from gnndesign.properties.dissociation import SHORTEST, Dissociation
from gnndesign.properties.elasticity import Elasticity
from gnndesign.properties.equation_of_state import EquationOfState
from gnndesign.properties.phonons import Phonons
from gnndesign.properties.work import Relaxing
from gnndesign.structures.library import elemental_ground_state
from gnndesign.structures.symmetry import space_group

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A number that is compared.

    Attributes:
        key: of the quantity in the property's result, see `Quantity.key`.
        name: for axes and tables.
        unit: of it.
        relative: whether the error is given in percent of the reference.
        of_cell: whether the reference is of a cell, the quantity of an atom.
        published: mean absolute error by name of the potential, and its source.
    """

    key: str
    name: str
    unit: str
    relative: bool = False
    of_cell: bool = False
    published: Mapping[str, tuple[float, str]] = field(
        default_factory=dict[str, tuple[float, str]]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSet:
    """Structures and what they should have.

    Attributes:
        name: on the command line.
        title: what a person calls it.
        level: of theory.
        source: citation.
        how: all are computed.
        targets: what is compared.
        load: reads the structures.
        sample: how many a default run takes, chosen by a seed; None for all.
        notes: caveats, one sentence each.
    """

    name: str
    title: str
    level: str
    source: str
    how: Property[Any]
    targets: tuple[Target, ...]
    load: Callable[[], list[Reference]]
    sample: int | None = None
    notes: tuple[str, ...] = ()


def reference_set(name: str) -> ReferenceSet:
    """A set by its name.

    Raises:
        ParameterError: there is none.
    """
    for known in REFERENCE_SETS:
        if known.name == name:
            return known
    names = ", ".join(known.name for known in REFERENCE_SETS)
    raise ParameterError(f"Wanted a reference set in {names}, got {name!r}.")


@cache
def _read(name: str) -> Any:
    path = files("gnndesign.properties").joinpath("data", f"{name}.json.xz")
    return json.loads(lzma.decompress(path.read_bytes()))


def _crystal(entry: Mapping[str, Any]) -> ase.Atoms:
    return ase.Atoms(
        entry["species"], cell=entry["cell"], scaled_positions=entry["frac"], pbc=True
    )


def _delta() -> list[Reference]:
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


def _unaries() -> list[Reference]:
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


def _pairs() -> list[Reference]:
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


def _elastic() -> list[Reference]:
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


def _heat_capacities() -> list[Reference]:
    return [
        Reference(
            name=row["mat_id"],
            atoms=_crystal(row),
            values={_HEAT_CAPACITY: row["Cv300K_J_per_K_mol"]},
        )
        for row in _read("alexandria_binary_pbe_cv300")
    ]


def _phonons() -> list[Reference]:
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
                    _HEAT_CAPACITY: row["Cv300_J_per_K_mol_primcell"] / fraction,
                },
                how=Phonons(
                    supercell=tuple(map(tuple, row["supercell_matrix"])),
                ),
            )
        )
    return references


_HEAT_CAPACITY = "heat_capacity_per_atom_300K_J_per_mol_K"
_CELLS = "J/(K mol of cells)"
_MATGL = (
    "MatGL's training of CHGNet on MPtrj, other weights; MatPES, "
    "matcalc-benchmark-pbe.csv"
)
_LAMBENCH = "LAMBench, on a part of this set"
_SHAPE_KEPT = EquationOfState(
    relaxing=Relaxing(cell="isotropic", max_force=5e-4), at_each=None
)
_VOLUME = Target(key="volume_per_atom", name="Volume", unit="Å³/atom", relative=True)
_MODULUS = Target(key="bulk_modulus_GPa", name="Bulk modulus", unit="GPa")

REFERENCE_SETS: tuple[ReferenceSet, ...] = (
    ReferenceSet(
        name="delta",
        title="Equation of state of 71 elements",
        level="PBE, WIEN2k",
        source="K. Lejaeghere et al., Crit. Rev. Solid State 39, 1 (2014); "
        "Science 351, aad3000 (2016)",
        how=_SHAPE_KEPT,
        targets=(_VOLUME, _MODULUS),
        load=_delta,
        notes=("The cell's shape and the fractional coordinates are kept.",),
    ),
    ReferenceSet(
        name="unaries",
        title="Equation of state of elements in their cubic ground states",
        level="PBE, all-electron average of FLEUR and WIEN2k, not magnetic",
        source="E. Bosoni et al., Nat. Rev. Phys. 6, 45 (2024)",
        how=_SHAPE_KEPT,
        targets=(_VOLUME, _MODULUS),
        load=_unaries,
    ),
    ReferenceSet(
        name="elasticity",
        title="Elastic moduli of binary crystals",
        level="PBE, Materials Project",
        source="R. Liu et al., MatCalc (2024); M. de Jong et al., Sci. Data 2, 150009 "
        "(2015)",
        how=Elasticity(relaxing=Relaxing(max_force=0.005)),
        targets=(
            Target(
                key="bulk_modulus_GPa",
                name="Bulk modulus",
                unit="GPa",
                published={
                    "sevennet-l3i5": (9.9, _LAMBENCH),
                    "chgnet": (17.45, _MATGL),
                },
            ),
            Target(
                key="shear_modulus_GPa",
                name="Shear modulus",
                unit="GPa",
                published={
                    "sevennet-l3i5": (19.4, _LAMBENCH),
                    "chgnet": (29.59, _MATGL),
                },
            ),
        ),
        load=_elastic,
        sample=60,
        notes=("Some references are themselves far off; look at the median too.",),
    ),
    ReferenceSet(
        name="heat-capacity",
        title="Heat capacity of binary crystals at 300 K",
        level="PBE, Alexandria",
        source="A. Loew et al., npj Comput. Mater. 11, 178 (2025)",
        how=Phonons(supercell=(2, 2, 2)),
        targets=(
            Target(
                key=_HEAT_CAPACITY,
                name="C_V at 300 K",
                unit=_CELLS,
                of_cell=True,
                published={"chgnet": (23.57, _MATGL)},
            ),
        ),
        load=_heat_capacities,
        sample=12,
    ),
    ReferenceSet(
        name="phonons",
        title="Phonons of crystals of phonopy's examples",
        level="DFT, VASP, functional not stated",
        source="phonopy, example/; A. Togo and I. Tanaka, Scr. Mater. 108, 1 (2015)",
        how=Phonons(),
        targets=(
            Target(key="max_frequency_THz", name="Highest frequency", unit="THz"),
            Target(key=_HEAT_CAPACITY, name="C_V at 300 K", unit=_CELLS, of_cell=True),
        ),
        load=_phonons,
        notes=(
            "The references of polar crystals have long-range fields in them.",
            "No short-ranged potential splits LO from TO modes.",
        ),
    ),
    ReferenceSet(
        name="diatomics",
        title="Dissociation curves of 92 pairs of like atoms",
        level="PBE, VASP",
        source="J. Riebesell et al., Matbench Discovery (2025)",
        how=Dissociation(),
        targets=(
            Target(key="bond_length", name="Bond length", unit="Å"),
            Target(key="well_depth", name="Well depth", unit="eV"),
        ),
        load=_pairs,
        notes=(
            "From 0.6 of the covalent radii on; nearer atoms are refused.",
            "Far from what potentials trained on crystals know.",
            "Bond lengths of the reference are those of its grid.",
        ),
    ),
)
"""What `gnndesign validate` knows."""
