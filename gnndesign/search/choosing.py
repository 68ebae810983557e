"""Which candidates to evaluate next, given what is known of others: numpy alone.

A Gaussian process for every objective and every constraint, on what candidates look like
(`Space.features`). One objective is chosen by its lower confidence bound, mean minus 1.15
deviations; of several the bounds at 1.5 deviations are joined by an augmented Chebyshev
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
from jaxtyping import Float, Integer
from numpy import ndarray

from gnndesign.search.acquisition import hypervolume_improvement
from gnndesign.search.known import Known, Observed
from gnndesign.search.models import (
    ForestModel,
    Model,
    ProcessModel,
    standard_values,
)
from gnndesign.search.surrogate import Kernel, fit_kernel

MOST_SCORED = 8_000
"""Of more candidates, the neighbors of the best and a sample are looked at."""

MOST_FITTED = 600
"""Of more observations, the best and a sample are learned from."""

_N_SAMPLED = 4000
_N_BEST = 10
_REFIT = 1.15
"""The kernel is chosen anew when there are about so many times as many observations."""

_MOST_CHOSEN_BY = 300
"""Of more observations, the first are what the kernel is chosen by."""

_LEAST_PROBABILITY = 1e-9

_WORST = 0.9
"""Quantile of the costs beyond which nothing counts as a gain."""

_ALONE = 1.15
"""Deviations below the mean at which one objective is compared. Closed pools show a broad
optimum: fewer find the first good one later, more find many good ones later."""

_CURIOSITY = 1.5
"""Deviations below the mean at which several objectives are compared."""

_AUGMENTED = 0.05
"""Weight of the sum beside the Chebyshev norm."""


@dataclass(slots=True, kw_only=True)
class Chooser:
    """Chooses among the candidates of a pool.

    Attributes:
        features: (n_candidates, n_features), each of mean 0 and deviation 1.
        neighbors_of: places of the candidates that differ in one choice.
        by_improvement: choose by the expected improvement or gain of hypervolume.
        by_forest: ask a random forest instead of Gaussian processes.
    """

    features: Float[ndarray, "n_candidates n_features"]
    neighbors_of: Callable[[int], Integer[ndarray, " n"]]
    by_improvement: bool = False
    by_forest: bool = False
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
            if not objectives:
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
        for one in known.objectives:
            earlier = np.flatnonzero(~one.own)
            costs = one.aim.cost(one.values[earlier])
            best = earlier[np.argsort(costs, kind="stable")[:_N_BEST]]
            near += [self.neighbors_of(int(p)) for p in one.places[best]]
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
    ) -> Model:
        kept = observed.only(_most_telling(observed, random))
        if self.by_forest:
            model = ForestModel(kept, self.features, asked, random)
        else:
            kernel = self._kernel(name, observed)
            model = ProcessModel(kept, self.features, asked, kernel)
        if len(pending):
            model.believe(self.features[pending])
        return model

    def _kernel(self, name: tuple[str, int], observed: Observed) -> Kernel:
        # By the first so many alone, so that it does not matter when a search was begun.
        n_fitted = min(_fitted(len(observed.values)), _MOST_CHOSEN_BY)
        n_before, kernel = self._kernels.get(name, (0, None))
        if kernel is None or n_fitted != n_before:
            few = observed.only(np.arange(n_fitted))
            standard, _, scale = standard_values(few)
            # Standardized like the values, of which earlier ones have their own noise.
            noise = tuple(variance / scale**2 for variance in observed.other_noise)
            kernel = fit_kernel(self.features[few.places], standard, few.sources, noise)
            self._kernels[name] = (n_fitted, kernel)
        return kernel


def _bound(
    objectives: Sequence[Model], known: Known, random: np.random.Generator
) -> ndarray:
    """Optimistic cost of each candidate, in units of about a deviation of the costs."""
    if len(objectives) == 1:
        (model,) = objectives
        mean, deviation = model.predict()
        return model.aim.confidence_bound(mean, _ALONE * deviation) / model.scale
    costs = _costs(objectives, known)
    best = costs.min(0)
    spread = np.maximum(np.quantile(costs, _WORST, axis=0) - best, 1e-12)
    weights = random.dirichlet(np.ones(len(objectives)))
    joined: list[ndarray] = []
    for k, model in enumerate(objectives):
        mean, deviation = model.predict()
        bound = model.aim.confidence_bound(mean, _CURIOSITY * deviation)
        joined.append(weights[k] * (bound - best[k]) / spread[k])
    terms = np.stack(joined)
    return terms.max(0) + _AUGMENTED * terms.sum(0)


def _costs(objectives: Sequence[Model], known: Known) -> ndarray:
    """(n, n_objectives) costs that tell good from bad: what is predicted at first."""
    if len(known.costs) > 1:
        return known.costs
    return np.stack([m.aim.cost(m.predict()[0]) for m in objectives], axis=1)


def _improvement(
    objectives: Sequence[Model], known: Known, random: np.random.Generator
) -> ndarray:
    """Expected improvement, or gain of hypervolume, over what keeps the constraints."""
    predictions = [model.predict() for model in objectives]
    costs = known.costs[known.feasible]
    worst = np.quantile(_costs(objectives, known), _WORST, axis=0) + 1e-12
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
    order = np.argsort(observed.aim.cost(observed.leveled()), kind="stable")
    half = MOST_FITTED // 2
    return np.concatenate(
        [order[:half], random.choice(order[half:], half, replace=False)]
    )
