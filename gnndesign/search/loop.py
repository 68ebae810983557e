"""The loop of a search: ask for many, relax them in one batch, tell what came out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from gnndesign.errors import CheckpointError
from gnndesign.potentials.base import Potential
from gnndesign.properties.references import reference_energies
from gnndesign.search.evaluate import Evaluator, Outcome, RelaxationSettings
from gnndesign.search.objectives import Objective
from gnndesign.search.provenance import provenance_of
from gnndesign.search.results import SearchResult
from gnndesign.search.sampler import CandidateSampler, distributions, holds_candidate
from gnndesign.search.space import Candidate, Space
from gnndesign.search.trials import (
    ObjectiveColumn,
    Trial,
    TrialStatus,
    trial_from_frozen,
)
from gnndesign.studies import StudyStore, open_study

_DEFINITION = "gnndesign"
REFERENCES = "reference_energies"
"""User attribute of a study: eV/atom of the elements, by chemical symbol."""
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchProgress:
    """How far a search has come.

    Attributes:
        n_done: trials of the study that count: finished and not interrupted.
        n_trials: how many there are to be.
        new: the trials of the batch just evaluated; empty at the end, and at the start
            while the energies of the elements are computed.
        best: the best trial so far, or the Pareto front; empty before the first value.
        result: everything so far.
        message: one line for a person.
    """

    n_done: int
    n_trials: int
    new: tuple[Trial, ...]
    best: tuple[Trial, ...]
    result: SearchResult
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search that is ready to run; see `search_compositions` for the parameters."""

    space: Space
    objectives: tuple[Objective, ...]
    potential: Potential
    settings: RelaxationSettings
    n_trials: int
    batch_size: int
    should_stop: Callable[[], bool] | None
    _seen: dict[int, Trial] = field(default_factory=dict[int, Trial])

    def run(
        self, storage: str | Path | None, study_name: str, sampler: CandidateSampler
    ) -> Generator[SearchProgress, None, None]:
        """Ask, relax and tell until the study has its trials."""
        definition = self._definition()
        with open_study(
            storage,
            study_name,
            sampler,
            [objective.direction for objective in self.objectives],
            {_DEFINITION: definition},
        ) as store:
            _check_definition(store.study, definition)
            if self._needs_references(store.study):
                yield self._progress(
                    store.study,
                    (),
                    f"Relaxing {len(self.space.elements)} elements, the zero of formation "
                    "energies; they are kept for the next search.",
                )
            references = self._references(store.study)
            stopped = references is None
            while references is not None and not (stopped := self._wants_stop()):
                with store.exclusively():
                    asked = self._ask(store, sampler)
                if not asked:
                    break
                yield self._evaluate(store, asked, references)
            yield self._progress(store.study, (), self._why_ended(store.study, stopped))

    def _wants_stop(self) -> bool:
        return self.should_stop is not None and self.should_stop()

    def _ask(self, store: StudyStore, sampler: CandidateSampler) -> list[optuna.Trial]:
        store.take_back_abandoned()
        trials = store.study.get_trials(deepcopy=False)
        n_taken = sum(map(holds_candidate, trials))
        n_left = int(sampler.untried(trials).sum())
        n_wanted = min(self.batch_size, self.n_trials - n_taken, n_left)
        asked: list[optuna.Trial] = []
        for _ in range(n_wanted):
            trial = store.ask(distributions(self.space))
            trial.set_user_attr("formula", self._candidate(trial).formula)
            asked.append(trial)
        return asked

    def _candidate(self, trial: optuna.Trial) -> Candidate:
        return self.space.candidate(self.space.pool.index_of(trial.params))

    def _evaluate(
        self,
        store: StudyStore,
        asked: list[optuna.Trial],
        references: Mapping[str, float],
    ) -> SearchProgress:
        evaluate = Evaluator(
            space=self.space,
            objectives=self.objectives,
            potential=self.potential,
            settings=self.settings,
            reference_energies=references,
        )
        untold = {trial.number: trial for trial in asked}
        try:
            candidates = [self._candidate(trial) for trial in asked]
            for trial, outcome in zip(
                asked, evaluate(candidates, self.should_stop), strict=True
            ):
                if outcome.status is not TrialStatus.INTERRUPTED:
                    _tell(store.study, trial, outcome)
                    del untold[trial.number]
        finally:
            for number in untold:
                store.interrupt(number)
        return self._progress(store.study, tuple(trial.number for trial in asked), "")

    def _progress(
        self, study: optuna.Study, new: tuple[int, ...], message: str
    ) -> SearchProgress:
        trials = finished_trials(study, self.objectives, self._seen)
        n_done = count_done(trials)
        message = message or f"{n_done} of {self.n_trials} candidates evaluated."
        result = SearchResult(
            study_name=study.study_name,
            space=self.space.to_dict(),
            objectives=tuple(map(ObjectiveColumn.of, self.objectives)),
            potential=self.potential.card.name,
            n_candidates=len(self.space),
            trials=trials,
            message=message,
            provenance=provenance_of(
                study, self._definition(), study.user_attrs.get(REFERENCES, {})
            ),
        )
        return SearchProgress(
            n_done=n_done,
            n_trials=self.n_trials,
            new=tuple(trial for trial in trials if trial.number in new),
            best=result.best(1 if len(self.objectives) == 1 else None),
            result=result,
            message=message,
        )

    def _why_ended(self, study: optuna.Study, stopped: bool) -> str:  # noqa: FBT001
        trials = [t for t in study.get_trials(deepcopy=False) if holds_candidate(t)]
        running = sum(trial.state == TrialState.RUNNING for trial in trials)
        done = len(trials) - running
        if stopped:
            return f"Stopped after {done} of {self.n_trials} candidates."
        if running:
            return (
                f"{done} candidates evaluated; another process is at work on the last "
                f"{running}."
            )
        if len(trials) < self.n_trials:
            return (
                f"All {len(self.space)} candidates of the space are evaluated, fewer than "
                f"the {self.n_trials} trials wanted. Add elements to search on."
            )
        return f"{done} of {self.n_trials} candidates evaluated."

    def _definition(self) -> dict[str, Any]:
        """What a study of this search is about."""
        return {
            "format": _FORMAT,
            "space": self.space.to_dict(),
            "n_candidates": len(self.space),
            "objectives": [objective.to_dict() for objective in self.objectives],
            "potential": {
                "name": self.potential.card.name,
                "checksum": self.potential.card.checksum,
            },
            "cell": self.settings.cell,
            "max_force": self.settings.max_force,
        }

    def _needs_references(self, study: optuna.Study) -> bool:
        return REFERENCES not in study.user_attrs and any(
            objective.needs_references for objective in self.objectives
        )

    def _references(self, study: optuna.Study) -> Mapping[str, float] | None:
        """By chemical symbol, empty where none is needed; None when stopped."""
        # All trials of a study refer to the same energies, whatever the cache holds now.
        if self._needs_references(study):
            energies = reference_energies(
                self.space.elements, self.potential, should_stop=self.should_stop
            )
            if len(energies) < len(self.space.elements):
                return None
            study.set_user_attr(REFERENCES, energies)
        return dict(study.user_attrs.get(REFERENCES, {}))


