"""Fractions that add up to one, in steps and within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Integer
from numpy import ndarray

from gnndesign.errors import ParameterError

_LARGEST_NUMBER_OF_STEPS = 1000


def steps_in_one(step: float) -> int:
    """How many steps make one.

    Raises:
        ParameterError: not a whole number of them.
    """
    exact = (
        Fraction(step).limit_denominator(_LARGEST_NUMBER_OF_STEPS) if step > 0 else 0
    )
    if not exact or exact.numerator != 1 or abs(float(exact) - step) > 1e-3 * step:
        raise ParameterError(
            f"Wanted a step that divides 1, such as 0.125 or 0.05, got {step:g}."
        )
    return exact.denominator


def count_on_simplex(bounds: Sequence[tuple[int, int]], total: int) -> int:
    """Number of ways to write a total as a sum of whole numbers within bounds, exact."""
    ways = [1] + [0] * total
    for low, high in bounds:
        ways = [
            sum(ways[n - k] for k in range(low, min(high, n) + 1))
            for n in range(total + 1)
        ]
    return ways[total]


def points_on_simplex(
    bounds: Sequence[tuple[int, int]], total: int
) -> Integer[ndarray, "n_points n_parts"]:
    """All ways to write a total as a sum of whole numbers within bounds, in order."""
    rows = np.zeros((1, 0), dtype=np.int64)
    left = np.array([total])
    for index, (low, high) in enumerate(bounds):
        # What the parts after this one can take at least and at most.
        rest_low = sum(b[0] for b in bounds[index + 1 :])
        rest_high = sum(b[1] for b in bounds[index + 1 :])
        first = np.maximum(low, left - rest_high)
        last = np.minimum(high, left - rest_low)
        n_choices = np.maximum(last - first + 1, 0)
        parents = np.repeat(np.arange(len(rows)), n_choices)
        before = np.cumsum(n_choices) - n_choices
        values = first[parents] + np.arange(len(parents)) - before[parents]
        rows = np.column_stack([rows[parents], values])
        left = left[parents] - values
    return rows[left == 0]
