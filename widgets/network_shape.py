"""Which networks can be made, and what can be chosen of each."""

from __future__ import annotations

import inspect
from typing import Any

from gnndesign.potentials.architectures import ARCHITECTURES
from gnndesign.training.plan import BY_LEAST_SQUARES


def starts() -> list[tuple[str, str]]:
    """Architectures that can be trained: title and name."""
    return [
        (kind.title, name)
        for name, kind in ARCHITECTURES.items()
        if name != BY_LEAST_SQUARES
    ]


def default_shape(architecture: str) -> dict[str, Any]:
    """What can be chosen of an architecture, beside its cutoff, as JSON holds it."""
    kind = ARCHITECTURES[architecture]
    signature = inspect.signature(kind.shape_maker)
    return {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if name not in ("elements", "cutoff", "atomic_numbers")
        and isinstance(parameter.default, bool | int | float | str | tuple)
    }