def _check_definition(study: optuna.Study, definition: Mapping[str, Any]) -> None:
    """Refuse to mix a study with another search."""
    stored = read_definition(study)
    for key, value in definition.items():
        if stored.get(key) != value:
            raise CheckpointError(
                f"The study '{study.study_name}' was begun with another {key}: "
                f"{stored.get(key)}, now {value}. Resume with the same, or give another "
                "study_name or storage."
            )


def _tell(study: optuna.Study, trial: optuna.Trial, outcome: Outcome) -> None:
    trial.set_user_attr("outcome", outcome.to_dict())
    if outcome.values is None:
        trial.set_user_attr("reason", outcome.message)
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, list(outcome.values))


def finished_trials(
    study: optuna.Study, objectives: Sequence[Objective], seen: dict[int, Trial]
) -> tuple[Trial, ...]:
    """All finished trials, ascending; `seen` keeps those that were read before."""
    for frozen in study.get_trials(deepcopy=False):
        if frozen.state.is_finished() and frozen.number not in seen:
            seen[frozen.number] = trial_from_frozen(frozen, objectives)
    return tuple(seen[number] for number in sorted(seen))


def count_done(trials: Sequence[Trial]) -> int:
    """Number of trials that count: those not interrupted."""
    return sum(trial.status is not TrialStatus.INTERRUPTED for trial in trials)


def read_definition(study: optuna.Study) -> dict[str, Any]:
    """What a study is about, as it was written when it was begun.

    Raises:
        CheckpointError: it was not begun by a search of this version.
    """
    definition = study.user_attrs.get(_DEFINITION)
    if definition is None or definition.get("format") != _FORMAT:
        raise CheckpointError(
            f"The study '{study.study_name}' was not begun by search_compositions of this "
            "version. Give another study_name or storage."
        )
    return definition
