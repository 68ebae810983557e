"""Properties and results as plain JSON values, and back; floats survive exactly.

What JSON lacks is a dict of one tag: {"float": "nan"}, {"atoms": ...}, {"array": ...},
{"complex": ...}, {"mapping": ...}, {"member": ...} of an enumeration, {"type": ...} of a
dataclass. A file can name no class but those of gnndesign.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum, IntEnum, StrEnum
from functools import singledispatch
from importlib import import_module
from typing import Any, cast

import ase
import numpy as np

from gnndesign.errors import CheckpointError
from gnndesign.structures.convert import atoms_from_dict, atoms_to_dict

_NOT_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@singledispatch
def to_plain(value: object) -> Any:
    """What `from_plain` understands, of numbers, text, lists and dicts alone.

    Takes dataclasses of gnndesign, structures, arrays (real or complex), enumerations,
    tuples and mappings of these.

    Raises:
        TypeError: of anything else.
    """
    home = _home(type(value))
    if not is_dataclass(value) or not home.startswith("gnndesign."):
        raise TypeError(f"Wanted data of a property, got {type(value).__name__}.")
    named = {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    return {"type": home, "fields": named}


@to_plain.register(type(None))
@to_plain.register(bool)
@to_plain.register(int)
@to_plain.register(str)
def _(value: Any) -> Any:
    return value


@to_plain.register
def _(value: float) -> Any:
    return float(value) if math.isfinite(value) else {"float": str(value)}


# These are text and numbers too, which must not be taken for the whole of them.
@to_plain.register(StrEnum)
@to_plain.register(IntEnum)
@to_plain.register(Enum)
def _(value: Any) -> Any:
    return {"member": _home(type(value)), "value": value.value}


@to_plain.register(list)
@to_plain.register(tuple)
def _(value: Any) -> Any:
    return [to_plain(item) for item in value]


@to_plain.register(Mapping)
def _(value: Mapping[Any, Any]) -> Any:
    return {"mapping": [[to_plain(k), to_plain(v)] for k, v in value.items()]}


@to_plain.register
def _(value: ase.Atoms) -> Any:
    return {"atoms": atoms_to_dict(value)}


@to_plain.register(np.ndarray)
@to_plain.register(np.generic)
def _(value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.kind == "c":
        parts = np.real(array), np.imag(array)
        return {"complex": [to_plain(part) for part in parts]}
    flat = array.ravel().tolist()
    if array.dtype.kind == "f":
        flat = [x if math.isfinite(x) else str(x) for x in flat]
    elif array.dtype.kind not in "biu":
        raise TypeError(f"Wanted an array of numbers, got one of {array.dtype}.")
    return {"array": flat, "shape": list(array.shape), "dtype": array.dtype.name}


def from_plain(value: Any) -> Any:
    """Back from what `to_plain` gave; lists come back as tuples.

    Raises:
        CheckpointError: it was not written by `to_plain` of this version.
    """
    try:
        return _back(value)
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        ImportError,
        StopIteration,
    ) as error:
        raise CheckpointError(
            f"This is no property or result of this version: {error}"
        ) from error


def _back(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_back(item) for item in value)
    if not isinstance(value, dict):
        return value
    data = cast("dict[str, Any]", value)
    return _READERS[next(iter(data))](data)


def _read_array(data: Mapping[str, Any]) -> np.ndarray:
    flat = [_NOT_NUMBERS[x] if isinstance(x, str) else x for x in data["array"]]
    return np.array(flat, dtype=data["dtype"]).reshape(data["shape"])


def _read_complex(data: Mapping[str, Any]) -> np.ndarray:
    real, imaginary = map(_read_array, data["complex"])
    return real + 1j * imaginary


def _read_mapping(data: Mapping[str, Any]) -> dict[Any, Any]:
    return {_back(key): _back(value) for key, value in data["mapping"]}


def _read_member(data: Mapping[str, Any]) -> Enum:
    kind = _class(data["member"])
    if not issubclass(kind, Enum):
        raise TypeError(f"{data['member']} is no enumeration.")
    return kind(data["value"])


def _read_dataclass(data: Mapping[str, Any]) -> Any:
    kind = _class(data["type"])
    if not is_dataclass(kind):
        raise TypeError(f"{data['type']} is no dataclass.")
    return kind(**{name: _back(value) for name, value in data["fields"].items()})


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "float": lambda data: _NOT_NUMBERS[data["float"]],
    "atoms": lambda data: atoms_from_dict(data["atoms"]),
    "array": _read_array,
    "complex": _read_complex,
    "mapping": _read_mapping,
    "member": _read_member,
    "type": _read_dataclass,
}


def _home(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(home: str) -> type:
    """A class of ours."""
    module, _, name = home.partition(":")
    if not module.startswith("gnndesign."):
        raise TypeError(f"{home} is not of gnndesign.")
    found = getattr(import_module(module), name)
    if not isinstance(found, type):
        raise TypeError(f"{home} is no class.")
    return found
