"""Options that a person may set, each in a field of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets as ipw
from traitlets import Dict, HasTraits, Tuple

from gnndesign.properties.fields import Field, fields_of
from gnndesign.properties.from_text import options_from_text
from gnndesign_widgets.parameter_form import ParameterForm


class OptionsModel(HasTraits):
    """Options and what was typed of them.

    Attributes:
        fields: what can be set.
        texts: by name of a field, what was typed where that is not the default.
    """

    fields: tuple[Field, ...] = Tuple()  # pyright: ignore[reportAssignmentType]
    texts: Mapping[str, str] = Dict()  # pyright: ignore[reportAssignmentType]

    def __init__(self, fields: Sequence[Field]) -> None:
        super().__init__()
        self.offer(fields)

    def offer(self, fields: Sequence[Field]) -> None:
        """Offer other options; what was typed of those before is forgotten."""
        with self.hold_trait_notifications():
            self.fields, self.texts = tuple(fields), {}

    def set_text(self, name: str, text: str | None) -> None:
        """Take what was typed into a field; None for the default."""
        texts = {key: value for key, value in self.texts.items() if key != name}
        self.texts = texts if text is None else {**texts, name: text}

    def values(self) -> dict[str, Any]:
        """What differs from the defaults; groups are dicts.

        Raises:
            ParameterError: no such field, or what was typed is no value of it.
        """
        return options_from_text(self.fields, self.texts, "this form")


def other_fields(
    parameters: type, own: Sequence[str], defaults: object = None
) -> tuple[Field, ...]:
    """The fields of a class that a model does not have itself.

    Args:
        parameters: a dataclass.
        own: names of those that it has, with dots for those of groups.
        defaults: one of the class, whose values are the defaults.
    """
    return tuple(_without(fields_of(parameters, defaults), own))


def _without(fields: Sequence[Field], own: Sequence[str]) -> Iterator[Field]:
    for each in fields:
        if each.name not in own:
            yield replace(each, fields=tuple(_without(each.fields, own)))


class OptionsForm(ipw.VBox):
    """What a person sees of an `OptionsModel`.

    Args:
        model: the options.
        check: raises a `GNNDesignError` to say what makes no sense together.

    Attributes:
        form: the fields there are now.
    """

    def __init__(self, model: OptionsModel, check: Callable[[], object]) -> None:
        self._model, self._check = model, check
        super().__init__()
        model.observe(self._rebuild, "fields")
        model.observe(self._show, "texts")
        self._rebuild()

    def _rebuild(self, _change: object = None) -> None:
        model = self._model
        self.form = ParameterForm(
            model.fields, model.texts, model.set_text, self._check
        )
        self.children = [self.form]

    def _show(self, _change: object = None) -> None:
        self.form.show(self._model.texts)
