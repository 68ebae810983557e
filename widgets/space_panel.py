"""What a person sees of a `SpaceModel`."""

from __future__ import annotations

import ipywidgets as ipw

from gnndesign_widgets.controls import Message, field, heading
from gnndesign_widgets.filter_form import FilterForm
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.search_space import SpaceModel
from gnndesign_widgets.space_forms import JsonSpaceForm, OtherSpaceForm, SitesForm
from gnndesign_widgets.space_kinds import JSON, PROTOTYPE, offered_spaces, title_of


class SpacePanel(ipw.VBox):
    """The kind of space, its form, its filters, and how many candidates that makes.

    Attributes:
        count: candidates, or why there are none.
        filters: the form of the filters.
    """

    def __init__(self, model: SpaceModel, potential: PotentialModel) -> None:
        self._model, self._potential = model, potential
        self._forms: dict[str, ipw.Widget] = {}
        self.form = ipw.VBox()
        self.count = Message()
        self.filters = FilterForm(model)
        options = [(title_of(kind), kind) for kind in offered_spaces()]
        self.kind = field(
            model, "kind", ipw.Dropdown(options=options, description="Choose from")
        )
        filters = ipw.Accordion([self.filters], titles=["Filters"])
        filters.selected_index = 0
        super().__init__([heading("Space"), self.kind, self.form, filters, self.count])
        model.observe(self._show_form, "kind")
        model.observe(self._show_count, "look")
        self._show_form()
        self._show_count()

    def form_of(self, kind: str) -> ipw.Widget:
        """The form of a kind of space, made when it is first wanted."""
        if kind not in self._forms:
            if kind == PROTOTYPE:
                made = SitesForm(self._model, self._potential)
            elif kind == JSON:
                made = JsonSpaceForm(self._model)
            else:
                made = OtherSpaceForm(self._model, self._potential, kind)
            self._forms[kind] = made
        return self._forms[kind]

    def _show_form(self, _change: object = None) -> None:
        self.form.children = [self.form_of(self._model.kind)]

    def _show_count(self, _change: object = None) -> None:
        look = self._model.look
        if look.problem:
            self.count.refuse(look.problem)
        else:
            self.count.say(look.text)
