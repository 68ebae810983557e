"""Outcomes in the notebook: a row each, and numbers, figure and structure of one."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ase

from gnndesign.plots.properties import can_draw, draw
from gnndesign.properties.base import Result
from gnndesign.properties.follow_mode_result import FollowModeResult
from gnndesign.properties.outcomes import Outcome
from gnndesign.properties.phonon_result import PhononResult
from gnndesign.properties.table import (
    error_text,
    number_text,
    quantities_of,
    quantity_text,
    title_of,
)
from gnndesign_widgets.controls import table
from gnndesign_widgets.figures import Build

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
    return result_html(outcome.result, lambda key: error_text(outcome, key))


def result_html(result: Result, error: Callable[[str], str] | None = None) -> str:
    """Quantities with units, and the notes.

    Args:
        result: of a property.
        error: what is known of the potential's error, by the key of a quantity.
    """
    rows: list[list[str]] = [
        [
            each.name,
            f"{number_text(each.value)} {each.unit}".rstrip(),
            "" if error is None else error(each.key),
        ]
        for each in result.quantities()
    ]
    head = ["Quantity", "Value", "Error of the potential"]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    return table(head, rows) + _paragraphs(result.notes)


def _paragraphs(notes: Sequence[str]) -> str:
    return "".join(f"<div>{html.escape(each)}</div>" for each in notes)


def figure_builds(outcome: Outcome[Any]) -> dict[str, Build]:
    """The figure of an outcome by its title, if there is one."""
    if outcome.result is None or not can_draw(outcome.result):
        return {}
    return {title_of(outcome.kind): partial(draw, outcome.result)}


def structure_of(result: object) -> ase.Atoms | None:
    """The structure that a result is of, such as the relaxed one."""
    atoms = getattr(result, "atoms", None)
    return atoms if isinstance(atoms, ase.Atoms) else None


def frames_of(result: object) -> tuple[ase.Atoms, ...]:
    """What of a result moves: its `frames()`, or the images of a path."""
    frames: Callable[[], Any] | None = getattr(result, "frames", None)
    return tuple(frames()) if callable(frames) else getattr(result, "images", ())


def phonons_of(result: object) -> PhononResult | None:
    """The phonons of the structure that a result is of, if it has them."""
    if isinstance(result, FollowModeResult):
        return result.end
    return result if isinstance(result, PhononResult) else None
