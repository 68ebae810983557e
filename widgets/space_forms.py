"""Forms of a space: the sites of a prototype, or the parameters of another kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import ipywidgets as ipw
from ase.data import chemical_symbols

from gnndesign.errors import GNNDesignError
from gnndesign_widgets.controls import Message, field, labeled
from gnndesign_widgets.parameter_form import ParameterForm
from gnndesign_widgets.periodic_table import HEAVIEST, PeriodicTable
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.search_space import (
    JSON,
    SpaceModel,
    elements_field,
    entries,
    space_fields,
)
from gnndesign_widgets.structure_forms import prototype_names

_OWN = ("own elements", "")
_SYMBOLS = frozenset(chemical_symbols[1 : HEAVIEST + 1])


class ElementPicker(ipw.VBox):
    """A periodic table that is kept in step with a text of elements.

    What the text has beside elements, such as "Sr0.5Ba0.5", stays when elements are
    clicked.

    Args:
        potential: whose unknown elements cannot be chosen.
        read: gives the text.
        write: is given the new text.
    """

    def __init__(
        self,
        potential: PotentialModel,
        read: Callable[[], str],
        write: Callable[[str], None],
    ) -> None:
        self._potential, self._read, self._write = potential, read, write
        self._showing = False
        self.table = PeriodicTable()
        super().__init__([self.table])
        self.table.observe(self._picked, "selected")
        potential.observe(self._disable, "card")
        self._disable()
        self.show()

    def show(self, others: dict[str, str] | None = None) -> None:
        """Show the text as it is now.

        Args:
            others: by chemical symbol what to say of it beside.
        """
        self._showing = True
        given = set(entries(self._read()))
        self.table.selected = [s for s in chemical_symbols if s in given & _SYMBOLS]
        self.table.marked = others or {}
        self._showing = False

    def _picked(self, _change: object) -> None:
        if self._showing:
            return
        chosen, before = self.table.selected, entries(self._read())
        kept = [each for each in before if each not in _SYMBOLS or each in chosen]
        self._write(", ".join([*kept, *(s for s in chosen if s not in before)]))

    def _disable(self, _change: object = None) -> None:
        card = self._potential.card
        known = range(1, HEAVIEST + 1) if card is None else card.elements
        unknown = set(range(1, HEAVIEST + 1)) - set(known)
        self.table.disabled = [chemical_symbols[n] for n in sorted(unknown)]


class SitesForm(ipw.VBox):
    """A prototype, and the elements on its sites: clicked, or typed.

    Attributes:
        rows: by site label, the text of its entries and the site it is tied to.
    """

    def __init__(self, model: SpaceModel, potential: PotentialModel) -> None:
        self._model = model
        self.rows: dict[str, tuple[ipw.Text, ipw.Dropdown]] = {}
        self.prototype = field(
            model,
            "prototype",
            ipw.Combobox(
                options=prototype_names(),
                description="Prototype",
                continuous_update=False,
            ),
        )
        self.message = Message()
        self.site = ipw.ToggleButtons(
            style={"button_width": "auto"}, tooltip="Whose elements the table shows"
        )
        self.picker = ElementPicker(potential, self._text, self._clicked)
        self.sites = ipw.VBox()
        super().__init__(
            [self.prototype, self.message, self.site, self.picker, self.sites]
        )
        model.observe(self._rebuild, "prototype")
        model.observe(self._show, ["sites", "tied"])
        self.site.observe(self._show, "value")
        self._rebuild()

    def _text(self) -> str:
        return self._model.sites.get(self.site.value or "", "")

    def _clicked(self, text: str) -> None:
        if self.site.value:
            self._model.sites = {**self._model.sites, self.site.value: text}

    def _rebuild(self, _change: object = None) -> None:
        try:
            labels = self._model.labels()
        except GNNDesignError as error:
            labels = ()
            self.message.refuse(str(error))
        else:
            self.message.say("")
        self.rows = {label: self._row(label, labels) for label in labels}
        self.sites.children = [ipw.HBox(row) for row in self.rows.values()]
        kept = self.site.value
        self.site.options = [(f"Site {label}", label) for label in labels]
        # Buttons have none pressed of their own accord.
        self.site.value = kept if kept in labels else next(iter(labels), None)
        self.site.layout.display = "" if labels else "none"
        self._show()

    def _row(self, label: str, labels: Sequence[str]) -> tuple[ipw.Text, ipw.Dropdown]:
        text = ipw.Text(
            description=f"Site {label}",
            placeholder="Ca, Sr, Ba",
            continuous_update=False,
            style={"description_width": "48px"},
        )
        text.layout.width = "auto"
        text.layout.flex = "1 1 0"
        text.layout.min_width = "0"
        others = [(f"same as {other}", other) for other in labels if other != label]
        tie = ipw.Dropdown(
            options=[_OWN, *others],
            tooltip="Own elements, or always the same element as another site",
        )
        tie.layout.width = "116px"
        tie.layout.min_width = "116px"
        text.observe(partial(self._typed, label), "value")
        tie.observe(partial(self._tied, label), "value")
        return text, tie

    def _typed(self, label: str, change: dict[str, str]) -> None:
        if change["new"] != self._model.sites.get(label, ""):
            self._model.sites = {**self._model.sites, label: change["new"]}

    def _tied(self, label: str, change: dict[str, str]) -> None:
        tied = {k: v for k, v in self._model.tied.items() if k != label}
        if change["new"]:
            tied[label] = change["new"]
        self._model.tied = tied

    def _show(self, _change: object = None) -> None:
        model = self._model
        for label, (text, tie) in self.rows.items():
            text.value = model.sites.get(label, "")
            wanted = model.tied.get(label, "")
            tie.value = wanted if wanted in self.rows else ""
            text.disabled = bool(tie.value)
        on: dict[str, list[str]] = {}
        for label in self.rows:
            if label != self.site.value and not model.tied.get(label):
                for entry in entries(model.sites.get(label, "")):
                    on.setdefault(entry, []).append(label)
        self.picker.show({s: f"on site {', '.join(at)}" for s, at in on.items()})


class OtherSpaceForm(ipw.VBox):
    """The parameters of any other kind of space, with a periodic table for its elements.

    Attributes:
        form: of the parameters.
    """

    def __init__(self, model: SpaceModel, potential: PotentialModel, kind: str) -> None:
        self._model, self._kind = model, kind
        self._elements = elements_field(kind)
        self.picker: ElementPicker | None = None
        self.form = ParameterForm(
            space_fields(kind),
            model.texts.get(kind, {}),
            partial(model.set_text, kind),
            lambda: None,
        )
        super().__init__([self.form])
        if self._elements is not None:
            self.picker = ElementPicker(potential, self._text, self._clicked)
            self.children = [self.picker, self.form]
        model.observe(self._show, "texts")

    def _text(self) -> str:
        assert self._elements is not None
        texts = self._model.texts.get(self._kind, {})
        return texts.get(self._elements.name, self._elements.default_text)

    def _clicked(self, text: str) -> None:
        assert self._elements is not None
        self._model.set_text(self._kind, self._elements.name, text)

    def _show(self, _change: object = None) -> None:
        self.form.show(self._model.texts.get(self._kind, {}))
        if self.picker is not None:
            self.picker.show()


class JsonSpaceForm(ipw.VBox):
    """A space of any kind, as `Space.to_dict` describes it."""

    def __init__(self, model: SpaceModel) -> None:
        self._model = model
        self.text = labeled(
            ipw.Textarea(
                placeholder='{"kind": "prototype", "prototype": "rocksalt", '
                '"sites": {"A": ["Mg", "Ca"], "X": ["O"]}}',
                continuous_update=False,
                rows=8,
            )
        )
        super().__init__([self.text])
        self.text.observe(self._typed, "value")
        model.observe(self._show, "texts")
        self._show()

    def _typed(self, change: dict[str, str]) -> None:
        self._model.set_text(JSON, JSON, change["new"])

    def _show(self, _change: object = None) -> None:
        self.text.value = self._model.texts.get(JSON, {}).get(JSON, "")
