"""Taking systems out of a batch and putting batches together.

The state of a simulation is a tree of frozen dataclasses. Each of its tensors says in
its field what its first axis counts:

    momenta: Float[Tensor, "n_atoms 3"] = per_atom()
    step: Int[Tensor, " n_systems"] = per_system()

so that `select` and `join` need neither a method in every class nor a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast, dataclass_transform

import torch
from jaxtyping import Bool
from torch import Tensor

T = TypeVar("T")

STATE_CLASSES: dict[str, type] = {}
"""By name, every class that `state_class` made: what a checkpoint may consist of."""


def per_atom(**options: Any) -> Any:
    """A field whose first axis is the atoms; options as `dataclasses.field` has them."""
    return field(metadata={"axis": "atoms"}, **options)


def per_system(**options: Any) -> Any:
    """A field whose first axis is the systems."""
    return field(metadata={"axis": "systems"}, **options)


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(per_atom, per_system)
)
def state_class(kind: type[T]) -> type[T]:
    """A frozen, keyword-only dataclass with slots that checkpoints know."""
    made = dataclass(frozen=True, slots=True, kw_only=True)(kind)
    STATE_CLASSES[made.__name__] = made
    return made


def select(
    value: T,
    systems: Bool[Tensor, " n_systems"],
    atoms: Bool[Tensor, " n_atoms"],
) -> T:
    """Keep the systems for which the mask is true; `atoms` is that mask on atoms."""

    def part(axis: str, entry: Any) -> Any:
        if axis:
            return entry[atoms if axis == "atoms" else systems]
        if hasattr(entry, "select"):
            return entry.select(systems)
        return select(entry, systems, atoms)

    return cast("T", _rebuilt(value, part))


def where(
    systems: Bool[Tensor, " n_systems"],
    atoms: Bool[Tensor, " n_atoms"],
    one: T,
    other: T,
) -> T:
    """`one` for the systems for which the mask is true, else `other`; `atoms` is that
    mask on atoms.

    What one of them lacks (None) is lacking in the whole. Values that `select` leaves
    to a class of their own are taken from `one`.
    """
    if one is None or other is None:
        return cast("T", None)

    def chosen(axis: str, a: Any, b: Any) -> Any:
        if a is None or b is None:
            return None
        if axis:
            mask = atoms if axis == "atoms" else systems
            return torch.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b)
        return a if hasattr(a, "select") else where(systems, atoms, a, b)

    return cast("Any", type(one))(
        **{
            entry.name: chosen(
                entry.metadata.get("axis", ""),
                getattr(one, entry.name),
                getattr(other, entry.name),
            )
            for entry in fields(cast("Any", one))
        }
    )


def join(values: Sequence[T]) -> T:
    """One batch of all systems, in the order given.

    What one of them lacks (None) is lacking in the whole.
    """
    first = values[0]
    if len(values) == 1 or any(value is None for value in values):
        return first if len(values) == 1 else cast("T", None)
    if hasattr(type(first), "concatenate"):
        return cast("Any", type(first)).concatenate(values)
    names = {
        entry.name: entry.metadata.get("axis") for entry in fields(cast("Any", first))
    }
    parts = {name: [getattr(value, name) for value in values] for name in names}
    return cast("Any", type(first))(
        **{
            name: torch.cat(part)
            if names[name] and all(entry is not None for entry in part)
            else join(part)
            for name, part in parts.items()
        }
    )


def _rebuilt(value: Any, part: Callable[[str, Any], Any]) -> Any:
    if value is None:
        return None
    return type(value)(
        **{
            entry.name: None
            if (now := getattr(value, entry.name)) is None
            else part(entry.metadata.get("axis", ""), now)
            for entry in fields(value)
        }
    )
