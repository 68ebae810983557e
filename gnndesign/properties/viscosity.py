"""Shear viscosity of a liquid from the fluctuations of its stress (Green and Kubo).

    η = V / (k_B T) ∫_0^∞ < P_ab(0) P_ab(t) > dt,   P = (Σ p p / m) / V - σ

with σ the stress of the potential, averaged over the five independent shear components
P_xy, P_xz, P_yz, (P_xx - P_yy)/2, (P_yy - P_zz)/2 (M. P. Allen and D. J. Tildesley,
Computer Simulation of Liquids, 2nd ed. (2017), section 2.7; D. Alfè and M. J. Gillan,
Phys. Rev. Lett. 81, 5161 (1998)). The integral is taken to where the correlation is lost
in its noise, and its error from independent runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import ase
import numpy as np
from annotated_types import Interval
from jaxtyping import Float

from gnndesign.errors import ConvergenceError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps
from gnndesign.properties.bounds import Temperature, check_bounds
from gnndesign.properties.sampling import Sampling
from gnndesign.simulation.base import Snapshot
from gnndesign.units import BOLTZMANN_EV_PER_K, EV_PER_A3_TO_GPA

_TO_MPA_S = EV_PER_A3_TO_GPA * 1e-3
"""mPa s in eV fs/Å³."""
_UNDISTURBED = ("nve", "bussi", "nose_hoover")
_LONGEST_LAG = 0.2
"""Of the run; later lags have too few pairs of moments."""
_FROZEN = 2.0
"""Å², mean squared displacement that vibration reaches, too."""
_ON_SLOW_LIQUIDS = (
    "What the stress remembers beyond the plateau is not counted, which makes the "
    "viscosity of a slow liquid too small."
)
_RISE_ERRORS = 3.0
"""Standard errors by which a plateau may rise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViscosityResult:
    """Shear viscosity and the integral behind it.

    Attributes:
        temperature_K: mean.
        viscosity_mPa_s: η.
        viscosity_error_mPa_s: standard error, of how the runs differ.
        lag_fs: (n_lags,).
        correlation: (n_lags,) of the shear stress, 1 at lag 0; mean of the runs.
        correlation_error: (n_lags,) standard error.
        integral_mPa_s: (n_lags,) η if the integral ended there; mean of the runs.
        integral_error_mPa_s: (n_lags,) standard error.
        plateau_fs: from where to where the integral was averaged.
        notes: what to know beside the numbers.
    """

    temperature_K: float
    viscosity_mPa_s: float
    viscosity_error_mPa_s: float
    lag_fs: Float[np.ndarray, " n_lags"]
    correlation: Float[np.ndarray, " n_lags"]
    correlation_error: Float[np.ndarray, " n_lags"]
    integral_mPa_s: Float[np.ndarray, " n_lags"]
    integral_error_mPa_s: Float[np.ndarray, " n_lags"]
    plateau_fs: tuple[float, float]
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        named = {
            "viscosity_mPa_s": "Viscosity",
            "viscosity_error_mPa_s": "Error of the viscosity",
        }
        return tuple(
            Quantity(name=name, value=getattr(self, key), unit="mPa s", key=key)
            for key, name in named.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Viscosity(Property[ViscosityResult]):
    """Shear viscosity by molecular dynamics at constant volume.

    Attributes:
        temperature_K: K.
        n_runs: independent runs of the structure, side by side in one batch.
        sampling: how long, and how. Samples must be closer than the stress changes.
    """

    kind: ClassVar[str] = "viscosity"
    title: ClassVar[str] = "Viscosity"

    temperature_K: Temperature = 300.0
    n_runs: Annotated[int, Interval(ge=3, le=1000)] = 8
    sampling: Sampling = field(
        default_factory=lambda: Sampling(
            timestep_fs=2.0, every=5, equilibration_ps=10.0, production_ps=100.0
        )
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        self.sampling.require(_UNDISTURBED, "A viscosity")

    def refuse(self, atoms: ase.Atoms) -> None:
        """A stress needs a volume."""
        if not atoms.pbc.all() or atoms.constraints:
            raise StructureError(
                "A viscosity wants a liquid with pbc along three axes and no "
                f"constraints, got pbc {atoms.pbc.tolist()} and "
                f"{len(atoms.constraints)} constraints."
            )

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[ViscosityResult]:
        """Follow the stress in several runs."""
        del potential
        series: list[list[np.ndarray]] = [[] for _ in range(self.n_runs)]

        def look(snapshot: Snapshot) -> None:
            for index, place in enumerate(snapshot.ids):
                series[place].append(shear_pressures(snapshot, index))

        found = yield from self.sampling.steps(
            [atoms] * self.n_runs,
            [self.temperature_K] * self.n_runs,
            {"msd": {}},
            watch=look,
        )
        heats = np.array([one.temperature_K for one in found])
        pressures = np.array(series)
        result = green_kubo(
            pressures,
            sample_fs=self.sampling.sample_fs,
            temperatures_K=heats,
            volume=atoms.get_volume(),
        )
        for one in found:
            assert one.observed.msd is not None, "it was asked for"
            longest = one.observed.msd.displacement[:, -1]
            if (longest < _FROZEN).any():
                raise ConvergenceError(
                    "No liquid: a species is displaced by no more than "
                    f"{np.sqrt(longest.min()):.2f} Å, root mean square, during a run. A "
                    "solid or a glass has no viscosity that a simulation could see."
                )
        return result


def shear_pressures(snapshot: Snapshot, index: int) -> Float[np.ndarray, " 5"]:
    """(5,) eV/Å³, the independent shear components with their kinetic part."""
    part = snapshot.atom_range(index)
    assert snapshot.momenta is not None, "dynamics has momenta"
    assert snapshot.masses is not None, "a run knows its masses"
    momenta = snapshot.momenta[part]
    kinetic = momenta.T @ (momenta / snapshot.masses[part, None])
    p = kinetic / snapshot.volume[index] - snapshot.stress[index]
    halves = (p[0, 0] - p[1, 1]) / 2, (p[1, 1] - p[2, 2]) / 2
    return np.array([p[0, 1], p[0, 2], p[1, 2], *halves])


def green_kubo(
    pressures: Float[np.ndarray, "n_runs n_samples 5"],
    *,
    sample_fs: float,
    temperatures_K: Float[np.ndarray, " n_runs"],
    volume: float,
) -> ViscosityResult:
    """The viscosity from shear pressures of independent runs.

    Args:
        pressures: (n_runs, n_samples, 5) eV/Å³.
        sample_fs: fs between samples.
        temperatures_K: (n_runs,).
        volume: Å³.

    Raises:
        ConvergenceError: the correlation does not decay within the run, or its integral
            still rises after it has.
    """
    n_lags = int(_LONGEST_LAG * pressures.shape[1])
    correlations = _autocorrelations(pressures, n_lags)
    of_runs = correlations.mean(-1)
    root = np.sqrt(len(of_runs))
    mean = of_runs.mean(0)
    error = correlations.std((0, 2), ddof=1) / np.sqrt(len(of_runs) * 5)
    middle = 0.5 * (of_runs[:, 1:] + of_runs[:, :-1]) * sample_fs
    sums = np.concatenate([np.zeros((len(of_runs), 1)), middle.cumsum(1)], 1)
    factor = volume / (BOLTZMANN_EV_PER_K * temperatures_K) * _TO_MPA_S
    integrals = factor[:, None] * sums
    lost = np.flatnonzero(mean < error)
    end = 2 * int(lost[0]) if len(lost) else n_lags
    if not len(lost) or end >= n_lags:
        raise ConvergenceError(
            "The stress is correlated for longer than "
            f"{n_lags * sample_fs / 2e3:.3g} ps, a tenth of the run. Run longer."
        )
    first, last = (
        integrals[:, end // 2 : end + 1],
        integrals[:, (3 * end) // 4 : end + 1],
    )
    values = first.mean(1)
    rise = 2 * (last.mean(1) - values)
    value, uncertain = values.mean(), values.std(ddof=1) / root
    if abs(rise.mean()) > _RISE_ERRORS * max(rise.std(ddof=1) / root, uncertain):
        raise ConvergenceError(
            f"The integral of the stress correlation has no plateau: it rises by "
            f"{rise.mean():.2g} mPa s of {value:.2g} after the correlation is lost in "
            "noise. Run longer, or more often."
        )
    if not value > 2 * uncertain:
        raise ConvergenceError(
            f"The viscosity cannot be told from zero: {value:.2g} with a standard error "
            f"of {uncertain:.2g} mPa s. Run longer, or more often."
        )
    return ViscosityResult(
        temperature_K=float(temperatures_K.mean()),
        viscosity_mPa_s=float(value),
        viscosity_error_mPa_s=float(uncertain),
        lag_fs=np.arange(n_lags) * sample_fs,
        correlation=mean / mean[0],
        correlation_error=error / mean[0],
        integral_mPa_s=integrals.mean(0),
        integral_error_mPa_s=integrals.std(0, ddof=1) / root,
        plateau_fs=(end // 2 * sample_fs, end * sample_fs),
        notes=(_ON_SLOW_LIQUIDS,),
    )


def _autocorrelations(
    series: Float[np.ndarray, "n_runs n_samples 5"], n_lags: int
) -> Float[np.ndarray, "n_runs n_lags 5"]:
    """< x(0) x(t) > over all origins, by fast Fourier transforms."""
    n = series.shape[1]
    spectrum = np.fft.rfft(series, 2 * n, axis=1)
    products = np.fft.irfft(abs(spectrum) ** 2, axis=1)[:, :n_lags]
    return products / (n - np.arange(n_lags))[:, None]
