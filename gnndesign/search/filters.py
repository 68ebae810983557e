"""Rules of chemistry that leave candidates out, and count what they left out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, cast

import numpy as np
from jaxtyping import Bool, Integer
from numpy import ndarray

from gnndesign.errors import ParameterError
from gnndesign.search.ingredients import Ingredients
from gnndesign.search.kinds import Kinds


class Filter(ABC):
    """One rule: a frozen dataclass of what it asks for.

    Attributes:
        kind: its name in job specifications and studies.
    """

    __slots__ = ()
    kind: ClassVar[str]

    @property
    @abstractmethod
    def title(self) -> str:
        """What a person calls it, "price at most 50 USD/kg" for example."""

    @abstractmethod
    def keeps(
        self, ingredients: Ingredients, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Bool[ndarray, " n_rows"]:
        """Which candidates pass.

        Args:
            ingredients: what the options are made of.
            places: option of each slot, a row a candidate.

        Raises:
            ParameterError: the rule means nothing in this space.
        """

    def to_dict(self) -> dict[str, Any]:
        """What defines the rule, as JSON would have it; "kind" among it."""
        # Every filter is a dataclass, which an abstract class cannot say.
        values = {f.name: getattr(self, f.name) for f in fields(cast("Any", self))}
        return {"kind": self.kind, **{k: _plain(v) for k, v in values.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return list(value) if isinstance(value, tuple) else value


FILTERS: Kinds[Filter] = Kinds(
    "filter",
    {
        "charge_neutrality": "charge_neutrality:ChargeNeutrality",
        "tolerance_factor": "tolerance_factor:ToleranceFactor",
        "hume_rothery": "hume_rothery:HumeRothery",
        "contains": "element_filters:Contains",
        "does_not_contain": "element_filters:DoesNotContain",
        "number_of_elements": "element_filters:NumberOfElements",
        "no_radioactive": "element_filters:NoRadioactive",
        "no_toxic": "element_filters:NoToxic",
        "price": "supply_filters:Price",
        "supply_risk": "supply_filters:SupplyRisk",
    },
)
"""All there are."""

FILTER_KINDS = FILTERS.names
"""Kinds of filters that `filter_from_dict` knows."""


def filter_class(kind: str) -> type[Filter]:
    """The class of a kind of filter: a dataclass of its parameters.

    Raises:
        ParameterError: unknown kind.
    """
    return FILTERS.named(kind)


def filter_from_dict(data: Mapping[str, Any]) -> Filter:
    """The filter that `Filter.to_dict` described.

    Raises:
        ParameterError: unknown kind, or an entry is missing or unknown.
    """
    return FILTERS.from_dict(data)


def checked_filters(
    filters: Sequence[Filter | Mapping[str, Any]],
) -> tuple[Filter, ...]:
    """Filters as objects, those given as dictionaries too.

    Raises:
        ParameterError: unknown kind or entry, or one twice.
    """
    made = [f if isinstance(f, Filter) else filter_from_dict(f) for f in filters]
    titles = [rule.title for rule in made]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        raise ParameterError(f"The filter '{twice[0]}' is given more than once.")
    return tuple(made)


def sift(
    filters: Sequence[Filter],
    ingredients: Ingredients,
    places: Integer[ndarray, "n_rows n_slots"],
) -> tuple[Integer[ndarray, " n_kept"], dict[str, int]]:
    """Apply filters one after the other.

    Returns:
        Rows that pass all of them, ascending; by title how many rows each left out that
        the filters before it had let through.
    """
    rows = np.arange(len(places))
    removed: dict[str, int] = {}
    for rule in filters:
        passed = rule.keeps(ingredients, places[rows])
        removed[rule.title] = int(np.count_nonzero(~passed))
        rows = rows[passed]
    return rows, removed


def none_left(n_combinations: int, removed: Mapping[str, int], hint: str = "") -> str:
    """What to say of a space whose filters left nothing: which left out how many."""
    counts = ", ".join(f"{title}: {n:,}" for title, n in removed.items() if n)
    return (
        f"None of the {n_combinations:,} combinations is left ({counts}). Give other "
        f"elements or fewer filters.{hint}"
    )
