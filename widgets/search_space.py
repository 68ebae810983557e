"""What a search may choose from, as the panel has it: `SpaceModel`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from traitlets import Dict, HasTraits, Instance, Unicode, observe

from gnndesign.errors import GNNDesignError, ParameterError
from gnndesign.properties.fields import Field, FieldKind, fields_of
from gnndesign.properties.from_text import parameters_from_text, values_from_text
from gnndesign.search.filters import FILTER_KINDS, Filter, filter_class
from gnndesign.search.sites import site_labels
from gnndesign.search.space import Space, space_class, space_from_dict, space_kinds
from gnndesign_widgets.latest import Latest

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
_EXAMPLES = {"A": "Ca, Sr, Ba, K, Na", "B": "Ti, Zr, Sn, Nb", "X": "O"}
_NEUTRAL = "charge_neutrality"
_ELEMENTS = ("elements", "symbols")
_NOT_TYPED = ("filters", "charge_neutral", "oxidation_states")
"""Parameters of spaces that are filters, which have a form of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceLook:
    """What is known of the space as it is typed.

    Attributes:
        n_combinations: before anything is left out.
        n_candidates: what is left.
        removed: combinations left out, by kind of filter.
        removed_before: the same by what the space itself calls its own rules.
        problem: why there is no space; empty otherwise.
        space: the space; None where there is none.
    """

    n_combinations: int = 0
    n_candidates: int = 0
    removed: Mapping[str, int] = field(default_factory=dict[str, int])
    removed_before: Mapping[str, int] = field(default_factory=dict[str, int])
    problem: str = ""
    space: Space | None = None

    @property
    def text(self) -> str:
        """All of this in a sentence."""
        if self.problem:
            return self.problem
        if self.space is None:
            return ""
        own = [f"{n:,} with {what}" for what, n in self.removed_before.items() if n]
        own += [f"{sum(self.removed.values()):,} by filters"] if self.removed else []
        left_out = f" Left out: {', '.join(own)}." if own else ""
        return (
            f"{self.n_candidates:,} candidates of {self.n_combinations:,} combinations."
            f"{left_out}"
        )


