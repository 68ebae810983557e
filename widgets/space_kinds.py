"""Kinds of spaces as the search panel shows them: their titles and their fields."""

from __future__ import annotations

from gnndesign.properties.fields import Field, FieldKind, fields_of
from gnndesign.search.space import space_class, space_kinds

PROTOTYPE = "prototype"
JSON = "json"
"""The kind that is typed as a whole."""

_TITLES = {
    PROTOTYPE: "Sites of a prototype",
    "alloy": "Alloy on a lattice",
    "defect": "Dopants and vacancies",
    "formula": "Free formulas",
    "molecule": "Molecules",
    JSON: "Any (JSON)",
    "hume_rothery": "Hume-Rothery rules",
    "no_radioactive": "No radioactive elements",
    "no_toxic": "No toxic elements",
}
_ELEMENTS = ("elements", "symbols")
_NOT_TYPED = ("filters", "charge_neutral", "oxidation_states")
"""Parameters of spaces that are filters, which have a form of their own."""


def entries(text: str) -> list[str]:
    """What stands between commas or blanks."""
    return text.replace(",", " ").split()


def title_of(kind: str) -> str:
    """A kind of space or filter in words."""
    words = kind.replace("_", " ")
    return _TITLES.get(kind, words[:1].upper() + words[1:])


def offered_spaces() -> tuple[str, ...]:
    """Kinds that can be chosen."""
    return (*space_kinds(), JSON)


def space_fields(kind: str) -> tuple[Field, ...]:
    """What a person types to define a space of a kind."""
    own = fields_of(space_class(kind))
    return tuple(each for each in own if each.name not in _NOT_TYPED)


def takes_filters(kind: str) -> bool:
    """Whether filters mean something to a kind of space."""
    return kind != JSON and "filters" in {f.name for f in fields_of(space_class(kind))}


def elements_field(kind: str) -> Field | None:
    """The field of a kind of space that a periodic table can fill, if there is one."""
    for each in space_fields(kind):
        if each.name in _ELEMENTS and each.kind is FieldKind.LIST:
            return each
    return None
