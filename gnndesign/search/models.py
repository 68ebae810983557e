"""What a surrogate predicts of many candidates, and believes of those in flight."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from numpy import ndarray

from gnndesign.errors import MissingDependencyError
from gnndesign.search.acquisition import Aim
from gnndesign.search.belief import Belief
from gnndesign.search.known import Observed
from gnndesign.search.surrogate import Kernel, center_and_scale

_N_TREES = 100
_MOST_COLUMNS = 0.5
"""Part of the features that a tree may split by."""

_REACH = 0.5
"""How far a candidate in flight keeps others away, in deviations of a feature."""

_OWN_NOISE = 0.1
"""Variance of what a forest takes for noise of own values, relative to theirs."""


class Model(ABC):
    """A surrogate of one measure at the candidates that are asked about.

    Attributes:
        aim: what is wanted of the measure.
        scale: deviation of the values it was fitted to.
    """

    aim: Aim
    scale: float

    @abstractmethod
    def predict(self) -> tuple[Float[ndarray, " n_asked"], Float[ndarray, " n_asked"]]:
        """Mean and deviation of the measure."""

    @abstractmethod
    def believe(self, points: Float[ndarray, "n n_features"]) -> None:
        """Take candidates for known, at what is predicted of them."""

    def probability(self) -> Float[ndarray, " n_asked"]:
        """That a constraint is kept."""
        mean, deviation = self.predict()
        return self.aim.probability_below(mean, deviation, 0.0)


class ProcessModel(Model):
    """A Gaussian process; what is in flight takes its own deviation away.

    Args:
        observed: the values to learn from.
        features: of all candidates.
        asked: places of the candidates asked about.
        kernel: of the standardized values, see `standard_values`.
    """

    def __init__(
        self,
        observed: Observed,
        features: Float[ndarray, "n_candidates n_features"],
        asked: Integer[ndarray, " n_asked"],
        kernel: Kernel,
    ) -> None:
        standard, center, self.scale = standard_values(observed)
        self.aim = observed.aim
        self._belief = Belief(kernel, features[asked])
        self._belief.observe(features[observed.places], observed.sources)
        mean, variance = self._belief.mean(standard)
        self._mean = center + self.scale * mean
        self._variance = variance * self.scale**2

    def predict(self) -> tuple[Float[ndarray, " n_asked"], Float[ndarray, " n_asked"]]:
        """Mean and deviation of the posterior."""
        return self._mean, np.sqrt(self._variance * self._belief.left)

    def believe(self, points: Float[ndarray, "n n_features"]) -> None:
        """Observe them, whatever they are."""
        self._belief.observe(points, np.zeros(len(points), dtype=int))


class ForestModel(Model):
    """A random forest; the deviation is that between its trees.

    Trees are not fitted again for what is in flight. Instead the deviation is made small
    around it, by sqrt(1 - exp(-(d / 0.5)²)) at the root mean square distance d between
    features, which keeps a batch apart (local penalization, González et al., AISTATS
    2016).

    Args:
        observed: the values to learn from.
        features: of all candidates.
        asked: places of the candidates asked about.
        random: seeds the trees.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """

    def __init__(
        self,
        observed: Observed,
        features: Float[ndarray, "n_candidates n_features"],
        asked: Integer[ndarray, " n_asked"],
        random: np.random.Generator,
    ) -> None:
        self.aim = observed.aim
        self._asked = features[asked]
        standard, center, self.scale = standard_values(observed)
        noises = np.array([0.0, *observed.other_noise]) / self.scale**2
        weights = _OWN_NOISE / (_OWN_NOISE + noises[observed.sources])
        forest = forest_regressor()(
            n_estimators=_N_TREES,
            max_features=_MOST_COLUMNS,
            random_state=int(random.integers(2**31)),
        )
        forest.fit(features[observed.places], standard, sample_weight=weights)
        trees = np.stack([tree.predict(self._asked) for tree in forest.estimators_])
        self._mean = center + self.scale * trees.mean(0)
        self._deviation = self.scale * np.maximum(trees.std(0), 1e-6)

    def predict(self) -> tuple[Float[ndarray, " n_asked"], Float[ndarray, " n_asked"]]:
        """Mean and deviation over the trees."""
        return self._mean, self._deviation

    def believe(self, points: Float[ndarray, "n n_features"]) -> None:
        """Be sure around them."""
        for point in points:
            squares = ((self._asked - point) ** 2).mean(1) / _REACH**2
            near = np.sqrt(np.maximum(-np.expm1(-squares), 1e-12))
            self._deviation = self._deviation * near


def standard_values(
    observed: Observed,
) -> tuple[Float[ndarray, " n_known"], float, float]:
    """Values of mean 0 and deviation 1, with the mean and the deviation they had."""
    values = observed.leveled()
    center, scale = center_and_scale(values)
    return (values - center) / scale, center, scale


def forest_regressor() -> Any:
    """Scikit-learn's class of random forests.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from sklearn.ensemble import (
            RandomForestRegressor,
        )
    except ImportError as error:
        raise MissingDependencyError(
            "The strategy 'random_forest' needs scikit-learn: "
            'pip install "gnndesign[forest]". The strategy "gaussian_process" does not.'
        ) from error
    return RandomForestRegressor
