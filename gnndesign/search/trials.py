"""One evaluated candidate, as a study keeps it: `Trial`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import ase
from optuna.trial import FrozenTrial, TrialState

from gnndesign.errors import CheckpointError
from gnndesign.search.objectives import Constraint, Direction, Objective
from gnndesign.search.pool import Choice
from gnndesign.structures.convert import atoms_from_dict
from gnndesign.studies import INTERRUPTED


class TrialStatus(StrEnum):
    """How the evaluation of a candidate ended."""

    CONVERGED = "converged"
    STEP_LIMIT = "step limit"
    """Relaxed, but not to the wanted force; it has values, a little too high in energy."""
    DIVERGED = "diverged"
    PRUNED = "pruned"
    """Misses a constraint; what is dearer was not computed."""
    NOT_BUILT = "not built"
    NOT_MEASURED = "not measured"
    """Something that was wanted cannot be computed of it."""
    INTERRUPTED = "interrupted"
    """Stopped or killed before it had a result; its candidate is free again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One candidate that was evaluated.

    Attributes:
        number: of the Optuna trial, from 0.
        formula: elements in the order of the sites.
        choices: by name of the parameter, such as the element on site "A".
        values: by objective name, each in the unit of its objective; empty without
            a result.
        measured: every number that was measured, by name with unit
            ("lattice_constant_A").
        constraints: by how much each that was looked at is missed, in its unit; zero or
            less is allowed.
        status: how it ended.
        message: why, where it did not converge.
        energy: of the relaxed cell, eV; None without a result.
        max_force: largest force that is left, eV/Å; None without a result.
        steps: relaxation steps made.
        atoms: the relaxed structure (of a diverged one the last good frame); None
            where there is none.
    """

    number: int
    formula: str
    choices: Mapping[str, Choice]
    values: Mapping[str, float]
    measured: Mapping[str, float]
    status: TrialStatus
    message: str
    energy: float | None
    max_force: float | None
    steps: int
    atoms: ase.Atoms | None
    constraints: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def is_feasible(self) -> bool:
        """Whether it misses none of the constraints that were looked at."""
        pruned = self.status is TrialStatus.PRUNED
        return not pruned and all(over <= 0 for over in self.constraints.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveColumn:
    """What a reader of values must know about them.

    Attributes:
        name: key in `Trial.values`.
        unit: for axes and tables.
        direction: "minimize" or "maximize".
    """

    name: str
    unit: str
    direction: Direction

    @classmethod
    def of(cls, objective: Objective) -> ObjectiveColumn:
        """What an objective says about its values."""
        return cls(
            name=objective.name, unit=objective.unit, direction=objective.direction
        )

    @property
    def sign(self) -> int:
        """Multiplies a value so that less is better."""
        return 1 if self.direction == "minimize" else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintColumn:
    """What a reader of constraints must know about them.

    Attributes:
        name: key in `Trial.constraints`.
        column: key of the number itself in `Trial.measured`.
        unit: of both.
        low: smallest value allowed, None for any.
        high: largest value allowed, None for any.
    """

    name: str
    column: str
    unit: str
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, constraint: Constraint) -> ConstraintColumn:
        """What a constraint says about itself."""
        return cls(
            name=constraint.name,
            column=constraint.measure.column,
            unit=constraint.measure.unit,
            low=constraint.low,
            high=constraint.high,
        )


def trial_from_frozen(frozen: FrozenTrial, objectives: Sequence[Objective]) -> Trial:
    """What an Optuna trial of a search holds.

    Raises:
        CheckpointError: it was not made by a search of this kind.
    """
    attributes = frozen.user_attrs
    if attributes.get("reason") == INTERRUPTED:
        outcome: dict[str, Any] = {"status": TrialStatus.INTERRUPTED}
    elif "outcome" in attributes:
        outcome = attributes["outcome"]
    else:
        raise CheckpointError(
            f"Trial {frozen.number} holds no outcome of a composition search."
        )
    values: dict[str, float] = {}
    if frozen.state == TrialState.COMPLETE:
        names = (objective.name for objective in objectives)
        values = dict(zip(names, frozen.values, strict=True))
    structure = outcome.get("atoms")
    return Trial(
        number=frozen.number,
        formula=attributes.get("formula", ""),
        choices=dict(frozen.params),
        values=values,
        measured=outcome.get("measured", {}),
        constraints=frozen.constraints,
        status=TrialStatus(outcome["status"]),
        message=outcome.get("message", ""),
        energy=outcome.get("energy"),
        max_force=outcome.get("max_force"),
        steps=outcome.get("steps", 0),
        atoms=None if structure is None else atoms_from_dict(structure),
    )
