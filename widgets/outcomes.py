"""Outcomes in the notebook: a row each, and everything about one of them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from gnndesign.properties.base import Result
from gnndesign.properties.outcomes import Outcome
from gnndesign.properties.table import (
    number_text,
    published_error,
    quantities_of,
    quantity_text,
    title_of,
)
from gnndesign_widgets.controls import table

COLUMNS = ("Structure", "Property", "Result", "Status")


def outcome_row(outcome: Outcome[Any], name: str) -> list[str]:
    """A row below `COLUMNS`: the first quantity, or why there is none."""
    quantities = quantities_of(outcome)
    said = quantity_text(quantities[0]) if quantities else outcome.message
    return [name, title_of(outcome.kind), said, str(outcome.status)]


def outcome_html(outcome: Outcome[Any]) -> str:
    """All quantities of an outcome, or why there are none."""
    if outcome.result is None:
        return f"<div>{html.escape(outcome.message)}</div>"
    return result_html(outcome.result, outcome.potential)


def result_html(result: Result, potential: str = "") -> str:
    """Quantities with units, the potential's published error, and the notes."""
    rows: list[list[str]] = [
        [
            each.name,
            f"{number_text(each.value)} {each.unit}".rstrip(),
            published_error(potential, each.key) or "",
        ]
        for each in result.quantities()
    ]
    head = ["Quantity", "Value", "Published error"]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    return table(head, rows) + _paragraphs(result.notes)


def _paragraphs(notes: Sequence[str]) -> str:
    return "".join(f"<div>{html.escape(each)}</div>" for each in notes)
