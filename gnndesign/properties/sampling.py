"""Molecular dynamics on the way to a property: equilibrate, then sample, and check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

import ase
import numpy as np
from annotated_types import Interval
from jaxtyping import Float

from gnndesign.errors import ConvergenceError, ParameterError
from gnndesign.properties.base import End, Steps, Work
from gnndesign.properties.bounds import Count, Seed, check_bounds
from gnndesign.simulation.base import Snapshot, Status
from gnndesign.simulation.dynamics import dynamics_stepper
from gnndesign.simulation.observables import ObservableResults, Observables
from gnndesign.simulation.observables.averages import Average
from gnndesign.simulation.observables.blocking import Blocking
from gnndesign.simulation.observables.radial_distribution import RadialDistribution
from gnndesign.simulation.observables.velocity_autocorrelation import (
    VelocityAutocorrelation,
)
from gnndesign.simulation.phase_space import Dynamics

Observed = TypeVar("Observed", RadialDistribution, VelocityAutocorrelation)

CONSTANT_VOLUME = ("bussi", "nose_hoover", "nve", "langevin")
CONSTANT_PRESSURE = ("npt_cell_rescaling", "npt_mtk")
_DRIFT_ERRORS = 4.0
"""Standard errors by which the halves of a run at equilibrium may differ."""
_FEWEST_SAMPLES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What a structure did at equilibrium.

    Attributes:
        end: of the run.
        observed: what was asked for, and averages.
        temperature_K: mean; at constant energy it is not quite the one wanted.
    """

    end: End
    observed: ObservableResults
    temperature_K: float

    def average(self, name: str) -> tuple[float, float]:
        """Mean and standard error of one of `averages.QUANTITIES`.

        Raises:
            ConvergenceError: the run is too short to tell the error.
        """
        averages = self.observed.averages
        found: Average | None = getattr(averages, name)
        if found is None or found.standard_error is None:
            raise ConvergenceError(
                "no average" if found is None else found.message or "Run longer."
            )
        return found.mean, found.standard_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a structure is brought to equilibrium and followed there.

    Attributes:
        timestep_fs: fs.
        equilibration_ps: ps that are thrown away.
        production_ps: ps that are looked at.
        every: steps between samples.
        ensemble: of the production. At constant volume "bussi" (which hardly disturbs
            how the atoms move), "nose_hoover", "nve" or "langevin" (which does disturb
            it); at constant pressure "npt_cell_rescaling" or "npt_mtk".
        seed: of all random numbers.
    """

    timestep_fs: Annotated[float, Interval(gt=0, le=100)] = 1.0
    equilibration_ps: Annotated[float, Interval(ge=0, le=1e6)] = 5.0
    production_ps: Annotated[float, Interval(gt=0, le=1e6)] = 20.0
    every: Count = 10
    ensemble: str = "bussi"
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.ensemble not in CONSTANT_VOLUME + CONSTANT_PRESSURE:
            raise ParameterError(
                f"Wanted ensemble in {CONSTANT_VOLUME + CONSTANT_PRESSURE}, got "
                f"{self.ensemble!r}."
            )
        n_samples = self.n_steps(self.production_ps) // self.every
        if n_samples < _FEWEST_SAMPLES:
            raise ParameterError(
                f"Wanted {_FEWEST_SAMPLES} samples or more, got every = "
                f"{self.every}, which gives {n_samples} samples in "
                f"{self.production_ps} ps."
            )

    def n_steps(self, time_ps: float) -> int:
        """In a time."""
        return round(1e3 * time_ps / self.timestep_fs)

    @property
    def sample_fs(self) -> float:
        """Fs between samples."""
        return self.every * self.timestep_fs

    def require(self, ensembles: Sequence[str], what: str) -> None:
        """Say no to an ensemble that a property cannot use.

        Raises:
            ParameterError: names those that it can.
        """
        if self.ensemble not in ensembles:
            raise ParameterError(
                f"{what} wants an ensemble in {tuple(ensembles)}, got "
                f"{self.ensemble!r}."
            )

    def steps(
        self,
        structures: Sequence[ase.Atoms],
        temperatures_K: Sequence[float],
        observables: Mapping[str, Mapping[str, Any]],
        *,
        watch: Callable[[Snapshot], None] | None = None,
        pressure_GPa: float = 0.0,
        cell: str = "isotropic",
    ) -> Steps[list[Sampled]]:
        """Equilibrate and sample structures side by side, each at its temperature.

        Args:
            structures: where they begin.
            temperatures_K: one for each.
            observables: what to observe beside averages, as in `Observables.create`.
            watch: told every snapshot of the production; ids are places.
            pressure_GPa: of an ensemble of constant pressure; others ignore it.
            cell: what of the cell follows the pressure, likewise.

        Raises:
            ConvergenceError: one of them diverged, or was not at equilibrium.
        """
        temperatures = tuple(map(float, temperatures_K))
        barostat = {"pressure_GPa": pressure_GPa, "cell": cell}
        if self.ensemble not in CONSTANT_PRESSURE:
            barostat = {}
        settled = yield from self._equilibrated(structures, temperatures, barostat)
        wanted = {"averages": {}, **observables}
        masses = {place: atoms.get_masses() for place, atoms in enumerate(settled)}
        seen = Observables.create(wanted, spacing=self.every, masses=masses)
        energies: list[list[float]] = [[] for _ in settled]

        def look(snapshot: Snapshot) -> None:
            seen.add(snapshot)
            for place, energy in zip(snapshot.ids, snapshot.energy, strict=True):
                energies[place].append(float(energy))
            if watch is not None:
                watch(snapshot)

        ends = yield Work(
            stepper=self.stepper(self.ensemble, temperatures, self.seed, barostat),
            structures=settled,
            max_steps=self.n_steps(self.production_ps),
            every=self.every,
            on_snapshot=look,
        )
        for end, heat, series in zip(ends, temperatures, energies, strict=True):
            check_finished(end, heat)
            check_steady(np.array(series), f"potential energy at {heat:g} K")
        found: list[Sampled] = []
        for place, end in enumerate(ends):
            observed = seen.results(place)
            averages = observed.averages
            assert averages is not None, "averages are always observed"
            assert averages.temperature_K is not None, "dynamics has a temperature"
            found.append(
                Sampled(
                    end=end,
                    observed=observed,
                    temperature_K=averages.temperature_K.mean,
                )
            )
        return found

    def _equilibrated(
        self,
        structures: Sequence[ase.Atoms],
        temperatures: tuple[float, ...],
        barostat: Mapping[str, Any],
    ) -> Steps[list[ase.Atoms]]:
        """The structures, with momenta, after the time of equilibration."""
        n_steps = self.n_steps(self.equilibration_ps)
        if not n_steps:
            return list(structures)
        # Friction brings any start to its temperature; a barostat needs its own.
        stepper = self.stepper(
            self.ensemble if barostat else "langevin",
            temperatures,
            # Not the random numbers of the production once more.
            self.seed + 1,
            barostat,
        )
        ends = yield Work(
            stepper=stepper, structures=structures, max_steps=n_steps, every=n_steps
        )
        for end, heat in zip(ends, temperatures, strict=True):
            check_finished(end, heat)
        return [end.atoms for end in ends]

    def stepper(
        self,
        ensemble: str,
        temperatures: tuple[float, ...],
        seed: int,
        more: Mapping[str, Any],
    ) -> Dynamics:
        """Of an ensemble, each structure at its temperature."""
        return dynamics_stepper(
            ensemble,
            timestep_fs=self.timestep_fs,
            temperature_K=temperatures,
            seed=seed,
            **more,
        )


def ascending(values: tuple[float, ...], *, at_least: int) -> tuple[float, ...]:
    """Temperatures in ascending order.

    Raises:
        ParameterError: too few, one twice, or one not above 0 K.
    """
    ordered = tuple(sorted(map(float, values)))
    if len(set(ordered)) != len(ordered) or len(ordered) < at_least:
        raise ParameterError(
            f"Wanted {at_least} or more different temperatures, got {values}."
        )
    if not ordered[0] > 0:
        raise ParameterError(f"Wanted temperatures above 0 K, got {ordered[0]}.")
    return ordered


def check_steady(series: Float[np.ndarray, " n_samples"], what: str) -> None:
    """Refuse a series whose halves differ by more than chance allows.

    Args:
        series: (n_samples,) of a run that should be at equilibrium.
        what: it is, for the message.

    Raises:
        ConvergenceError: it drifts.
    """
    halves = np.array_split(series, 2)
    means, errors = np.array([_mean_and_error(half) for half in halves]).T
    apart = abs(means[1] - means[0])
    error = float(np.sqrt((errors**2).sum()))
    if apart > _DRIFT_ERRORS * error:
        raise ConvergenceError(
            f"The run was not at equilibrium: the {what} differs by {apart:.3g} between "
            f"its halves, with a standard error of {error:.2g}. Equilibrate longer."
        )


def _mean_and_error(series: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Of correlated samples; that of blocks of a fifth where blocking cannot tell."""
    blocks = Blocking(1)
    for value in series:
        blocks.add(np.array([value]))
    error = float(blocks.estimate().standard_error[0])
    if np.isnan(error):
        fifths = [part.mean() for part in np.array_split(series, 5)]
        error = float(np.std(fifths, ddof=1) / np.sqrt(5))
    return float(series.mean()), error


def check_finished(end: End, temperature_K: float) -> None:
    """Refuse a run that did not make all its steps.

    Raises:
        ConvergenceError: says what stopped it.
    """
    if end.status is not Status.FINISHED:
        raise ConvergenceError(
            f"Molecular dynamics at {temperature_K:g} K ended after {end.steps} steps: "
            f"{end.message or end.status.name.lower()}"
        )


def averaged(runs: Sequence[Observed], names: Sequence[str]) -> Observed:
    """The mean of what independent runs observed, with how they differ.

    Args:
        runs: two or more, alike.
        names: of the arrays that are averaged; the standard error of each takes the
            place of its `NAME_error`.
    """
    mean: dict[str, Any] = {}
    for name in names:
        values = np.stack([getattr(run, name) for run in runs])
        mean[name] = values.mean(0)
        mean[f"{name}_error"] = values.std(0, ddof=1) / np.sqrt(len(runs))
    n_samples = sum(run.n_samples for run in runs)
    return replace(runs[0], **mean, n_samples=n_samples, message="")
