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

    What is no value of a field, or out of its bounds, is refused below the field; what
    makes no sense together, below all of them.

    Args:
        fields: of the parameters.
        texts: by name of a field, what was typed before where it is not the default.
        typed: is told the name of a field and its text; None for the default.
        check: raises a `GNNDesignError` or an OSError to say what makes no sense.

    Attributes:
        inputs: by name of a field.
        refusals: below each, why what was typed there is no value.
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
        self.refusals: dict[str, Message] = {}
        self._reasons: dict[str, str] = {}
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
        made.tooltip = field.tooltip
        made.observe(partial(self._typed, field), "value")
        self.inputs[field.name] = made
        refusal = self.refusals[field.name] = Message()
        refusal.layout.margin = "0 0 0 158px"
        refusal.layout.display = "none"
        return ipw.VBox([labeled(made), refusal])

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
        if field.name in self.refusals:
            self._judge(field, text)
        reason = _reason(self._check)
        self._message.refuse("" if reason in self._reasons.values() else reason)

    def _judge(self, field: Field, text: str) -> None:
        """Say below a field what is wrong with it alone."""
        reason = _reason(lambda: field.parse(text))
        self._reasons[field.name] = reason
        self.refusals[field.name].refuse(reason)
        self.refusals[field.name].layout.display = "" if reason else "none"


def _reason(attempt: Callable[[], object]) -> str:
    """Why something cannot be done; empty where it can."""
    try:
        attempt()
    except (GNNDesignError, OSError) as error:
        return str(error)
    return ""
