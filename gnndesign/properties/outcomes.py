"""What became of a property of a structure, a row of a table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic

from gnndesign.properties.base import ResultT


class PropertyStatus(StrEnum):
    """How it ended."""

    COMPUTED = "computed"
    FAILED = "failed"
    """The message says why; there is no number."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[ResultT]):
    """A property of a structure, or why there is none.

    Attributes:
        kind: of the property, see `PROPERTIES`.
        structure: its place among the structures given.
        formula: of the structure.
        potential: name of the potential.
        checksum: of its weights.
        status: COMPUTED, FAILED or STOPPED.
        message: why there is no result; empty otherwise.
        result: None unless COMPUTED.
    """

    kind: str
    structure: int
    formula: str
    potential: str
    checksum: str
    status: PropertyStatus
    message: str = ""
    result: ResultT | None = None
