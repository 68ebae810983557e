"""The parameters of a property as the fields of a form, and from text to parameters.

A field's name has dots where one dataclass is in another: "relaxing.max_force". What a
person types, in a panel or on the command line, is text: "0.01", "full", "none", a path
of a structure, or JSON for whatever has no simpler form.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from dataclasses import Field as DataclassField
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import ase

from gnndesign.errors import ParameterError
from gnndesign.properties.base import Property
from gnndesign.properties.catalog import property_class
from gnndesign.structures.files import load_structure, load_structures

NONE = "none"
"""How None is typed."""

_UNITS = ("GPa", "K", "THz", "ps", "fs", "meV", "nm", "degrees")


class FieldKind(StrEnum):
    """What a field holds."""

    SWITCH = "yes or no"
    INTEGER = "whole number"
    NUMBER = "number"
    TEXT = "text"
    CHOICE = "choice"
    STRUCTURE = "structure from a file"
    STRUCTURES = "structures from a file"
    GROUP = "group"
    """Fields of their own."""
    JSON = "JSON"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A parameter as a form shows it.

    Attributes:
        name: with dots, such as "relaxing.max_force".
        kind: what it holds.
        default: its value if nobody says otherwise; None where there is none.
        required: whether somebody must say.
        optional: whether it may be None.
        doc: what it means, from the docstring of the class.
        choices: of a CHOICE; text.
        group: class of a GROUP.
        fields: of a GROUP, with the defaults of its default.
    """

    name: str
    kind: FieldKind
    default: Any
    required: bool
    optional: bool
    doc: str
    choices: tuple[str, ...] = ()
    group: type | None = None
    fields: tuple[Field, ...] = ()

    @property
    def label(self) -> str:
        """The last part of its name in words: "Max force", "Pressure (GPa)"."""
        words, _, last = self.name.rpartition(".")[2].rpartition("_")
        words = f"{words} ({last})" if last in _UNITS else f"{words} {last}".strip()
        words = words.replace("_", " ")
        return words[:1].upper() + words[1:]

    @property
    def default_text(self) -> str:
        """The default as it is typed; empty where there is none."""
        if self.required or self.kind in (FieldKind.STRUCTURE, FieldKind.STRUCTURES):
            return NONE if self.optional else ""
        if self.default is None:
            return NONE
        if self.kind in (FieldKind.SWITCH, FieldKind.GROUP):
            return "yes" if self.default else "no"
        if self.kind is FieldKind.JSON:
            return json.dumps(self.default, default=str)
        return str(self.default)

    def parse(self, text: str) -> Any:
        """What was typed, as a value; a GROUP is None or True.

        Raises:
            ParameterError: it is not of this kind.
            StructureError: a file cannot be read.
        """
        text = text.strip()
        if self.optional and text.lower() in (NONE, ""):
            return None
        try:
            if self.choices:
                return self.choices[self.choices.index(text)]
            return _PARSERS[self.kind](text)
        except (ValueError, KeyError) as error:
            none = f", or '{NONE}'" if self.optional else ""
            among = f" of {', '.join(self.choices)}" if self.choices else ""
            raise ParameterError(
                f"Wanted {self.name} as a {self.kind}{among}{none}, got {text!r}."
            ) from error


@cache
def fields_of(parameters: type) -> tuple[Field, ...]:
    """The fields of a class of parameters: a property, `Relaxing`, ..."""
    return tuple(_fields(parameters, None, ""))


def flat_fields(parameters: type) -> dict[str, Field]:
    """All fields by name, those of groups too."""
    return {each.name: each for each in _flat(fields_of(parameters))}


def property_from_text(kind: str, texts: Mapping[str, str]) -> Property[Any]:
    """A property from what was typed.

    Args:
        kind: in `PROPERTIES`.
        texts: by the name of a field; what is left out has its default. A group is
            "none" or "yes", or made by naming one of its fields.

    Raises:
        ParameterError: no such field, or what was typed makes no sense.
        StructureError: a file cannot be read.
    """
    wanted = property_class(kind)
    known = flat_fields(wanted)
    for name in texts:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ParameterError(
                f"Wanted a parameter of '{kind}' ({', '.join(known)}), got {name!r}."
                f"{hint}"
            )
    return wanted(**_typed(fields_of(wanted), texts))


