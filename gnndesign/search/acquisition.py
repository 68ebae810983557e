"""How much a candidate promises: what is wanted of a measure, and what one may hope for.

A surrogate predicts the measure itself, normally distributed; what is wanted of it, less,
more or near a value, comes in here. So a target is met from both sides, where a model of
|measure - target| would see a kink.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import ndtr

from gnndesign.errors import ParameterError
from gnndesign.studies import undominated

_CONFIDENCE = float(ndtr(-1.0))
"""Probability that a normal number is below its mean minus one deviation."""

_BISECTIONS = 30
_N_SAMPLES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is wanted of a measure m; its cost is what is to be small.

        direction -1 (less):  cost = m
        direction +1 (more):  cost = -m
        direction 0 (window): cost = max(low - m, m - high, 0)

    Attributes:
        direction: -1, +1 or 0.
        low: lower end of the window; a target is a window without width.
        high: upper end of the window.
    """

    direction: int
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(cls, goal: Any) -> Aim:
        """From "minimize", "maximize", {"target": t} or {"low": a, "high": b}.

        Raises:
            ParameterError: it is none of these.
        """
        if goal == "minimize":
            return cls(direction=-1)
        if goal == "maximize":
            return cls(direction=1)
        if isinstance(goal, Mapping) and set(goal) == {"target"}:
            return cls(
                direction=0, low=float(goal["target"]), high=float(goal["target"])
            )
        if isinstance(goal, Mapping) and set(goal) == {"low", "high"}:
            low, high = goal["low"], goal["high"]
            return cls(
                direction=0,
                low=-math.inf if low is None else float(low),
                high=math.inf if high is None else float(high),
            )
        raise ParameterError(
            "Wanted 'minimize', 'maximize', {'target': t} or {'low': a, 'high': b} as "
            f"goal, got {goal!r}."
        )

    def cost(self, measure: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """What is to be small."""
        if self.direction:
            return -self.direction * measure
        return np.maximum(np.maximum(self.low - measure, measure - self.high), 0.0)

    def limited(self, measure: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Measures whose cost is enormous, drawn nearer.

        A few of them would flatten everything else for the surrogate. The cost is at most
        its median plus three times the way from there to the smallest.
        """
        cost = self.cost(measure)
        middle = float(np.median(cost))
        spread = middle - float(cost.min())
        if spread <= 0.0:
            return measure
        most = middle + 3.0 * spread
        if self.direction:
            return -self.direction * np.minimum(cost, most)
        return np.clip(measure, self.low - most, self.high + most)

    def probability_below(
        self, mean: Float[ndarray, " n"], deviation: Float[ndarray, " n"], cost: Any
    ) -> Float[ndarray, " n"]:
        """Probability that the cost is at most this."""
        if self.direction:
            return ndtr((cost + self.direction * mean) / deviation)
        inside = ndtr((self.high + cost - mean) / deviation) - ndtr(
            (self.low - cost - mean) / deviation
        )
        return np.where(np.asarray(cost) >= 0.0, inside, 0.0)

    def expected_improvement(
        self, mean: Float[ndarray, " n"], deviation: Float[ndarray, " n"], cost: float
    ) -> Float[ndarray, " n"]:
        """Expectation of max(cost - its cost, 0), exact."""
        if self.direction:
            return _hinge(self.direction * mean, deviation, -cost)
        if cost <= 0.0:
            return np.zeros_like(mean)
        return (
            _hinge(mean, deviation, self.low - cost)
            - _hinge(mean, deviation, self.low)
            - _hinge(mean, deviation, self.high)
            + _hinge(mean, deviation, self.high + cost)
        )

    def confidence_bound(
        self, mean: Float[ndarray, " n"], deviation: Float[ndarray, " n"]
    ) -> Float[ndarray, " n"]:
        """The cost that is undercut with probability 0.159.

        For less or more: mean cost minus one deviation, the lower confidence bound (Cox
        and John, SIAM 1997). For a window the same quantile, which is above zero also
        where the window is met: the surer, the smaller.
        """
        if self.direction:
            return -self.direction * mean - deviation
        low = np.zeros_like(mean)
        high = self.cost(mean) + deviation
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            enough = self.probability_below(mean, deviation, middle) > _CONFIDENCE
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return 0.5 * (low + high)


def hypervolume_improvement(
    aims: Sequence[Aim],
    means: Float[ndarray, "n_objectives n"],
    deviations: Float[ndarray, "n_objectives n"],
    front: Float[ndarray, "n_front n_objectives"],
    worst: Float[ndarray, " n_objectives"],
    random: np.random.Generator,
) -> Float[ndarray, " n"]:
    """Expected increase of the hypervolume that the front dominates.

    With F_j the distribution of cost j and independent objectives

        E = ∫ prod_j F_j(z_j) dz   over what is not dominated, up to `worst`.

    For two objectives that region is a staircase, and the integral over a strip is a
    difference of expected improvements times one (exact; the sum of Emmerich, Deutz and
    Klinkenberg, IEEE CEC 2011, written with improvements). For more it is sampled.

    Args:
        aims: what is wanted of each.
        means: of the measures.
        deviations: of the measures.
        front: costs of the best so far.
        worst: costs beyond which nothing counts.
        random: for more than two objectives.
    """
    inside = front[(front < worst).all(1)]
    inside = inside[undominated(inside)] if len(inside) else inside
    if len(aims) == 2:
        return _staircase(aims, means, deviations, inside, worst)
    best = np.minimum(
        inside.min(0, initial=math.inf),
        np.array(
            [
                float(np.min(aim.confidence_bound(m, d)))
                for aim, m, d in zip(aims, means, deviations, strict=True)
            ]
        ),
    )
    best = np.minimum(best, worst - 1e-12)
    samples = best + (worst - best) * random.random((8 * _N_SAMPLES, len(aims)))
    dominated = (inside[:, None] <= samples).all(2).any(0)
    free = samples[~dominated][:_N_SAMPLES]
    total = np.zeros(means.shape[1])
    for sample in free:
        product = np.ones(means.shape[1])
        for aim, mean, deviation, cost in zip(
            aims, means, deviations, sample, strict=True
        ):
            product *= aim.probability_below(mean, deviation, cost)
        total += product
    return total


def _staircase(
    aims: Sequence[Aim],
    means: ndarray,
    deviations: ndarray,
    front: ndarray,
    worst: ndarray,
) -> ndarray:
    front = front[np.argsort(front[:, 0])]
    ends = [*front[:, 0].tolist(), float(worst[0])]
    heights = [float(worst[1]), *front[:, 1].tolist()]
    total = np.zeros(means.shape[1])
    before = np.zeros(means.shape[1])
    for end, height in zip(ends, heights, strict=True):
        upto = aims[0].expected_improvement(means[0], deviations[0], end)
        total += (upto - before) * aims[1].expected_improvement(
            means[1], deviations[1], height
        )
        before = upto
    return np.maximum(total, 0.0)


def _hinge(mean: ndarray, deviation: ndarray, at: float) -> ndarray:
    """Expectation of max(x - at, 0) for normal x."""
    ratio = (mean - at) / deviation
    density = np.exp(-0.5 * ratio**2) / math.sqrt(2.0 * math.pi)
    return deviation * (ratio * ndtr(ratio) + density)
