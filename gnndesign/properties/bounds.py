"""Bounds of parameters: said once in their types, checked there, and shown by forms.

`Annotated[float, Gt(0)]` with what the package annotated-types has. A number without
bounds is at least finite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import numpy as np
from annotated_types import Ge, Gt, Interval, Le, Lt

from gnndesign.errors import ParameterError

Positive = Annotated[float, Gt(0)]
Count = Annotated[int, Ge(1)]
Seed = Annotated[int, Ge(0)]
Length = Annotated[float, Interval(gt=0, le=1000)]
"""Å."""
Symprec = Annotated[float, Interval(gt=0, le=1)]
"""Å, within which a symmetry is found."""
Temperature = Annotated[float, Interval(gt=0, le=1e5)]
"""K."""
Pressure = Annotated[float, Interval(ge=-1000, le=10000)]
"""GPa."""

_LARGEST = 2**63
"""Whole numbers of the device end there; infinity is beyond, and NaN not below."""


@cache
def bounds_of(parameters: type) -> Mapping[str, tuple[type, Interval]]:
    """Of the fields of a dataclass that are numbers, or lists of numbers.

    Returns:
        Float or int, and the bounds of each number, by the name of the field.
    """
    hints = get_type_hints(parameters, include_extras=True)
    found = {each.name: _bounds(hints[each.name]) for each in fields(parameters)}
    return {name: bounds for name, bounds in found.items() if bounds is not None}


def words_of(bounds: Interval) -> str:
    """Bounds in words: "above 0", "from 0.005 to 0.3"; empty where there are none."""
    if bounds.ge is not None and bounds.le is not None:
        return f"from {bounds.ge} to {bounds.le}"
    named = {
        "above": bounds.gt,
        "at least": bounds.ge,
        "below": bounds.lt,
        "at most": bounds.le,
    }
    return ", ".join(f"{word} {end}" for word, end in named.items() if end is not None)


def check_number(name: str, value: object, kind: type, bounds: Interval) -> None:
    """Refuse what is no number of a kind, not finite or out of bounds.

    Args:
        name: of the parameter, for the message.
        value: a number, None (which is for its type to judge), or a list of numbers.
        kind: float or int.
        bounds: of every number.

    Raises:
        ParameterError: what was wanted, and what was given.
    """
    if value is None:
        return
    wanted = words_of(bounds) or (
        "a whole number" if kind is int else "a finite number"
    )
    is_list = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    given: Any = value if is_list else [value]
    if not all(_holds(each, kind, bounds) for each in given):
        every = ", every number," if is_list else ""
        raise ParameterError(f"Wanted {name}{every} {wanted}, got {value}.")


def check_bounds(parameters: Any) -> None:
    """Refuse parameters whose numbers are not finite or out of their bounds.

    Args:
        parameters: a dataclass; for its `__post_init__`.

    Raises:
        ParameterError: names the first of them.
    """
    for name, (kind, bounds) in bounds_of(type(parameters)).items():
        check_number(name, getattr(parameters, name), kind, bounds)


def _holds(value: object, kind: type, bounds: Interval) -> bool:
    if not isinstance(value, Integral if kind is int else Real):
        return False
    number: Any = value
    return (
        abs(number) < _LARGEST
        and (bounds.gt is None or bool(number > bounds.gt))
        and (bounds.ge is None or bool(number >= bounds.ge))
        and (bounds.lt is None or bool(number < bounds.lt))
        and (bounds.le is None or bool(number <= bounds.le))
    )


def _bounds(hint: Any) -> tuple[type, Interval] | None:
    """What kind of number a type is of, and its bounds; None where it is of none."""
    if get_origin(hint) in (Union, UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        return _bounds(parts[0]) if len(parts) == 1 else None
    if get_origin(hint) in (tuple, Sequence):
        items = {part for part in get_args(hint) if part is not Ellipsis}
        return _of_number(items.pop()) if len(items) == 1 else None
    return _of_number(hint)


def _of_number(hint: Any) -> tuple[type, Interval] | None:
    inner, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if inner not in (int, float):
        return None
    ends = {type(end): end for extra in extras for end in _ends(extra)}
    named = {"gt": Gt, "ge": Ge, "lt": Lt, "le": Le}
    return inner, Interval(
        **{
            name: getattr(ends[kind], name)
            for name, kind in named.items()
            if kind in ends
        }
    )


def _ends(extra: Any) -> Iterator[Any]:
    if isinstance(extra, Interval):
        yield from extra
    elif isinstance(extra, Gt | Ge | Lt | Le):
        yield extra
