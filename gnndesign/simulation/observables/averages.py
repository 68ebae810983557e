"""Running averages of a run's scalars, with standard errors by blocking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from gnndesign.simulation.observables.base import Observable
from gnndesign.simulation.observables.block_sums import BlockSums
from gnndesign.simulation.observables.blocking import Blocking
from gnndesign.simulation.observables.moment import Moment
from gnndesign.units import EV_PER_A3_TO_GPA

QUANTITIES = {
    "temperature_K": "temperature",
    "pressure_GPa": "pressure",
    "potential_energy": "potential energy",
    "kinetic_energy": "kinetic energy",
    "total_energy": "total energy",
    "volume": "volume",
    "cell_length_a": "cell length a",
    "cell_length_b": "cell length b",
    "cell_length_c": "cell length c",
    "stress_xx_GPa": "stress xx",
    "stress_yy_GPa": "stress yy",
    "stress_zz_GPa": "stress zz",
    "stress_yz_GPa": "stress yz",
    "stress_xz_GPa": "stress xz",
    "stress_xy_GPa": "stress xy",
}
"""Names of the averages and how they are called in a sentence."""

_CURVE_POINTS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """The mean of a quantity so far. Energies in eV, lengths in Å, volume in Å³.

    Attributes:
        mean: over all samples.
        standard_error: of the mean; None where the run is too short to tell.
        statistical_inefficiency: number of samples that are worth one independent
            one; None where the run is too short to tell or the quantity is constant.
        correlation_time_fs: integrated autocorrelation time: half the statistical
            inefficiency times the time between samples. None as above.
        n_samples: how many.
        message: why there is no standard error; empty where there is one.
        curve_time_fs: (n,) times at which the run was this long; at most 257.
        curve_mean: (n,) the mean up to then.
        curve_error: (n,) its standard error, with variance and statistical
            inefficiency of the whole run; NaN where these are not known.
    """

    mean: float
    standard_error: float | None
    statistical_inefficiency: float | None
    correlation_time_fs: float | None
    n_samples: int
    message: str
    curve_time_fs: Float[np.ndarray, " n"]
    curve_mean: Float[np.ndarray, " n"]
    curve_error: Float[np.ndarray, " n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Averages:
    """Averages of a structure's scalars; None for those without meaning for it.

    Attributes:
        temperature_K: K.
        pressure_GPa: with its kinetic part.
        potential_energy: eV.
        kinetic_energy: eV.
        total_energy: eV, potential and kinetic.
        volume: Å³.
        cell_length_a: Å, of the first lattice vector; b and c of the others.
        stress_xx_GPa: with its kinetic part, positive under tension; minus a third of
            the sum over xx, yy and zz is the pressure.
    """

    temperature_K: Average | None
    pressure_GPa: Average | None
    potential_energy: Average | None
    kinetic_energy: Average | None
    total_energy: Average | None
    volume: Average | None
    cell_length_a: Average | None
    cell_length_b: Average | None
    cell_length_c: Average | None
    stress_xx_GPa: Average | None
    stress_yy_GPa: Average | None
    stress_zz_GPa: Average | None
    stress_yz_GPa: Average | None
    stress_xz_GPa: Average | None
    stress_xy_GPa: Average | None


class AveragesAccumulator(Observable):
    """Averages temperature, pressure, stress, energies, volume and cell lengths."""

    def __init__(self, system: int, **beat: Any) -> None:
        super().__init__(system, **beat)
        self._blocking = Blocking(len(QUANTITIES))
        self._curve = BlockSums((len(QUANTITIES),), _CURVE_POINTS)

    def result(self) -> Averages:
        """The averages so far."""
        estimate = self._blocking.estimate()
        curve = self._curve.blocks()
        number = np.cumsum(curve.counts, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.cumsum(curve.sums, 0) / number
            error = estimate.standard_error * np.sqrt(estimate.n_samples / number)
        # What never changed shows no rounding.
        means = np.where(estimate.standard_error == 0.0, estimate.mean, means)
        passed = self.beat.interval_fs * (number[:, 0] - 1)
        times = self.beat.first_time_fs + passed
        found: dict[str, Average | None] = {}
        for k, name in enumerate(QUANTITIES):
            n = int(estimate.n_samples[k])
            inefficiency = _known(estimate.statistical_inefficiency[k])
            found[name] = (
                None
                if n == 0
                else Average(
                    mean=float(estimate.mean[k]),
                    standard_error=_known(estimate.standard_error[k]),
                    statistical_inefficiency=inefficiency,
                    correlation_time_fs=(
                        None
                        if inefficiency is None
                        else 0.5 * inefficiency * self.beat.interval_fs
                    ),
                    n_samples=n,
                    message=_too_short(QUANTITIES[name], n, estimate.standard_error[k]),
                    curve_time_fs=times,
                    curve_mean=means[:, k],
                    curve_error=error[:, k],
                )
            )
        return Averages(**found)

    def _sample(self, moment: Moment) -> None:
        values = _values(moment)
        self._blocking.add(values)
        self._curve.add(values, slice(None))
        self._curve.advance()

    def _parameters(self) -> dict[str, Any]:
        return {}

    def _content(self) -> dict[str, Any]:
        return {"blocking": self._blocking.content(), "curve": self._curve.content()}

    def _restore(self, content: dict[str, Any]) -> None:
        self._blocking.restore(content["blocking"])
        self._curve.restore(content["curve"])


def _values(moment: Moment) -> Float[np.ndarray, " n_quantities"]:
    """(n_quantities,) in the order of `QUANTITIES`; NaN for what has no meaning."""
    lengths = np.sqrt((moment.cell * moment.cell).sum(1))
    lengths[lengths == 0.0] = np.nan
    stress = moment.stress
    if moment.momenta is not None:
        velocities = moment.momenta / moment.masses[:, None]
        stress = stress - moment.momenta.T @ velocities / moment.volume
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = stress * EV_PER_A3_TO_GPA
    no_volume = np.nan if np.isnan(moment.volume) else 0.0
    return np.array(
        [
            moment.temperature_K,
            moment.pressure_GPa,
            moment.energy,
            moment.kinetic_energy,
            moment.energy + moment.kinetic_energy,
            moment.volume,
            *lengths,
            *(value + no_volume for value in (xx, yy, zz, yz, xz, xy)),
        ]
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _too_short(name: str, n: int, error: float) -> str:
    if not np.isnan(error):
        return ""
    return (
        f"{n} samples are too few to tell the standard error of the {name}: the "
        "averages of its longest blocks still depend on each other. Run longer."
    )
