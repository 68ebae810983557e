"""Structure of a liquid, a glass or a hot crystal: radial distribution, neighbors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import ase
import numpy as np
from annotated_types import Interval
from jaxtyping import Float

from gnndesign.errors import ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps
from gnndesign.properties.bounds import Length, Pressure, Temperature, check_bounds
from gnndesign.properties.sampling import Sampling, averaged
from gnndesign.simulation.observables.radial_distribution import (
    ALL,
    RadialDistribution,
)

_SMOOTH_PEAK, _SMOOTH_MINIMUM = 0.05, 0.15
"""Å, standard deviations over which g is smoothed to find its peak, and the shallow
minimum after it."""
_ON_COORDINATION = (
    "The coordination depends on where the shell ends; its error is that of the "
    "sampling alone."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """The first shell of neighbors.

    Attributes:
        center: chemical symbol of the atoms in the middle; "all" for any.
        neighbor: of those around it.
        peak: Å, distance at which most neighbors are.
        peak_height: of g(r) there, smoothed.
        radius: Å, where the shell ends: the minimum of g(r) after the peak.
        coordination: number of neighbors within the radius.
        coordination_error: standard error at this radius.
    """

    center: str
    neighbor: str
    peak: float
    peak_height: float
    radius: float
    coordination: float
    coordination_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidStructureResult:
    """Radial distribution functions and first shells.

    Attributes:
        temperature_K: mean.
        distribution: g(r) and running coordination of every pair, with errors.
        shells: of every ordered pair of species that has a first shell.
        notes: what to know beside the numbers.
    """

    temperature_K: float
    distribution: RadialDistribution
    shells: tuple[Shell, ...]
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        rows: list[Quantity] = []
        for shell in self.shells:
            pair = f"{shell.center}-{shell.neighbor}"
            named = {
                "coordination": (f"Coordination {pair}", ""),
                "coordination_error": (f"Error of the coordination {pair}", ""),
                "peak": (f"First peak {pair}", "Å"),
            }
            rows += [
                Quantity(
                    name=name, value=getattr(shell, key), unit=unit, key=f"{key}_{pair}"
                )
                for key, (name, unit) in named.items()
            ]
        return tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidStructure(Property[LiquidStructureResult]):
    """Radial distribution functions by molecular dynamics.

    Attributes:
        temperature_K: K.
        r_max: Å, largest distance.
        bin_width: Å.
        n_runs: independent runs of the structure, side by side; errors come from how
            they differ.
        sampling: how long, and how.
        pressure_GPa: of an ensemble of constant pressure; others ignore it.
    """

    kind: ClassVar[str] = "liquid_structure"
    title: ClassVar[str] = "Radial distribution and coordination"

    temperature_K: Temperature = 300.0
    r_max: Length = 8.0
    bin_width: Length = 0.05
    n_runs: Annotated[int, Interval(ge=2, le=1000)] = 4
    sampling: Sampling = field(
        default_factory=lambda: Sampling(timestep_fs=2.0, every=50)
    )
    pressure_GPa: Pressure = 0.0

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.bin_width >= self.r_max:
            raise ParameterError(
                f"Wanted bin_width < r_max, got {self.bin_width} and {self.r_max} Å."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """A density is needed to compare with."""
        if not atoms.pbc.all():
            raise StructureError(
                "A radial distribution function compares with the mean density; wanted "
                f"a structure with pbc along three axes, got {atoms.pbc.tolist()}."
            )

    def steps(
        self, atoms: ase.Atoms, potential: Potential
    ) -> Steps[LiquidStructureResult]:
        """Follow it, and count pairs."""
        del potential
        wanted = {"r_max": self.r_max, "bin_width": self.bin_width, "every": 1}
        found = yield from self.sampling.steps(
            [atoms] * self.n_runs,
            [self.temperature_K] * self.n_runs,
            {"rdf": wanted},
            pressure_GPa=self.pressure_GPa,
        )
        runs = [one.observed.rdf for one in found if one.observed.rdf is not None]
        distribution = averaged(runs, ("g", "coordination"))
        shells = first_shells(distribution)
        return LiquidStructureResult(
            temperature_K=float(np.mean([one.temperature_K for one in found])),
            distribution=distribution,
            shells=shells,
            notes=(_ON_COORDINATION,),
        )


def first_shells(distribution: RadialDistribution) -> tuple[Shell, ...]:
    """The first shell of every ordered pair of species that has one.

    A shell is a peak of g above 1, and ends where g, which must fall below 1, is least
    before it rises above 1 again.
    """
    symbols = [name for name in distribution.n_atoms if name != ALL]
    if len(symbols) == 1:
        symbols = [ALL]
    found: list[Shell] = []
    for center in symbols:
        for neighbor in symbols:
            row = distribution.row(center, neighbor)
            ends = _first_peak(distribution.r, distribution.g[row])
            if ends is None:
                continue
            peak, least, height = ends
            neighbors = distribution.coordination_of(center, neighbor)
            within = distribution.coordination[row][least]
            scale = neighbors[least] / within if within else 1.0
            found.append(
                Shell(
                    center=center,
                    neighbor=neighbor,
                    peak=float(distribution.r[peak]),
                    peak_height=height,
                    radius=float(distribution.r_outer[least]),
                    coordination=float(neighbors[least]),
                    coordination_error=float(
                        scale * distribution.coordination_error[row][least]
                    ),
                )
            )
    return tuple(found)


def _first_peak(
    r: Float[np.ndarray, " n_bins"], g: Float[np.ndarray, " n_bins"]
) -> tuple[int, int, float] | None:
    """Bins of the first peak and of the minimum after it, and the peak's height."""
    from scipy.ndimage import gaussian_filter1d  # slow to import

    width = r[1] - r[0]
    sharp = np.asarray(gaussian_filter1d(g, _SMOOTH_PEAK / width))
    smooth = np.asarray(gaussian_filter1d(g, _SMOOTH_MINIMUM / width))
    above = np.flatnonzero(smooth > 1.0)
    if not len(above):
        return None
    below = np.flatnonzero(smooth[above[0] :] < 1.0)
    if not len(below):
        return None
    fallen = above[0] + int(below[0])
    again = np.flatnonzero(smooth[fallen:] > 1.0)
    end = fallen + int(again[0]) if len(again) else len(g)
    peak = above[0] + int(sharp[above[0] : fallen].argmax())
    least = fallen + int(smooth[fallen:end].argmin())
    return int(peak), int(least), float(sharp[peak])
