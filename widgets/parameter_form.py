"""A form of parameters, made of what their class says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import ipywidgets as ipw

from gnndesign.errors import GNNDesignError
from gnndesign.properties.fields import NONE, Field, FieldKind, flattened
from gnndesign_widgets.controls import Message, labeled

_HINTS = {
    FieldKind.STRUCTURE: "structure from a file: data/end.cif",
    FieldKind.STRUCTURES: "structures from a file: data/all.xyz",
}


class ParameterForm(ipw.VBox):
    """Fields as text; what is typed is told at once, and judged.

    Args:
        fields: of the parameters.
        texts: by name of a field, what was typed before where it is not the default.
        typed: is told the name of a field and its text; None for the default.
        check: raises a `GNNDesignError` or an OSError to say what makes no sense.

    Attributes:
        inputs: by name of a field.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        texts: Mapping[str, str],
        typed: Callable[[str, str | None], None],
        check: Callable[[], object],
    ) -> None:
        self._texts = texts
        self._tell = typed
        self._check = check
        self._message = Message()
        self.inputs: dict[str, ipw.DOMWidget] = {}
        self._defaults = {each.name: each.default_text for each in flattened(fields)}
        super().__init__([*(self._row(each) for each in fields), self._message])

    def show(self, texts: Mapping[str, str]) -> None:
        """Show what somebody else has typed; what is left out has its default."""
        self._texts = texts
        for name, made in self.inputs.items():
            text = texts.get(name, self._defaults[name])
            is_switch = isinstance(made, ipw.Checkbox)
            made.set_trait("value", text == "yes" if is_switch else text)

    def _row(self, field: Field) -> ipw.Widget:
        if field.group is not None:
            return self._group(field)
        text = self._texts.get(field.name, field.default_text)
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

    def _group(self, group: Field) -> ipw.Widget:
        """A heading, with a box to tick where it may be left out, and its fields."""
        rows = ipw.VBox([self._row(each) for each in group.fields])
        rows.layout.padding = "0 0 0 16px"
        if not group.optional:
            return ipw.VBox([ipw.HTML(f"<b>{group.label}</b>"), rows])
        wanted = self._texts.get(group.name, group.default_text) == "yes"
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
        self._tell(field.name, None if is_default else text)
        try:
            self._check()
        except (GNNDesignError, OSError) as error:
            self._message.refuse(str(error))
        else:
            self._message.say("")
