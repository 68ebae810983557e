"""An Optuna sampler that proposes allowed, untried candidates and nothing else.

Samplers made for free search spaces propose combinations that are not allowed and repeat
themselves in a quarter of their trials. This one chooses from the list of candidates that
no trial of the study holds, whatever process asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import optuna
from jaxtyping import Bool, Float
from numpy import ndarray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from gnndesign.errors import ParameterError
from gnndesign.search.baselines import ask_optuna
from gnndesign.search.choosing import Chooser
from gnndesign.search.models import forest_regressor
from gnndesign.search.pool import Choice
from gnndesign.search.record import Record
from gnndesign.search.space import Space
from gnndesign.search.warm_start import WarmStart, with_earlier

N_START = 10
"""Random candidates before a surrogate is asked."""

_ALONE = 0.25
"""Part of the proposals for which a warm start is not asked."""


class Strategy(StrEnum):
    """How the next candidate is chosen among those that are left."""

    GAUSSIAN_PROCESS = "gaussian_process"
    """Gaussian processes on descriptors of the elements, see `choosing`."""
    EXPECTED_IMPROVEMENT = "expected_improvement"
    """The same processes, by expected improvement or gain of hypervolume."""
    RANDOM_FOREST = "random_forest"
    """A random forest on the same descriptors; needs scikit-learn."""
    TPE = "tpe"
    """Optuna's tree-structured Parzen estimator, moved to the nearest untried candidate."""
    OPTUNA_GP = "optuna_gp"
    """Optuna's Gaussian process, which does not know the elements, likewise."""
    NSGA2 = "nsga2"
    """Optuna's genetic algorithm, likewise."""
    RANDOM = "random"
    """Uniformly, without replacement."""


_SURROGATES = (
    Strategy.GAUSSIAN_PROCESS,
    Strategy.EXPECTED_IMPROVEMENT,
    Strategy.RANDOM_FOREST,
)


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
        warm_start: what is known of candidates already. With values of ten of each
            objective the random start is left out; the strategies that ask a surrogate
            learn from it, the others do not.

    Raises:
        ParameterError: a warm start has no candidate of the space.
        MissingDependencyError: the strategy needs a package that is not installed.
    """

    def __init__(
        self,
        space: Space,
        *,
        strategy: Strategy = Strategy.GAUSSIAN_PROCESS,
        seed: int = 0,
        warm_start: Sequence[WarmStart] = (),
    ) -> None:
        if strategy is Strategy.RANDOM_FOREST:
            forest_regressor()
        self._space = space
        self.strategy = strategy
        self.seed = seed
        self._distributions = distributions(space)
        self._record = Record(space.pool)
        self._earlier = tuple(start.of_pool(space.pool) for start in warm_start)
        self._features: Float[ndarray, "n_candidates n_features"] | None = None
        self._choosers: dict[str, Chooser] = {}

    @property
    def n_earlier(self) -> int:
        """How many values of the warm starts are about candidates of the space."""
        return sum(len(one.values) for one in self._earlier)

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
        random = np.random.default_rng([self.seed, record.n_taken])
        knows = record.n_evaluated >= N_START or self._starts_warm(study)
        if self.strategy in _SURROGATES and knows:
            return self._by_surrogate(study, n, random)
        if self.strategy in (*_SURROGATES, Strategy.RANDOM):
            return self._by_chance(untried, n)
        return self._by_optuna(study, trials, untried, n, random)

    def _starts_warm(self, study: optuna.Study) -> bool:
        counts = [0] * len(study.directions)
        for earlier in self._earlier:
            if earlier.objective < len(counts):
                counts[earlier.objective] += len(earlier.places)
        return min(counts) >= N_START

    def _by_chance(self, untried: Bool[ndarray, " n_candidates"], n: int) -> list[int]:
        """Each from a seed of its own: the same ones, however many are asked at a time."""
        chosen: list[int] = []
        for k in range(n):
            random = np.random.default_rng([self.seed, self._record.n_taken + k])
            chosen.append(int(random.choice(np.flatnonzero(untried))))
            untried[chosen[-1]] = False
        return chosen

    def _by_surrogate(
        self, study: optuna.Study, n: int, random: np.random.Generator
    ) -> list[int]:
        """From all that is known, and some from the study's own trials alone.

        An earlier source that is wrong about everything would else keep the search away
        from what contradicts it.
        """
        record = self._record
        n_alone = 0
        if self._earlier and record.n_evaluated >= N_START:
            n_alone = int(random.binomial(n, _ALONE))
        together = with_earlier(record.known(study, ()), self._earlier)
        chosen = self._surrogate("all").choose(together, n - n_alone, random)
        if n_alone:
            own = record.known(study, chosen)
            chosen += self._surrogate("own").choose(own, n_alone, random)
        return chosen

    def _surrogate(self, what: str) -> Chooser:
        """One chooser for each kind of what is known: they remember their kernels."""
        if self._features is None:
            self._features = self._space.features()
        if what not in self._choosers:
            self._choosers[what] = Chooser(
                features=self._features,
                neighbors_of=self._space.pool.neighbors_of,
                by_improvement=self.strategy is Strategy.EXPECTED_IMPROVEMENT,
                by_forest=self.strategy is Strategy.RANDOM_FOREST,
            )
        return self._choosers[what]

    def _by_optuna(
        self,
        study: optuna.Study,
        trials: Sequence[FrozenTrial],
        untried: Bool[ndarray, " n_candidates"],
        n: int,
        random: np.random.Generator,
    ) -> list[int]:
        """What one of Optuna's samplers wants, or the nearest untried candidates."""
        pool = self._space.pool
        wished = ask_optuna(
            self.strategy,
            int(random.integers(2**31)),
            self._distributions,
            study.directions,
            trials,
            n,
        )
        chosen: list[int] = []
        for wanted in wished:
            place = pool.find(wanted)
            if place is None or not untried[place]:
                left = np.flatnonzero(untried)
                row = [pool.options[name].index(wanted[name]) for name in pool.options]
                shared = (pool.places[left] == np.array(row)).sum(1)
                place = int(random.choice(left[shared == shared.max()]))
            untried[place] = False
            chosen.append(place)
        return chosen
