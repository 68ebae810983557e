"""X-ray powder diffraction pattern.

Reflections at Bragg's angles, λ = 2 d sin θ. Intensities are |F|² of the structure factor
with atomic scattering factors, times multiplicity and the Lorentz-polarization factor
(1 + cos² 2θ) / (sin² θ cos θ), as pymatgen's XRDCalculator has them; without thermal
motion, absorption and texture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, cast

import ase
import numpy as np
from annotated_types import Interval
from jaxtyping import Float
from pymatgen.core import Structure

from gnndesign.errors import ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps
from gnndesign.properties.bounds import Symprec, check_bounds
from gnndesign.properties.standard_orientation import point_group
from gnndesign.properties.work import Relaxing, equilibrium
from gnndesign.structures.convert import to_pymatgen
from gnndesign.structures.symmetry import conventional_cell

WAVELENGTHS = {
    "CuKa": 1.54184,
    "CuKa1": 1.54056,
    "CoKa": 1.79026,
    "CrKa": 2.29100,
    "FeKa": 1.93735,
    "MoKa": 0.71073,
    "AgKa": 0.560885,
}
"""Å, of the lines of X-ray tubes."""

_LEAST_DEG = 1e-3
"""From 0 and 180°, where the Lorentz factor is infinite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffractionResult:
    """Reflections of a powder.

    Attributes:
        atoms: the crystal, as relaxed or given.
        wavelength: Å.
        two_theta_range_deg: in which reflections were looked for.
        two_theta_deg: (n_reflections,) ascending.
        intensities: (n_reflections,) 100 for the strongest.
        spacings: (n_reflections,) Å, of the lattice planes.
        hkl: (n_reflections,) Miller indices in the conventional cell: "111", minus signs
            before, without the third of the four of hexagonal crystals; several families at one angle are joined by commas.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    wavelength: float
    two_theta_range_deg: tuple[float, float]
    two_theta_deg: Float[np.ndarray, " n_reflections"]
    intensities: Float[np.ndarray, " n_reflections"]
    spacings: Float[np.ndarray, " n_reflections"]
    hkl: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def strongest_deg(self) -> float:
        """2θ of the strongest reflection."""
        return float(self.two_theta_deg[self.intensities.argmax()])

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        return (
            Quantity(
                name="Strongest reflection",
                value=self.strongest_deg,
                unit="° 2θ",
                key="strongest_deg",
            ),
        )

    def profile(
        self, two_theta_deg: Float[np.ndarray, " n"], width_deg: float = 0.2
    ) -> Float[np.ndarray, " n"]:
        """(n,) intensity as a diffractometer sees it, 100 for a lone strongest line.

        Args:
            two_theta_deg: (n,) where.
            width_deg: of a line at half its height; its shape is Gauss's.
        """
        apart = two_theta_deg[:, None] - self.two_theta_deg
        shape = np.exp(-4 * math.log(2) * (apart / width_deg) ** 2)
        return shape @ self.intensities


_Angle = Annotated[float, Interval(ge=0, le=180)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diffraction(Property[DiffractionResult]):
    """X-ray powder pattern.

    Attributes:
        radiation: a line in `WAVELENGTHS`, or a wavelength in Å.
        two_theta_range_deg: from and to.
        relaxing: how the crystal is relaxed first; None takes it as it is.
        symprec: Å, within which the conventional cell is found.
    """

    kind: ClassVar[str] = "diffraction"
    title: ClassVar[str] = "X-ray diffraction"

    radiation: str | float = "CuKa"
    two_theta_range_deg: tuple[_Angle, _Angle] = (5.0, 90.0)
    relaxing: Relaxing | None = field(default_factory=Relaxing)
    symprec: Symprec = 1e-2

    def __post_init__(self) -> None:
        check_bounds(self)
        known = isinstance(self.radiation, str) and self.radiation in WAVELENGTHS
        given = isinstance(self.radiation, float | int) and 0 < self.radiation < 100
        if not known and not given:
            raise ParameterError(
                f"Wanted radiation in {', '.join(WAVELENGTHS)} or a wavelength in Å, "
                f"got {self.radiation!r}."
            )
        ends = self.two_theta_range_deg
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise ParameterError(
                f"Wanted two_theta_range_deg as two angles, ascending, got {ends}."
            )

    @property
    def wavelength(self) -> float:
        """Å."""
        if isinstance(self.radiation, str):
            return WAVELENGTHS[self.radiation]
        return float(self.radiation)

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only a crystal has reflections."""
        if not atoms.pbc.all():
            raise StructureError(
                f"{atoms.get_chemical_formula('metal')} is not periodic in three "
                "directions, so it has no Bragg reflections. Wanted a crystal."
            )

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[DiffractionResult]:
        """Relax, then the pattern of the conventional cell."""
        del potential
        relaxed = yield from equilibrium(atoms, self.relaxing)
        return diffracted(
            relaxed, self.wavelength, self.two_theta_range_deg, self.symprec
        )


