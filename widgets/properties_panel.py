"""What a person sees of a `PropertiesModel`."""

from __future__ import annotations

from functools import partial
from typing import Any

import ipywidgets as ipw

from gnndesign.jobs.properties import Key
from gnndesign.properties.catalog import PROPERTIES
from gnndesign.properties.table import title_of
from gnndesign_widgets.controls import FIELD, Message, RunBar, button, field, heading
from gnndesign_widgets.outcomes import COLUMNS, outcome_html, outcome_row
from gnndesign_widgets.phonon_modes_panel import PhononModesPanel
from gnndesign_widgets.properties import SOURCES, PropertiesModel
from gnndesign_widgets.property_form import PropertyForm
from gnndesign_widgets.row_table import RowTable

_WRAPPED = """<style>
.gnndesign-choices .jupyter-widgets label, .gnndesign-choices .jupyter-widgets span {
    white-space: normal; line-height: 15px;
}
.gnndesign-choices .widget-checkbox { height: auto; min-height: 28px; }
.gnndesign-choices label.widget-label-basic { padding-left: 20px; text-indent: -20px; }
</style>"""
"""Long titles go on in a second line."""


class PropertiesPanel(ipw.VBox):
    """What a person sees of a `PropertiesModel`."""

    def __init__(self, model: PropertiesModel) -> None:
        self._model = model
        self._forms: dict[str, PropertyForm] = {}
        self._keys: list[Key] = []
        self.boxes = {kind: self._box(kind) for kind in PROPERTIES}
        grid = ipw.GridBox(list(self.boxes.values()))
        grid.layout.grid_template_columns = "1fr 1fr"
        grid.add_class("gnndesign-choices")
        self.parameters = ipw.Accordion()
        self.source = field(
            model, "source", ipw.Dropdown(options=SOURCES, description="Of")
        )
        self.files = field(
            model,
            "files",
            ipw.Text(
                description="Files",
                placeholder="data/*.cif, run.xyz",
                continuous_update=False,
            ),
        )
        self.bar = RunBar(model.job, model.start, again=lambda: 0)
        self.table = RowTable(COLUMNS)
        self.details = ipw.HTML()
        self.modes = PhononModesPanel(model)
        self.message = Message()
        self.name = ipw.Text(value="properties", description="Export as", style=FIELD)
        self.name.layout.width = "auto"
        super().__init__(
            [
                ipw.HTML(_WRAPPED),
                heading("Properties"),
                grid,
                self.parameters,
                heading("Structures"),
                self.source,
                self.files,
                self.bar,
                self.table,
                self.modes,
                self.details,
                self._result_buttons(),
                self.name,
                self._export_buttons(),
                self.message,
            ]
        )
        model.observe(self._show_forms, "chosen")
        model.observe(self._show_texts, "settings")
        model.observe(self._show_files, "source")
        model.observe(self._show_rows, ["outcomes", "problem"])
        model.observe(self._show_picked, "picked")
        self.table.observe(self._pick, "picked")
        self._show_forms()
        self._show_files()
        self._show_rows()

    def _box(self, kind: str) -> ipw.Checkbox:
        box = ipw.Checkbox(
            value=kind in self._model.chosen, description=title_of(kind), indent=False
        )
        box.layout.width = "auto"
        box.observe(partial(self._choose, kind), "value")
        return box

    def _result_buttons(self) -> ipw.HBox:
        take = button(
            "Use structure",
            lambda: self.message.attempt(self._model.take_structure),
            tooltip="Put the structure that is on the stage on the desk",
        )
        return ipw.HBox([take])

    def _export_buttons(self) -> ipw.HBox:
        made = [
            button(f"Export {suffix.upper()}", partial(self._export, suffix))
            for suffix in ("csv", "json")
        ]
        return ipw.HBox(made)

    def _export(self, suffix: str) -> None:
        name = self.name.value.strip() or "properties"
        self.message.attempt(lambda: self._model.export(f"{name}.{suffix}"))

    def _choose(self, kind: str, change: dict[str, Any]) -> None:
        chosen = set(self._model.chosen) - {kind}
        if change["new"]:
            chosen.add(kind)
        self._model.chosen = tuple(k for k in PROPERTIES if k in chosen)

    def _show_forms(self, _change: object = None) -> None:
        """A folded form of each that is chosen; what was typed stays."""
        chosen = self._model.chosen
        for kind, box in self.boxes.items():
            box.value = kind in chosen
        for kind in chosen:
            if kind not in self._forms:
                self._forms[kind] = PropertyForm(self._model, kind)
        self.parameters.selected_index = None
        self.parameters.children = [self._forms[kind] for kind in chosen]
        self.parameters.titles = [f"{title_of(k)}: parameters" for k in chosen]

    def _show_texts(self, _change: object = None) -> None:
        """What was typed, here or by opening a job."""
        for kind, form in self._forms.items():
            form.show(self._model.settings.get(kind, {}))

    def _show_files(self, _change: object = None) -> None:
        wanted = self._model.source == "files"
        self.files.layout.display = "" if wanted else "none"

    def _show_rows(self, _change: object = None) -> None:
        model = self._model
        if model.problem:
            self.message.refuse(model.problem)
        self._keys = sorted(model.outcomes)
        self.table.rows = [
            outcome_row(model.outcomes[key], model.names[key[0]]) for key in self._keys
        ]
        self._show_picked()

    def _show_picked(self, _change: object = None) -> None:
        picked = self._model.picked
        if picked is None or picked not in self._keys:
            self.table.picked, self.details.value = -1, ""
            return
        self.table.picked = self._keys.index(picked)
        self.details.value = outcome_html(self._model.outcomes[picked])

    def _pick(self, change: dict[str, Any]) -> None:
        if 0 <= change["new"] < len(self._keys):
            self._model.picked = self._keys[change["new"]]