def _typed(own: tuple[Field, ...], texts: Mapping[str, str]) -> dict[str, Any]:
    """The values of fields, by the names of the attributes, that differ by text."""
    values: dict[str, Any] = {}
    for each in own:
        name = each.name.rpartition(".")[2]
        if each.group is not None:
            if _is_touched(each, texts):
                values[name] = _group(each, texts)
        elif each.name in texts:
            values[name] = each.parse(texts[each.name])
        if each.required and name not in values:
            raise ParameterError(f"Wanted {each.name}: {each.doc}")
    return values


def _is_touched(group: Field, texts: Mapping[str, str]) -> bool:
    return any(
        name == group.name or name.startswith(f"{group.name}.") for name in texts
    )


def _group(group: Field, texts: Mapping[str, str]) -> Any:
    assert group.group is not None
    if group.name in texts and not group.parse(texts[group.name]):
        return None
    values = _typed(group.fields, texts)
    if group.default is not None:
        return replace(group.default, **values)
    return group.group(**values)


def _flat(own: tuple[Field, ...]) -> Iterator[Field]:
    for each in own:
        yield each
        yield from _flat(each.fields)


def _fields(parameters: type, instance: object, prefix: str) -> Iterator[Field]:
    """The fields of a class, whose defaults are those of an instance if there is one."""
    hints = get_type_hints(parameters)
    docs = attribute_docs(parameters)
    for each in fields(parameters):
        default = _default(each) if instance is None else getattr(instance, each.name)
        kind, optional, inner = _kind(hints[each.name])
        choices = tuple(map(str, each.metadata.get("choices", ())))
        if kind is FieldKind.CHOICE:
            choices = tuple(map(str, get_args(inner)))
        name = f"{prefix}{each.name}"
        group = inner if kind is FieldKind.GROUP else None
        yield Field(
            name=name,
            kind=FieldKind.CHOICE if choices else kind,
            default=None if default is MISSING else default,
            required=default is MISSING,
            optional=optional,
            doc=docs.get(each.name, ""),
            choices=choices,
            group=group,
            fields=()
            if group is None
            else tuple(
                _fields(group, None if default is MISSING else default, f"{name}.")
            ),
        )


def _default(field: DataclassField[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


_SIMPLE = {
    bool: FieldKind.SWITCH,
    int: FieldKind.INTEGER,
    float: FieldKind.NUMBER,
    str: FieldKind.TEXT,
    ase.Atoms: FieldKind.STRUCTURE,
}


def _kind(hint: Any) -> tuple[FieldKind, bool, Any]:
    """What a type is in a form, whether it may be None, and the type without None."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    optional = NoneType in parts
    rest = [part for part in parts if part is not NoneType]
    if len(rest) != 1:
        return FieldKind.JSON, optional, hint
    (inner,) = rest
    if inner in _SIMPLE:
        return _SIMPLE[inner], optional, inner
    if get_origin(inner) is Literal and all(
        isinstance(a, str) for a in get_args(inner)
    ):
        return FieldKind.CHOICE, optional, inner
    if isinstance(inner, type) and is_dataclass(inner):
        return FieldKind.GROUP, optional, inner
    if ase.Atoms in get_args(inner) and get_origin(inner) is not dict:
        return FieldKind.STRUCTURES, optional, inner
    return FieldKind.JSON, optional, inner


def attribute_docs(parameters: type) -> dict[str, str]:
    """What the docstring of a class says of each of its attributes.

    Reads the section "Attributes:", one "name: text" a line, whose text may go on in
    lines indented further; "one, other: text" is of both.
    """
    lines = inspect.cleandoc(parameters.__doc__ or "").splitlines()
    if "Attributes:" not in lines:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines[lines.index("Attributes:") + 1 :]:
        if line and not line.startswith(" "):
            break
        begins = re.match(r"^ {4}(\w+(?:, \w+)*): (.*)$", line)
        if begins:
            names = begins[1].split(", ")
            found |= dict.fromkeys(names, begins[2])
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in cast("list[Any]", value))
    return value


_SWITCH = {"yes": True, "true": True, "no": False, "false": False}
_PARSERS: dict[FieldKind, Callable[[str], Any]] = {
    FieldKind.SWITCH: lambda text: _SWITCH[text.lower()],
    FieldKind.GROUP: lambda text: _SWITCH[text.lower()],
    FieldKind.INTEGER: int,
    FieldKind.NUMBER: float,
    FieldKind.TEXT: str,
    FieldKind.CHOICE: str,
    FieldKind.STRUCTURE: load_structure,
    FieldKind.STRUCTURES: lambda text: tuple(load_structures(text)),
    FieldKind.JSON: lambda text: _tuples(json.loads(text)),
}
