"""Which networks can be made, and what can be chosen of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gnndesign.potentials.architectures import ARCHITECTURES
from gnndesign.properties.fields import Field, fields_of
from gnndesign.training.plan import BY_LEAST_SQUARES

_FROM_THE_DATA = ("elements", "atomic_numbers")


def starts() -> list[tuple[str, str]]:
    """Architectures that can be trained: title and name."""
    return [
        (kind.title, name)
        for name, kind in ARCHITECTURES.items()
        if name != BY_LEAST_SQUARES
    ]


def shape_fields(architecture: str) -> tuple[Field, ...]:
    """What can be chosen of an architecture beside its cutoff."""
    own = fields_of(ARCHITECTURES[architecture].chosen_class)
    return tuple(f for f in own if f.name not in (*_FROM_THE_DATA, "cutoff"))


def check_shape(architecture: str, options: Mapping[str, Any]) -> None:
    """Refuse what no network of an architecture has.

    Raises:
        ParameterError: says what.
    """
    kind = ARCHITECTURES[architecture]
    known = {field.name for field in fields_of(kind.chosen_class)}
    any_data = {name: (1,) for name in _FROM_THE_DATA if name in known}
    kind.shape(any_data.pop("elements"), {**any_data, **options})