class SpaceModel(HasTraits):
    """A space as it is typed, and the latest look at it.

    Attributes:
        kind: of the space: one that `space_from_dict` knows, or `JSON`.
        prototype: name in the library.
        sites: entries by site label, as typed.
        tied: by site label, the site whose choice it repeats.
        texts: by kind of another space, what was typed into its form.
        filters: by kind of the space, kinds of the filters that are ticked.
        filter_texts: by kind of filter, what was typed into its form.
        look: the latest look; taken in a thread, a moment after the last change.
    """

    kind = Unicode(PROTOTYPE)
    prototype = Unicode("perovskite")
    sites: Mapping[str, str] = Dict(default_value=_EXAMPLES)  # pyright: ignore[reportAssignmentType]
    tied: Mapping[str, str] = Dict()  # pyright: ignore[reportAssignmentType]
    texts: Mapping[str, Mapping[str, str]] = Dict()  # pyright: ignore[reportAssignmentType]
    filters: Mapping[str, tuple[str, ...]] = Dict(  # pyright: ignore[reportAssignmentType]
        default_value={PROTOTYPE: (_NEUTRAL,)}
    )
    filter_texts: Mapping[str, Mapping[str, str]] = Dict()  # pyright: ignore[reportAssignmentType]
    look: SpaceLook = Instance(SpaceLook, args=())  # pyright: ignore[reportAssignmentType]

    def __init__(self) -> None:
        super().__init__()
        self._built: tuple[str, Space] | None = None
        self._latest = Latest(self._look, self._take)
        self._latest.ask()

    def labels(self) -> tuple[str, ...]:
        """Labels of the prototype's sites.

        Raises:
            StructureError: unknown prototype.
        """
        return tuple(site_labels(self.prototype))

    @property
    def ticked(self) -> tuple[str, ...]:
        """Kinds of the filters that are applied, in their order."""
        chosen = self.filters.get(self.kind, ())
        return tuple(kind for kind in FILTER_KINDS if kind in chosen)

    @property
    def takes_filters(self) -> bool:
        """Whether filters mean something to this kind of space."""
        return self.kind == PROTOTYPE or (
            self.kind != JSON and "filters" in _names(space_class(self.kind))
        )

    def tick(self, kind: str, *, on: bool) -> None:
        """Apply a filter, or do without."""
        chosen = set(self.filters.get(self.kind, ())) - {kind}
        wanted = tuple(k for k in FILTER_KINDS if k in chosen or (on and k == kind))
        self.filters = {**self.filters, self.kind: wanted}

    def set_text(self, kind: str, name: str, text: str | None) -> None:
        """Take what was typed into the form of another space; None for the default."""
        self.texts = _with_text(self.texts, kind, name, text)

    def set_filter_text(self, kind: str, name: str, text: str | None) -> None:
        """Take what was typed into the form of a filter; None for the default."""
        self.filter_texts = _with_text(self.filter_texts, kind, name, text)

    def filter(self, kind: str) -> Filter:
        """A filter as it is typed.

        Raises:
            ParameterError: what was typed makes no sense.
        """
        texts = self.filter_texts.get(kind, {})
        title = title_of(kind)
        try:
            return parameters_from_text(filter_class(kind), texts, f"'{title}'")
        except ParameterError as error:
            raise ParameterError(f"Filter '{title}': {error}") from error

    def space(self) -> Space:
        """The space as it is typed now.

        Raises:
            GNNDesignError: it is not a space.
        """
        data = self._definition()
        key = json.dumps(data)
        if self._built is None or self._built[0] != key:
            self._built = key, space_from_dict(data)
        return self._built[1]

    def refill(self, data: Mapping[str, Any]) -> None:
        """Type what `Space.to_dict` describes.

        Raises:
            ParameterError: a filter is of no kind that is known.
        """
        kind = data.get("kind", "")
        with self.hold_trait_notifications():
            self._refill_filters(kind, data)
            if kind == PROTOTYPE:
                self.prototype = data["prototype"]
                entries = data["sites"].items()
                self.sites = {label: ", ".join(given) for label, given in entries}
                self.tied = dict(data.get("tied", {}))
            elif kind in space_kinds():
                own = _fields(space_class(kind))
                given = {f.name: f.text_of(data[f.name]) for f in own if f.name in data}
                self.texts = {**self.texts, kind: given}
            else:
                kind, text = JSON, json.dumps(data, indent=1)
                self.texts = {**self.texts, JSON: {JSON: text}}
            self.kind = kind

    def _refill_filters(self, kind: str, data: Mapping[str, Any]) -> None:
        rules = {rule["kind"]: rule for rule in data.get("filters", ())}
        if data.get("charge_neutral"):
            states = data.get("oxidation_states", {})
            rules = {_NEUTRAL: {"oxidation_states": states}, **rules}
        self.filters = {**self.filters, kind: tuple(rules)}
        texts = dict(self.filter_texts)
        for name, rule in rules.items():
            own = fields_of(filter_class(name))
            texts[name] = {
                f.name: f.text_of(rule[f.name])
                for f in own
                if f.name in rule and f.text_of(rule[f.name]) != f.default_text
            }
        self.filter_texts = texts

    def _definition(self) -> dict[str, Any]:
        """What `space_from_dict` takes."""
        if self.kind == JSON:
            return _parsed(self.texts.get(JSON, {}).get(JSON, ""))
        filters = [self.filter(kind).to_dict() for kind in self.ticked]
        if self.kind == PROTOTYPE:
            free = [label for label in self.labels() if not self.tied.get(label)]
            return {
                "kind": PROTOTYPE,
                "prototype": self.prototype,
                "sites": {label: entries(self.sites.get(label, "")) for label in free},
                # The filter of that name says whether it must be.
                "charge_neutral": False,
                "tied": {
                    k: v for k, v in self.tied.items() if k in self.labels() and v
                },
                "filters": filters,
            }
        texts = self.texts.get(self.kind, {})
        own = space_fields(self.kind)
        values = values_from_text(own, texts, f"'{title_of(self.kind)}'")
        rules = {"filters": filters} if self.takes_filters else {}
        return {"kind": self.kind, **values, **rules}

    @observe("kind", "prototype", "sites", "tied", "texts", "filters", "filter_texts")
    def _ask(self, _change: object = None) -> None:
        self._latest.ask()

    def _look(self) -> SpaceLook:
        try:
            space = self.space()
            titles = {self.filter(kind).title: kind for kind in self.ticked}
        except (GNNDesignError, TypeError, ValueError) as error:
            return SpaceLook(problem=str(error))
        removed = space.removed
        return SpaceLook(
            n_combinations=space.n_combinations,
            n_candidates=len(space),
            removed={titles[t]: n for t, n in removed.items() if t in titles},
            removed_before={t: n for t, n in removed.items() if t not in titles},
            space=space,
        )

    def _take(self, look: SpaceLook) -> None:
        self.look = look


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
    return _fields(space_class(kind))


def _fields(space: type[Space]) -> tuple[Field, ...]:
    return tuple(f for f in fields_of(space) if f.name not in _NOT_TYPED)


def _names(space: type[Space]) -> list[str]:
    return [each.name for each in fields_of(space)]


def elements_field(kind: str) -> Field | None:
    """The field of a kind of space that a periodic table can fill, if there is one."""
    for each in space_fields(kind):
        if each.name in _ELEMENTS and each.kind is FieldKind.LIST:
            return each
    return None


def _with_text(
    texts: Mapping[str, Mapping[str, str]], kind: str, name: str, text: str | None
) -> dict[str, Mapping[str, str]]:
    own = dict(texts.get(kind, {}))
    own.pop(name, None)
    if text is not None:
        own[name] = text
    return {**texts, kind: own}


def _parsed(text: str) -> dict[str, Any]:
    """A dictionary written as JSON.

    Raises:
        ParameterError: it is none.
    """
    try:
        data = json.loads(text or "{}")
    except ValueError as error:
        raise ParameterError(f"This is not JSON: {error}.") from error
    if not isinstance(data, dict):
        raise ParameterError("Wanted what Space.to_dict() gives, between { and }.")
    return cast("dict[str, Any]", data)
