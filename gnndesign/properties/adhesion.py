"""Work of adhesion of an interface between two slabs.

    W = (E_lower + E_upper - E_interface) / A

with both slabs strained to the common cell of the interface, of area A; positive where
they hold together (M. W. Finnis, J. Phys.: Condens. Matter 8, 5811 (1996)). Half of it
for two pieces of one crystal is its surface energy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import ase
import numpy as np
from annotated_types import Interval
from jaxtyping import Float

from gnndesign.errors import FitError, ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.properties.adsorption_sites import surface_normal
from gnndesign.properties.base import Property, Quantity, Steps
from gnndesign.properties.bounds import Length, check_bounds
from gnndesign.properties.interface_cells import (
    CommonCell,
    common_cell,
    flat_slab,
    raised,
    stacked,
    strained,
)
from gnndesign.properties.work import AS_GIVEN, Relaxing, evaluated
from gnndesign.units import EV_PER_A2_TO_J_PER_M2

_SOFT_NOTE = (
    "Potentials trained on near-equilibrium crystals (MPtrj among them) have seen few "
    "interfaces and are soft: works of adhesion tend to come out low."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdhesionResult:
    """How two slabs hold together.

    Attributes:
        interface: relaxed, the lower slab's atoms first.
        work_of_adhesion: eV/Å², positive where they are bound.
        work_of_adhesion_J_per_m2: the same in J/m².
        separation: Å between the highest atom below and the lowest above, at the start
            of the relaxation: the best of those tried.
        shift: along the cell vectors of the face, as fractions: the best of those tried.
        separations: (n_separations,) Å that were tried.
        rigid_work: (n_shifts, n_separations) eV/Å², of slabs that do not relax.
        shifts: (n_shifts, 2) fractions that were tried.
        area: Å² of the common cell.
        lower_strains: two principal strains of the lower slab, as fractions, positive
            where it is stretched.
        upper_strains: the same of the upper slab.
        notes: what to know beside the numbers.
    """

    interface: ase.Atoms
    work_of_adhesion: float
    work_of_adhesion_J_per_m2: float
    separation: float
    shift: tuple[float, float]
    separations: Float[np.ndarray, " n_separations"]
    rigid_work: Float[np.ndarray, "n_shifts n_separations"]
    shifts: Float[np.ndarray, "n_shifts 2"]
    area: float
    lower_strains: tuple[float, float]
    upper_strains: tuple[float, float]
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        return (
            Quantity(
                name="Work of adhesion",
                value=self.work_of_adhesion_J_per_m2,
                unit="J/m²",
                key="work_of_adhesion_J_per_m2",
            ),
            Quantity(
                name="Work of adhesion without relaxation",
                value=float(self.rigid_work.max()) * EV_PER_A2_TO_J_PER_M2,
                unit="J/m²",
                key="rigid_work_of_adhesion_J_per_m2",
            ),
            Quantity(
                name="Largest strain",
                value=100
                * max(
                    map(abs, (*self.lower_strains, *self.upper_strains)), default=0.0
                ),
                unit="%",
                key="largest_strain_percent",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Adhesion(Property[AdhesionResult]):
    """Work of adhesion of a slab on the structure, which is a slab too.

    The two must be commensurate: their faces have nearly the same cell vectors, in the
    same order. All separations and shifts are evaluated in one batch; from the best, the
    interface and both slabs are relaxed in another.

    Attributes:
        upper: the slab that is put upon the structure.
        cell: whose face the common cell is: "lower", "upper" or "mean".
        separations: Å between the two, to be tried.
        shifts: fractions of the cell vectors by which the upper one is moved along the
            face, to be tried.
        max_strain: largest principal strain of either slab that is allowed.
        vacuum: Å above the interface; more than the potential reaches.
        relaxing: how interface and slabs relax at the common cell; None leaves their
            atoms in place.
    """

    kind: ClassVar[str] = "adhesion"
    title: ClassVar[str] = "Work of adhesion"

    upper: ase.Atoms
    cell: CommonCell = "mean"
    separations: tuple[Length, ...] = tuple(np.linspace(1.4, 3.8, 13).round(3).tolist())
    shifts: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    max_strain: Annotated[float, Interval(gt=0, le=0.5)] = 0.06
    vacuum: Length = 15.0
    relaxing: Relaxing | None = field(
        default_factory=lambda: Relaxing(cell=None, max_force=0.02)
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        surface_normal(self.upper)
        if self.cell not in ("lower", "upper", "mean"):
            raise ParameterError(
                f"Wanted cell 'lower', 'upper' or 'mean', got {self.cell!r}."
            )
        if not self.separations or not _are_pairs(self.shifts):
            raise ParameterError(
                "Wanted at least one separation and one shift, a pair of fractions, got "
                f"{self.separations} and {self.shifts}."
            )
        if self.relaxing is not None and self.relaxing.cell is not None:
            raise ParameterError(
                "Wanted relaxing with cell=None: both slabs have the common cell, got "
                f"{self.relaxing.cell!r}."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only slabs have faces to join."""
        surface_normal(atoms)

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[AdhesionResult]:
        """Strain, try all separations, relax from the best."""
        if potential.cutoff is not None and self.vacuum <= potential.cutoff:
            raise ParameterError(
                f"Wanted vacuum above the cutoff {potential.cutoff} Å of the potential, "
                f"got {self.vacuum}."
            )
        given = flat_slab(atoms), flat_slab(self.upper)
        face = common_cell(*given, self.cell)
        area = float(abs(np.linalg.det(face)))
        lower, lower_strains = strained(given[0], face, self.max_strain)
        upper, upper_strains = strained(given[1], face, self.max_strain)
        tried = [(shift, d) for shift in self.shifts for d in self.separations]
        joined = [stacked(lower, upper, d, shift, self.vacuum) for shift, d in tried]
        alone = [raised(slab, joined[0].cell.array[2]) for slab in (lower, upper)]
        ends = yield from evaluated([*alone, *joined], "interface or slab")
        energies = np.array([end.energy for end in ends])
        rigid = (energies[0] + energies[1] - energies[2:]) / area
        best = int(rigid.argmax())
        rigid = rigid.reshape(len(self.shifts), len(self.separations))
        self._refuse_edges(rigid)
        together = [*alone, joined[best]]
        # Where nothing is free to move, the first evaluation ends it.
        relaxing = self.relaxing or AS_GIVEN
        first, second, both = yield from relaxing.steps(together, "interface or slab")
        work = (first.energy + second.energy - both.energy) / area
        largest = max(map(abs, (*lower_strains, *upper_strains)))
        strained_note = (
            f"Both slabs are strained to a common cell, by at most {100 * largest:.2f} "
            "%, and so are those they are compared with."
        )
        return AdhesionResult(
            interface=both.atoms,
            work_of_adhesion=work,
            work_of_adhesion_J_per_m2=work * EV_PER_A2_TO_J_PER_M2,
            separation=float(tried[best][1]),
            shift=tried[best][0],
            separations=np.array(self.separations, dtype=float),
            rigid_work=rigid,
            shifts=np.array(self.shifts, dtype=float).reshape(-1, 2),
            area=area,
            lower_strains=lower_strains,
            upper_strains=upper_strains,
            notes=(strained_note, _SOFT_NOTE),
        )

    def _refuse_edges(self, rigid: Float[np.ndarray, "n_shifts n_separations"]) -> None:
        """The best separation must have others on both sides."""
        n = len(self.separations)
        order = np.argsort(self.separations)
        place = int(rigid[:, order].max(axis=0).argmax())
        if n > 2 and place in (0, n - 1):
            raise FitError(
                f"The slabs are bound best at {self.separations[order[place]]} Å, the "
                f"edge of the separations tried ({min(self.separations)} to "
                f"{max(self.separations)} Å). Try others beyond it."
            )


def _are_pairs(shifts: object) -> bool:
    """Whether these are one or more pairs of finite numbers."""
    try:
        array = np.array(shifts, dtype=float)
    except (TypeError, ValueError):
        return False
    pairs = array.ndim == 2 and array.shape[0] > 0 and array.shape[1] == 2
    return pairs and bool(np.isfinite(array).all())
