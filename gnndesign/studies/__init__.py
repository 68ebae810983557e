"""Optuna studies: in memory, in an SQLite file, or on a PostgreSQL server."""

from gnndesign.studies.fronts import undominated
from gnndesign.studies.store import (
    INTERRUPTED,
    StudyStore,
    open_existing_study,
    open_study,
)

__all__ = [
    "INTERRUPTED",
    "StudyStore",
    "open_existing_study",
    "open_study",
    "undominated",
]
