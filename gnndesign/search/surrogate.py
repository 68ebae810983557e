"""A Gaussian process small enough to read, for pools of candidates.

Symbols: K covariance of the known points, K_* covariance of known and asked points.

    k(x, x') = s² [M(|x - x'| / l) + w x·x']
    mean     = K_*^T (K + N)^-1 y
    variance = k(x, x) - diag(K_*^T (K + N)^-1 K_*)
    log p(y) = -n/2 log s² - 1/2 log|K + N| + constant,    s² = y^T (K + N)^-1 y / n

M is the Matérn-5/2 covariance of the root mean square distance between features, the
second term a Bayesian linear regression. Length l, weight w and noise are those of the
largest evidence on a grid. Rasmussen and Williams, Gaussian Processes for Machine Learning
(2006), algorithm 2.1 and section 5.4.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer
from numpy import ndarray
from scipy.linalg import cho_solve, cholesky, solve_triangular

_LENGTHS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
_LINEAR = (0.0, 1.0, 10.0)
_NOISES = (1e-4, 1e-2, 1e-1)
_DISTRUST = (1.0, 10.0, 1000.0)
"""Times that the noise of other sources may be more than was said."""

_OFFSET_VARIANCE = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """Covariance of what is known and asked, in units of the signal's variance s².

    Values have a source: 0 is the search itself, another number an earlier one. Values of
    one other source share an unknown offset of its own and have a noise of their own; they
    tell what is better than what, not how good it is.

    Attributes:
        length: correlation length, in standard deviations of a feature.
        linear: weight of the linear term.
        noise: variance of the noise of source 0.
        other_noise: variance of the noise of other sources, by number from 1.
    """

    length: float
    linear: float
    noise: float
    other_noise: tuple[float, ...] = ()

    def between(
        self, first: Float[ndarray, "n m"], second: Float[ndarray, "k m"]
    ) -> Float[ndarray, "n k"]:
        """Covariance of the values at points, without noise and offsets."""
        return _covariance(
            _distances(first, second) / self.length, first, second, self.linear
        )

    def diagonal(self, points: Float[ndarray, "n m"]) -> Float[ndarray, " n"]:
        """Variance at points, without noise and offsets."""
        return 1.0 + self.linear * np.einsum("nm,nm->n", points, points) / max(
            points.shape[1], 1
        )

    def noises(self, sources: Integer[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Variance of the noise of values by their source."""
        return np.array([self.noise, *self.other_noise])[sources]


def offsets(
    first: Integer[ndarray, " n"], second: Integer[ndarray, " k"]
) -> Float[ndarray, "n k"]:
    """Covariance that values have for being of the same other source."""
    same = (first[:, None] == second) & (first[:, None] > 0)
    return np.where(same, _OFFSET_VARIANCE, 0.0)


