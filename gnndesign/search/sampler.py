"""An Optuna sampler that proposes allowed, untried candidates and nothing else.

Samplers made for free search spaces propose combinations that are not charge neutral and
repeat themselves in a quarter of their trials. This one chooses from the list of
candidates that no trial of the study holds, whatever process asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import optuna
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from gnndesign.errors import ParameterError
from gnndesign.search.space import Space
from gnndesign.search.surrogate import GaussianProcess, fit_gaussian_process
from gnndesign.studies import INTERRUPTED

_N_START = 10
_MOST_SCORED = 4000
_MOST_FITTED = 400
_TPE_ATTEMPTS = 8


class Strategy(StrEnum):
    """How the next candidate is chosen among those that are left."""

    GAUSSIAN_PROCESS = "gaussian_process"
    """Lowest mean minus k times deviation of a Gaussian process on element descriptors."""
    TPE = "tpe"
    """Optuna's tree-structured Parzen estimator, moved to the nearest untried candidate."""
    RANDOM = "random"
    """Uniformly, without replacement."""


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """One categorical Optuna distribution a parameter: what `study.ask` is given."""
    return {
        name: CategoricalDistribution(list(options))
        for name, options in space.pool.options.items()
    }


def holds_candidate(trial: FrozenTrial) -> bool:
    """Whether the candidate of this trial must not be proposed again.

    True for every trial but those interrupted before they had a result.
    """
    return trial.user_attrs.get("reason") != INTERRUPTED


