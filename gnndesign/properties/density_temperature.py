"""Density against temperature at constant pressure, and thermal expansion.

α = (1/V) dV/dT at constant pressure: the slope of ln V against T.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import ase
import numpy as np
from jaxtyping import Float

from gnndesign.errors import FitError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps
from gnndesign.properties.bounds import Pressure, Temperature, check_bounds
from gnndesign.properties.sampling import CONSTANT_PRESSURE, Sampling, ascending
from gnndesign.properties.straight_line import StraightLine, fit_line
from gnndesign.units import ATOMIC_MASS_KG

AMU_PER_A3_TO_G_PER_CM3 = 1e27 * ATOMIC_MASS_KG
"""Multiply amu/Å³ by this to have g/cm³ (1.66054)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityTemperatureResult:
    """Density at several temperatures.

    Attributes:
        pressure_GPa: all along.
        temperatures_K: (n_temperatures,).
        volumes: (n_temperatures,) Å³ of the cell, means.
        volume_errors: (n_temperatures,) standard errors.
        densities_g_per_cm3: (n_temperatures,).
        density_errors_g_per_cm3: (n_temperatures,) standard errors.
        expansion_per_K: volumetric thermal expansion, mean over the range; NaN where
            ln V is no straight line in T, or for one temperature.
        expansion_error_per_K: standard error.
        line: ln(V / Å³) against T; None likewise.
        notes: what to know beside the numbers.
    """

    pressure_GPa: float
    temperatures_K: Float[np.ndarray, " n_temperatures"]
    volumes: Float[np.ndarray, " n_temperatures"]
    volume_errors: Float[np.ndarray, " n_temperatures"]
    densities_g_per_cm3: Float[np.ndarray, " n_temperatures"]
    density_errors_g_per_cm3: Float[np.ndarray, " n_temperatures"]
    expansion_per_K: float
    expansion_error_per_K: float
    line: StraightLine | None
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table: at the first temperature, and the expansion."""
        heat = f"at {self.temperatures_K[0]:.0f} K"
        return (
            Quantity(
                name=f"Density {heat}",
                value=float(self.densities_g_per_cm3[0]),
                unit="g/cm³",
                key="densities_g_per_cm3",
            ),
            Quantity(
                name="Error of the density",
                value=float(self.density_errors_g_per_cm3[0]),
                unit="g/cm³",
                key="density_errors_g_per_cm3",
            ),
            Quantity(
                name="Volumetric thermal expansion",
                value=self.expansion_per_K,
                unit="1/K",
                key="expansion_per_K",
            ),
            Quantity(
                name="Error of the thermal expansion",
                value=self.expansion_error_per_K,
                unit="1/K",
                key="expansion_error_per_K",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityTemperature(Property[DensityTemperatureResult]):
    """Density by molecular dynamics at constant pressure.

    Attributes:
        temperatures_K: one or more, side by side in one batch.
        pressure_GPa: positive under compression.
        cell: "isotropic", or "full" for crystals that are not cubic.
        sampling: how long, and how.
    """

    kind: ClassVar[str] = "density_temperature"
    title: ClassVar[str] = "Density against temperature"

    temperatures_K: tuple[Temperature, ...] = (300.0, 400.0, 500.0)
    pressure_GPa: Pressure = 0.0
    cell: str = "isotropic"
    sampling: Sampling = field(
        default_factory=lambda: Sampling(
            timestep_fs=2.0, ensemble="npt_mtk", equilibration_ps=10.0
        )
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        object.__setattr__(
            self, "temperatures_K", ascending(self.temperatures_K, at_least=1)
        )
        self.sampling.require(CONSTANT_PRESSURE, "A density against temperature")

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only what fills space has a density."""
        if not atoms.pbc.all():
            raise StructureError(
                "A density wants a structure with pbc along three axes, got "
                f"{atoms.pbc.tolist()}."
            )

    def steps(
        self, atoms: ase.Atoms, potential: Potential
    ) -> Steps[DensityTemperatureResult]:
        """Follow the volume at all temperatures."""
        del potential
        found = yield from self.sampling.steps(
            [atoms] * len(self.temperatures_K),
            self.temperatures_K,
            {},
            pressure_GPa=self.pressure_GPa,
            cell=self.cell,
        )
        volumes, errors = np.array([one.average("volume") for one in found]).T
        heats = np.array(self.temperatures_K)
        notes: list[str] = []
        line = None
        try:
            line = fit_line(heats, np.log(volumes), errors / volumes)
        except FitError as error:
            if len(heats) > 1:
                notes.append(f"No thermal expansion: {error}")
        density = atoms.get_masses().sum() / volumes * AMU_PER_A3_TO_G_PER_CM3
        return DensityTemperatureResult(
            pressure_GPa=self.pressure_GPa,
            temperatures_K=heats,
            volumes=volumes,
            volume_errors=errors,
            densities_g_per_cm3=density,
            density_errors_g_per_cm3=density * errors / volumes,
            expansion_per_K=float("nan") if line is None else line.slope,
            expansion_error_per_K=float("nan") if line is None else line.slope_error,
            line=line,
            notes=tuple(notes),
        )
