"""The filter for perovskites that are likely to be stable."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy import ndarray

from gnndesign.errors import ParameterError
from gnndesign.search.charge_neutrality import ChargeNeutrality
from gnndesign.search.element_data import shannon_radius
from gnndesign.search.filters import Filter
from gnndesign.search.ingredients import Ingredients

_DEFAULT_LIMITS = {"goldschmidt": (0.825, 1.059), "bartel": (None, 4.18)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToleranceFactor(Filter):
    """Keeps perovskites ABX3 whose ions fit, by one of two tolerance factors.

    Goldschmidt's (Naturwissenschaften 14, 477 (1926)) and Bartel's (Sci. Adv. 5,
    eaav0693 (2019)), with n_A the oxidation state on A:

        t = (r_A + r_X) / (sqrt(2) (r_B + r_X))
        tau = r_X / r_B - n_A (n_A - (r_A / r_B) / ln(r_A / r_B))

    Without limits, t is kept between 0.825 and 1.059, where it separates known perovskites
    from others best, and tau below 4.18 (both Bartel et al., there). Radii are Shannon's
    for twelve neighbors on A and six on B and X (`element_data.shannon_radius`), for the
    oxidation states with which the candidate is neutral; the mean where ions share a
    site. A candidate that cannot be neutral, or whose ions have no radius, is left out;
    with tau, one with r_A <= r_B too, since A is the larger ion by definition.

    Attributes:
        factor: "goldschmidt" or "bartel".
        at_least: lower limit; None for the factor's own, if neither is given.
        at_most: upper limit.
        a, b, x: labels of the sites.
        oxidation_states: states by chemical symbol, as in `ChargeNeutrality`.
        mixed_valence: as in `ChargeNeutrality`.

    Raises:
        ParameterError: unknown factor, or an empty range; when used, sites that the space
            does not have.
    """

    factor: str = "bartel"
    at_least: float | None = None
    at_most: float | None = None
    a: str = "A"
    b: str = "B"
    x: str = "X"
    oxidation_states: Mapping[str, Sequence[int | float]] = field(
        default_factory=dict[str, Any], hash=False
    )
    mixed_valence: bool = False

    kind: ClassVar[str] = "tolerance_factor"

    def __post_init__(self) -> None:
        if self.factor not in _DEFAULT_LIMITS:
            raise ParameterError(
                f"Unknown tolerance factor '{self.factor}'; known: "
                f"{', '.join(_DEFAULT_LIMITS)}."
            )
        if self.at_least is None and self.at_most is None:
            low, high = _DEFAULT_LIMITS[self.factor]
            object.__setattr__(self, "at_least", low)
            object.__setattr__(self, "at_most", high)
        if (
            self.at_least is not None
            and self.at_most is not None
            and self.at_least > self.at_most
        ):
            raise ParameterError(
                f"No tolerance factor is at least {self.at_least:g} and at most "
                f"{self.at_most:g}. Exchange the limits."
            )
        object.__setattr__(
            self, "oxidation_states", self._neutrality().oxidation_states
        )

    @property
    def title(self) -> str:
        """For example "Bartel tolerance factor at most 4.18"."""
        limits = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        limits += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        return f"{self.factor.capitalize()} tolerance factor {' and '.join(limits)}"

    def keeps(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Bool[ndarray, " n_rows"]:
        """Which candidates have a factor within the limits."""
        factors = self.factors(ingredients, places)
        kept = np.isfinite(factors)
        if self.at_least is not None:
            kept &= factors >= self.at_least
        if self.at_most is not None:
            kept &= factors <= self.at_most
        return kept

    def factors(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Float[ndarray, " n_rows"]:
        """The tolerance factor of each candidate; NaN where there is none.

        Raises:
            ParameterError: sites that the space does not have.
        """
        slots = (self.a, self.b, self.x)
        if not set(slots) <= set(ingredients.names):
            raise ParameterError(
                f"A tolerance factor wants the sites {', '.join(slots)} of a perovskite; "
                f"got {', '.join(ingredients.names)}. Say which are which with a, b and x."
            )
        charges = self._neutrality().charges(ingredients, places)
        a, b, x = (ingredients.names.index(name) for name in slots)
        r_a, r_b, r_x = (
            charges.mean_of(slot, _radius(neighbors))
            for slot, neighbors in ((a, 12), (b, 6), (x, 6))
        )
        if self.factor == "goldschmidt":
            return (r_a + r_x) / (math.sqrt(2.0) * (r_b + r_x))
        n_a = charges.mean_of(a, lambda _, state: state)
        ratio = np.where(r_a > r_b, r_a / r_b, math.nan)
        return r_x / r_b - n_a * (n_a - ratio / np.log(ratio))

    def _neutrality(self) -> ChargeNeutrality:
        return ChargeNeutrality(
            oxidation_states=self.oxidation_states, mixed_valence=self.mixed_valence
        )


def _radius(neighbors: int) -> Callable[[str, int], float]:
    return lambda symbol, state: shannon_radius(symbol, state, neighbors)
