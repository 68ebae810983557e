"""The loop of a search: ask for many, evaluate them together, tell what came out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from gnndesign.errors import CheckpointError
from gnndesign.potentials.base import Potential
from gnndesign.properties.references import reference_energies
from gnndesign.search.evaluate import Assessment, Outcome
from gnndesign.search.evaluations import evaluations_of, in_groups
from gnndesign.search.objectives import Objective
from gnndesign.search.pool import Choice
from gnndesign.search.provenance import note_run, provenance_of
from gnndesign.search.record import BOUNDED, MEASURES, holds_candidate
from gnndesign.search.results import SearchResult
from gnndesign.search.sampler import CandidateSampler, distributions
from gnndesign.search.space import Candidate
from gnndesign.search.trials import (
    ConstraintColumn,
    ObjectiveColumn,
    Trial,
    TrialStatus,
    trial_from_frozen,
)
from gnndesign.studies import StudyStore, open_study

_DEFINITION = "gnndesign"
REFERENCES = "reference_energies"
"""User attribute of a study: eV/atom of the elements, by chemical symbol."""
_FORMAT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchProgress:
    """How far a search has come.

    Attributes:
        n_done: trials of the study that count: finished and not interrupted.
        n_trials: how many there are to be.
        new: the trials just evaluated; empty at the end, and at the start
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

    assessment: Assessment
    potential: Potential
    n_trials: int
    batch_size: int
    group_size: int
    first: tuple[Mapping[str, Choice], ...]
    executor: Executor | None
    should_stop: Callable[[], bool] | None
    _seen: dict[int, Trial] = field(default_factory=dict[int, Trial])

    def run(
        self, storage: str | Path | None, study_name: str, sampler: CandidateSampler
    ) -> Generator[SearchProgress, None, None]:
        """Ask, evaluate and tell until the study has its trials."""
        definition = self._definition()
        with open_study(
            storage,
            study_name,
            sampler,
            [objective.direction for objective in self.assessment.objectives],
            {_DEFINITION: definition},
        ) as store:
            _check_definition(store.study, definition)
            with store.exclusively():
                note_run(store.study, sampler)
            if self._needs_references(store.study):
                n = len(self.assessment.space.elements)
                yield self._progress(
                    store.study,
                    (),
                    f"Relaxing {n} elements, the zero of formation energies; they are "
                    "kept for the next search.",
                )
            references = self._references(store.study)
            stopped = references is None
            if references is not None:
                yield from self._evaluate(store, sampler, references)
                stopped = self._wants_stop()
            yield self._progress(store.study, (), self._why_ended(store.study, stopped))

    def _evaluate(
        self,
        store: StudyStore,
        sampler: CandidateSampler,
        references: Mapping[str, float],
    ) -> Generator[SearchProgress, None, None]:
        """Keep a batch on its way; who is through is told and replaced."""
        evaluations = evaluations_of(
            self.assessment, self.potential, references, self.executor
        )
        going: dict[int, FrozenTrial] = {}
        try:
            while not self._wants_stop():
                asked = self._ask(store, sampler, len(going))
                candidates = {n: self._candidate(trial) for n, trial in asked.items()}
                going |= asked
                for group in in_groups(candidates, self.group_size):
                    evaluations.submit(group)
                if not going:
                    return
                outcomes = evaluations.completed(self.should_stop)
                for number, outcome in outcomes.items():
                    tell(store, number, outcome)
                    del going[number]
                if outcomes:
                    yield self._progress(store.study, tuple(outcomes), "")
        finally:
            evaluations.close()
            for number in going:
                store.interrupt(number)

    def _wants_stop(self) -> bool:
        return self.should_stop is not None and self.should_stop()

    def _ask(
        self, store: StudyStore, sampler: CandidateSampler, n_going: int
    ) -> dict[int, FrozenTrial]:
        """Fill the batch; not for one or two, since few together are slow."""
        n_free = self.batch_size - n_going
        if n_going and n_free < self.group_size:
            return {}
        asked: dict[int, FrozenTrial] = {}
        with store.exclusively():
            while len(asked) < n_free and (left := store.adopt_abandoned()):
                asked[left.number] = left
            trials = store.study.get_trials(deepcopy=False)
            n_taken = sum(map(holds_candidate, trials))
            untried = sampler.untried(store.study, trials)
            n_left = int(untried.sum())
            n_wanted = min(n_free - len(asked), self.n_trials - n_taken, n_left)
            pool = self.assessment.space.pool
            begin_with = [c for c in self.first if untried[pool.index_of(c)]]
            first = begin_with[: max(n_wanted, 0)]
            asked |= self._begin(store, first)
            n_more = n_wanted - len(first)
            if n_more > 0:
                asked |= self._begin(store, sampler.propose(store.study, n_more))
        return asked

    def _begin(
        self, store: StudyStore, wanted: Sequence[Mapping[str, Choice]]
    ) -> dict[int, FrozenTrial]:
        """Trials of these choices, by their numbers."""
        space = self.assessment.space
        places = map(space.pool.index_of, wanted)
        attributes = [{"formula": space.candidate(place).formula} for place in places]
        begun = store.begin(wanted, distributions(space), attributes)
        return {trial.number: trial for trial in begun}

    def _candidate(self, trial: FrozenTrial) -> Candidate:
        space = self.assessment.space
        return space.candidate(space.pool.index_of(trial.params))

    def _progress(
        self, study: optuna.Study, new: tuple[int, ...], message: str
    ) -> SearchProgress:
        trials = finished_trials(study, self.assessment.objectives, self._seen)
        n_done = count_done(trials)
        message = message or f"{n_done} of {self.n_trials} candidates evaluated."
        result = SearchResult(
            study_name=study.study_name,
            space=self.assessment.space.to_dict(),
            objectives=tuple(map(ObjectiveColumn.of, self.assessment.objectives)),
            constraints=tuple(map(ConstraintColumn.of, self.assessment.constraints)),
            potential=self.potential.card.name,
            n_candidates=len(self.assessment.space),
            trials=trials,
            message=message,
            provenance=provenance_of(
                study, self._definition(), study.user_attrs.get(REFERENCES, {})
            ),
        )
        alone = len(self.assessment.objectives) == 1
        return SearchProgress(
            n_done=n_done,
            n_trials=self.n_trials,
            new=tuple(trial for trial in trials if trial.number in new),
            best=result.best(1 if alone else None),
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
                f"All {len(self.assessment.space)} candidates of the space are evaluated, "
                f"fewer than the {self.n_trials} trials wanted. Widen the space to search "
                "on."
            )
        return f"{done} of {self.n_trials} candidates evaluated."

    def _definition(self) -> dict[str, Any]:
        """What a study of this search is about."""
        return {
            "format": _FORMAT,
            **self.assessment.to_dict(),
            "n_candidates": len(self.assessment.space),
            "potential": {
                "name": self.potential.card.name,
                "checksum": self.potential.card.checksum,
            },
        }

    def _needs_references(self, study: optuna.Study) -> bool:
        return REFERENCES not in study.user_attrs and self.assessment.needs_references

    def _references(self, study: optuna.Study) -> Mapping[str, float] | None:
        """By chemical symbol, empty where none is needed; None when stopped."""
        # All trials of a study refer to the same energies, whatever the cache holds now.
        if self._needs_references(study):
            elements = self.assessment.space.elements
            energies = reference_energies(
                elements, self.potential, should_stop=self.should_stop
            )
            if len(energies) < len(elements):
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


def tell(store: StudyStore, number: int, outcome: Outcome) -> None:
    """Write down what became of a trial, and end it.

    One that was pruned or has failed keeps the constraints and numbers it got to.
    """
    attributes: dict[str, Any] = {"outcome": outcome.to_dict()}
    if outcome.goals:
        attributes[MEASURES] = dict(outcome.goals)
    if outcome.bounded:
        attributes[BOUNDED] = dict(outcome.bounded)
    if outcome.values is None:
        attributes["reason"] = outcome.message
    pruned = outcome.status is TrialStatus.PRUNED
    store.tell(
        number,
        outcome.values,
        attributes,
        constraints=outcome.constraints,
        state=TrialState.PRUNED if pruned else TrialState.FAIL,
    )


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
