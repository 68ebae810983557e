"""Filters that look at what the elements of a candidate cost and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool, Float, Integer
from numpy import ndarray

from gnndesign.errors import ParameterError
from gnndesign.search.element_data import masses, prices_USD_per_kg, supply_risks_hhi
from gnndesign.search.filters import Filter
from gnndesign.search.ingredients import Ingredients


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Filter):
    """Keeps candidates whose elements are cheap, see `chemistry.price_USD_per_kg`.

    A candidate with an element that is not traded is left out.

    Attributes:
        at_most: USD/kg.

    Raises:
        ParameterError: a price that is not positive.
    """

    at_most: float

    kind: ClassVar[str] = "price"

    def __post_init__(self) -> None:
        if not self.at_most > 0.0:
            raise ParameterError(f"Wanted a price above 0 USD/kg, got {self.at_most}.")

    @property
    def title(self) -> str:
        """For example "price at most 50 USD/kg"."""
        return f"price at most {self.at_most:g} USD/kg"

    def keeps(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Bool[ndarray, " n_rows"]:
        """Which candidates are cheap enough."""
        return _mean_by_mass(ingredients, places, prices_USD_per_kg()) <= self.at_most


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyRisk(Filter):
    """Keeps candidates whose elements many countries have, see `chemistry.supply_risk_hhi`.

    A candidate with an element without an index, such as hydrogen, is left out.

    Attributes:
        at_most: Herfindahl-Hirschman index, 0 to 10,000; a market above 2,500 counts as
            highly concentrated.
        of_reserves: shares of the known reserves instead of the production.

    Raises:
        ParameterError: an index outside 0 to 10,000.
    """

    at_most: float
    of_reserves: bool = False

    kind: ClassVar[str] = "supply_risk"

    def __post_init__(self) -> None:
        if not 0.0 < self.at_most <= 10_000.0:
            raise ParameterError(
                f"Wanted an index above 0 and up to 10,000, got {self.at_most}."
            )

    @property
    def title(self) -> str:
        """For example "supply risk at most 2500 (production)"."""
        of = "reserves" if self.of_reserves else "production"
        return f"supply risk at most {self.at_most:g} ({of})"

    def keeps(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Bool[ndarray, " n_rows"]:
        """Which candidates are safe enough."""
        indices = supply_risks_hhi(of_reserves=self.of_reserves)
        return _mean_by_mass(ingredients, places, indices) <= self.at_most


def _mean_by_mass(
    ingredients: Ingredients,
    places: Integer[ndarray, "n_rows n_slots"],
    values: Float[ndarray, " 104"],
) -> Float[ndarray, " n_rows"]:
    """NaN, which is at most nothing, where an element has no value."""
    mass = masses()[ingredients.numbers]
    weighted = ingredients.sums(places, mass * values[ingredients.numbers])
    return weighted / ingredients.sums(places, mass)
