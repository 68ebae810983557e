"""A straight line through values with errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gnndesign.errors import FitError

_MOST_CHI = 4.0
"""Root of chi² a degree of freedom; beyond it the points lie on no line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StraightLine:
    """y = intercept + slope x.

    Attributes:
        slope: in the units of the values given.
        slope_error: standard error.
        intercept: at x = 0.
        intercept_error: standard error.
        chi: root of chi² a degree of freedom, about 1 where the errors explain what the
            line misses; NaN for two points.
    """

    slope: float
    slope_error: float
    intercept: float
    intercept_error: float
    chi: float


def fit_line(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    errors: Float[np.ndarray, " n"],
) -> StraightLine:
    """Least squares with weights 1/error².

    Errors of slope and intercept come from those given, and grow with chi where the
    line misses by more than these.

    Raises:
        FitError: fewer than two points, or points that lie on no line.
    """
    if len(x) < 2:
        raise FitError(f"a line wants two points or more, got {len(x)}.")
    weights = 1 / errors**2
    design = np.stack([np.ones_like(x), x], 1)
    covariance = np.linalg.inv(design.T @ (weights[:, None] * design))
    intercept, slope = covariance @ design.T @ (weights * y)
    chi = float("nan")
    if len(x) > 2:
        missed = (y - intercept - slope * x) / errors
        chi = float(np.sqrt((missed**2).sum() / (len(x) - 2)))
        if chi > _MOST_CHI:
            raise FitError(
                f"the points lie on no straight line: it misses them by {chi:.1f} "
                "standard errors. Look for a change of phase or mechanism between them."
            )
        covariance = covariance * max(1.0, chi) ** 2
    intercept_error, slope_error = np.sqrt(np.diag(covariance))
    return StraightLine(
        slope=float(slope),
        slope_error=float(slope_error),
        intercept=float(intercept),
        intercept_error=float(intercept_error),
        chi=chi,
    )
