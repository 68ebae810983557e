"""Reference data that a potential's properties are judged by: `REFERENCE_SETS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gnndesign.errors import ParameterError
from gnndesign.properties import reference_structures as structures
from gnndesign.properties.base import Property
from gnndesign.properties.dissociation import Dissociation
from gnndesign.properties.elasticity import Elasticity
from gnndesign.properties.equation_of_state import EquationOfState
from gnndesign.properties.phonons import Phonons
from gnndesign.properties.reference_structures import HEAT_CAPACITY, Reference
from gnndesign.properties.work import Relaxing


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
        load=structures.delta,
        notes=("The cell's shape and the fractional coordinates are kept.",),
    ),
    ReferenceSet(
        name="unaries",
        title="Equation of state of elements in their cubic ground states",
        level="PBE, all-electron average of FLEUR and WIEN2k, not magnetic",
        source="E. Bosoni et al., Nat. Rev. Phys. 6, 45 (2024)",
        how=_SHAPE_KEPT,
        targets=(_VOLUME, _MODULUS),
        load=structures.unaries,
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
        load=structures.elastic,
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
                key=HEAT_CAPACITY,
                name="C_V at 300 K",
                unit=_CELLS,
                of_cell=True,
                published={"chgnet": (23.57, _MATGL)},
            ),
        ),
        load=structures.heat_capacities,
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
            Target(key=HEAT_CAPACITY, name="C_V at 300 K", unit=_CELLS, of_cell=True),
        ),
        load=structures.phonons,
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
        load=structures.pairs,
        notes=(
            "From 0.6 of the covalent radii on; nearer atoms are refused.",
            "Far from what potentials trained on crystals know.",
            "Bond lengths of the reference are those of its grid.",
        ),
    ),
)
"""What `gnndesign validate` knows."""
