"""An Optuna sampler that proposes allowed, untried candidates and nothing else.

Samplers made for free search spaces propose combinations that are not allowed and repeat
themselves in a quarter of their trials. This one chooses from the list of candidates that
no trial of the study holds, whatever process asked for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import optuna
from jaxtyping import Bool
from numpy import ndarray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from gnndesign.errors import ParameterError
from gnndesign.search.choosing import Chooser
from gnndesign.search.pool import Choice
from gnndesign.search.record import Record
from gnndesign.search.space import Space

N_START = 10
"""Random candidates before a surrogate is asked."""

_ATTEMPTS = 8


class Strategy(StrEnum):
    """How the next candidate is chosen among those that are left."""

    GAUSSIAN_PROCESS = "gaussian_process"
    """Gaussian processes on descriptors of the elements, see `choosing`."""
    EXPECTED_IMPROVEMENT = "expected_improvement"
    """The same processes, by expected improvement or gain of hypervolume."""
    TPE = "tpe"
    """Optuna's tree-structured Parzen estimator, moved to the nearest untried candidate."""
    OPTUNA_GP = "optuna_gp"
    """Optuna's Gaussian process, which does not know the elements, likewise."""
    NSGA2 = "nsga2"
    """Optuna's genetic algorithm, likewise."""
    RANDOM = "random"
    """Uniformly, without replacement."""


_SURROGATES = (Strategy.GAUSSIAN_PROCESS, Strategy.EXPECTED_IMPROVEMENT)


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """One categorical Optuna distribution a parameter: what `study.ask` is given."""
    return {
        name: CategoricalDistribution(list(options))
        for name, options in space.pool.options.items()
    }


class CandidateSampler(optuna.samplers.BaseSampler):
    """Proposes candidates of a `Space`, never one twice.

    Each proposal draws its random numbers from the seed and the number of candidates
    that are taken, so that a study that was interrupted and resumed proposes what an
    uninterrupted one would have, as long as results come in the same order.

    Args:
        space: what may be proposed.
        strategy: how to choose.
        seed: of all random numbers.
    """

    def __init__(
        self,
        space: Space,
        *,
        strategy: Strategy = Strategy.GAUSSIAN_PROCESS,
        seed: int = 0,
    ) -> None:
        self._space = space
        self._strategy = strategy
        self._seed = seed
        self._distributions = distributions(space)
        self._record = Record(space.pool)
        self._chooser: Chooser | None = None

    def propose(self, study: optuna.Study, n: int) -> list[dict[str, Choice]]:
        """The choices of untried candidates, before there are trials of them.

        Each is proposed as if the ones before it were running.

        Raises:
            ParameterError: fewer than `n` are left.
        """
        trials = study.get_trials(deepcopy=False)
        places = self._choose(study, trials, n)
        return [self._space.pool.choices(place) for place in places]

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All parameters, always together."""
        del study, trial
        return self._distributions

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """The choices of one untried candidate.

        Raises:
            ParameterError: every candidate has been tried.
        """
        del search_space
        trials = study.get_trials(deepcopy=False)
        others = [other for other in trials if other.number != trial.number]
        (place,) = self._choose(study, others, 1)
        return self._space.pool.choices(place)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Refused: parameters are never chosen one by one."""
        del study, trial, param_distribution
        raise ParameterError(
            f"'{param_name}' is not a parameter of the space, whose parameters are "
            f"{', '.join(self._distributions)}. Ask with distributions(space)."
        )

    def untried(
        self, study: optuna.Study, trials: Sequence[FrozenTrial]
    ) -> Bool[ndarray, " n_candidates"]:
        """(n_candidates,) True where none of the trials holds the candidate."""
        self._record.read(study, trials)
        return self._record.untried

    def _choose(
        self, study: optuna.Study, trials: Sequence[FrozenTrial], n: int
    ) -> list[int]:
        """Places of the next candidates in the pool."""
        untried = self.untried(study, trials)
        if untried.sum() < n:
            raise ParameterError(
                f"All {len(self._space)} candidates of the space are taken. "
                "Add elements to it to search on."
            )
        record = self._record
        # Not from the trial's number: interrupted trials have used up some of those.
        random = np.random.default_rng([self._seed, record.n_taken])
        knows = record.n_evaluated >= N_START
        if self._strategy in _SURROGATES and knows:
            return self._surrogate().choose(record.known(study, ()), n, random)
        chosen: list[int] = []
        trials = list(trials)
        for k in range(n):
            random = np.random.default_rng([self._seed, record.n_taken + k])
            if self._strategy in (*_SURROGATES, Strategy.RANDOM):
                place = int(random.choice(np.flatnonzero(untried)))
            else:
                place = self._by_optuna(study, trials, untried, random)
            untried[place] = False
            chosen.append(place)
            running = create_trial(
                state=TrialState.RUNNING,
                params=self._space.pool.choices(place),
                distributions=self._distributions,
            )
            running.number = len(trials)
            trials.append(running)
        return chosen

    def _surrogate(self) -> Chooser:
        if self._chooser is None:
            self._chooser = Chooser(
                features=self._space.features(),
                neighbors_of=self._space.pool.neighbors_of,
                by_improvement=self._strategy is Strategy.EXPECTED_IMPROVEMENT,
            )
        return self._chooser

    def _by_optuna(
        self,
        study: optuna.Study,
        trials: Sequence[FrozenTrial],
        untried: Bool[ndarray, " n_candidates"],
        random: np.random.Generator,
    ) -> int:
        """What one of Optuna's samplers wants, or the nearest untried candidate."""
        sampler = self._optuna(int(random.integers(2**31)))
        asking = create_trial(state=TrialState.RUNNING)
        asking.number = len(trials)
        wanted: dict[str, Any] = {}
        for _ in range(_ATTEMPTS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                wanted = sampler.sample_relative(study, asking, self._distributions)
                for name, distribution in self._distributions.items():
                    if name not in wanted:
                        wanted[name] = sampler.sample_independent(
                            study, asking, name, distribution
                        )
            choice = self._space.pool.find(wanted)
            if choice is not None and untried[choice]:
                return choice
            if self._strategy is not Strategy.TPE:
                break
        left = np.flatnonzero(untried)
        options = self._space.pool.options
        row = [options[name].index(wanted[name]) for name in options]
        shared = (self._space.pool.places[left] == np.array(row)).sum(1)
        return int(random.choice(left[shared == shared.max()]))

    def _optuna(self, seed: int) -> optuna.samplers.BaseSampler:
        if self._strategy is Strategy.TPE:
            return optuna.samplers.TPESampler(seed=seed)
        if self._strategy is Strategy.NSGA2:
            return optuna.samplers.NSGAIISampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.GPSampler(seed=seed)
