"""Outcomes as a person reads them: numbers with units, beside what is known of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from gnndesign.properties.base import Quantity, Result
from gnndesign.properties.catalog import property_class
from gnndesign.properties.measured_errors import known_error
from gnndesign.properties.outcomes import Outcome


def number_text(value: float) -> str:
    """Five figures, as many as a potential is good for; "-" for NaN."""
    return "-" if math.isnan(value) else f"{value:.5g}"


def quantity_text(quantity: Quantity) -> str:
    """A quantity in words: "Bulk modulus 98.2 GPa"."""
    return f"{quantity.name} {number_text(quantity.value)} {quantity.unit}".rstrip()


def column_title(quantity: Quantity) -> str:
    """What stands above numbers of a kind: "Bulk modulus (GPa)"."""
    return f"{quantity.name} ({quantity.unit})" if quantity.unit else quantity.name


def error_text(outcome: Outcome[Any], key: str) -> str:
    """How far this potential is off for a quantity, where that was measured."""
    return known_error(outcome.potential, outcome.checksum, outcome.kind, key)


def title_of(kind: str) -> str:
    """What a person calls a property."""
    return property_class(kind).title


def numbered_titles(outcomes: list[Outcome[Any]]) -> Iterator[str]:
    """A title for each outcome; the second of a kind for a structure is "... 2"."""
    seen: dict[tuple[int, str], int] = {}
    for outcome in outcomes:
        key = outcome.structure, outcome.kind
        seen[key] = seen.get(key, 0) + 1
        title = title_of(outcome.kind)
        yield title if seen[key] == 1 else f"{title} {seen[key]}"


def quantities_of(outcome: Outcome[Any]) -> tuple[Quantity, ...]:
    """The numbers of an outcome; none where it has not been computed."""
    result: Result | None = outcome.result
    return () if result is None else result.quantities()
