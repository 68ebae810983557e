"""Reading the metrics of a job while it grows."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnndesign.jobs.store import JobStore
from gnndesign.simulation.results import SCALARS, History


class MetricsReader:
    """The scalars of a relaxation or of molecular dynamics, read bit by bit."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._offset = 0
        self._rows: dict[int, dict[int, dict[str, Any]]] = {}

    def refresh(self) -> bool:
        """Read what was written since; whether there was anything."""
        rows, self._offset = self._store.metrics(self._offset)
        for row in rows:
            # A moment that is written again (its structure has ended) replaces itself.
            self._rows.setdefault(row["id"], {})[row["step"]] = row
        return bool(rows)

    def history(self, system: int = 0) -> History:
        """All scalars of a structure so far; empty before the first moment."""
        rows = [row for _, row in sorted(self._rows.get(system, {}).items())]

        def column(name: str) -> np.ndarray:
            values = [row[name] for row in rows]
            return np.array([np.nan if v is None else v for v in values], dtype=float)

        return History(
            step=np.array([row["step"] for row in rows], dtype=int),
            time_fs=column("time_fs"),
            **{name: column(name) for name in SCALARS},
        )

    def last(self, system: int = 0) -> dict[str, Any] | None:
        """The latest row of a structure."""
        rows = self._rows.get(system)
        return rows[max(rows)] if rows else None
