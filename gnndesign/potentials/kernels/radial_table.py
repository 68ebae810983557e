"""Radial weights as a table: piecewise cubic in the distance, with a checked error.

A radial network is a function of the distance alone. Between two nodes a distance h
apart the weight is the cubic that has the right value and slope at both (Hermite's
interpolation): with t the place between them, 0 to 1,

    w = (1 + 2t)(1 - t)² w0 + t (1 - t)² h w0' + t² (3 - 2t) w1 - t² (1 - t) h w1'

which is continuous with its slope, so that forces are the exact gradient of the
tabulated energy. The nodes are evenly spaced within each of a few segments; all layers
share them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from gnndesign.errors import CheckpointError
from gnndesign.potentials.kernels.background import give_up_if_ending

SHORTEST = 0.5
"""Å; no table goes below it. Shorter distances are left to the radial network itself."""

_INNER_BREAKS = (SHORTEST, 1.0, 2.0, 3.0)
_COARSE = 32
_MOST_INTERVALS = 4096
_TOLERANCE = 5e-7

Radial = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class RadialGrid:
    """Nodes shared by the tables of all layers.

    Attributes:
        breaks: Å, ascending; the ends of the segments.
        counts: number of intervals in each segment.
    """

    breaks: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return sum(self.counts) + 1

    @property
    def nodes(self) -> Float[ndarray, " n_nodes"]:
        """(n_nodes,) Å."""
        pieces = [
            np.linspace(a, b, n, endpoint=False)
            for a, b, n in zip(
                self.breaks[:-1], self.breaks[1:], self.counts, strict=True
            )
        ]
        return np.concatenate([*pieces, [self.breaks[-1]]])


@dataclass(frozen=True, slots=True, kw_only=True)
class RadialTable:
    """The weights of one layer on a grid.

    Attributes:
        grid: where.
        values: (n_nodes, n_weights).
        slopes: (n_nodes, n_weights) 1/Å.
        error: largest error of a weight, relative to the largest weight.
        slope_error: largest error of a slope, relative to the largest slope.
    """

    grid: RadialGrid
    values: Float[ndarray, "n_nodes n_weights"]
    slopes: Float[ndarray, "n_nodes n_weights"]
    error: float
    slope_error: float

    @property
    def secants(self) -> Float[ndarray, "n_nodes n_weights"]:
        """(n_nodes, n_weights) 1/Å, mean slope from a node to the next; last row 0.

        Kernels in float32 need them: the difference of two near values, divided by a
        short distance, would be mostly rounding.
        """
        rise = np.diff(self.values, axis=0) / np.diff(self.grid.nodes)[:, None]
        return np.vstack([rise, np.zeros_like(rise[:1])])

    def __call__(
        self, distances: Float[ndarray, " n"]
    ) -> tuple[Float[ndarray, "n n_weights"], Float[ndarray, "n n_weights"]]:
        """Weights and slopes (1/Å) at `distances` (Å); the kernels' definition.

        Raises:
            ValueError: a distance below the table's first node.
        """
        nodes = self.grid.nodes
        if distances.size and distances.min() < nodes[0]:
            raise ValueError(
                f"The table begins at {nodes[0]} Å, got {distances.min():.4g} Å. "
                "Evaluate the radial network itself."
            )
        k = np.clip(np.searchsorted(nodes, distances, "right") - 1, 0, len(nodes) - 2)
        h = (nodes[k + 1] - nodes[k])[:, None]
        t = np.minimum((distances - nodes[k])[:, None] / h, 1.0)
        v0, v1 = self.values[k], self.values[k + 1]
        s0, s1 = self.slopes[k], self.slopes[k + 1]
        value = (
            (1 + 2 * t) * (1 - t) ** 2 * v0
            + t * (1 - t) ** 2 * h * s0
            + t**2 * (3 - 2 * t) * v1
            - t**2 * (1 - t) * h * s1
        )
        slope = (
            6 * t * (1 - t) / h * (v1 - v0)
            + (1 - t) * (1 - 3 * t) * s0
            - t * (2 - 3 * t) * s1
        )
        return value, slope


def tabulate(
    radials: Sequence[Radial], breaks: Sequence[float], tolerance: float = _TOLERANCE
) -> tuple[RadialTable, ...]:
    """Tables of several radial functions on one grid fine enough for all.

    Args:
        radials: distances (n,) Å to weights (n, n_weights), differentiable, float64.
        breaks: Å, ascending, where they are not smooth; the last is the cutoff, at and
            beyond which they vanish.
        tolerance: largest error of a slope between the nodes, relative to the largest
            slope of that function.

    Raises:
        CheckpointError: a radial function is too rough for a table.
    """
    inner = [b for b in _INNER_BREAKS if b < breaks[0] - 1e-3]
    ends = (*inner, *breaks)
    largest = [
        _with_slopes(f, np.linspace(SHORTEST, ends[-1], 128, endpoint=False))
        for f in radials
    ]
    sizes = [(float(np.abs(v).max()), float(np.abs(s).max())) for v, s in largest]
    counts: list[int] = []
    for a, b in pairwise(ends):
        n = _COARSE
        excess = 2.0
        while excess > 1.0:
            excess = max(
                _errors(f, a, b, n)[1] / (tolerance * size)
                for f, (_, size) in zip(radials, sizes, strict=True)
            )
            if excess > 1.0:
                # The error of a slope falls with the third power of the width.
                n = 8 * ceil(n * (1.1 * excess) ** (1 / 3) / 8)
            if n > _MOST_INTERVALS:
                raise CheckpointError(
                    f"A radial function is too rough between {a} and {b} Å for a "
                    f"table with errors below {tolerance}; use the plain network."
                )
        counts.append(n)
    grid = RadialGrid(breaks=ends, counts=tuple(counts))
    tables: list[RadialTable] = []
    for radial, (size, slope_size) in zip(radials, sizes, strict=True):
        values, slopes = _with_slopes(radial, grid.nodes)
        errors = [
            _errors(radial, a, b, n)
            for a, b, n in zip(ends[:-1], ends[1:], counts, strict=True)
        ]
        tables.append(
            RadialTable(
                grid=grid,
                values=values,
                slopes=slopes,
                error=max(e for e, _ in errors) / size,
                slope_error=max(e for _, e in errors) / slope_size,
            )
        )
    return tuple(tables)


def _with_slopes(radial: Radial, distances: ndarray) -> tuple[ndarray, ndarray]:
    give_up_if_ending()
    r = torch.from_numpy(np.ascontiguousarray(distances))
    found: Any = torch.autograd.functional.jvp(radial, r, torch.ones_like(r))
    values, slopes = found
    return values.numpy(), slopes.numpy()


def _errors(radial: Radial, a: float, b: float, n: int) -> tuple[float, float]:
    """Largest error of a value and a slope between n + 1 even nodes from a to b."""
    grid = RadialGrid(breaks=(a, b), counts=(n,))
    values, slopes = _with_slopes(radial, grid.nodes)
    table = RadialTable(
        grid=grid, values=values, slopes=slopes, error=0.0, slope_error=0.0
    )
    between = np.add.outer(grid.nodes[:-1], np.array([0.2, 0.5, 0.8]) * (b - a) / n)
    value, slope = table(between.ravel())
    exact_value, exact_slope = _with_slopes(radial, between.ravel())
    return (
        float(np.abs(value - exact_value).max()),
        float(np.abs(slope - exact_slope).max()),
    )
