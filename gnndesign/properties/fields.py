"""The parameters of a property as the fields of a form; what is typed is text.

A field's name has dots where one dataclass is in another: "relaxing.max_force". What a
person types, in a panel or on the command line, is text: "0.01", "full", "none", a path
of a structure, or JSON for whatever has no simpler form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from dataclasses import Field as DataclassField
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import ase
from annotated_types import Interval

from gnndesign.errors import ParameterError
from gnndesign.properties.attribute_docs import attribute_docs
from gnndesign.properties.bounds import bounds_of, check_number, words_of
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
    LIST = "list, such as 1, 2, 3"
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
        item: what a LIST holds: int, float or str.
        bounds: of a number, or of every number of a LIST; None of anything else.
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
    item: type | None = None
    bounds: Interval | None = None
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
    def tooltip(self) -> str:
        """What it means, and its bounds."""
        words = words_of(self.bounds) if self.bounds is not None else ""
        return f"{self.doc} Wanted: {words}." if words else self.doc

    @property
    def default_text(self) -> str:
        """The default as it is typed; empty where there is none."""
        if self.required or self.kind in (FieldKind.STRUCTURE, FieldKind.STRUCTURES):
            return NONE if self.optional else ""
        if self.default is None:
            return NONE
        if self.kind in (FieldKind.SWITCH, FieldKind.GROUP):
            return "yes" if self.default else "no"
        if self.kind is FieldKind.LIST:
            return ", ".join(map(str, self.default))
        if self.kind is FieldKind.JSON and not isinstance(self.default, str):
            return json.dumps(self.default, default=str)
        return str(self.default)

    def text_of(self, value: Any) -> str:
        """A value as it is typed; of a GROUP whether there is one."""
        return replace(self, default=value, required=False).default_text

    def parse(self, text: str) -> Any:
        """What was typed, as a value; a GROUP is None or True.

        Raises:
            ParameterError: it is not of this kind, or out of bounds.
            StructureError: a file cannot be read.
        """
        text = text.strip()
        if self.optional and text.lower() in (NONE, ""):
            return None
        if self.required and not text:
            raise ParameterError(f"Wanted {self.name}: {self.doc}")
        try:
            value = self._read(text)
        except (ValueError, KeyError) as error:
            none = f", or '{NONE}'" if self.optional else ""
            among = f" of {', '.join(self.choices)}" if self.choices else ""
            raise ParameterError(
                f"Wanted {self.name} as a {self.kind}{among}{none}, got {text!r}."
            ) from error
        if self.bounds is not None:
            kind = self.item or _NUMBERS[self.kind]
            check_number(self.name, value, kind, self.bounds)
        return value

    def _read(self, text: str) -> Any:
        if self.choices:
            return self.choices[self.choices.index(text)]
        if self.item is not None:
            words = text.strip("[]()").split(",")
            return tuple(self.item(word.strip()) for word in words if word.strip())
        return _PARSERS[self.kind](text)


@cache
def fields_of(parameters: type, defaults: object = None) -> tuple[Field, ...]:
    """The fields of a class of parameters: a property, `Relaxing`, ...

    Args:
        parameters: a dataclass.
        defaults: one of it, whose values are the defaults instead of the class's own.
    """
    return tuple(_fields(parameters, defaults, ""))


def flat_fields(parameters: type) -> dict[str, Field]:
    """All fields by name, those of groups too."""
    return {each.name: each for each in flattened(fields_of(parameters))}


def changed_texts(own: Sequence[Field], values: Mapping[str, Any]) -> dict[str, str]:
    """What one would type for values, by name of the field; defaults are left out."""
    given = [
        (field, field.text_of(values[field.name]))
        for field in own
        if field.name in values
    ]
    return {field.name: text for field, text in given if text != field.default_text}


def flattened(own: Sequence[Field]) -> Iterator[Field]:
    """These fields, and those of groups after each group."""
    for each in own:
        yield each
        yield from flattened(each.fields)


def _fields(parameters: type, instance: object, prefix: str) -> Iterator[Field]:
    """The fields of a class, whose defaults are those of an instance if there is one."""
    hints = get_type_hints(parameters)
    docs, bounds = attribute_docs(parameters), bounds_of(parameters)
    for each in fields(parameters):
        if not each.init:
            continue
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
            item=get_args(inner)[0] if kind is FieldKind.LIST else None,
            bounds=bounds[each.name][1] if each.name in bounds else None,
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
    return _kind_of(inner), optional, inner


def _kind_of(hint: Any) -> FieldKind:
    arguments = {each for each in get_args(hint) if each is not Ellipsis}
    kind = FieldKind.JSON
    if hint in _SIMPLE:
        kind = _SIMPLE[hint]
    elif isinstance(hint, type) and is_dataclass(hint):
        kind = FieldKind.GROUP
    elif get_origin(hint) is Literal and all(isinstance(a, str) for a in arguments):
        kind = FieldKind.CHOICE
    elif get_origin(hint) in (tuple, Sequence) and len(arguments) == 1:
        if arguments == {ase.Atoms}:
            kind = FieldKind.STRUCTURES
        elif arguments <= {int, float, str}:
            kind = FieldKind.LIST
    return kind


def _json(text: str) -> Any:
    """JSON, also without the outer brackets; a lone word is text."""
    if re.fullmatch(r"[A-Za-z]\w*", text):
        return text
    try:
        return _tuples(json.loads(text))
    except ValueError:
        return _tuples(json.loads(f"[{text}]"))


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in cast("list[Any]", value))
    return value


_NUMBERS = {FieldKind.INTEGER: int, FieldKind.NUMBER: float}
_SWITCH = {"yes": True, "true": True, "no": False, "false": False}
_PARSERS: dict[FieldKind, Callable[[str], Any]] = {
    FieldKind.SWITCH: lambda text: _SWITCH[text.lower()],
    FieldKind.GROUP: lambda text: _SWITCH[text.lower()],
    FieldKind.INTEGER: int,
    FieldKind.NUMBER: float,
    FieldKind.TEXT: str,
    FieldKind.CHOICE: str,
    FieldKind.STRUCTURE: load_structure,
    FieldKind.STRUCTURES: lambda text: tuple(load_structures(text)) if text else (),
    FieldKind.JSON: _json,
}
