"""Filters of a search: a box to tick each, its parameters, and what it left out."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import ipywidgets as ipw

from gnndesign.properties.fields import fields_of
from gnndesign.search.filters import FILTER_KINDS, filter_class
from gnndesign_widgets.parameter_form import ParameterForm
from gnndesign_widgets.search_space import SpaceModel, title_of

_LEFT_TO_SCRIPTS = {"a", "b", "x"}
"""Which site is which in a prototype whose sites have other names."""


class FilterRow(ipw.VBox):
    """One filter.

    Attributes:
        form: of its parameters, made when it is first ticked; None before.
    """

    def __init__(self, model: SpaceModel, kind: str) -> None:
        self._model, self._kind = model, kind
        self.form: ParameterForm | None = None
        doc = inspect.cleandoc(filter_class(kind).__doc__ or "")
        self.box = ipw.Checkbox(
            description=title_of(kind), indent=False, tooltip=doc.partition("\n")[0]
        )
        self.box.layout.width = "auto"
        self.box.layout.flex = "1 1 auto"
        self.count = ipw.Label()
        for each in (self.box, self.count):
            each.layout.height, each.layout.margin = "22px", "0"
        super().__init__([ipw.HBox([self.box, self.count])])
        self.box.observe(self._ticked, "value")

    def _ticked(self, change: dict[str, Any]) -> None:
        self._model.tick(self._kind, on=change["new"])

    def show(self) -> None:
        """Show whether it is ticked, what was typed, and what it left out."""
        model = self._model
        on = self._kind in model.ticked
        self.box.value = on
        if on:
            self._form().show(model.filter_texts.get(self._kind, {}))
        if self.form is not None:
            self.form.layout.display = "" if on and self.form.inputs else "none"
        removed = model.look.removed.get(self._kind)
        shown = on and removed is not None
        self.count.value = f"{removed:,} left out" if shown else ""

    def _form(self) -> ParameterForm:
        if self.form is None:
            model, kind = self._model, self._kind
            own = fields_of(filter_class(kind))
            self.form = ParameterForm(
                [field for field in own if field.name not in _LEFT_TO_SCRIPTS],
                model.filter_texts.get(kind, {}),
                partial(model.set_filter_text, kind),
                lambda: model.filter(kind),
            )
            self.form.layout.padding = "0 0 4px 24px"
            self.children = [*self.children, self.form]
        return self.form


class FilterForm(ipw.VBox):
    """All filters, in the order in which they are applied.

    Attributes:
        rows: by kind of filter.
    """

    def __init__(self, model: SpaceModel) -> None:
        self._model = model
        self.rows = {kind: FilterRow(model, kind) for kind in FILTER_KINDS}
        super().__init__(list(self.rows.values()))
        model.observe(self._show, ["filters", "filter_texts", "kind", "look"])
        self._show()

    def _show(self, _change: object = None) -> None:
        self.layout.display = "" if self._model.takes_filters else "none"
        for row in self.rows.values():
            row.show()
