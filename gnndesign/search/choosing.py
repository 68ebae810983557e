"""Which candidates to evaluate next, given what is known of others: numpy alone.

A Gaussian process for every objective and every constraint, on what candidates look like
(`Space.features`). One objective is chosen by its lower confidence bound, mean minus one
deviation; of several the bounds at two deviations are joined by an augmented Chebyshev
norm with random weights (ParEGO, Knowles, IEEE Trans. Evol. Comput. 10, 50 (2006)). On
closed pools both find more than the expected improvement and the expected gain of
hypervolume, which are there too. Candidates in flight are believed
to be what is predicted of them (the "kriging believer", Ginsbourger et al. 2010), which
takes the deviation away where something is on its way already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy import ndarray

from gnndesign.search.acquisition import Aim, hypervolume_improvement
from gnndesign.search.belief import Belief
from gnndesign.search.surrogate import Kernel, center_and_scale, fit_kernel

MOST_SCORED = 8_000
"""Of more candidates, the neighbors of the best and a sample are looked at."""

MOST_FITTED = 600
"""Of more observations, the best and a sample are learned from."""

_N_SAMPLED = 4000
_N_BEST = 10
_REFIT = 1.15
"""The kernel is chosen anew when there are about so many times as many observations."""

_LEAST_PROBABILITY = 1e-9

_WORST = 0.9
"""Quantile of the costs beyond which nothing counts as a gain."""

_CURIOSITY = 2.0
"""Deviations below the mean at which several objectives are compared."""

_AUGMENTED = 0.05
"""Weight of the sum beside the Chebyshev norm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The numbers known of one objective or constraint.

    Attributes:
        aim: what is wanted of them; of a constraint's violation, at most zero.
        places: (n_known,) of the candidates in the pool.
        values: (n_known,) of the measure, in any unit.
        sources: (n_known,) 0 for the search's own, another number for each earlier one.
        other_noise: variance of the noise of sources 1, 2, ..., in those of the values.
    """

    aim: Aim
    places: Integer[ndarray, " n_known"]
    values: Float[ndarray, " n_known"]
    sources: Integer[ndarray, " n_known"]
    other_noise: tuple[float, ...] = ()

    @property
    def own(self) -> Bool[ndarray, " n_known"]:
        """Which are the search's own."""
        return self.sources == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known when the next candidates are chosen.

    Attributes:
        objectives: one or more.
        constraints: none or more.
        evaluated: (n_evaluated,) places of the candidates with values of all
            objectives.
        costs: (n_evaluated, n_objectives) what is to be small, of each objective.
        feasible: (n_evaluated,) whether they keep all constraints.
        pending: (n_pending,) places of those in flight.
        untried: (n_candidates,) which may be chosen.
    """

    objectives: tuple[Observed, ...]
    constraints: tuple[Observed, ...]
    evaluated: Integer[ndarray, " n_evaluated"]
    costs: Float[ndarray, "n_evaluated n_objectives"]
    feasible: Bool[ndarray, " n_evaluated"]
    pending: Integer[ndarray, " n_pending"]
    untried: Bool[ndarray, " n_candidates"]


@dataclass(slots=True, kw_only=True)
class Chooser:
    """Chooses among the candidates of a pool.

    Attributes:
        features: (n_candidates, n_features), each of mean 0 and deviation 1.
        neighbors_of: places of the candidates that differ in one choice.
        by_improvement: choose by the expected improvement or gain of hypervolume.
    """

    features: Float[ndarray, "n_candidates n_features"]
    neighbors_of: Callable[[int], Integer[ndarray, " n"]]
    by_improvement: bool = False
    _kernels: dict[tuple[str, int], tuple[int, Kernel]] = field(
        default_factory=dict[tuple[str, int], tuple[int, Kernel]]
    )

    def choose(self, known: Known, n: int, random: np.random.Generator) -> list[int]:
        """Places of the next candidates, the most promising first.

        Args:
            known: at least two values of each objective.
            n: how many, at most as many as are untried.
            random: for what is not looked at all, and for many objectives.
        """
        asked = self._asked(known, random)
        objectives = [
            self._model(("objective", k), one, asked, known.pending, random)
            for k, one in enumerate(known.objectives)
            if len(one.values) > 1
        ]
        if len(objectives) < len(known.objectives):
            # Nobody has got so far yet; first find who keeps the constraints.
            objectives = []
        constraints = [
            self._model(("constraint", k), one, asked, known.pending, random)
            for k, one in enumerate(known.constraints)
            if len(one.values) > 1
        ]
        free = np.ones(len(asked), dtype=bool)
        chosen: list[int] = []
        for _ in range(n):
            if not objectives or not len(known.costs):
                score = np.zeros(len(asked))
            elif self.by_improvement:
                score = np.log(_improvement(objectives, known, random) + 1e-300)
            else:
                score = -_bound(objectives, known, random)
            for model in constraints:
                score += np.log(model.probability() + _LEAST_PROBABILITY)
            score[~free] = -np.inf
            best = int(np.argmax(score))
            free[best] = False
            chosen.append(int(asked[best]))
            if len(chosen) < n:
                for model in (*objectives, *constraints):
                    model.believe(self.features[asked[best : best + 1]])
        return chosen

    def _asked(
        self, known: Known, random: np.random.Generator
    ) -> Integer[ndarray, " n_asked"]:
        """All that are left; of very many, the best ones' neighbors and a sample."""
        left = np.flatnonzero(known.untried)
        if len(left) <= MOST_SCORED:
            return left
        # The best of each objective, those that keep the constraints first.
        near: list[ndarray] = []
        for costs in known.costs.T:
            order = np.lexsort((costs, ~known.feasible))[:_N_BEST]
            near += [self.neighbors_of(int(p)) for p in known.evaluated[order]]
        sample = left[random.integers(len(left), size=_N_SAMPLED)]
        asked = np.unique(np.concatenate([*near, sample]))
        return asked[known.untried[asked]]

    def _model(
        self,
        name: tuple[str, int],
        observed: Observed,
        asked: ndarray,
        pending: ndarray,
        random: np.random.Generator,
    ) -> _Model:
        kept = _most_telling(observed, random)
        values = observed.values.astype(float)
        own = observed.own
        if own.any():
            values[own] = observed.aim.limited(values[own])
        values, places = values[kept], observed.places[kept]
        sources = observed.sources[kept]
        center, scale = center_and_scale(values)
        standard = (values - center) / scale
        # Standardized like the values, of which earlier ones have a noise of their own.
        noise = tuple(variance / scale**2 for variance in observed.other_noise)
        points = self.features[places]
        # Of the first so many, so that it does not matter when the search was begun.
        n_fitted = _fitted(len(observed.values))
        n_before, kernel = self._kernels.get(name, (0, None))
        if kernel is None or n_fitted != n_before:
            few = slice(min(n_fitted, len(values)))
            kernel = fit_kernel(points[few], standard[few], sources[few], noise)
            self._kernels[name] = (n_fitted, kernel)
        belief = Belief(kernel, self.features[asked])
        belief.observe(points, sources)
        if len(pending):
            belief.observe(self.features[pending], np.zeros(len(pending), dtype=int))
        mean, variance = belief.mean(standard)
        return _Model(
            aim=observed.aim,
            belief=belief,
            mean=center + scale * mean,
            scale=scale,
            variance=variance * scale**2,
        )