def diffracted(
    atoms: ase.Atoms,
    wavelength: float,
    two_theta_range_deg: tuple[float, float] = (5.0, 90.0),
    symprec: float = 1e-2,
) -> DiffractionResult:
    """The pattern of a crystal as it is.

    Args:
        atoms: a crystal.
        wavelength: Å.
        two_theta_range_deg: from and to.
        symprec: Å, within which the conventional cell is found.

    Raises:
        StructureError: no reflection in the range, no symmetry found, or an element whose
            scattering factors pymatgen does not have.
    """
    from pymatgen.analysis.diffraction.xrd import XRDCalculator  # slow to import

    conventional = conventional_cell(atoms, symprec)
    crystal = cast("Structure", to_pymatgen(conventional))
    # A vector k of the reciprocal lattice has the Miller indices cell @ k.
    cell = conventional.cell.array
    turns = cell @ point_group(conventional, symprec) @ np.linalg.inv(cell)
    low, high = two_theta_range_deg
    # Declared to be a name; a number is understood, and wanted by it.
    calculator = XRDCalculator(wavelength=cast("Any", wavelength))
    name = atoms.get_chemical_formula("metal")
    # Wide enough to have a strong reflection: pymatgen scales by the strongest, and if
    # all in the range are extinct, scales up what rounding has left of them.
    widest = _LEAST_DEG, min(max(high, 90.0), 180.0 - _LEAST_DEG)
    try:
        pattern = calculator.get_pattern(crystal, two_theta_range=widest)
    except ValueError as error:
        # No reflections, or an element without scattering factors.
        raise StructureError(
            f"{name} has no pattern at {wavelength:g} Å: {error}. Is the wave too long?"
        ) from error
    angles = np.asarray(pattern.x, dtype=float)
    within = np.flatnonzero((angles >= low) & (angles <= high))
    if len(within) == 0:
        raise StructureError(
            f"{name} has no reflection between {low:g} and {high:g}° at "
            f"{wavelength:g} Å. Widen the range or shorten the wave."
        )
    intensities = np.asarray(pattern.y, dtype=float)[within]
    return DiffractionResult(
        atoms=atoms,
        wavelength=wavelength,
        two_theta_range_deg=two_theta_range_deg,
        two_theta_deg=angles[within],
        intensities=100 * intensities / intensities.max(),
        spacings=np.asarray(pattern.d_hkls, dtype=float)[within],
        hkl=tuple(
            ", ".join(_indices(family["hkl"], turns) for family in pattern.hkls[place])
            for place in within
        ),
    )


def _indices(hkl: tuple[int, ...], turns: Float[np.ndarray, "n_operations 3 3"]) -> str:
    """Of all that are equivalent, those with the fewest minus signs, largest first."""
    # Where four are given, of a hexagonal crystal, the third follows from two.
    equivalent = np.rint(turns @ np.array([*hkl[:2], hkl[-1]])).astype(int)
    best = max(
        np.concatenate([equivalent, -equivalent]).tolist(),
        key=lambda three: (sum(index >= 0 for index in three), three),
    )
    between = " " if max(map(abs, best)) > 9 else ""
    return between.join(map(str, best))
