"""What a person sees of a `SymmetryModel`."""

from __future__ import annotations

from pathlib import Path

import ipywidgets as ipw

from gnndesign.errors import GNNDesignError
from gnndesign.potentials.catalog import list_potentials, potential_card
from gnndesign.training.violations import Violation
from gnndesign_widgets.controls import (
    FIELD,
    Message,
    button,
    field,
    heading,
    labeled,
    table,
)
from gnndesign_widgets.potential import potential_label
from gnndesign_widgets.symmetry import SUBJECTS, SymmetryModel
from gnndesign_widgets.trained import trained_potentials


class SymmetryPanel(ipw.VBox):
    """What a person sees of a `SymmetryModel`."""

    def __init__(self, model: SymmetryModel) -> None:
        self._model = model
        self.names = ipw.SelectMultiple(description="Potentials", rows=6, style=FIELD)
        self.names.layout.width = "auto"
        self._listing = False
        self.file = labeled(
            ipw.Text(
                description="or a file",
                placeholder="potential.safetensors",
                continuous_update=False,
            )
        )
        self.said = Message()
        self.numbers = ipw.HTML()
        self.message = Message()
        self.audit = button(
            "Audit", self._audit, button_style="primary", icon="check-square-o"
        )
        self.stop = button("Stop", model.stop_audit, button_style="danger", icon="stop")
        self.progress = Message()
        super().__init__(
            [
                heading("Structure and potentials"),
                field(
                    model,
                    "subject",
                    ipw.Dropdown(options=SUBJECTS, description="Structure"),
                ),
                field(
                    model,
                    "rattle",
                    ipw.BoundedFloatText(
                        min=0, max=0.5, step=0.01, description="Rattled by (Å)"
                    ),
                ),
                self.names,
                self.file,
                self.message,
                heading("A change that means nothing"),
                *self._changes(),
                self.said,
                self.numbers,
                heading("Symmetry audit"),
                ipw.HBox([self.audit, self.stop]),
                self.progress,
            ]
        )
        self.list_potentials()
        self.names.observe(self._choose, "value")
        self.file.observe(self._typed, "value")
        model.observe(self.list_potentials, "names")
        model.observe(self._show, ["found", "said", "auditing", "progress"])
        self._show()

    def list_potentials(self, _change: object = None) -> None:
        """Offer the catalog, what was trained, and what is used."""
        offered = [(name, name) for name in list_potentials()] + trained_potentials()
        known = [name for _, name in offered]
        names = self._model.names
        offered += [(potential_label(n), n) for n in names if n not in known]
        self._listing = True
        self.names.options = offered
        self.names.value = [name for _, name in offered if name in names]
        self._listing = False

    def _changes(self) -> list[ipw.Widget]:
        model = self._model
        slider, whole = ipw.FloatSlider, ipw.BoundedIntText
        first = field(model, "first", whole(min=0, max=10**6, description="Swap atoms"))
        second = field(model, "second", whole(min=0, max=10**6))
        first.layout.width, second.layout.width = "230px", "80px"
        second.style = {"description_width": "0px"}
        return [
            field(
                model,
                "axis",
                ipw.ToggleButtons(
                    options=["x", "y", "z"],
                    description="Axis",
                ),
            ),
            field(
                model,
                "angle",
                slider(min=-180, max=180, step=5, description="Turn by (degrees)"),
            ),
            field(
                model,
                "shift",
                slider(min=-5, max=5, step=0.1, description="Move by (Å)"),
            ),
            field(
                model,
                "mirrored",
                ipw.Checkbox(description="Mirror across the axis", indent=False),
            ),
            field(
                model,
                "cyclic",
                ipw.IntSlider(min=0, max=6, description="Renumber in a circle by"),
            ),
            ipw.HBox(
                [first, second, button("Reset", model.reset, icon="undo")],
            ),
        ]

    def _choose(self, change: dict[str, tuple[str, ...]]) -> None:
        if not self._listing:
            self._model.names = tuple(change["new"])

    def _typed(self, change: dict[str, str]) -> None:
        text = change["new"].strip()
        if not text:
            return

        def add() -> str:
            name = str(Path(text).expanduser())
            title = potential_card(name).title
            if name not in self._model.names:
                self._model.names = (*self._model.names, name)
            return f"Added {title}."

        self.message.attempt(add)

    def _audit(self) -> None:
        try:
            self._model.start_audit()
        except GNNDesignError as error:
            self.progress.refuse(str(error))

    def _show(self, _change: object = None) -> None:
        model = self._model
        self.audit.disabled = model.auditing
        self.stop.disabled = not model.auditing
        self.progress.say(model.progress)
        if model.said.startswith("Loading"):
            self.said.say(model.said)
        else:
            self.said.refuse(model.said)
        columns = ["Potential", "Energy", "Changes by", "Largest force", "Error by"]
        units = ["", "eV", "meV/atom", "eV/Å", "meV/Å"]
        rows = [_row(name, one) for name, one in model.found.items()]
        refused = [
            f"<div style='line-height:1.4'>{line}</div>"
            for line in (_refusal(n, one) for n, one in model.found.items())
            if line
        ]
        shown = table(columns, [units, *filter(None, rows)]) if any(rows) else ""
        self.numbers.value = shown + "".join(refused)


def _row(name: str, one: Violation | str) -> list[str]:
    if isinstance(one, str):
        return []
    return [
        potential_label(name),
        f"{one.energy:.5f}",
        f"{1e3 * one.energy_change:.2g}",
        f"{one.largest_force:.4g}",
        f"{1e3 * one.force_error:.2g}",
    ]


def _refusal(name: str, one: Violation | str) -> str:
    message = Message()
    if isinstance(one, str):
        message.refuse(f"{potential_label(name)}: {one}")
    return message.value