@dataclass(slots=True, kw_only=True)
class _Model:
    """A belief, its mean at the asked points, and the units of its values."""

    aim: Aim
    belief: Belief
    mean: ndarray
    scale: float
    variance: float

    def believe(self, points: ndarray) -> None:
        """One more in flight."""
        self.belief.observe(points, np.zeros(len(points), dtype=int))

    def predict(self) -> tuple[ndarray, ndarray]:
        """Mean and deviation of the measure at the asked points."""
        return self.mean, np.sqrt(self.variance * self.belief.left)

    def probability(self) -> ndarray:
        """That a constraint is kept."""
        mean, deviation = self.predict()
        return self.aim.probability_below(mean, deviation, 0.0)


def _bound(
    objectives: Sequence[_Model], known: Known, random: np.random.Generator
) -> ndarray:
    """Optimistic cost of each candidate, in units of about a deviation of the costs."""
    if len(objectives) == 1:
        (model,) = objectives
        return model.aim.confidence_bound(*model.predict()) / model.scale
    best = known.costs.min(0)
    spread = np.maximum(np.quantile(known.costs, _WORST, axis=0) - best, 1e-12)
    weights = random.dirichlet(np.ones(len(objectives)))
    joined: list[ndarray] = []
    for k, model in enumerate(objectives):
        mean, deviation = model.predict()
        bound = model.aim.confidence_bound(mean, _CURIOSITY * deviation)
        joined.append(weights[k] * (bound - best[k]) / spread[k])
    costs = np.stack(joined)
    return costs.max(0) + _AUGMENTED * costs.sum(0)


def _improvement(
    objectives: Sequence[_Model], known: Known, random: np.random.Generator
) -> ndarray:
    """Expected improvement, or gain of hypervolume, over what keeps the constraints."""
    predictions = [model.predict() for model in objectives]
    costs = known.costs[known.feasible]
    worst = np.quantile(known.costs, _WORST, axis=0) + 1e-12
    if len(objectives) == 1:
        best = float(costs.min()) if len(costs) else float(worst[0])
        return objectives[0].aim.expected_improvement(*predictions[0], best)
    return hypervolume_improvement(
        [model.aim for model in objectives],
        np.stack([mean for mean, _ in predictions]),
        np.stack([deviation for _, deviation in predictions]),
        costs,
        worst,
        random,
    )


def _fitted(n: int) -> int:
    """How many of n observations the kernel is chosen by."""
    fitted = 2.0
    while fitted * _REFIT + 1.0 <= n:
        fitted = fitted * _REFIT + 1.0
    return int(fitted)


def _most_telling(
    observed: Observed, random: np.random.Generator
) -> Integer[ndarray, " n_kept"]:
    """Of very many observations the better half of what a fit can afford, and a sample."""
    n = len(observed.values)
    if n <= MOST_FITTED:
        return np.arange(n)
    order = np.argsort(observed.aim.cost(observed.values), kind="stable")
    half = MOST_FITTED // 2
    return np.concatenate(
        [order[:half], random.choice(order[half:], half, replace=False)]
    )
