"""What a Gaussian process believes of many candidates, one observation after the other."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Integer
from numpy import ndarray
from scipy.linalg import cho_solve, cholesky, solve_triangular

from gnndesign.search.surrogate import Kernel, offsets

_FIRST_ROOM = 64


class Belief:
    """Posterior at fixed points, whose Cholesky factor grows with each observation.

    With the factor L of K + N of what was observed and V = L^-1 K_*, one more observation
    adds a row to each:

        L' = [[L, 0], [s^T, d]],    s = L^-1 k,    d = sqrt(k(x, x) + noise - s·s)
        V' = [V; (k_* - s^T V) / d]

    The variance at the asked points is their prior's minus the column sums of V². It does
    not need the values, so that candidates in flight are observed like others.

    Args:
        kernel: covariance.
        asked: (n_asked, n_features) where to know mean and deviation.
    """

    def __init__(
        self, kernel: Kernel, asked: Float[ndarray, "n_asked n_features"]
    ) -> None:
        self.kernel = kernel
        self._asked = asked.astype(np.float64)
        self._left = kernel.diagonal(self._asked)
        n_asked, n_features = asked.shape
        self._points = np.empty((0, n_features))
        self._sources = np.empty(0, dtype=int)
        self._factor = np.empty((0, 0))
        self._rows = np.empty((_FIRST_ROOM, n_asked))
        self._half = np.empty((_FIRST_ROOM, n_asked))

    def __len__(self) -> int:
        """Number of observations."""
        return len(self._points)

    def observe(
        self, points: Float[ndarray, "n m"], sources: Integer[ndarray, " n"]
    ) -> None:
        """Know the values at these points, whatever they are."""
        n, more = len(self), len(points)
        points = points.astype(np.float64)
        cross = self.kernel.between(self._points, points) + offsets(
            self._sources, sources
        )
        own = self.kernel.between(points, points) + offsets(sources, sources)
        own[np.diag_indices(more)] += self.kernel.noises(sources)
        below = solve_triangular(self._factor, cross, lower=True) if n else cross
        corner = cholesky(own - below.T @ below, lower=True)
        self._factor = np.block(
            [[self._factor, np.zeros((n, more))], [below.T, corner]]
        )
        self._make_room(n + more)
        rows = self.kernel.between(points, self._asked)
        self._rows[n : n + more] = rows
        half = solve_triangular(
            corner, rows - below.T @ self._half[:n], lower=True, check_finite=False
        )
        self._half[n : n + more] = half
        self._left -= np.einsum("na,na->a", half, half)
        self._points = np.concatenate([self._points, points])
        self._sources = np.concatenate([self._sources, sources])

    def mean(
        self, values: Float[ndarray, " n_known"]
    ) -> tuple[Float[ndarray, " n_asked"], float]:
        """Mean at the asked points, and the signal's variance s².

        Args:
            values: standardized, of the first observations. The others are believed to
                be what these predict, which leaves the mean as it is.
        """
        n = len(values)
        weights = cho_solve((self._factor[:n, :n], True), values)
        return self._rows[:n].T @ weights, max(float(values @ weights) / n, 1e-12)

    @property
    def left(self) -> Float[ndarray, " n_asked"]:
        """Variance at the asked points, in units of s²."""
        return np.clip(self._left, 1e-12, None)

    def _make_room(self, n: int) -> None:
        if n > len(self._rows):
            more = max(n, 2 * len(self._rows)) - len(self._rows)
            empty = np.empty((more, self._rows.shape[1]))
            self._rows = np.concatenate([self._rows, empty])
            self._half = np.concatenate([self._half, empty])