class CandidateSampler(optuna.samplers.BaseSampler):
    """Proposes candidates of a `Space`, never one twice.

    Each proposal draws its random numbers from the seed and the number of candidates
    that are taken, so that a study that was interrupted and resumed proposes what an
    uninterrupted one would have.

    With `Strategy.GAUSSIAN_PROCESS`, after ten random candidates: minimize
    mean - k deviation, where k is drawn from an exponential distribution of mean 2 for
    each proposal: mostly greedy, now and then curious, which keeps it from getting stuck
    at one good family. Trials in flight count as known with their predicted mean (the
    "kriging believer", Ginsbourger et al. 2010). Several objectives are joined for each
    proposal by an augmented Chebyshev norm with random weights (ParEGO, Knowles, IEEE
    Trans. Evol. Comput. 10, 50 (2006)).

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
        self._features: Float[ndarray, "n_candidates n_features"] | None = None
        self._length_and_noise: dict[int, tuple[float, float]] = {}

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
        others = [
            t for t in study.get_trials(deepcopy=False) if t.number != trial.number
        ]
        untried = self.untried(others)
        if not untried.any():
            raise ParameterError(
                f"All {len(self._space)} candidates of the space are taken. "
                "Add elements to it to search on."
            )
        # Not from the trial's number: interrupted trials have used up some of those.
        n_taken = sum(map(holds_candidate, others))
        random = np.random.default_rng([self._seed, n_taken])
        n_known = sum(t.state == TrialState.COMPLETE for t in others)
        if self._strategy is Strategy.RANDOM or (
            self._strategy is Strategy.GAUSSIAN_PROCESS and n_known < _N_START
        ):
            choice = int(random.choice(np.flatnonzero(untried)))
        elif self._strategy is Strategy.TPE:
            choice = self._by_tpe(study, trial, untried, random)
        else:
            choice = self._by_gaussian_process(study, others, untried, random)
        return self._space.pool.choices(choice)

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

    def untried(self, trials: Sequence[FrozenTrial]) -> Bool[ndarray, " n_candidates"]:
        """(n_candidates,) True where none of the trials holds the candidate."""
        free = np.ones(len(self._space), dtype=bool)
        free[[self._index(t) for t in trials if t.params and holds_candidate(t)]] = (
            False
        )
        return free

    def _index(self, trial: FrozenTrial) -> int:
        return self._space.pool.index_of(trial.params)

    def _by_tpe(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        untried: Bool[ndarray, " n_candidates"],
        random: np.random.Generator,
    ) -> int:
        tpe = optuna.samplers.TPESampler(seed=int(random.integers(2**31)))
        wanted: dict[str, str] = {}
        for _ in range(_TPE_ATTEMPTS):
            wanted = {
                label: tpe.sample_independent(study, trial, label, distribution)
                for label, distribution in self._distributions.items()
            }
            choice = self._space.pool.find(wanted)
            if choice is not None and untried[choice]:
                return choice
        left = np.flatnonzero(untried)
        shared = [
            sum(wanted[name] == choice for name, choice in choices.items())
            for choices in map(self._space.pool.choices, left.tolist())
        ]
        return int(random.choice(left[np.array(shared) == max(shared)]))

    def _by_gaussian_process(
        self,
        study: optuna.Study,
        others: Sequence[FrozenTrial],
        untried: Bool[ndarray, " n_candidates"],
        random: np.random.Generator,
    ) -> int:
        features = self._describe()
        complete = [t for t in others if t.state == TrialState.COMPLETE]
        known = np.array([self._index(t) for t in complete])
        costs = _costs(study, complete, random)
        kept = _most_telling(costs, random)
        known, costs = known[kept], costs[kept]
        several = len(study.directions) > 1
        # With several objectives the joined cost differs from proposal to proposal.
        model = fit_gaussian_process(
            features[known],
            costs,
            length_and_noise=None
            if several
            else self._length_and_noise.get(len(complete)),
        )
        self._length_and_noise = {len(complete): (model.length, model.noise)}
        running = [
            self._index(t) for t in others if t.state == TrialState.RUNNING and t.params
        ]
        if running:
            model = _believe(model, features, known, costs, np.array(running))
        asked = self._worth_scoring(known, costs, untried, random)
        mean, deviation = model.predict(features[asked])
        return int(asked[np.argmin(mean - random.exponential(2.0) * deviation)])

    def _describe(self) -> Float[ndarray, "n_candidates n_features"]:
        if self._features is None:
            self._features = self._space.features()
        return self._features

    def _worth_scoring(
        self,
        known: Int[ndarray, " n_known"],
        costs: Float[ndarray, " n_known"],
        untried: Bool[ndarray, " n_candidates"],
        random: np.random.Generator,
    ) -> Int[ndarray, " n_asked"]:
        """All that are left; of very many, the best five's neighbors and a sample."""
        left = np.flatnonzero(untried)
        if len(left) <= _MOST_SCORED:
            return left
        near = [
            index
            for best in known[np.argsort(costs)[:5]]
            for index in self._space.pool.neighbors_of(int(best))
            if untried[index]
        ]
        sample = random.choice(left, _MOST_SCORED // 2, replace=False)
        return np.unique(np.concatenate([np.array(near, dtype=int), sample]))


def _costs(
    study: optuna.Study, trials: Sequence[FrozenTrial], random: np.random.Generator
) -> Float[ndarray, " n_trials"]:
    """(n_trials,) what to minimize, in standard deviations if objectives are joined."""
    sign = np.array(
        [
            1 if d == optuna.study.StudyDirection.MINIMIZE else -1
            for d in study.directions
        ]
    )
    values = np.array([trial.values for trial in trials]) * sign
    # A few enormous values would flatten everything else for the surrogate.
    low, middle = np.percentile(values, [0, 50], axis=0)
    values = np.minimum(values, middle + 3 * np.maximum(middle - low, 1e-9))
    if values.shape[1] == 1:
        return values[:, 0]
    spread = np.maximum(values.max(0) - values.min(0), 1e-12)
    weighted = random.dirichlet(np.ones(len(sign))) * (values - values.min(0)) / spread
    return weighted.max(1) + 0.05 * weighted.sum(1)


def _most_telling(
    costs: Float[ndarray, " n"], random: np.random.Generator
) -> Int[ndarray, " n_kept"]:
    """Of very many observations the better half of what a fit can afford, and a sample."""
    if len(costs) <= _MOST_FITTED:
        return np.arange(len(costs))
    order = np.argsort(costs)
    half = _MOST_FITTED // 2
    return np.concatenate(
        [order[:half], random.choice(order[half:], half, replace=False)]
    )


def _believe(
    model: GaussianProcess,
    features: Float[ndarray, "n_candidates n_features"],
    known: Int[ndarray, " n_known"],
    costs: Float[ndarray, " n_known"],
    running: Int[ndarray, " n_running"],
) -> GaussianProcess:
    mean, _ = model.predict(features[running])
    return fit_gaussian_process(
        features[np.concatenate([known, running])],
        np.concatenate([costs, mean]),
        length_and_noise=(model.length, model.noise),
    )
