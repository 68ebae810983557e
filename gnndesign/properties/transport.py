"""Diffusion coefficients at one or more temperatures, and their activation energy.

The coefficient is the slope of the mean squared displacement (A. Einstein, Ann. Phys. 322,
549 (1905)), with an error from independent runs:

    < |u(t + τ) - u(t)|² > = a + 6 D τ

Over temperatures (S. Arrhenius, Z. Phys. Chem. 4, 226
(1889)):

    D(T) = D0 exp(-E_a / k_B T)

In a periodic cell of length L a liquid's coefficient comes out too small by k_B T ξ / (6 π
η L), ξ = 2.837297 (I.-C. Yeh and G. Hummer, J. Phys. Chem. B 108, 15873 (2004)).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import ase
import numpy as np
from annotated_types import Interval
from jaxtyping import Float

from gnndesign.errors import ConvergenceError, FitError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps
from gnndesign.properties.bounds import Temperature, check_bounds
from gnndesign.properties.sampling import (
    CONSTANT_VOLUME,
    Sampled,
    Sampling,
    ascending,
)
from gnndesign.properties.straight_line import StraightLine, fit_line
from gnndesign.units import BOLTZMANN_EV_PER_K, ELEMENTARY_CHARGE_C

_TO_CM2_PER_S = 1e-1 / 6
"""Å²/fs of the slope to cm²/s of the coefficient."""
_WINDOW = 0.25
"""Part of the longest lag, itself a fifth of a run, from which the slope is taken."""
_BENT_ERRORS = 3.0
"""Standard errors by which the slopes of both parts of the window may differ."""
_FINITE_SIZE = (
    "In a periodic cell the diffusion of a liquid comes out too small, by a few to some "
    "tens of percent; compare with a larger cell."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrhenius:
    """How the diffusion of a species depends on temperature.

    Attributes:
        activation_energy: E_a, eV.
        activation_energy_error: standard error, eV.
        prefactor_cm2_per_s: D0.
        line: ln(D / (cm²/s)) against 1 / k_B T (1/eV).
    """

    activation_energy: float
    activation_energy_error: float
    prefactor_cm2_per_s: float
    line: StraightLine


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionResult:
    """Diffusion coefficients of the species of a structure.

    Attributes:
        species: (n_species,) chemical symbols.
        temperatures_K: (n_temperatures,) those that were there.
        coefficients_cm2_per_s: (n_temperatures, n_species).
        errors_cm2_per_s: (n_temperatures, n_species) standard errors.
        lag_fs: (n_lags,).
        displacements: (n_temperatures, n_species, n_lags) Å², mean squared.
        displacement_errors: (n_temperatures, n_species, n_lags) standard errors.
        arrhenius: by species, where there were several temperatures and all
            coefficients can be told from zero.
        notes: what to know beside the numbers.
    """

    species: tuple[str, ...]
    temperatures_K: Float[np.ndarray, " n_temperatures"]
    coefficients_cm2_per_s: Float[np.ndarray, "n_temperatures n_species"]
    errors_cm2_per_s: Float[np.ndarray, "n_temperatures n_species"]
    lag_fs: Float[np.ndarray, " n_lags"]
    displacements: Float[np.ndarray, "n_temperatures n_species n_lags"]
    displacement_errors: Float[np.ndarray, "n_temperatures n_species n_lags"]
    arrhenius: dict[str, Arrhenius]
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table: at the first temperature, and the activation energies."""
        rows: list[Quantity] = []
        for column, symbol in enumerate(self.species):
            heat = f"{self.temperatures_K[0]:.0f} K"
            named = {
                "coefficients_cm2_per_s": f"Diffusion of {symbol} at {heat}",
                "errors_cm2_per_s": f"Error of the diffusion of {symbol}",
            }
            rows += [
                Quantity(
                    name=name,
                    value=float(getattr(self, key)[0, column]),
                    unit="cm²/s",
                    key=f"{key}_{symbol}",
                )
                for key, name in named.items()
            ]
        for symbol, fit in self.arrhenius.items():
            named = {
                "activation_energy": f"Activation energy of {symbol}",
                "activation_energy_error": f"Error of the activation energy of {symbol}",
            }
            rows += [
                Quantity(
                    name=name, value=getattr(fit, key), unit="eV", key=f"{key}_{symbol}"
                )
                for key, name in named.items()
            ]
        return tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diffusion(Property[DiffusionResult]):
    """Diffusion coefficients by molecular dynamics at constant volume.

    Attributes:
        temperatures_K: one or more, side by side in one batch, all in the cell given.
        n_runs: independent runs at each, side by side, too.
        sampling: how long, and how.
    """

    kind: ClassVar[str] = "diffusion"
    title: ClassVar[str] = "Diffusion"

    temperatures_K: tuple[Temperature, ...] = (1000.0,)
    n_runs: Annotated[int, Interval(ge=3, le=1000)] = 4
    sampling: Sampling = field(
        default_factory=lambda: Sampling(timestep_fs=2.0, production_ps=50.0)
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        object.__setattr__(
            self, "temperatures_K", ascending(self.temperatures_K, at_least=1)
        )
        self.sampling.require(CONSTANT_VOLUME, "Diffusion")

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[DiffusionResult]:
        """Follow the atoms at all temperatures."""
        del potential
        heats = [heat for heat in self.temperatures_K for _ in range(self.n_runs)]
        found = yield from self.sampling.steps([atoms] * len(heats), heats, {"msd": {}})
        return _diffusion_result(found, self.n_runs)


def yeh_hummer_cm2_per_s(
    temperature_K: float, viscosity_mPa_s: float, volume: float
) -> float:
    """What a periodic cube takes from the diffusion coefficient of a liquid, cm²/s.

    Args:
        temperature_K: K.
        viscosity_mPa_s: of the liquid.
        volume: Å³ of the cube.
    """
    kT_J = BOLTZMANN_EV_PER_K * temperature_K * ELEMENTARY_CHARGE_C
    length_m = 1e-10 * np.cbrt(volume)
    return float(
        1e4 * 2.837297 * kT_J / (6 * np.pi * 1e-3 * viscosity_mPa_s * length_m)
    )


def _diffusion_result(found: list[Sampled], n_runs: int) -> DiffusionResult:
    """Of runs that are sorted by temperature."""
    displaced = [one.observed.msd for one in found if one.observed.msd is not None]
    species, lag_fs = displaced[0].species, displaced[0].lag_fs
    longest = lag_fs[-1] / 5
    lag_fs = lag_fs[lag_fs <= longest]
    shape = len(found) // n_runs, n_runs, len(species), len(lag_fs)
    curves = np.stack([msd.displacement[:, : len(lag_fs)] for msd in displaced])
    curves = curves.reshape(shape)
    heats = np.array([one.temperature_K for one in found]).reshape(shape[:2]).mean(1)
    notes = [_FINITE_SIZE]
    coefficients, errors = np.empty(shape[::2]), np.empty(shape[::2])
    for row, heat in enumerate(heats):
        for column, symbol in enumerate(species):
            where = f"{symbol} at {heat:.0f} K"
            value, error = slope_of_runs(lag_fs, curves[row, :, column], where)
            coefficients[row, column], errors[row, column] = value, error
            if value < 2 * error:
                notes.append(
                    f"The diffusion of {where} cannot be told from zero: nothing "
                    "diffuses, or the runs are too short."
                )
    fits: dict[str, Arrhenius] = {}
    for column, symbol in enumerate(species):
        try:
            fit = arrhenius(heats, coefficients[:, column], errors[:, column])
        except FitError as error:
            if len(heats) > 1:
                notes.append(f"{symbol} has no activation energy: {error}")
        else:
            fits[symbol] = fit
    return DiffusionResult(
        species=species,
        temperatures_K=heats,
        coefficients_cm2_per_s=coefficients,
        errors_cm2_per_s=errors,
        lag_fs=lag_fs,
        displacements=curves.mean(1),
        displacement_errors=curves.std(1, ddof=1) / np.sqrt(n_runs),
        arrhenius=fits,
        notes=tuple(notes),
    )


def slope_of_runs(
    lag_fs: Float[np.ndarray, " n_lags"],
    displacements: Float[np.ndarray, "n_runs n_lags"],
    where: str,
) -> tuple[float, float]:
    """Diffusion coefficient and its standard error, cm²/s.

    Args:
        lag_fs: (n_lags,) ascending.
        displacements: (n_runs, n_lags) Å², mean squared, of independent runs.
        where: species and temperature, for the message.

    Raises:
        ConvergenceError: too few lags, or not linear in the longer half of them.
    """
    longest = lag_fs[-1]
    lower = (lag_fs >= _WINDOW * longest) & (lag_fs <= np.sqrt(_WINDOW) * longest)
    upper = lag_fs >= np.sqrt(_WINDOW) * longest
    if min(lower.sum(), upper.sum()) < 3:
        raise ConvergenceError(
            f"Diffusion of {where}: {len(lag_fs)} lags are too few for a slope. Run "
            "longer, or take samples more often."
        )
    both = lower | upper
    slopes = np.polyfit(lag_fs[both], displacements[:, both].T, 1)[0]
    change = (
        np.polyfit(lag_fs[upper], displacements[:, upper].T, 1)[0]
        - np.polyfit(lag_fs[lower], displacements[:, lower].T, 1)[0]
    )
    root = np.sqrt(len(slopes))
    error = slopes.std(ddof=1) / root
    bent = abs(change.mean())
    if bent > _BENT_ERRORS * max(change.std(ddof=1) / root, error):
        raise ConvergenceError(
            f"Diffusion of {where}: the mean squared displacement is not yet linear in "
            f"time between {_WINDOW * longest:.3g} and {longest:.3g} fs. Run longer."
        )
    return float(slopes.mean() * _TO_CM2_PER_S), float(error * _TO_CM2_PER_S)


def arrhenius(
    temperatures_K: Float[np.ndarray, " n"],
    coefficients_cm2_per_s: Float[np.ndarray, " n"],
    errors_cm2_per_s: Float[np.ndarray, " n"],
) -> Arrhenius:
    """Activation energy from diffusion coefficients with their errors.

    Raises:
        FitError: fewer than two temperatures, a coefficient that cannot be told from
            zero, or no straight line.
    """
    if (coefficients_cm2_per_s < 2 * errors_cm2_per_s).any():
        raise FitError("a diffusion coefficient cannot be told from zero. Run longer.")
    line = fit_line(
        1 / (BOLTZMANN_EV_PER_K * temperatures_K),
        np.log(coefficients_cm2_per_s),
        errors_cm2_per_s / coefficients_cm2_per_s,
    )
    return Arrhenius(
        activation_energy=-line.slope,
        activation_energy_error=line.slope_error,
        prefactor_cm2_per_s=float(np.exp(line.intercept)),
        line=line,
    )
