"""The diffusion coefficient from the linear part of a mean squared displacement.

    < |u(t + τ) - u(t)|² > = a + 6 D τ

A. Einstein, Ann. Phys. 322, 549 (1905). a is what vibration adds (positive) or the time
before the first collision takes (negative). The linear part is looked for from the
longest lag with a known error downwards, each time by a factor of √2: in the last
octave of τ the slopes of both halves must agree, below it every part with all above.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from gnndesign.simulation.observables.block_sums import Blocks, BlockSums

_A2_PER_FS_TO_A2_PER_PS = 1e3
A2_PER_PS_TO_CM2_PER_S = 1e-4

_STEP = 2**0.5
_N_ERRORS = 2.0
"""Standard errors by which the slopes of neighboring parts may differ."""
_CURVED = 0.05
"""Fraction of the mean slope by which the longest lags may nevertheless be curved."""
_NOISY = 0.15
"""Fraction of it that the error may have where curvature is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diffusion:
    """Diffusion coefficient of a species, in the cell as it is.

    With the drift removed, the free diffusion of an atom of mass m in a system of
    total mass M comes out smaller by the factor 1 - m/M.

    Attributes:
        coefficient_A2_per_ps: Å²/ps; None where no linear part was found.
        coefficient_cm2_per_s: cm²/s.
        error_A2_per_ps: standard error, by jackknife over blocks of the run.
        error_cm2_per_s: the same in cm²/s.
        window_fs: shortest and longest lag of the linear part.
        intercept: of the line, Å².
        message: why there is no coefficient, or that it cannot be told from zero.
    """

    coefficient_A2_per_ps: float | None = None
    coefficient_cm2_per_s: float | None = None
    error_A2_per_ps: float | None = None
    error_cm2_per_s: float | None = None
    window_fs: tuple[float, float] | None = None
    intercept: float | None = None
    message: str = ""


def fit_diffusion(
    lag_fs: Float[np.ndarray, " n_lags"],
    sums: BlockSums,
    species: int,
    merging: Int[np.ndarray, " n_lags"],
) -> Diffusion:
    """Fit the line and its error.

    Args:
        lag_fs: fs, ascending.
        sums: blocks of mean squared displacements (n_species, n_lags), Å².
        species: which row.
        merging: of this row, as `BlockSums.merging` gives it.
    """
    known = np.flatnonzero(merging)
    longest = float(lag_fs[known[-1]]) if len(known) else 0.0
    if (lag_fs[known] > longest / 2).sum() < 4 or len(known) < 6:
        return Diffusion(
            message="Too short to tell a diffusion coefficient: no more than a few "
            "lags have a standard error. Run longer."
        )
    blocks = sums.blocks(int(merging[known].max()))
    blocks = Blocks(
        sums=blocks.sums[:, species][:, known], counts=blocks.counts[:, known]
    )
    line = _Line(lag_fs[known], blocks)
    shortest = line.linear_from()
    if shortest is None:
        return Diffusion(
            message="Not linear in time, or too noisy to tell, even between lags of "
            f"{longest / 2:.4g} and {longest:.4g} fs, the longest with a standard "
            "error. Run longer."
        )
    slope, intercept = line.fit(shortest, longest)(blocks.mean)
    error = blocks.jackknife(line.fit(shortest, longest))[0]
    per_ps = _A2_PER_FS_TO_A2_PER_PS / 6.0
    value, uncertain = float(slope * per_ps), float(error * per_ps)
    message = ""
    if value < 2.0 * uncertain:
        message = "Cannot be told from zero: nothing diffuses, or the run is too short."
    return Diffusion(
        coefficient_A2_per_ps=value,
        coefficient_cm2_per_s=value * A2_PER_PS_TO_CM2_PER_S,
        error_A2_per_ps=uncertain,
        error_cm2_per_s=uncertain * A2_PER_PS_TO_CM2_PER_S,
        window_fs=(float(shortest), float(longest)),
        intercept=float(intercept),
        message=message,
    )


class _Line:
    """Straight lines through parts of a mean squared displacement."""

    def __init__(self, lags: np.ndarray, blocks: Blocks) -> None:
        self._lags = lags
        self._blocks = blocks
        error = blocks.jackknife(lambda mean: mean)
        # A displacement without any noise still needs a weight.
        self._weights = 1.0 / (error**2 + (1e-9 * blocks.mean.max()) ** 2 + 1e-300)

    def fit(
        self, shortest: float, longest: float
    ) -> Callable[[np.ndarray], np.ndarray]:
        """A function that takes means (n_lags,) to slope (Å²/fs) and intercept (Å²)."""
        part = (self._lags >= shortest) & (self._lags <= longest)
        x, weights = self._lags[part], self._weights[part]
        weights = weights / weights.sum()
        center = weights @ x
        of_slope = weights * (x - center) / (weights @ (x - center) ** 2)
        both = np.stack([of_slope, weights - center * of_slope])

        def slope_and_intercept(mean: np.ndarray) -> np.ndarray:
            return both @ mean[part]

        return slope_and_intercept

    def linear_from(self) -> float | None:
        """Shortest lag from which the line is straight to the longest; None: nowhere."""
        longest = float(self._lags[-1])
        scale = abs(self._blocks.mean[-1]) / longest
        start = longest / 2
        difference, error = self._change(start, start * _STEP, longest)
        if difference > max(_N_ERRORS * error, _CURVED * scale):
            return None
        # What has leveled off, like vibration, is not on its way to anything else.
        is_steep = abs(self.fit(start, longest)(self._blocks.mean)[0]) > scale / 2
        if is_steep and error > _NOISY * scale:
            return None
        while (self._lags <= start / _STEP).any():
            difference, error = self._change(start / _STEP, start, longest)
            if difference > max(_N_ERRORS * error, 1e-6 * scale):
                break
            start /= _STEP
        return float(self._lags[self._lags >= start][0])

    def _change(self, low: float, middle: float, high: float) -> tuple[float, float]:
        """By how much the slopes below and above `middle` differ, and its error.

        Zero where there is no slope below because of too few lags.
        """
        if ((self._lags >= low) & (self._lags <= middle)).sum() < 2:
            return 0.0, 0.0
        below, above = self.fit(low, middle), self.fit(middle, high)

        def difference(mean: np.ndarray) -> np.ndarray:
            return (below(mean) - above(mean))[:1]

        error = self._blocks.jackknife(difference)[0]
        return abs(float(difference(self._blocks.mean)[0])), float(error)
