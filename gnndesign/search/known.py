"""What is known of a pool's candidates when the next ones are chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy import ndarray

from gnndesign.search.acquisition import Aim


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

    def only(self, kept: Integer[ndarray, " n_kept"]) -> Observed:
        """Some of them."""
        return replace(
            self,
            places=self.places[kept],
            values=self.values[kept],
            sources=self.sources[kept],
        )

    def leveled(self) -> Float[ndarray, " n_known"]:
        """Values to fit: without enormous costs, every source at the level of the own.

        An earlier source is moved so that its mean is that of the own values. What is
        left of the difference, since other candidates were looked at, is for the
        surrogate to find.
        """
        values = self.values.astype(np.float64)
        for source in np.unique(self.sources):
            mine = self.sources == source
            values[mine] = self.aim.limited(values[mine])
        if self.own.any():
            level = values[self.own].mean()
            for source in np.unique(self.sources[~self.own]):
                mine = self.sources == source
                values[mine] += level - values[mine].mean()
        return values


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
