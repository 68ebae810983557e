"""Surface energies of a crystal, and the shape of lowest surface energy.

    γ = (E_slab - N E_bulk) / (2 A)

with N units of the crystal in a slab whose two faces, of area A, are alike. Slabs are
made by pymatgen (R. Tran et al., Sci. Data 3, 160080 (2016)), and the equilibrium shape
is the construction of G. Wulff, Z. Kristallogr. 34, 449 (1901).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import ase
import numpy as np
from annotated_types import Interval

from gnndesign.errors import ConvergenceError, ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import End, Property, Quantity, Steps
from gnndesign.properties.bounds import Length, Symprec, check_bounds
from gnndesign.properties.relaxed import (
    refuse_all_but_crystals,
    relaxed_energy,
    relaxed_where_possible,
)
from gnndesign.properties.slabs import BareSlab, bare_slabs, standard_conventional_cell
from gnndesign.properties.work import Relaxing
from gnndesign.properties.wulff import WulffShape, wulff_shape
from gnndesign.units import EV_PER_A2_TO_J_PER_M2

SOFT_SURFACES_NOTE = (
    "Potentials trained on near-equilibrium crystals (MPtrj among them) are soft: they "
    "have seen few broken bonds, and surface energies come out low."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """One termination of a crystal.

    Attributes:
        miller_index: (h, k, l) of the standard conventional cell.
        termination: from 1, among those of this index.
        energy: eV/Å² of one face.
        energy_J_per_m2: the same in J/m².
        area: Å² of one face of the slab.
        thickness: Å from the lowest to the highest atom, before relaxation.
        atoms: the relaxed slab.
    """

    miller_index: tuple[int, int, int]
    termination: int
    energy: float
    energy_J_per_m2: float
    area: float
    thickness: float
    atoms: ase.Atoms

    @property
    def name(self) -> str:
        """Such as "(1 0 0)", with the termination where it is not the first."""
        index = " ".join(map(str, self.miller_index))
        more = f", termination {self.termination}" if self.termination > 1 else ""
        return f"({index}){more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfacesResult:
    """Surfaces of a crystal.

    Attributes:
        bulk: the relaxed standard conventional cell that Miller indices refer to.
        surfaces: lowest energy first.
        wulff: the equilibrium shape; None where the surfaces do not enclose one.
        notes: what to know beside the numbers.
    """

    bulk: ase.Atoms
    surfaces: tuple[Surface, ...]
    wulff: WulffShape | None
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table, a row for each surface and for the mean over the shape."""
        found = [
            Quantity(
                name=f"Surface energy of {surface.name}",
                value=surface.energy_J_per_m2,
                unit="J/m²",
                key="surface_energy_J_per_m2_"
                + "_".join(map(str, (*surface.miller_index, surface.termination))),
            )
            for surface in self.surfaces
        ]
        if self.wulff is not None:
            mean = Quantity(
                name="Mean surface energy of the Wulff shape",
                value=self.wulff.mean_energy_J_per_m2,
                unit="J/m²",
                key="mean_surface_energy_J_per_m2",
            )
            found.insert(0, mean)
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surfaces(Property[SurfacesResult]):
    """Energies of all surfaces up to a Miller index, and the Wulff shape.

    All slabs are relaxed in one batch at the cell of the relaxed crystal. Only slabs
    with two like faces and the composition of the crystal have a surface energy that
    needs no chemical potential and feels no dipole; others are left out, and notes say
    which.

    Attributes:
        max_index: largest Miller index.
        min_thickness: Å of a slab at least.
        vacuum: Å between a slab and its image at least; more than the potential reaches.
        relaxing: how the crystal is relaxed; None takes it as it is.
        relaxing_slabs: how slabs relax; None leaves their atoms in place.
        symprec: Å, within which symmetry is found.
    """

    kind: ClassVar[str] = "surfaces"
    title: ClassVar[str] = "Surface energies and Wulff shape"

    max_index: Annotated[int, Interval(ge=1, le=4)] = 1
    min_thickness: Length = 12.0
    vacuum: Length = 15.0
    relaxing: Relaxing | None = field(default_factory=Relaxing)
    relaxing_slabs: Relaxing | None = field(
        default_factory=lambda: Relaxing(cell=None, max_force=0.02)
    )
    symprec: Symprec = 1e-2

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.relaxing_slabs is not None and self.relaxing_slabs.cell is not None:
            raise ParameterError(
                "Wanted relaxing_slabs with cell=None: a slab is as wide as its crystal, "
                f"got {self.relaxing_slabs.cell!r}."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only crystals have faces."""
        refuse_all_but_crystals(atoms, "surface energies of a crystal")

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[SurfacesResult]:
        """Relax the crystal, cut it, relax all slabs together."""
        if potential.cutoff is not None and self.vacuum <= potential.cutoff:
            raise ParameterError(
                f"Wanted vacuum above the cutoff {potential.cutoff} Å of the potential, "
                f"so that slabs do not feel each other, got {self.vacuum}."
            )
        crystal, _ = yield from relaxed_energy(atoms, self.relaxing)
        bulk = standard_conventional_cell(crystal, self.symprec)
        slabs, left_out = bare_slabs(
            bulk, self.max_index, self.min_thickness, self.vacuum
        )
        ends, unconverged = yield from relaxed_where_possible(
            [bulk, *(slab.atoms for slab in slabs)],
            ["crystal", *(f"slab {slab.name}" for slab in slabs)],
            self.relaxing_slabs,
        )
        if ends[0] is None:
            raise ConvergenceError(
                "The crystal did not converge at its own cell, so there is nothing to "
                "compare slabs with. Allow more steps or a larger force."
            )
        surfaces = _surfaces(slabs, ends[1:], ends[0].energy / len(bulk))
        notes = [SOFT_SURFACES_NOTE, *left_out, *unconverged]
        wulff = wulff_shape(bulk, {s.miller_index: s.energy for s in surfaces[::-1]})
        if wulff is None:
            notes.append(
                "These surfaces do not enclose a shape: one has no positive energy, or "
                "too few directions are among them. Try a larger max_index."
            )
        return SurfacesResult(
            bulk=bulk, surfaces=surfaces, wulff=wulff, notes=tuple(notes)
        )


def _surfaces(
    slabs: Sequence[BareSlab], ends: Sequence[End | None], energy_per_atom: float
) -> tuple[Surface, ...]:
    """Lowest energy first."""
    found: list[Surface] = []
    for slab, end in zip(slabs, ends, strict=True):
        if end is None:
            continue
        a, b = slab.atoms.cell.array[:2]
        area = float(np.linalg.norm(np.cross(a, b)))
        energy = (end.energy - len(slab.atoms) * energy_per_atom) / (2 * area)
        found.append(
            Surface(
                miller_index=slab.miller_index,
                termination=slab.termination,
                energy=energy,
                energy_J_per_m2=energy * EV_PER_A2_TO_J_PER_M2,
                area=area,
                thickness=slab.thickness,
                atoms=end.atoms,
            )
        )
    if not found:
        raise ConvergenceError("No slab converged. Allow more steps.")
    return tuple(sorted(found, key=lambda surface: surface.energy))
