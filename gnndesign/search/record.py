"""What the trials of a study tell a sampler, each read once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from jaxtyping import Bool
from numpy import ndarray
from optuna.trial import FrozenTrial, TrialState

from gnndesign.search.acquisition import Aim
from gnndesign.search.known import Known, Observed
from gnndesign.search.pool import Pool
from gnndesign.studies import INTERRUPTED

_KEPT = Aim(direction=0, low=-math.inf, high=0.0)
"""What is wanted of a constraint's violation."""

MEASURES, BOUNDED = "measures", "bounded"
"""User attributes of a trial: what was measured for objectives and for constraints, by
their names, each {"value": number, "goal": ...}, see `Aim.of`."""


def holds_candidate(trial: FrozenTrial) -> bool:
    """Whether the candidate of this trial must not be proposed again.

    True for every trial but those interrupted before they had a result.
    """
    return trial.user_attrs.get("reason") != INTERRUPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One finished trial.

    Attributes:
        place: of its candidate; -1 where it holds none any more.
        values: of the objectives; none where it has none.
        measures: by name of the objective, the number and what is wanted of it.
        constraints: violations by name.
        bounded: by name of the constraint, the number and its bounds.
    """

    place: int
    values: tuple[float, ...]
    measures: dict[str, Any]
    constraints: dict[str, float]
    bounded: dict[str, Any]


class Record:
    """The trials of one study, as far as they were read.

    A trial without any number, which could not be built or diverged, teaches nothing: it
    is not proposed again, and its neighbors are as good as they were.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._entries: dict[tuple[Any, ...], _Entry] = {}
        self._finished: dict[int, _Entry] = {}
        self._pending: list[int] = []
        self._study: str | None = None
        self.n_taken = 0

    def read(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        """Take in what is new."""
        if study.study_name != self._study:
            self._study, self._entries = study.study_name, {}
        self._finished, self._pending, self.n_taken = {}, [], 0
        for trial in trials:
            if not trial.state.is_finished():
                self.n_taken += 1
                if trial.params:
                    self._pending.append(self._pool.index_of(trial.params))
                continue
            key = (trial.number, trial.datetime_start)
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = self._entry(trial)
            self.n_taken += entry.place >= 0
            self._finished[trial.number] = entry

    @property
    def n_evaluated(self) -> int:
        """Number of trials with numbers to learn from."""
        entries = self._finished.values()
        return sum(bool(e.values or e.measures or e.constraints) for e in entries)

    @property
    def untried(self) -> Bool[ndarray, " n_candidates"]:
        """(n_candidates,) True where no trial holds the candidate."""
        free = np.ones(len(self._pool), dtype=bool)
        free[self._pending] = False
        free[[e.place for e in self._finished.values() if e.place >= 0]] = False
        return free

    def known(self, study: optuna.Study, pending: Sequence[int]) -> Known:
        """What a `Chooser` chooses by.

        Args:
            study: for the directions of its objectives.
            pending: places of further candidates in flight.
        """
        entries = list(self._finished.values())
        names = list(dict.fromkeys(name for e in entries for name in e.constraints))
        evaluated = [entry for entry in entries if entry.values]
        objectives = tuple(
            _objective(entries, number, direction)
            for number, direction in enumerate(study.directions)
        )
        signs = np.array([_sign(direction) for direction in study.directions])
        values = np.array([entry.values for entry in evaluated])
        costs = values.reshape(len(evaluated), len(signs)) * signs
        in_flight = np.array([*self._pending, *pending], dtype=int)
        untried = self.untried
        untried[in_flight] = False
        return Known(
            objectives=objectives,
            constraints=tuple(_constraint(entries, name) for name in names),
            evaluated=np.array([entry.place for entry in evaluated], dtype=int),
            costs=costs,
            feasible=np.array(
                [all(v <= 0 for v in e.constraints.values()) for e in evaluated],
                dtype=bool,
            ),
            pending=in_flight,
            untried=untried,
        )

    def _entry(self, trial: FrozenTrial) -> _Entry:
        if not trial.params or not holds_candidate(trial):
            return _Entry(place=-1, values=(), measures={}, constraints={}, bounded={})
        complete = trial.state == TrialState.COMPLETE
        return _Entry(
            place=self._pool.index_of(trial.params),
            values=tuple(trial.values) if complete else (),
            measures=dict(trial.user_attrs.get(MEASURES, {})),
            constraints=dict(trial.constraints),
            bounded=dict(trial.user_attrs.get(BOUNDED, {})),
        )


def _sign(direction: optuna.study.StudyDirection) -> int:
    return 1 if direction == optuna.study.StudyDirection.MINIMIZE else -1


def _objective(
    entries: Sequence[_Entry], number: int, direction: optuna.study.StudyDirection
) -> Observed:
    """The measure behind an objective where trials tell it, else its value."""
    told_by = [e.measures for e in entries if e.values]
    name = list(told_by[0])[number] if told_by and all(told_by) else None
    if name is not None:
        told = [
            (e.place, e.measures[name]["value"]) for e in entries if name in e.measures
        ]
        goal = next(e.measures[name]["goal"] for e in entries if name in e.measures)
        return _observed(Aim.of(goal), told)
    told = [(entry.place, entry.values[number]) for entry in entries if entry.values]
    return _observed(Aim(direction=-_sign(direction)), told)


def _constraint(entries: Sequence[_Entry], name: str) -> Observed:
    """The number that is bounded where trials tell it, else by how much it is missed."""
    looked_at = [entry for entry in entries if name in entry.constraints]
    if all(name in entry.bounded for entry in looked_at):
        told = [(entry.place, entry.bounded[name]["value"]) for entry in looked_at]
        return _observed(Aim.of(looked_at[0].bounded[name]["goal"]), told)
    return _observed(_KEPT, [(e.place, e.constraints[name]) for e in looked_at])


def _observed(aim: Aim, told: Sequence[tuple[int, float]]) -> Observed:
    return Observed(
        aim=aim,
        places=np.array([place for place, _ in told], dtype=int),
        values=np.array([value for _, value in told], dtype=float),
        sources=np.zeros(len(told), dtype=int),
    )
