"""Parameters that differ from system to system, or change as time goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.errors import ParameterError


@dataclass(frozen=True, slots=True)
class Ramp:
    """A value that goes through given points, linearly between them.

    Before the first point and after the last one it stays.

    Attributes:
        times_fs: ascending, fs.
        values: one a time.
    """

    times_fs: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        times, values = tuple(self.times_fs), tuple(self.values)
        ascending = all(a < b for a, b in pairwise(times))
        if not times or len(times) != len(values) or not ascending:
            raise ParameterError(
                "Wanted a ramp with one value for each of its ascending times, got "
                f"{len(times)} times {times} and {len(values)} values {values}."
            )
        object.__setattr__(self, "times_fs", times)
        object.__setattr__(self, "values", values)

    def at(self, time_fs: float) -> float:
        """The value at a time."""
        return float(np.interp(time_fs, self.times_fs, self.values))


Schedule: TypeAlias = "float | Ramp | tuple[float | Ramp, ...]"
"""One value for all, a ramp for all, or one of these for every structure."""


def schedule(value: Any, name: str, *, low: float, high: float = math.inf) -> Schedule:
    """A schedule from what a script or a job's JSON gives.

    Args:
        value: a number, a `Ramp`, {"times_fs": [...], "values": [...]}, or a sequence
            of these, one a structure.
        name: of the parameter, for messages.
        low: the least value.
        high: the largest value.

    Raises:
        ParameterError: something else, or a value out of range.
    """
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        if not len(value):
            raise ParameterError(f"Wanted {name} for every structure, got none.")
        return tuple(_single(entry, name, low, high) for entry in value)
    return _single(value, name, low, high)


def values_at(
    wanted: Schedule,
    ids: Int[Tensor, " n_systems"],
    time_fs: Float[Tensor, " n_systems"],
) -> Float[Tensor, " n_systems"]:
    """(n_systems,) the value for each system, at its own time.

    Args:
        wanted: the schedule.
        ids: which structures these are.
        time_fs: fs, of each system.
    """
    if isinstance(wanted, float | int):
        return torch.full_like(time_fs, wanted)
    if isinstance(wanted, Ramp):
        now: Any = np.interp(time_fs.cpu().numpy(), wanted.times_fs, wanted.values)
    else:
        own = [wanted[system] for system in ids.tolist()]
        now = [
            entry.at(time) if isinstance(entry, Ramp) else entry
            for entry, time in zip(own, time_fs.tolist(), strict=True)
        ]
    return torch.as_tensor(now, dtype=time_fs.dtype, device=time_fs.device)


def check_count(wanted: Schedule, name: str, n_structures: int) -> None:
    """Refuse a list of values of another length than that of the structures.

    Raises:
        ParameterError: names both numbers.
    """
    if isinstance(wanted, tuple) and len(wanted) != n_structures:
        raise ParameterError(
            f"Wanted one {name} for each of {n_structures} structures, got "
            f"{len(wanted)}. Give one number for all, or as many as structures."
        )


def _single(value: Any, name: str, low: float, high: float) -> float | Ramp:
    if isinstance(value, dict):
        value = _ramp(value, name)
    if isinstance(value, Ramp):
        for entry in value.values:
            _single(entry, name, low, high)
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ParameterError(
            f"Wanted {name} as a number or a Ramp, got {type(value).__name__} {value!r}."
        )
    value = float(value)
    if not (math.isfinite(value) and low <= value <= high):
        bound = f"{low:g} <= {name}" + (f" <= {high:g}" if high < math.inf else "")
        raise ParameterError(f"Wanted {bound}, got {value}.")
    return value


def _ramp(points: dict[str, Any], name: str) -> Ramp:
    """From a job's JSON, which knows lists alone."""
    try:
        times, values = (tuple(map(float, points[k])) for k in ("times_fs", "values"))
    except (KeyError, TypeError, ValueError) as error:
        raise ParameterError(
            f"Wanted {name} as a number or as {{'times_fs': [...], 'values': [...]}}, "
            f"got {points!r}."
        ) from error
    return Ramp(times, values)