def fit_kernel(
    points: Float[ndarray, "n_known n_features"],
    values: Float[ndarray, " n_known"],
    sources: Integer[ndarray, " n_known"] | None = None,
    other_noise: tuple[float, ...] = (),
) -> Kernel:
    """The kernel that explains the values best.

    Args:
        points: (n_known, n_features) standardized features.
        values: (n_known,) standardized.
        sources: of the values; all 0 where not given.
        other_noise: variance of the noise of sources 1, 2, ... to begin with. More is
            assumed where that explains the values better.
    """
    points = points.astype(np.float64)
    if sources is None:
        sources = np.zeros(len(values), dtype=int)
    shared = offsets(sources, sources)
    distances = _distances(points, points)
    others = [tuple(f * v for v in other_noise) for f in _DISTRUST]
    noises = list(itertools.product(_NOISES, others if other_noise else [()]))
    best, best_evidence = None, -np.inf
    for length, linear in itertools.product(_LENGTHS, _LINEAR):
        covariance = _covariance(distances / length, points, points, linear) + shared
        for noise, other in noises:
            kernel = Kernel(
                length=length, linear=linear, noise=noise, other_noise=other
            )
            evidence = _evidence(covariance, kernel.noises(sources), values)
            if best is None or evidence > best_evidence:
                best, best_evidence = kernel, evidence
    assert best is not None
    return best


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianProcess:
    """A kernel and the values it was fitted to.

    Attributes:
        kernel: of the standardized values.
        points: (n_known, n_features) standardized features.
        factor: (n_known, n_known) lower Cholesky factor of K + N.
        weights: (n_known,) (K + N)^-1 times the standardized values.
        center: mean of the values.
        scale: standard deviation of the values.
    """

    kernel: Kernel
    points: Float[ndarray, "n_known n_features"]
    factor: Float[ndarray, "n_known n_known"]
    weights: Float[ndarray, " n_known"]
    center: float
    scale: float
    _variance: float

    def predict(
        self, points: Float[ndarray, "n_asked n_features"]
    ) -> tuple[Float[ndarray, " n_asked"], Float[ndarray, " n_asked"]]:
        """Mean and standard deviation, (n_asked,) each, in the unit of the values."""
        points = points.astype(np.float64)
        covariance = self.kernel.between(self.points, points)
        half = solve_triangular(self.factor, covariance, lower=True)
        variance = np.clip(self.kernel.diagonal(points) - (half**2).sum(0), 1e-12, None)
        mean = covariance.T @ self.weights
        deviation = np.sqrt(self._variance * variance)
        return self.center + self.scale * mean, self.scale * deviation


def fit_gaussian_process(
    points: Float[ndarray, "n_known n_features"],
    values: Float[ndarray, " n_known"],
    kernel: Kernel | None = None,
) -> GaussianProcess:
    """The process that explains the values best.

    Args:
        points: (n_known, n_features) standardized features.
        values: (n_known,) finite, any unit.
        kernel: use this one instead of choosing by evidence.
    """
    points = points.astype(np.float64)
    center, scale = center_and_scale(values)
    standard = (values - center) / scale
    if kernel is None:
        kernel = fit_kernel(points, standard)
    covariance = kernel.between(points, points) + kernel.noise * np.eye(len(values))
    factor = cholesky(covariance, lower=True)
    weights = cho_solve((factor, True), standard)
    return GaussianProcess(
        kernel=kernel,
        points=points,
        factor=factor,
        weights=weights,
        center=center,
        scale=scale,
        _variance=max(float(standard @ weights) / len(values), 1e-12),
    )


def center_and_scale(values: Float[ndarray, " n"]) -> tuple[float, float]:
    """Mean and standard deviation; 1 instead of a deviation of nothing."""
    center, scale = float(values.mean()), float(values.std())
    return center, scale if scale > 1e-9 * max(abs(center), 1e-9) else 1.0


def _evidence(covariance: ndarray, noises: ndarray, values: ndarray) -> float:
    n = len(values)
    factor = cholesky(covariance + np.diag(noises), lower=True, check_finite=False)
    half = solve_triangular(factor, values, lower=True, check_finite=False)
    variance = max(float(half @ half) / n, 1e-12)
    return float(-0.5 * n * np.log(variance) - np.log(np.diag(factor)).sum())


def _distances(first: ndarray, second: ndarray) -> ndarray:
    squares = (
        np.einsum("nm,nm->n", first, first)[:, None]
        + np.einsum("nm,nm->n", second, second)
        - 2.0 * (first @ second.T)
    ) / max(first.shape[1], 1)
    return np.sqrt(np.clip(squares, 0.0, None))


def _covariance(
    scaled: ndarray, first: ndarray, second: ndarray, linear: float
) -> ndarray:
    root = np.sqrt(5.0) * scaled
    matern = (1.0 + root + root**2 / 3.0) * np.exp(-root)
    if linear:
        matern += linear / max(first.shape[1], 1) * (first @ second.T)
    return matern
