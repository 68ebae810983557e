"""The standard error of the mean of correlated samples, while they come in.

Blocking: neighboring samples are averaged in pairs, those averages again in pairs, and
so on. With every level the naive error of the mean, taken from the blocks as if they
were independent, grows until the blocks are longer than the correlation, and then
stays. H. Flyvbjerg and H. G. Petersen, J. Chem. Phys. 91, 461 (1989).

The plateau is where the block length B (in samples) first satisfies

    B³ > 2 n g²,    g = (error of level B / error of level 1)²

in which the bias of too short blocks (~ g/B) and the noise of too few (~ sqrt(2 B/n))
balance. R. M. Lee et al., Phys. Rev. E 83, 066706 (2011). g is the statistical
inefficiency: n correlated samples are worth n/g independent ones. Should the next level
be higher still, it is taken, which makes up for plateaus that were met by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

MIN_BLOCKS = 8
"""Fewer blocks than this say nothing of a standard error (its own would be 27 %)."""

_COUNT, _MEAN, _SQUARES, _PENDING = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEstimate:
    """Means of several quantities and how far they can be trusted.

    Attributes:
        n_samples: (n,) of each quantity.
        mean: (n,) NaN without samples.
        standard_error: (n,) of the mean; NaN where the samples are too few to tell; 0
            for a quantity that never changed.
        statistical_inefficiency: (n,) number of samples that are worth one
            independent one, at the plateau; NaN where there is none.
    """

    n_samples: Int[np.ndarray, " n"]
    mean: Float[np.ndarray, " n"]
    standard_error: Float[np.ndarray, " n"]
    statistical_inefficiency: Float[np.ndarray, " n"]


class Blocking:
    """Blocks of every length 2^k of several quantities at once, sample by sample.

    A level keeps number, mean and sum of squared deviations of its blocks (B. P.
    Welford, Technometrics 4, 419 (1962)) and the block that waits for its neighbor.
    A quantity that is NaN in a sample is absent from it.
    """

    def __init__(self, n_quantities: int) -> None:
        self.n_quantities = n_quantities
        self.n_added = 0
        self._levels: list[np.ndarray] = []

    def add(self, values: Float[np.ndarray, " n_quantities"]) -> None:
        """Take a sample of all quantities."""
        position = self.n_added
        self.n_added += 1
        level = 0
        while True:
            if level == len(self._levels):
                self._levels.append(np.zeros((4, self.n_quantities)))
            rows = self._levels[level]
            _update(rows, values)
            if position % 2 == 0:
                rows[_PENDING] = values
                return
            values = 0.5 * (rows[_PENDING] + values)
            position //= 2
            level += 1

    def estimate(self) -> BlockEstimate:
        """Means and standard errors by now."""
        if not self._levels:
            nothing = np.full(self.n_quantities, np.nan)
            return BlockEstimate(
                n_samples=np.zeros(self.n_quantities, dtype=int),
                mean=nothing,
                standard_error=nothing,
                statistical_inefficiency=nothing,
            )
        levels = np.array(self._levels)
        first, count = levels[0], levels[:, _COUNT]
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = levels[:, _SQUARES] / (count * (count - 1.0))
            length = 2.0 ** np.arange(len(levels))[:, None]
            plateau = length**3 > 2.0 * first[_COUNT] * (variance / variance[0]) ** 2
            plateau &= count >= MIN_BLOCKS
            # The highest level is too short a series itself, so nothing wraps around.
            ahead = np.where(count >= MIN_BLOCKS // 2, variance, 0.0)
            highest = np.maximum(variance, np.roll(ahead, -1, axis=0))
            chosen = _first_where(plateau, highest)
            inefficiency = chosen / variance[0]
        constant = (first[_COUNT] > 1) & (first[_SQUARES] == 0.0)
        return BlockEstimate(
            n_samples=first[_COUNT].astype(int),
            mean=np.where(first[_COUNT] > 0, first[_MEAN], np.nan),
            standard_error=np.where(constant, 0.0, np.sqrt(chosen)),
            statistical_inefficiency=inefficiency,
        )

    def content(self) -> dict[str, int | np.ndarray]:
        """All of it, for `restore`."""
        levels = np.array(self._levels).reshape(-1, 4, self.n_quantities)
        return {"n_added": self.n_added, "levels": levels}

    def restore(self, content: dict[str, int | np.ndarray]) -> None:
        """Take back what `content` gave."""
        self.n_added = int(content["n_added"])
        shape = (-1, 4, self.n_quantities)
        self._levels = list(np.array(content["levels"]).reshape(shape))


def _update(rows: np.ndarray, values: np.ndarray) -> None:
    """Let a sample into number, mean and squared deviations."""
    there = ~np.isnan(values)
    if there.all():
        rows[_COUNT] += 1.0
        delta = values - rows[_MEAN]
        rows[_MEAN] += delta / rows[_COUNT]
        rows[_SQUARES] += delta * (values - rows[_MEAN])
        return
    rows[_COUNT] += there
    delta = np.where(there, values - rows[_MEAN], 0.0)
    rows[_MEAN] += delta / np.maximum(rows[_COUNT], 1.0)
    rows[_SQUARES] += np.where(there, delta * (values - rows[_MEAN]), 0.0)


def _first_where(
    chosen: np.ndarray, values: np.ndarray
) -> Float[np.ndarray, " n_quantities"]:
    """Per column, the value in the first row that is chosen; NaN without one."""
    rows = chosen.argmax(0)
    found = np.take_along_axis(values, rows[None], 0)[0]
    return np.where(chosen.any(0), found, np.nan)
