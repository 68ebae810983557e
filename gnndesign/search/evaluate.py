"""Evaluating candidates: build them, relax them in one batch, compute the objectives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ase

from gnndesign.errors import GNNDesignError, ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.search.objectives import Objective, RelaxedCandidate
from gnndesign.search.space import Candidate, Space
from gnndesign.search.trials import TrialStatus
from gnndesign.simulation.base import Status
from gnndesign.simulation.cell import CellMode
from gnndesign.simulation.relaxation import Relaxation, relax
from gnndesign.structures.convert import atoms_to_dict

_STATUS = {
    Status.CONVERGED: TrialStatus.CONVERGED,
    Status.STEP_LIMIT: TrialStatus.STEP_LIMIT,
    Status.DIVERGED: TrialStatus.DIVERGED,
    Status.STOPPED: TrialStatus.INTERRUPTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaxationSettings:
    """How every candidate of a search is relaxed.

    Attributes:
        cell: what of the cell may change: "full", "isotropic", "constant_volume" or None.
        max_force: where a relaxation ends, eV/Å.
        max_steps: where it is given up.

    Raises:
        ParameterError: one of them is outside its range.
    """

    cell: str | None = "full"
    max_force: float = 0.05
    max_steps: int = 300

    def __post_init__(self) -> None:
        CellMode.parse(self.cell)
        if not self.max_force > 0:
            raise ParameterError(f"Wanted max_force > 0 eV/Å, got {self.max_force}.")
        if self.max_steps < 1:
            raise ParameterError(f"Wanted max_steps >= 1, got {self.max_steps}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one candidate.

    Attributes:
        status: how it ended.
        message: why, where it did not converge.
        values: one an objective, in their order; None without a result.
        details: further numbers by name with unit.
        energy: of the relaxed cell, eV.
        max_force: largest force that is left, eV/Å.
        steps: relaxation steps made.
        atoms: the relaxed structure, or the last good frame.
    """

    status: TrialStatus
    message: str = ""
    values: tuple[float, ...] | None = None
    details: Mapping[str, float] = field(default_factory=dict[str, float])
    energy: float | None = None
    max_force: float | None = None
    steps: int = 0
    atoms: ase.Atoms | None = None

    def to_dict(self) -> dict[str, Any]:
        """What a trial keeps, as JSON would have it; the values are Optuna's to keep."""
        return {
            "status": str(self.status),
            "message": self.message,
            "details": dict(self.details),
            "energy": _finite_or_none(self.energy),
            "max_force": _finite_or_none(self.max_force),
            "steps": self.steps,
            "atoms": None if self.atoms is None else atoms_to_dict(self.atoms),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """Everything an evaluation needs besides the candidates.

    Attributes:
        space: builds the candidates.
        objectives: what is computed of them.
        potential: what relaxes them.
        settings: how they are relaxed.
        reference_energies: eV/atom by chemical symbol, where an objective needs them.
    """

    space: Space
    objectives: tuple[Objective, ...]
    potential: Potential
    settings: RelaxationSettings
    reference_energies: Mapping[str, float]

    def __call__(
        self,
        candidates: Sequence[Candidate],
        should_stop: Callable[[], bool] | None = None,
    ) -> list[Outcome]:
        """One outcome a candidate, in their order.

        A candidate that cannot be built, diverges or has no value of an objective gets
        an outcome that says so; the others go on.
        """
        outcomes: dict[int, Outcome] = {}
        starts: dict[int, ase.Atoms] = {}
        for index, candidate in enumerate(candidates):
            try:
                starts[index] = self.space.build(candidate)
            except GNNDesignError as error:
                outcomes[index] = Outcome(
                    status=TrialStatus.NOT_BUILT, message=str(error)
                )
        if starts:
            results = relax(
                list(starts.values()),
                self.potential,
                cell=self.settings.cell,
                max_force=self.settings.max_force,
                max_steps=self.settings.max_steps,
                should_stop=should_stop,
            )
            for (index, start), result in zip(starts.items(), results, strict=True):
                outcomes[index] = self._measure(start, result)
        return [outcomes[index] for index in range(len(candidates))]

    def _measure(self, start: ase.Atoms, relaxation: Relaxation) -> Outcome:
        if not math.isfinite(relaxation.energy):
            # Nothing was computed: its atoms overlap from the start.
            return Outcome(
                status=_STATUS[relaxation.status], message=relaxation.message
            )
        status = _STATUS[relaxation.status]
        message = relaxation.message
        values: tuple[float, ...] | None = None
        details: dict[str, float] = {}
        if status in (TrialStatus.CONVERGED, TrialStatus.STEP_LIMIT):
            relaxed = RelaxedCandidate(
                start=start,
                atoms=relaxation.atoms,
                energy=relaxation.energy,
                reference_energies=self.reference_energies,
            )
            try:
                values = tuple(o.value(relaxed) for o in self.objectives)
                for objective in self.objectives:
                    details.update(objective.details(relaxed))
            except StructureError as error:
                values, status, message = None, TrialStatus.NOT_MEASURED, str(error)
        if values is not None and not all(map(math.isfinite, values)):
            message = f"The objectives are {values}; wanted finite numbers."
            values, status = None, TrialStatus.NOT_MEASURED
        return Outcome(
            status=status,
            message=message,
            values=values,
            details=details,
            energy=relaxation.energy,
            max_force=relaxation.max_force,
            steps=relaxation.steps,
            atoms=relaxation.atoms,
        )


def _finite_or_none(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
