"""What a validation found: rows, errors, and its file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gnndesign.disk import write_atomically
from gnndesign.errors import CheckpointError

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One number of one structure beside its reference.

    Attributes:
        name: of the structure in the set.
        formula: of the structure.
        group: `APART` or empty.
        key: of the quantity.
        reference: what it should be.
        predicted: what the potential gives; None where there is no number.
        message: why there is none.
    """

    name: str
    formula: str
    group: str
    key: str
    reference: float
    predicted: float | None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """How well one quantity is predicted.

    Attributes:
        key: of the quantity.
        name: of the quantity.
        unit: of the errors, "%" where they are relative to the reference.
        group: `APART`, or empty for all others.
        n: structures with a number.
        failed: structures without.
        mean_absolute: of predicted minus reference; NaN for none.
        median_absolute: likewise; tells of outliers where it is much smaller.
        bias: mean of predicted minus reference.
        published: mean absolute error that was published of this potential; None for
            none.
        published_source: where.
    """

    key: str
    name: str
    unit: str
    group: str
    n: int
    failed: int
    mean_absolute: float
    median_absolute: float
    bias: float
    published: float | None = None
    published_source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """A potential beside a reference set.

    Attributes:
        potential: name of it.
        checksum: of its weights.
        reference_set: name of the set.
        level: of theory of the references.
        of: structures in the whole set; those with elements that the potential does
            not know are left out.
        seed: that chose the sample; None for the whole set.
        seconds: that it took.
        device: it ran on.
        errors: one a quantity and group.
        rows: one a structure and quantity.
        versions: of packages.
        date: ISO.
    """

    potential: str
    checksum: str
    reference_set: str
    level: str
    of: int
    seed: int | None
    seconds: float
    device: str
    errors: tuple[Errors, ...]
    rows: tuple[Comparison, ...]
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    date: str = ""

    @property
    def n(self) -> int:
        """Number of structures asked for."""
        return len({row.name for row in self.rows})

    def save(self, path: Path | str) -> None:
        """Write as JSON."""
        content = {"format": FORMAT, **asdict(self)}
        write_atomically(Path(path), json.dumps(_without_nan(content), indent=1))

    @classmethod
    def load(cls, path: Path | str) -> Validation:
        """Read what `save` wrote.

        Raises:
            CheckpointError: it is something else.
        """
        return read_validation(Path(path).read_text(encoding="utf-8"), str(path))


def read_validation(text: str, name: str) -> Validation:
    """A validation of the text of its file.

    Args:
        text: JSON.
        name: of the file, for errors.

    Raises:
        CheckpointError: it is something else.
    """
    try:
        content = json.loads(text)
        if content.pop("format") != FORMAT:
            raise CheckpointError(f"{name}: wanted a validation of format {FORMAT}.")
        errors: list[dict[str, Any]] = content.pop("errors")
        rows = content.pop("rows")
        return Validation(
            errors=tuple(Errors(**(row | _nan_again(row))) for row in errors),
            rows=tuple(Comparison(**row) for row in rows),
            **content,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{name} is no validation: {error}") from error


_NUMBERS = ("mean_absolute", "median_absolute", "bias")


def _nan_again(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: math.nan for key in _NUMBERS if row[key] is None}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
