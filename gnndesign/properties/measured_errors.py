"""Errors of the potentials that ship with gnndesign, for cards and beside values.

The runs of `gnndesign validate` are kept beside this file, in `validations/`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from gnndesign.properties.reference_sets import reference_set
from gnndesign.properties.validation_result import (
    Errors,
    Validation,
    read_validation,
)


def validations_of(potential: str, checksum: str) -> tuple[Validation, ...]:
    """What was measured of a potential that ships with gnndesign.

    Args:
        potential: its name.
        checksum: of its weights; those of others do not count.
    """
    return tuple(
        found
        for found in _shipped()
        if found.potential == potential and found.checksum == checksum
    )


def measured(potential: str, checksum: str) -> tuple[str, ...]:
    """What a card says of a potential's errors, one sentence a quantity."""
    return tuple(
        f"{errors.name}: {_in_words(found, errors)}"
        for found in validations_of(potential, checksum)
        for errors in found.errors
        if not errors.group and errors.n
    )


def known_error(potential: str, checksum: str, kind: str, key: str) -> str:
    """What to print beside a value: "MAE 12 GPa on 71 elements"; empty if unknown.

    Args:
        potential: name.
        checksum: of its weights.
        kind: of the property.
        key: of the quantity.
    """
    for found in validations_of(potential, checksum):
        if reference_set(found.reference_set).how.kind != kind:
            continue
        for errors in found.errors:
            if errors.key == key and not errors.group and errors.n:
                return _in_words(found, errors)
    return ""


def _in_words(found: Validation, errors: Errors) -> str:
    title = reference_set(found.reference_set).title
    title = title[0].lower() + title[1:]
    words = (
        f"MAE {errors.mean_absolute:.2g} {errors.unit} on {errors.n} of {title} "
        f"({found.level})"
    )
    if errors.failed:
        words += f", {errors.failed} without a number"
    if errors.published is not None:
        words += f"; published {errors.published:g} ({errors.published_source})"
    return words + "."


@cache
def _shipped() -> tuple[Validation, ...]:
    folder = files("gnndesign.properties").joinpath("validations")
    return tuple(
        read_validation(path.read_text(encoding="utf-8"), path.name)
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.name.endswith(".json")
    )
