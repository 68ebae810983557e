"""Filters that look at which elements a candidate has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool, Integer
from numpy import ndarray
from pymatgen.core import Element

from gnndesign.errors import ParameterError
from gnndesign.search.charges import check_symbol
from gnndesign.search.filters import Filter
from gnndesign.search.ingredients import Ingredients


@dataclass(frozen=True, slots=True, kw_only=True)
class Contains(Filter):
    """Keeps candidates with one, or with all, of some elements.

    Attributes:
        elements: chemical symbols.
        all_of_them: whether every one of them must be there, or any.

    Raises:
        ParameterError: no elements, or not the symbol of one.
    """

    elements: Sequence[str]
    all_of_them: bool = False

    kind: ClassVar[str] = "contains"

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", _checked(self.elements))

    @property
    def title(self) -> str:
        """For example "contains Ti or Zr"."""
        return (
            f"contains {(' and ' if self.all_of_them else ' or ').join(self.elements)}"
        )

    def keeps(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Bool[ndarray, " n_rows"]:
        """Which candidates have them."""
        wanted = len(set(self.elements)) if self.all_of_them else 1
        return ingredients.count_among(places, self.elements) >= wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class DoesNotContain(Filter):
    """Leaves out candidates with any of some elements.

    Attributes:
        elements: chemical symbols.

    Raises:
        ParameterError: no elements, or not the symbol of one.
    """

    elements: Sequence[str]

    kind: ClassVar[str] = "does_not_contain"

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", _checked(self.elements))

    @property
    def title(self) -> str:
        """For example "does not contain Pb or Cd"."""
        return f"does not contain {' or '.join(self.elements)}"

    def keeps(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Bool[ndarray, " n_rows"]:
        """Which candidates have none of them."""
        return ingredients.count_among(places, self.elements) == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberOfElements(Filter):
    """Keeps candidates with a number of different elements in a range.

    Attributes:
        at_least: smallest number.
        at_most: largest number; None for any.

    Raises:
        ParameterError: not a range of positive whole numbers.
    """

    at_least: int = 1
    at_most: int | None = None

    kind: ClassVar[str] = "number_of_elements"

    def __post_init__(self) -> None:
        if self.at_least < 1 or (
            self.at_most is not None and self.at_most < self.at_least
        ):
            raise ParameterError(
                "Wanted 1 <= at_least <= at_most elements, got "
                f"{self.at_least} and {self.at_most}."
            )

    @property
    def title(self) -> str:
        """For example "2 to 4 elements"."""
        if self.at_most is None:
            return f"at least {self.at_least} elements"
        return f"{self.at_least} to {self.at_most} elements"

    def keeps(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Bool[ndarray, " n_rows"]:
        """Which candidates have as many."""
        counts = ingredients.element_counts(places)
        enough = counts >= self.at_least
        return enough if self.at_most is None else enough & (counts <= self.at_most)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRadioactive(Filter):
    """Leaves out elements without a stable isotope: Tc, Pm, and all from Po on.

    Bismuth, whose isotope lives for 2e19 years, counts as stable.
    """

    kind: ClassVar[str] = "no_radioactive"

    @property
    def title(self) -> str:
        """Its name."""
        return "no radioactive elements"

    def keeps(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Bool[ndarray, " n_rows"]:
        """Which candidates have none."""
        unstable = [s for s in ingredients.elements if Element(s).is_radioactive]
        return ingredients.count_among(places, unstable) == 0


TOXIC_ELEMENTS = ("As", "Be", "Cd", "Hg", "Pb", "Tl")
"""As, Cd, Hg and Pb are class 1 of the guideline ICH Q3D(R2) on elemental impurities (2022),
Be and its compounds group 1 of the IARC's carcinogens (Monographs 100C, 2012), thallium
compounds are fatal if swallowed (Regulation (EC) 1272/2008, annex VI)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoToxic(Filter):
    """Leaves out elements that are toxic in most of their compounds.

    A coarse list: chromium, nickel, cobalt and osmium are not on it, for their toxicity
    hangs on the compound, nor is anything radioactive.

    Attributes:
        elements: chemical symbols; `TOXIC_ELEMENTS` with its sources by default.

    Raises:
        ParameterError: no elements, or not the symbol of one.
    """

    elements: Sequence[str] = TOXIC_ELEMENTS

    kind: ClassVar[str] = "no_toxic"

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", _checked(self.elements))

    @property
    def title(self) -> str:
        """Its name."""
        return "no toxic elements"

    def keeps(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Bool[ndarray, " n_rows"]:
        """Which candidates have none."""
        return ingredients.count_among(places, self.elements) == 0


def _checked(elements: Sequence[str]) -> tuple[str, ...]:
    given = (elements,) if isinstance(elements, str) else tuple(elements)
    if not given:
        raise ParameterError("Wanted at least one chemical symbol, got none.")
    return tuple(check_symbol(symbol) for symbol in given)
