"""Space group, lattice parameters and density, and what a relaxation changed of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import ase
from scipy.constants import atomic_mass

from gnndesign.errors import StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps, quantities_of
from gnndesign.properties.bounds import Symprec, check_bounds
from gnndesign.properties.work import Relaxing, equilibrium
from gnndesign.structures.symmetry import SpaceGroup, conventional_cell, space_group

_LENGTHS_AND_ANGLES = ("a", "b", "c", "alpha_deg", "beta_deg", "gamma_deg")


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureSummaryResult:
    """A crystal in numbers.

    Attributes:
        atoms: the crystal, as relaxed or given.
        space_group: of it.
        space_group_before: of the input.
        a: Å, of the conventional cell, and so b and c.
        b: Å.
        c: Å.
        alpha_deg: between b and c.
        beta_deg: between a and c.
        gamma_deg: between a and b.
        lattice_before: a, b, c (Å) and angles (degrees) of the input.
        density_g_per_cm3: mass a volume.
        volume_per_atom: Å³.
        volume_change_percent: upon relaxation, of the volume given.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    space_group: SpaceGroup
    space_group_before: SpaceGroup
    a: float
    b: float
    c: float
    alpha_deg: float
    beta_deg: float
    gamma_deg: float
    lattice_before: tuple[float, ...]
    density_g_per_cm3: float
    volume_per_atom: float
    volume_change_percent: float
    notes: tuple[str, ...] = ()

    @property
    def space_group_number(self) -> int:
        """1 to 230."""
        return self.space_group.number

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        rows = (
            ("Space group", "", "space_group_number"),
            ("Density", "g/cm³", "density_g_per_cm3"),
            ("Volume", "Å³/atom", "volume_per_atom"),
            ("Volume change", "%", "volume_change_percent"),
            *(("Lattice parameter " + key, "Å", key) for key in "abc"),
        )
        return quantities_of(self, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureSummary(Property[StructureSummaryResult]):
    """Symmetry, lattice and density.

    Attributes:
        relaxing: how the crystal is relaxed; None describes it as it is.
        symprec: Å, within which symmetry is found.
    """

    kind: ClassVar[str] = "structure_summary"
    title: ClassVar[str] = "Structure"

    relaxing: Relaxing | None = field(default_factory=Relaxing)
    symprec: Symprec = 1e-2

    def __post_init__(self) -> None:
        check_bounds(self)

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only a crystal has a space group and a density."""
        if not atoms.pbc.all():
            raise StructureError(
                f"{atoms.get_chemical_formula('metal')} is not periodic in three "
                "directions, so it has no space group and no density. Wanted a crystal."
            )

    def steps(
        self, atoms: ase.Atoms, potential: Potential
    ) -> Steps[StructureSummaryResult]:
        """Relax and describe."""
        del potential
        before = space_group(atoms, self.symprec)
        relaxed = yield from equilibrium(atoms, self.relaxing)
        after = space_group(relaxed, self.symprec)
        lattice = _lattice(relaxed, self.symprec)
        volume = float(relaxed.get_volume())
        changed = (
            f"The space group went from {before.symbol} to {after.symbol} (found within "
            f"{self.symprec:g} Å)."
        )
        return StructureSummaryResult(
            atoms=relaxed,
            space_group=after,
            space_group_before=before,
            **dict(zip(_LENGTHS_AND_ANGLES, lattice, strict=True)),
            lattice_before=_lattice(atoms, self.symprec),
            density_g_per_cm3=density_g_per_cm3(relaxed),
            volume_per_atom=volume / len(relaxed),
            volume_change_percent=100 * (volume / float(atoms.get_volume()) - 1),
            notes=() if after.number == before.number else (changed,),
        )


def density_g_per_cm3(atoms: ase.Atoms) -> float:
    """Mass a volume of a crystal."""
    grams = atoms.get_masses().sum() * atomic_mass * 1e3
    return float(grams / (atoms.get_volume() * 1e-24))


def _lattice(atoms: ase.Atoms, symprec: float) -> tuple[float, ...]:
    """a, b, c (Å) and angles (degrees) of the conventional cell."""
    return tuple(float(x) for x in conventional_cell(atoms, symprec).cell.cellpar())
