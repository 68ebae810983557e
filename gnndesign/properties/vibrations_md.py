"""Vibrations as they are in motion: velocity autocorrelation, density of states.

Unlike phonons these know anharmonicity and temperature, and liquids have them, too; zero
frequency is diffusion. See `simulation.observables.velocity_autocorrelation`. At
temperatures at which nuclei are quantum the populations, not the frequencies, are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import ase
import numpy as np
from annotated_types import Interval

from gnndesign.errors import ConvergenceError, ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps
from gnndesign.properties.bounds import Positive, Temperature, check_bounds
from gnndesign.properties.sampling import Sampling, averaged
from gnndesign.simulation.observables.velocity_autocorrelation import (
    VelocityAutocorrelation,
)

_EDGE, _MOST_AT_EDGE = 0.9, 0.01
"""Part of the frequency axis in which no more than that of all states may be."""
_UNDISTURBED = ("nve", "bussi", "nose_hoover")


@dataclass(frozen=True, slots=True, kw_only=True)
class VibrationsMDResult:
    """Velocity autocorrelation and vibrational density of states.

    Attributes:
        temperature_K: mean.
        correlation: both, with errors, for all atoms and every species.
        mean_frequency_THz: of the density of states of all atoms.
        mean_frequency_error_THz: standard error, of how the runs differ.
        peak_frequency_THz: where that density is highest.
        resolution_THz: width at half height that a sharp line gets, which is how well
            the peak is known at best.
        notes: what to know beside the numbers.
    """

    temperature_K: float
    correlation: VelocityAutocorrelation
    mean_frequency_THz: float
    mean_frequency_error_THz: float
    peak_frequency_THz: float
    resolution_THz: float
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        named = {
            "mean_frequency_THz": "Mean frequency",
            "mean_frequency_error_THz": "Error of the mean frequency",
            "peak_frequency_THz": "Peak of the density of states",
            "resolution_THz": "Resolution of the density of states",
        }
        return tuple(
            Quantity(name=name, value=getattr(self, key), unit="THz", key=key)
            for key, name in named.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VibrationsMD(Property[VibrationsMDResult]):
    """The vibrational density of states by molecular dynamics at constant volume.

    Attributes:
        temperature_K: K.
        max_lag_fs: fs; frequencies are told apart from its inverse on.
        n_runs: independent runs of the structure, side by side; errors come from how
            they differ.
        sampling: how long, and how. Samples must be closer than half a period.
    """

    kind: ClassVar[str] = "vibrations_md"
    title: ClassVar[str] = "Vibrations at temperature"

    temperature_K: Temperature = 300.0
    max_lag_fs: Positive = 2000.0
    n_runs: Annotated[int, Interval(ge=2, le=1000)] = 4
    sampling: Sampling = field(
        default_factory=lambda: Sampling(every=4, ensemble="bussi")
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        longest = 100.0 * self.sampling.production_ps
        if not 10 * self.sampling.sample_fs <= self.max_lag_fs <= longest:
            raise ParameterError(
                "Wanted max_lag_fs of ten samples at least and a tenth of the run at "
                f"most, {10 * self.sampling.sample_fs:g} to {longest:g} fs, got "
                f"{self.max_lag_fs:g}."
            )
        self.sampling.require(_UNDISTURBED, "A velocity autocorrelation")

    def steps(
        self, atoms: ase.Atoms, potential: Potential
    ) -> Steps[VibrationsMDResult]:
        """Follow the velocities."""
        del potential
        found = yield from self.sampling.steps(
            [atoms] * self.n_runs,
            [self.temperature_K] * self.n_runs,
            {"vacf": {"max_lag_fs": self.max_lag_fs}},
        )
        runs = [one.observed.vacf for one in found if one.observed.vacf is not None]
        correlation = averaged(runs, ("correlation", "density_of_states"))
        density = correlation.density_of_states[0]
        frequency = correlation.frequency_THz
        step = frequency[1] - frequency[0]
        at_edge = density[frequency > _EDGE * frequency[-1]].sum() * step
        if at_edge > _MOST_AT_EDGE:
            raise ConvergenceError(
                f"{100 * at_edge:.0f} % of the states are near {frequency[-1]:.0f} THz, "
                "the fastest that these samples can tell; faster ones are folded back. "
                f"Take samples more often than every {self.sampling.sample_fs:g} fs."
            )
        means = np.array(
            [float(frequency @ run.density_of_states[0]) * step for run in runs]
        )
        return VibrationsMDResult(
            temperature_K=float(np.mean([one.temperature_K for one in found])),
            correlation=correlation,
            mean_frequency_THz=float(means.mean()),
            mean_frequency_error_THz=float(means.std(ddof=1) / np.sqrt(len(means))),
            peak_frequency_THz=float(frequency[density.argmax()]),
            resolution_THz=1e3 / float(correlation.lag_fs[-1]),
        )
