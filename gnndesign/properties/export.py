"""Outcomes as files: CSV for a spreadsheet, JSON with everything in it."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gnndesign.disk import write_atomically
from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.properties.base import Property
from gnndesign.properties.outcomes import Outcome
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.table import column_title, numbered_titles, quantities_of

FORMAT = 1
SUFFIXES = (".csv", ".json")


def check_can_save_outcomes(path: Path) -> None:
    """Whether `save_outcomes` knows what to write here, and can.

    Raises:
        ParameterError: another suffix, or no such folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ParameterError(
            f"Wanted a file named .csv (a table) or .json (everything), got '{path}'."
        )
    if not path.parent.is_dir():
        raise ParameterError(f"Wanted '{path}' in a folder that is there.")


def save_outcomes(
    outcomes: Sequence[Outcome[Any]],
    path: Path,
    *,
    names: Sequence[str] = (),
    properties: Sequence[Property[Any]] = (),
) -> None:
    """Write outcomes; the suffix says how.

    Args:
        outcomes: as `compute` gives them.
        path: named .csv or .json; replaced if it is there.
        names: of the structures, by `Outcome.structure`; empty for formulas alone.
        properties: that were asked for, to be kept with their parameters (JSON).

    Raises:
        ParameterError: another suffix, or no such folder.
    """
    check_can_save_outcomes(path)
    if path.suffix.lower() == ".csv":
        text = outcomes_csv(outcomes, names)
    else:
        text = outcomes_json(outcomes, names, properties)
    write_atomically(path, text)


def outcomes_csv(outcomes: Sequence[Outcome[Any]], names: Sequence[str] = ()) -> str:
    """A row a structure; a column a quantity, with its unit in the header.

    What was not computed has empty cells, and columns with its status and why.
    """
    ordered = list(outcomes)
    rows: dict[int, dict[str, str]] = {}
    columns: dict[str, list[str]] = {}
    for outcome, title in zip(ordered, numbered_titles(ordered), strict=True):
        row = rows.setdefault(outcome.structure, _head(outcome, names))
        numbers = {
            f"{title}: {column_title(each)}": _cell(each.value)
            for each in quantities_of(outcome)
        }
        own = columns.setdefault(title, [])
        own += [name for name in numbers if name not in own]
        row |= numbers
        row[f"{title}: status"] = str(outcome.status)
        row[f"{title}: message"] = outcome.message
        notes = () if outcome.result is None else outcome.result.notes
        row[f"{title}: notes"] = " ".join(notes)
    header = ["structure", "name", "formula", "potential", "checksum"]
    for title, own in columns.items():
        header += [*own, *(f"{title}: {each}" for each in _REMARKS)]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[place] for place in sorted(rows))
    return stream.getvalue()


def outcomes_json(
    outcomes: Sequence[Outcome[Any]],
    names: Sequence[str] = (),
    properties: Sequence[Property[Any]] = (),
) -> str:
    """Everything, results whole; `load_outcomes` reads it back.

    Each outcome has its "quantities" as plain numbers too, for other programs; null is
    what this structure does not have.
    """
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        numbers = [
            {
                "key": each.key,
                "name": each.name,
                "value": each.value if math.isfinite(each.value) else None,
                "unit": each.unit,
            }
            for each in quantities_of(outcome)
        ]
        rows.append(
            {
                **_head(outcome, names),
                "kind": outcome.kind,
                "status": str(outcome.status),
                "message": outcome.message,
                "quantities": numbers,
                "outcome": to_plain(outcome),
            }
        )
    data = {
        "format": FORMAT,
        "properties": [to_plain(each) for each in properties],
        "outcomes": rows,
    }
    return json.dumps(data, allow_nan=False, ensure_ascii=False, indent=1) + "\n"


def load_outcomes(path: Path) -> list[Outcome[Any]]:
    """The outcomes of a JSON file that `save_outcomes` wrote.

    Raises:
        CheckpointError: it is none, or of another version.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["format"] != FORMAT:
            raise CheckpointError(
                f"Wanted outcomes of format {FORMAT} in '{path}', got "
                f"{data['format']}; use the gnndesign that wrote them."
            )
        return [from_plain(row["outcome"]) for row in data["outcomes"]]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"'{path}' holds no outcomes: {error}") from error


_REMARKS = ("status", "message", "notes")


def _head(outcome: Outcome[Any], names: Sequence[str]) -> dict[str, str]:
    return {
        "structure": str(outcome.structure),
        "name": names[outcome.structure] if names else "",
        "formula": outcome.formula,
        "potential": outcome.potential,
        "checksum": outcome.checksum,
    }


def _cell(value: float) -> str:
    """All digits; nothing for what this structure does not have."""
    return "" if math.isnan(value) else repr(float(value))
