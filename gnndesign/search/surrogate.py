"""A Gaussian process small enough to read, for pools of candidates.

Symbols: K covariance of the known points, K_* covariance of known and asked points.

    mean     = K_*^T K^-1 y
    variance = k(0) - diag(K_*^T K^-1 K_*)
    log p(y) = -1/2 y^T K^-1 y - 1/2 log|K| - n/2 log(2 pi)

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import cho_solve, cholesky, solve_triangular

_LENGTHS = (0.35, 0.7, 1.4, 2.8)
_NOISES = (1e-4, 1e-2, 1e-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianProcess:
    """Matérn-5/2 covariance of the root mean square distance between features.

    Attributes:
        points: (n_known, n_features) standardized features.
        factor: (n_known, n_known) lower Cholesky factor of the covariance.
        weights: (n_known,) K^-1 times the standardized values.
        length: correlation length, in standard deviations of a feature.
        noise: variance of the noise relative to that of the values.
        center: mean of the values.
        scale: standard deviation of the values.
    """

    points: Float[ndarray, "n_known n_features"]
    factor: Float[ndarray, "n_known n_known"]
    weights: Float[ndarray, " n_known"]
    length: float
    noise: float
    center: float
    scale: float

    def predict(
        self, points: Float[ndarray, "n_asked n_features"]
    ) -> tuple[Float[ndarray, " n_asked"], Float[ndarray, " n_asked"]]:
        """Mean and standard deviation, (n_asked,) each, in the unit of the values."""
        covariance = _matern(_distances(self.points, points) / self.length)
        half = solve_triangular(self.factor, covariance, lower=True)
        variance = np.clip(1.0 - (half**2).sum(0), 1e-12, None)
        mean = covariance.T @ self.weights
        return self.center + self.scale * mean, self.scale * np.sqrt(variance)


def fit_gaussian_process(
    points: Float[ndarray, "n_known n_features"],
    values: Float[ndarray, " n_known"],
    *,
    length_and_noise: tuple[float, float] | None = None,
) -> GaussianProcess:
    """The process whose length and noise explain the values best.

    Args:
        points: (n_known, n_features) standardized features.
        values: (n_known,) finite, any unit.
        length_and_noise: use these instead of choosing by marginal likelihood.
    """
    center, scale = float(values.mean()), max(float(values.std()), 1e-12)
    standard = (values - center) / scale
    distances = _distances(points, points)
    choices = (
        [length_and_noise]
        if length_and_noise is not None
        else [(length, noise) for length in _LENGTHS for noise in _NOISES]
    )
    best: GaussianProcess | None = None
    best_evidence = -np.inf
    for length, noise in choices:
        covariance = _matern(distances / length) + noise * np.eye(len(values))
        factor = cholesky(covariance, lower=True)
        weights = cho_solve((factor, True), standard)
        evidence = -0.5 * standard @ weights - np.log(np.diag(factor)).sum()
        if best is None or evidence > best_evidence:
            best_evidence = float(evidence)
            best = GaussianProcess(
                points=points,
                factor=factor,
                weights=weights,
                length=length,
                noise=noise,
                center=center,
                scale=scale,
            )
    assert best is not None
    return best


def _distances(
    first: Float[ndarray, "n m"], second: Float[ndarray, "k m"]
) -> Float[ndarray, "n k"]:
    squares = (
        (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    ) / max(first.shape[1], 1)
    return np.sqrt(np.clip(squares, 0.0, None))


def _matern(scaled: Float[ndarray, "n k"]) -> Float[ndarray, "n k"]:
    root = np.sqrt(5.0) * scaled
    return (1.0 + root + root**2 / 3.0) * np.exp(-root)
