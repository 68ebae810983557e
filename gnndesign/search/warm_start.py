"""What is known before a search: from earlier studies, the literature, a cheaper model.

Earlier values were made by other means, another potential or an experiment, and do not
meet the search's own. They teach which candidates are better than which: the surrogate
gives each source an unknown offset and a noise of its own, and raises the noise where the
search's own values contradict (two terms of M. C. Kennedy and A. O'Hagan, Biometrika 87, 1
(2000): an autoregressive model whose discrepancy is constant). They never enter a result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Integer
from numpy import ndarray

from gnndesign.errors import ParameterError
from gnndesign.search.known import Known, Observed
from gnndesign.search.pool import Choice, Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStart:
    """Values of candidates from another source than the search.

    A cheaper model, such as a small potential or a fit to descriptors, is asked about
    some candidates and its answers are given here.

    Attributes:
        choices: of candidates, by name of the parameter. Those that are not in the space
            that is searched are passed over.
        values: of the measure behind the objective, one a candidate: of a target the
            measure, not the distance to it. Any zero, the unit of the objective.
        objective: which objective of the search they are about, from 0.
        noise: deviation of their error, in deviations of the values.

    Raises:
        ParameterError: as many values as candidates are wanted, finite ones, and a
            positive noise.
    """

    choices: tuple[Mapping[str, Choice], ...]
    values: tuple[float, ...]
    objective: int = 0
    noise: float = 0.3

    def __post_init__(self) -> None:
        if len(self.choices) != len(self.values):
            raise ParameterError(
                f"Wanted a value for each of the {len(self.choices)} candidates, got "
                f"{len(self.values)}."
            )
        if not all(map(math.isfinite, self.values)):
            raise ParameterError("Wanted finite values; leave the others out.")
        if self.objective < 0 or not self.noise > 0.0:
            raise ParameterError(
                "Wanted an objective from 0 on and a positive noise, got "
                f"{self.objective} and {self.noise}."
            )

    def of_pool(self, pool: Pool) -> Earlier:
        """The values of what is in a pool.

        Raises:
            ParameterError: nothing is.
        """
        names = set(pool.options)
        told: list[tuple[int, float]] = []
        for choices, value in zip(self.choices, self.values, strict=True):
            place = pool.find(choices) if names <= set(choices) else None
            if place is not None:
                told.append((place, value))
        if not told:
            raise ParameterError(
                f"None of the {len(self.choices)} candidates to start from is in the "
                f"space, whose parameters are {', '.join(pool.options)}."
            )
        values = np.array([value for _, value in told])
        return Earlier(
            objective=self.objective,
            places=np.array([place for place, _ in told], dtype=int),
            values=values,
            variance=(self.noise * max(float(values.std()), 1e-12)) ** 2,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A warm start in a pool.

    Attributes:
        objective: which objective it is about.
        places: (n,) of the candidates.
        values: (n,) of the measure.
        variance: of their noise, in units of the values, squared.
    """

    objective: int
    places: Integer[ndarray, " n"]
    values: Float[ndarray, " n"]
    variance: float


def with_earlier(known: Known, earlier: Sequence[Earlier]) -> Known:
    """What is known together with what was before.

    Raises:
        ParameterError: a warm start is about an objective that is not there.
    """
    if not earlier:
        return known
    objectives = list(known.objectives)
    for one in earlier:
        if one.objective >= len(objectives):
            raise ParameterError(
                f"A warm start is about objective {one.objective}; the search has "
                f"{len(objectives)}, counted from 0."
            )
        objectives[one.objective] = _joined(objectives[one.objective], one)
    return replace(known, objectives=tuple(objectives))


def _joined(own: Observed, earlier: Earlier) -> Observed:
    source = len(own.other_noise) + 1
    # Before the own ones: a kernel is chosen by the first so many.
    return replace(
        own,
        places=np.concatenate([earlier.places, own.places]),
        values=np.concatenate([earlier.values, own.values]),
        sources=np.concatenate(
            [np.full(len(earlier.places), source, dtype=int), own.sources]
        ),
        other_noise=(*own.other_noise, earlier.variance),
    )
