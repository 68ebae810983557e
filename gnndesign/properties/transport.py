"""Diffusion coefficients at one or more temperatures, and their activation energy.

The coefficient is the slope of the mean squared displacement (see
`simulation.observables.diffusion`). Over temperatures (S. Arrhenius, Z. Phys. Chem. 4, 226
(1889)):

    D(T) = D0 exp(-E_a / k_B T)

In a periodic cell of length L a liquid's coefficient comes out too small by k_B T ξ / (6 π
η L), ξ = 2.837297 (I.-C. Yeh and G. Hummer, J. Phys. Chem. B 108, 15873 (2004)).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import ase
import numpy as np
from jaxtyping import Float

from gnndesign.errors import ConvergenceError, FitError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps
from gnndesign.properties.sampling import (
    CONSTANT_VOLUME,
    Sampled,
    Sampling,
    ascending,
)
from gnndesign.properties.straight_line import StraightLine, fit_line
from gnndesign.units import BOLTZMANN_EV_PER_K, ELEMENTARY_CHARGE_C

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
        sampling: how long, and how.
    """

    kind: ClassVar[str] = "diffusion"
    title: ClassVar[str] = "Diffusion"

    temperatures_K: tuple[float, ...] = (1000.0,)
    sampling: Sampling = field(
        default_factory=lambda: Sampling(timestep_fs=2.0, production_ps=50.0)
    )

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "temperatures_K", ascending(self.temperatures_K, at_least=1)
        )
        self.sampling.require(CONSTANT_VOLUME, "Diffusion")

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[DiffusionResult]:
        """Follow the atoms at all temperatures."""
        del potential
        copies = [atoms] * len(self.temperatures_K)
        found = yield from self.sampling.steps(copies, self.temperatures_K, {"msd": {}})
        return _diffusion_result(found)


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


def _diffusion_result(found: list[Sampled]) -> DiffusionResult:
    displaced = [one.observed.msd for one in found]
    first = displaced[0]
    assert first is not None, "it was asked for"
    coefficients = np.full((len(found), len(first.species)), np.nan)
    errors = coefficients.copy()
    notes = [_FINITE_SIZE]
    for row, (one, msd) in enumerate(zip(found, displaced, strict=True)):
        assert msd is not None, "it was asked for"
        for column, line in enumerate(msd.diffusion):
            where = f"{msd.species[column]} at {one.temperature_K:.0f} K"
            value, error = line.coefficient_cm2_per_s, line.error_cm2_per_s
            if value is None or error is None or not np.isfinite(error):
                raise ConvergenceError(f"Diffusion of {where}: {line.message}")
            coefficients[row, column], errors[row, column] = value, error
            if line.message:
                notes.append(f"Diffusion of {where}: {line.message}")
    heats = np.array([one.temperature_K for one in found])
    fits: dict[str, Arrhenius] = {}
    for column, symbol in enumerate(first.species):
        try:
            fit = arrhenius(heats, coefficients[:, column], errors[:, column])
        except FitError as error:
            if len(heats) > 1:
                notes.append(f"{symbol} has no activation energy: {error}")
        else:
            fits[symbol] = fit
    n_lags = min(len(msd.lag_fs) for msd in displaced if msd is not None)
    return DiffusionResult(
        species=first.species,
        temperatures_K=heats,
        coefficients_cm2_per_s=coefficients,
        errors_cm2_per_s=errors,
        lag_fs=first.lag_fs[:n_lags],
        displacements=np.stack([m.displacement[:, :n_lags] for m in displaced if m]),
        displacement_errors=np.stack(
            [m.displacement_error[:, :n_lags] for m in displaced if m]
        ),
        arrhenius=fits,
        notes=tuple(notes),
    )


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
