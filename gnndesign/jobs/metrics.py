"""Reading the metrics of a job while it grows."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gnndesign.jobs.store import JobStore
from gnndesign.simulation.results import SCALARS, History

_COLUMNS = ("time_fs", *SCALARS)


@dataclass(slots=True)
class _Table:
    """The rows of one structure as numbers: of a long run there are very many."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    last: dict[str, Any] | None = None

    def take(self, row: dict[str, Any]) -> None:
        """Put a row where its step belongs; one that is there already is replaced."""
        step, width = int(row["step"]), len(_COLUMNS)
        place = bisect_left(self.steps, step)
        is_there = place < len(self.steps) and self.steps[place] == step
        if not is_there:
            self.steps.insert(place, step)
        # JSON has no NaN; what has no meaning for the run is null.
        numbers = [math.nan if row[k] is None else float(row[k]) for k in _COLUMNS]
        end = place + (1 if is_there else 0)
        self.values[width * place : width * end] = array("d", numbers)
        if place == len(self.steps) - 1:
            self.last = row


class MetricsReader:
    """The scalars of a relaxation or of molecular dynamics, read bit by bit."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._offset = 0
        self._tables: dict[int, _Table] = {}

    def refresh(self) -> bool:
        """Read what was written since; whether there was anything."""
        rows, self._offset = self._store.metrics(self._offset)
        for row in rows:
            self._tables.setdefault(row["id"], _Table()).take(row)
        return bool(rows)

    def history(self, system: int = 0) -> History:
        """All scalars of a structure so far; empty before the first moment."""
        table = self._tables.get(system, _Table())
        # Copies, so that the tables can grow.
        columns = np.array(table.values).reshape(-1, len(_COLUMNS)).T.copy()
        return History(
            step=np.array(table.steps, dtype=int),
            **dict(zip(_COLUMNS, columns, strict=True)),
        )

    def last(self, system: int = 0) -> dict[str, Any] | None:
        """The latest row of a structure."""
        table = self._tables.get(system)
        return None if table is None else table.last
