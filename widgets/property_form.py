"""The form of a property's parameters, made of what its class says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import ipywidgets as ipw

from gnndesign.errors import GNNDesignError
from gnndesign.properties.catalog import property_class
from gnndesign.properties.fields import (
    NONE,
    Field,
    FieldKind,
    fields_of,
)
from gnndesign.properties.from_text import property_from_text
from gnndesign_widgets.controls import Message, labeled
from gnndesign_widgets.properties import PropertiesModel

_HINTS = {
    FieldKind.STRUCTURE: "structure from a file: data/end.cif",
    FieldKind.STRUCTURES: "structures from a file: data/all.xyz",
}


class PropertyForm(ipw.VBox):
    """The parameters of one property; what is typed is text in the model's settings."""

    def __init__(self, model: PropertiesModel, kind: str) -> None:
        self._model = model
        self._kind = kind
        self._message = Message()
        self.inputs: dict[str, ipw.DOMWidget] = {}
        own = fields_of(property_class(kind))
        super().__init__([*(self._row(each) for each in own), self._message])

    def _row(self, field: Field) -> ipw.Widget:
        texts = self._model.settings.get(self._kind, {})
        if field.group is not None:
            return self._group(field, texts)
        text = texts.get(field.name, field.default_text)
        if field.kind is FieldKind.SWITCH:
            made = ipw.Checkbox(
                value=text == "yes", description=field.label, indent=False
            )
        elif field.kind is FieldKind.CHOICE:
            none = [NONE] if field.optional else []
            made = ipw.Dropdown(
                options=[*field.choices, *none], value=text, description=field.label
            )
        else:
            made = ipw.Text(
                value=text,
                description=field.label,
                placeholder=_HINTS.get(field.kind, NONE if field.optional else ""),
                continuous_update=False,
            )
        made.tooltip = field.doc
        made.observe(partial(self._typed, field), "value")
        self.inputs[field.name] = made
        return labeled(made)

    def _group(self, group: Field, texts: Mapping[str, str]) -> ipw.Widget:
        """A heading, with a box to tick where it may be left out, and its fields."""
        rows = ipw.VBox([self._row(each) for each in group.fields])
        rows.layout.padding = "0 0 0 16px"
        if not group.optional:
            return ipw.VBox([ipw.HTML(f"<b>{group.label}</b>"), rows])
        wanted = texts.get(group.name, group.default_text) == "yes"
        box = ipw.Checkbox(value=wanted, description=group.label, indent=False)
        box.tooltip = group.doc
        rows.layout.display = "" if wanted else "none"
        self.inputs[group.name] = box

        def turn(change: dict[str, Any]) -> None:
            rows.layout.display = "" if change["new"] else "none"
            self._typed(group, change)

        box.observe(turn, "value")
        return ipw.VBox([box, rows])

    def _typed(self, field: Field, change: dict[str, Any]) -> None:
        value = change["new"]
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
        is_default = text.strip() == field.default_text
        self._model.set_text(self._kind, field.name, None if is_default else text)
        try:
            property_from_text(self._kind, self._model.settings[self._kind])
        except (GNNDesignError, OSError) as error:
            self._message.refuse(str(error))
        else:
            self._message.say("")
