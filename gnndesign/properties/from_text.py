"""A property from what a person typed, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, TypeAlias, TypeVar, cast

import ase

from gnndesign.errors import ParameterError
from gnndesign.properties.base import Property
from gnndesign.properties.catalog import property_class
from gnndesign.properties.fields import Field, FieldKind, fields_of, flattened

Parameters = TypeVar("Parameters")
"""A dataclass."""

SaveStructures: TypeAlias = Callable[[str, Sequence[ase.Atoms]], str]
"""Given the name of a field and its structures; returns the path of their file."""


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
    return parameters_from_text(property_class(kind), texts, f"'{kind}'")


def parameters_from_text(
    wanted: type[Parameters],
    texts: Mapping[str, str],
    title: str,
    defaults: Parameters | None = None,
) -> Parameters:
    """Parameters of any kind from what was typed.

    Args:
        wanted: a dataclass.
        texts: by the name of a field; what is left out has its default.
        title: what a person calls it.
        defaults: one of it, whose values are the defaults instead of the class's own.

    Raises:
        ParameterError: no such field, or what was typed makes no sense.
        StructureError: a file cannot be read.
    """
    values = values_from_text(fields_of(wanted, defaults), texts, title)
    if defaults is not None:
        return replace(cast("Any", defaults), **values)
    return wanted(**values)


def texts_of(
    parameters: Any, save: SaveStructures, defaults: Any = None
) -> dict[str, str]:
    """What one would type for parameters, the inverse of `parameters_from_text`.

    Args:
        parameters: a dataclass, such as a property.
        save: writes structures to a file, since no text is of them.
        defaults: as for `parameters_from_text`.

    Returns:
        By the name of a field; what has its default is left out.
    """
    return dict(_texts(fields_of(type(parameters), defaults), parameters, save))


def _texts(
    own: Sequence[Field], parameters: Any, save: SaveStructures
) -> Iterator[tuple[str, str]]:
    for each in own:
        value = getattr(parameters, each.name.rpartition(".")[2])
        if each.group is not None:
            if (value is None) is not (each.default is None):
                yield each.name, "no" if value is None else "yes"
            if value is not None:
                yield from _texts(each.fields, value, save)
        elif each.kind in (FieldKind.STRUCTURE, FieldKind.STRUCTURES):
            structures = [value] if isinstance(value, ase.Atoms) else value
            if structures:
                yield each.name, save(each.name, structures)
        elif each.text_of(value) != each.default_text:
            yield each.name, each.text_of(value)


def values_from_text(
    own: tuple[Field, ...], texts: Mapping[str, str], title: str
) -> dict[str, Any]:
    """The values of fields, by the names of the attributes; defaults are left out.

    Raises:
        ParameterError: no such field, or what was typed is not of its kind.
        StructureError: a file cannot be read.
    """
    _check_names(own, texts, title)
    return _typed(own, texts)


def _check_names(own: Sequence[Field], texts: Mapping[str, str], title: str) -> None:
    known = [each.name for each in flattened(own)]
    for name in texts:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ParameterError(
                f"Wanted a parameter of {title} ({', '.join(known)}), got {name!r}."
                f"{hint}"
            )


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


def options_from_text(
    own: Sequence[Field], texts: Mapping[str, str], title: str
) -> dict[str, Any]:
    """What was typed, as JSON has options: a group is a dict of what is not its default.

    Args:
        own: fields without groups that may be None.
        texts: by the name of a field.
        title: what a person calls the options.

    Raises:
        ParameterError: no such field, or what was typed is not of its kind.
    """
    _check_names(own, texts, title)
    return _options(own, texts)


def _options(own: Sequence[Field], texts: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for each in own:
        name = each.name.rpartition(".")[2]
        if each.group is not None:
            inner = _options(each.fields, texts)
            options |= {name: inner} if inner else {}
        elif each.name in texts:
            options[name] = each.parse(texts[each.name])
    return options


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
