"""What is done with a candidate: built, relaxed, measured, cheap things first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import ase

from gnndesign.errors import GNNDesignError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import End, Steps, Work
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.work import Relaxing
from gnndesign.search.notation import constraint_from_dict, objective_from_dict
from gnndesign.search.objectives import (
    Constraint,
    Measure,
    Objective,
    Stage,
    Subject,
)
from gnndesign.search.space import Candidate, Space, space_from_dict
from gnndesign.search.trials import TrialStatus
from gnndesign.simulation.base import Status
from gnndesign.simulation.single_point import SinglePoint
from gnndesign.structures.convert import atoms_to_dict

_STATUS = {
    Status.CONVERGED: TrialStatus.CONVERGED,
    Status.FINISHED: TrialStatus.CONVERGED,
    Status.STEP_LIMIT: TrialStatus.STEP_LIMIT,
    Status.DIVERGED: TrialStatus.DIVERGED,
    Status.REFUSED: TrialStatus.DIVERGED,
    Status.STOPPED: TrialStatus.INTERRUPTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one candidate.

    Attributes:
        status: how it ended.
        message: why, where it did not converge.
        values: one an objective, in their order; None without a result.
        measured: every number that was measured, by `Measure.column`.
        goals: what the sampler may learn from: by name of the objective, the number
            measured and what is wanted of it.
        bounded: likewise of the constraints.
        constraints: by how much each that was looked at is missed, in its unit; zero or
            less is allowed.
        energy: of the relaxed cell, eV.
        max_force: largest force that is left, eV/Å.
        steps: relaxation steps made.
        atoms: the relaxed structure, or the last good frame.
    """

    status: TrialStatus
    message: str = ""
    values: tuple[float, ...] | None = None
    measured: Mapping[str, float] = field(default_factory=dict[str, float])
    goals: Mapping[str, Any] = field(default_factory=dict[str, Any])
    bounded: Mapping[str, Any] = field(default_factory=dict[str, Any])
    constraints: Mapping[str, float] = field(default_factory=dict[str, float])
    energy: float | None = None
    max_force: float | None = None
    steps: int = 0
    atoms: ase.Atoms | None = None

    def to_dict(self) -> dict[str, Any]:
        """What a trial keeps, as JSON would have it; the values are Optuna's to keep."""
        return {
            "status": str(self.status),
            "message": self.message,
            "measured": dict(self.measured),
            "energy": _finite_or_none(self.energy),
            "max_force": _finite_or_none(self.max_force),
            "steps": self.steps,
            "atoms": None if self.atoms is None else atoms_to_dict(self.atoms),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """Everything that decides what becomes of a candidate, but the potential.

    A candidate goes through `Stage` after stage, as far as there is something to be
    measured. It is built and relaxed where a stage needs that, and ends where it misses
    a constraint, before anything dearer is done with it.

    Attributes:
        space: builds the candidates.
        objectives: what is measured.
        constraints: what must hold.
        relaxing: how every candidate is relaxed.
    """

    space: Space
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    relaxing: Relaxing

    @property
    def needs_references(self) -> bool:
        """Whether energies of the elements are needed."""
        return any(measure.needs_references for measure in self._measures())

    def steps(
        self,
        candidate: Candidate,
        potential: Potential,
        reference_energies: Mapping[str, float],
    ) -> Steps[Outcome]:
        """The work of one candidate, and its outcome, whatever happens."""
        subject = Subject(
            candidate=candidate,
            start=ase.Atoms(),
            atoms=ase.Atoms(),
            energy=math.nan,
            potential=potential,
            reference_energies=reference_energies,
        )
        outcome = Outcome(status=TrialStatus.CONVERGED)
        numbers: dict[str, float] = {}
        for stage in sorted({measure.stage for measure in self._measures()}):
            subject, outcome = yield from self._prepared(stage, subject, outcome)
            if outcome.status not in (TrialStatus.CONVERGED, TrialStatus.STEP_LIMIT):
                return outcome
            outcome = yield from self._measured(stage, subject, outcome, numbers)
            if outcome.status not in (TrialStatus.CONVERGED, TrialStatus.STEP_LIMIT):
                return outcome
        values = [o.goal.cost(numbers[repr(o.measure)]) for o in self.objectives]
        return replace(outcome, values=tuple(values))

    def to_dict(self) -> dict[str, Any]:
        """What defines it, as JSON would have it."""
        return {
            "space": self.space.to_dict(),
            "objectives": [objective.to_dict() for objective in self.objectives],
            "constraints": [constraint.to_dict() for constraint in self.constraints],
            "relaxing": to_plain(self.relaxing),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Assessment:
        """The one that `to_dict` described."""
        return cls(
            space=space_from_dict(data["space"]),
            objectives=tuple(map(objective_from_dict, data["objectives"])),
            constraints=tuple(map(constraint_from_dict, data["constraints"])),
            relaxing=from_plain(data["relaxing"]),
        )

    def _measures(self) -> list[Measure]:
        """Each once."""
        wanted = [each.measure for each in (*self.constraints, *self.objectives)]
        return list({repr(measure): measure for measure in wanted}.values())

    def _prepared(
        self, stage: Stage, subject: Subject, outcome: Outcome
    ) -> Steps[tuple[Subject, Outcome]]:
        """Built, evaluated and relaxed as far as the stage needs it."""
        if stage >= Stage.SINGLE_POINT and not len(subject.start):
            try:
                start = self.space.build(subject.candidate)
            except GNNDesignError as error:
                failed = replace(
                    outcome, status=TrialStatus.NOT_BUILT, message=str(error)
                )
                return subject, failed
            subject = replace(subject, start=start, atoms=start)
        if stage == Stage.SINGLE_POINT:
            (end,) = yield Work(stepper=SinglePoint(), structures=[subject.start])
            subject, outcome = _after(end, subject, outcome)
        if stage >= Stage.RELAXED and subject.atoms is subject.start:
            (end,) = yield self.relaxing.work([subject.start])
            subject, outcome = _after(end, subject, outcome)
        return subject, outcome

    def _measured(
        self,
        stage: Stage,
        subject: Subject,
        outcome: Outcome,
        numbers: dict[str, float],
    ) -> Steps[Outcome]:
        """With the numbers of a stage; ended where it misses a constraint."""
        measured = dict(outcome.measured)
        for measure in self._measures():
            if measure.stage != stage:
                continue
            try:
                value = yield from measure.steps(subject)
            except GNNDesignError as error:
                message = f"{measure.name}: {error}"
                return replace(
                    outcome,
                    status=TrialStatus.NOT_MEASURED,
                    message=message,
                    measured=measured,
                )
            if not math.isfinite(value):
                return replace(
                    outcome,
                    status=TrialStatus.NOT_MEASURED,
                    message=f"{measure.name} is {value}; wanted a finite number.",
                    measured=measured,
                )
            numbers[repr(measure)] = value
            measured[measure.column] = value
        known = [c for c in self.constraints if repr(c.measure) in numbers]
        missed = {c.name: c.violation(numbers[repr(c.measure)]) for c in known}
        goals = {
            o.name: {"value": numbers[repr(o.measure)], "goal": o.goal.to_plain()}
            for o in self.objectives
            if repr(o.measure) in numbers
        }
        bounded = {
            c.name: {
                "value": numbers[repr(c.measure)],
                "goal": {"low": c.low, "high": c.high},
            }
            for c in known
        }
        outcome = replace(
            outcome,
            measured=measured,
            constraints=missed,
            goals=goals,
            bounded=bounded,
        )
        broken = [c for c in known if missed[c.name] > 0]
        if broken:
            reasons = [
                f"{c.name} is {numbers[repr(c.measure)]:.4g}, wanted {c.describe()}"
                for c in broken
            ]
            message = "; ".join(reasons) + "."
            return replace(outcome, status=TrialStatus.PRUNED, message=message)
        return outcome


def _after(end: End, subject: Subject, outcome: Outcome) -> tuple[Subject, Outcome]:
    """What is known after an evaluation or a relaxation."""
    outcome = replace(outcome, status=_STATUS[end.status], message=end.message)
    if not math.isfinite(end.energy):
        # Nothing was computed: its atoms overlap from the start, for example.
        return subject, outcome
    outcome = replace(
        outcome,
        energy=end.energy,
        max_force=end.max_force,
        steps=outcome.steps + end.steps,
        atoms=end.atoms,
    )
    relaxed = end.atoms if end.status is not Status.FINISHED else subject.atoms
    return replace(subject, atoms=relaxed, energy=end.energy), outcome


def _finite_or_none(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
