"""Who evaluates candidates: this process, or an executor's workers."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gnndesign.errors import GNNDesignError, JobError
from gnndesign.potentials.base import Potential
from gnndesign.potentials.catalog import load_potential, potential_card
from gnndesign.properties.plans import Plans
from gnndesign.search.evaluate import Assessment, Outcome
from gnndesign.search.pool import Choice
from gnndesign.search.space import Candidate
from gnndesign.search.trials import TrialStatus
from gnndesign.simulation.base import Snapshot
from gnndesign.simulation.room import Room

_LOOK_AGAIN_S = 0.5
"""How long a worker may keep a wish to stop waiting."""


class Evaluations(ABC):
    """Candidates on their way, by the number of their trial.

    More may be submitted at any time; who is through is given at once.
    """

    @abstractmethod
    def submit(self, candidates: Mapping[int, Candidate]) -> None:
        """Begin with these, together where that is quicker."""

    @abstractmethod
    def completed(
        self, should_stop: Callable[[], bool] | None = None
    ) -> dict[int, Outcome]:
        """Wait for at least one and give all that are through; none when stopped."""

    @abstractmethod
    def close(self) -> None:
        """Give up what is not through."""


class LocalEvaluations(Evaluations):
    """In this process, all candidates in one packing queue."""

    def __init__(
        self,
        assessment: Assessment,
        potential: Potential,
        reference_energies: Mapping[str, float],
        room: Room | None = None,
    ) -> None:
        self._assessment = assessment
        self._potential = potential
        self._references = reference_energies
        self._plans: Plans[int] = Plans(potential, room)
        self._going: Iterator[Snapshot] | None = None

    def submit(self, candidates: Mapping[int, Candidate]) -> None:
        """Put them into the queue."""
        for number, candidate in candidates.items():
            steps = self._assessment.steps(candidate, self._potential, self._references)
            self._plans.add(number, steps)

    def completed(
        self, should_stop: Callable[[], bool] | None = None
    ) -> dict[int, Outcome]:
        """Work until one is through."""
        while True:
            ended = dict(self._plans.take_ended())
            if ended or not len(self._plans):
                return ended
            if should_stop is not None and should_stop():
                return {}
            self._going = self._going or iter(self._plans)
            if next(self._going, None) is None:
                self._going = None

    def close(self) -> None:
        """Leave the queue."""
        self._plans.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationJob:
    """A few candidates for a worker, picklable.

    Attributes:
        assessment: JSON of `Assessment.to_dict`.
        choices: of the candidates.
        potential: a name that `load_potential` knows, with its checksum and the device;
            or the potential itself, where it has no such name.
        reference_energies: eV/atom by chemical symbol.
    """

    assessment: str
    choices: tuple[Mapping[str, Choice], ...]
    potential: tuple[str, str, str | None] | Potential
    reference_energies: Mapping[str, float]


def evaluate_candidates(job: EvaluationJob) -> list[Outcome]:
    """What a worker does: evaluate a few candidates in one queue.

    Raises:
        JobError: the worker's potential of that name has another checksum.
    """
    assessment = _assessment(job.assessment)
    if isinstance(job.potential, tuple):
        potential = _potential(*job.potential)
    else:
        potential = job.potential
    space = assessment.space
    candidates = {
        place: space.candidate(space.pool.index_of(choices))
        for place, choices in enumerate(job.choices)
    }
    evaluations = LocalEvaluations(assessment, potential, job.reference_energies)
    evaluations.submit(candidates)
    found: dict[int, Outcome] = {}
    while len(found) < len(candidates):
        found |= evaluations.completed()
    return [found[place] for place in range(len(candidates))]


class ExecutorEvaluations(Evaluations):
    """By the workers of an executor, a few candidates a call.

    A call that fails is made again for each of its candidates alone; one that fails
    alone is a failed trial with the reason.
    """

    def __init__(
        self,
        assessment: Assessment,
        potential: Potential,
        reference_energies: Mapping[str, float],
        executor: Executor,
        device: str | None = None,
    ) -> None:
        self._assessment = json.dumps(assessment.to_dict())
        self._potential = _portable(potential, device)
        self._references = dict(reference_energies)
        self._executor = executor
        self._calls: dict[Future[list[Outcome]], Mapping[int, Candidate]] = {}

    def submit(self, candidates: Mapping[int, Candidate]) -> None:
        """One call for these."""
        job = EvaluationJob(
            assessment=self._assessment,
            choices=tuple(dict(each.choices) for each in candidates.values()),
            potential=self._potential,
            reference_energies=self._references,
        )
        self._calls[self._executor.submit(evaluate_candidates, job)] = candidates

    def completed(
        self, should_stop: Callable[[], bool] | None = None
    ) -> dict[int, Outcome]:
        """Wait for a call to return.

        Raises:
            JobError: the executor has lost its workers for good.
        """
        found: dict[int, Outcome] = {}
        while self._calls and not found:
            if should_stop is not None and should_stop():
                break
            done, _ = wait(self._calls, _LOOK_AGAIN_S, return_when=FIRST_COMPLETED)
            for call in done:
                found |= self._answer(call, self._calls.pop(call))
        return found

    def close(self) -> None:
        """Cancel what has not begun."""
        for call in self._calls:
            call.cancel()
        self._calls.clear()

    def _answer(
        self, call: Future[list[Outcome]], candidates: Mapping[int, Candidate]
    ) -> dict[int, Outcome]:
        error = call.exception()
        if error is None:
            return dict(zip(candidates, call.result(), strict=True))
        if isinstance(error, BrokenExecutor):
            raise JobError(
                f"The workers of the search are gone: {error}. Start them again and "
                "resume the search with the same storage."
            ) from error
        if len(candidates) > 1:
            for number, candidate in candidates.items():
                self.submit({number: candidate})
            return {}
        (number,) = candidates
        reason = f"The worker failed: {type(error).__name__}: {error}"
        return {number: Outcome(status=TrialStatus.NOT_MEASURED, message=reason)}


def evaluations_of(
    assessment: Assessment,
    potential: Potential,
    reference_energies: Mapping[str, float],
    executor: Executor | None,
) -> Evaluations:
    """Here, or by the executor."""
    if executor is None:
        return LocalEvaluations(assessment, potential, reference_energies)
    return ExecutorEvaluations(assessment, potential, reference_energies, executor)


def _portable(
    potential: Potential, device: str | None
) -> tuple[str, str, str | None] | Potential:
    """By name where the name leads to the same weights, else as it is."""
    name, checksum = potential.card.name, potential.card.checksum
    try:
        known = potential_card(name)
    except GNNDesignError:
        return potential
    return (name, checksum, device) if known.checksum == checksum else potential


@lru_cache(maxsize=4)
def _assessment(text: str) -> Assessment:
    return Assessment.from_dict(json.loads(text))


@lru_cache(maxsize=2)
def _potential(name: str, checksum: str, device: str | None) -> Any:
    potential = load_potential(name, device)
    if potential.card.checksum != checksum:
        raise JobError(
            f"The search uses '{name}' with the checksum {checksum}, this worker has "
            f"{potential.card.checksum}. Install the same version on all machines."
        )
    return potential


def in_groups(
    candidates: Mapping[int, Candidate], size: int
) -> Sequence[Mapping[int, Candidate]]:
    """The same, at most `size` together."""
    numbers = list(candidates)
    return [
        {number: candidates[number] for number in numbers[start : start + size]}
        for start in range(0, len(numbers), size)
    ]
