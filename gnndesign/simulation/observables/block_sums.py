"""A few dozen blocks of a long series, for errors of what is computed from sums.

Where `blocking` gives the error of a mean, the jackknife over these blocks gives that of
anything: a ratio, a spectrum, the slope of a fitted line. B. Efron and C. Stein, Ann.
Stat. 9, 586 (1981).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from gnndesign.simulation.observables.blocking import MIN_BLOCKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Blocks of samples of an array of quantities.

    Attributes:
        sums: (n_blocks, *shape) over the samples of a block.
        counts: (n_blocks, n_columns) number of samples; columns are the last axis.
    """

    sums: np.ndarray
    counts: Int[np.ndarray, "n_blocks n_columns"]

    @property
    def mean(self) -> np.ndarray:
        """(*shape) over all samples; NaN where there is none."""
        return _ratio(self.sums.sum(0), self.counts.sum(0))

    def jackknife(self, quantity: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Standard error of a function of the means, in its shape.

        Args:
            quantity: takes means (*shape).
        """
        sums, counts = self.sums.sum(0), self.counts.sum(0)
        without = np.array(
            [
                quantity(_ratio(sums - part, counts - number))
                for part, number in zip(self.sums, self.counts, strict=True)
            ]
        )
        n = len(without)
        return np.sqrt((n - 1.0) * without.var(0))


class BlockSums:
    """Sums over blocks of equal length, merged when there are too many.

    Attributes:
        n_samples: number of times `advance` was called.
        block_length: samples in a full block.
    """

    def __init__(
        self, shape: tuple[int, ...], max_blocks: int = 32, *, as_ratios: bool = False
    ) -> None:
        """Begin with nothing.

        Args:
            shape: of a sample.
            max_blocks: most blocks.
            as_ratios: not the means are of interest but their ratios to the mean of
                the first column, which then is in every sample.
        """
        self.shape = shape
        self.as_ratios = as_ratios
        self.n_samples = 0
        self.block_length = 1
        self._sums = np.zeros((max_blocks, *shape))
        self._counts = np.zeros((max_blocks, shape[-1]), dtype=np.int64)
        self._squares = np.zeros(shape)
        self._products = np.zeros(shape if as_ratios else 0)

    def add(self, values: np.ndarray, columns: slice | np.ndarray) -> None:
        """Add to the sample under way what it says of some columns."""
        block = self.n_samples // self.block_length
        self._sums[block][..., columns] += values
        self._counts[block, columns] += 1
        self._squares[..., columns] += values * values
        if self.as_ratios:
            self._products[..., columns] += values * values[..., :1]

    def advance(self) -> None:
        """End the sample under way."""
        self.n_samples += 1
        max_blocks = len(self._sums)
        if self.n_samples == max_blocks * self.block_length:
            half = max_blocks // 2
            for array in (self._sums, self._counts):
                array[:half] = array[0::2] + array[1::2]
                array[half:] = 0
            self.block_length *= 2

    def blocks(self, merged: int = 1) -> Blocks:
        """The blocks, every `merged` neighbors as one; a part at the end joins in."""
        full = max(self.n_samples // (self.block_length * merged), 1)
        used = max(-(-self.n_samples // self.block_length), 1)
        starts = np.arange(full) * merged
        return Blocks(
            sums=np.add.reduceat(self._sums[:used], starts),
            counts=np.add.reduceat(self._counts[:used], starts),
        )

    def merging(self, inefficiencies: float | None = None) -> np.ndarray:
        """(*shape) how many neighbors to merge so that blocks no longer know of each other.

        0 where there is no plateau with enough blocks. A quantity that never changed
        needs none.

        Args:
            inefficiencies: blocks are to be this many statistical inefficiencies long;
                when not given, the rule is that of `blocking`.
        """
        chosen = np.zeros(self.shape, dtype=int)
        merged = 1
        while self.n_samples // (self.block_length * merged) >= MIN_BLOCKS:
            chosen[(chosen == 0) & self._is_plateau(merged, inefficiencies)] = merged
            merged *= 2
        return chosen

    def standard_error(
        self,
        merging: np.ndarray,
        quantity: Callable[[np.ndarray], np.ndarray] = lambda mean: mean,
    ) -> np.ndarray:
        """Of what `quantity` makes of the means (*shape); NaN where `merging` is 0.

        Args:
            merging: how many blocks to merge, in the shape of the quantity.
            quantity: takes means (*shape); gives the means when absent.
        """
        error = np.full(merging.shape, np.nan)
        for merged in np.unique(merging[merging > 0]).tolist():
            found = self.blocks(merged).jackknife(quantity)
            error = np.where(merging == merged, found, error)
        return error

    def content(self) -> dict[str, int | np.ndarray]:
        """All of it, for `restore`."""
        return {
            "n_samples": self.n_samples,
            "block_length": self.block_length,
            "sums": self._sums.copy(),
            "counts": self._counts.copy(),
            "squares": self._squares.copy(),
            "products": self._products.copy(),
        }

    def restore(self, content: dict[str, int | np.ndarray]) -> None:
        """Take back what `content` gave."""
        self.n_samples = int(content["n_samples"])
        self.block_length = int(content["block_length"])
        self._sums[:] = content["sums"]
        self._counts[:] = content["counts"]
        self._squares[:] = content["squares"]
        self._products[:] = content["products"]

    def _is_plateau(self, merged: int, inefficiencies: float | None) -> np.ndarray:
        blocks = self.blocks(merged)
        counts = blocks.counts.astype(float)
        n, n_blocks = counts.sum(0), (counts > 0).sum(0)
        counts = counts.reshape(len(counts), *(1,) * (len(self.shape) - 1), -1)
        mean = blocks.mean
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.as_ratios:
                mean = mean / mean[..., :1]
                share = n / n[0]
                squares = self._squares - 2.0 * mean * self._products
                squares += share * mean**2 * self._squares[..., :1]
                deviations = (
                    blocks.sums - counts / counts[..., :1] * mean * blocks.sums[..., :1]
                )
            else:
                squares = self._squares - n * mean**2
                deviations = blocks.sums - counts * mean
            # Variance of the mean, as if samples were independent and from blocks.
            naive = np.maximum(squares, 0.0) / n**2
            from_blocks = (deviations**2).sum(0) / n**2 * n_blocks / (n_blocks - 1.0)
            inefficiency = from_blocks / naive
            length = n / n_blocks
            # Rounding leaves a trace of variance in what never changed.
            constant = naive * n <= 1e-14 * self._squares / n
            if inefficiencies is None:
                plateau = length**3 > 2.0 * n * inefficiency**2
            else:
                plateau = length > inefficiencies * inefficiency
        return (n_blocks >= MIN_BLOCKS) & (constant | plateau)


def _ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / counts
