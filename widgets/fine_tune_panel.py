"""What a person sees of a `FineTuneModel`."""

from __future__ import annotations

import math

import ipywidgets as ipw

from gnndesign.plots.teaching import error_text
from gnndesign.potentials.catalog import list_potentials
from gnndesign.training.evaluation import Errors
from gnndesign.training.fine_tune import FINE_TUNING
from gnndesign.training.plan import training_of
from gnndesign_widgets.controls import (
    Message,
    RunBar,
    button,
    field,
    folded,
    heading,
    table,
)
from gnndesign_widgets.fine_tune import FineTuneModel
from gnndesign_widgets.options import OptionsForm
from gnndesign_widgets.trained import trained_potentials

_ROWS = {
    "New data, before": "new_before",
    "New data, energies of the elements moved": "new_shifted",
    "New data, after": "new_after",
    "Replay, before": "replay_before",
    "Replay, after": "replay_after",
}


class FineTunePanel(ipw.VBox):
    """What a person sees of a `FineTuneModel`."""

    def __init__(self, model: FineTuneModel) -> None:
        self._model = model
        self.bar = RunBar(model.job, model.start, again=lambda: model.epochs)
        self.errors = ipw.HTML()
        self.message = Message()
        super().__init__(
            [
                heading("Potential"),
                *self._memory_fields(),
                heading("Training"),
                *self._training_fields(),
                self.bar,
                self.errors,
                ipw.HBox([button("Use this potential", self._use, icon="check")]),
                self.message,
            ]
        )
        model.observe(self._show, "report")
        self._show()

    def list_potentials(self) -> None:
        """Offer what there is by now."""
        shipped = [name for name in list_potentials() if name.startswith("sevennet")]
        self.start_from.options = [*shipped, *trained_potentials()]

    def _memory_fields(self) -> list[ipw.Widget]:
        model = self._model
        self.start_from = field(
            model,
            "start_from",
            ipw.Combobox(
                description="Fine-tune",
                placeholder="a SevenNet or a .safetensors file",
                continuous_update=False,
            ),
        )
        self.list_potentials()
        return [
            self.start_from,
            field(
                model,
                "refit_shift",
                ipw.Checkbox(
                    description="Move the energies of the elements first", indent=False
                ),
            ),
            field(
                model,
                "replay_ratio",
                ipw.BoundedFloatText(
                    min=0, max=1000, step=0.5, description="Replay per structure"
                ),
            ),
            field(
                model,
                "replay",
                ipw.Text(
                    description="Replay file",
                    placeholder="none: crystals that the potential labels itself",
                    continuous_update=False,
                ),
            ),
        ]

    def _training_fields(self) -> list[ipw.Widget]:
        model, whole = self._model, ipw.BoundedIntText
        rate = ipw.FloatText(description="Learning rate", step=1e-4)
        self.more = OptionsForm(
            model.more, lambda: training_of(model.training_options(), FINE_TUNING)
        )
        return [
            field(model, "epochs", whole(min=1, max=10**6, description="Epochs")),
            field(
                model, "batch_size", whole(min=1, max=4096, description="Batch size")
            ),
            field(model, "learning_rate", rate),
            folded("More", self.more),
        ]

    def _use(self) -> None:
        self.message.attempt(self._model.use_potential)

    def _show(self, _change: object = None) -> None:
        report = self._model.report
        if report is None:
            self.errors.value = ""
            return
        rows = [
            [title, *_numbers(errors)]
            for title, name in _ROWS.items()
            if (errors := getattr(report, name)) is not None
        ]
        head = ["Mean absolute error", "meV/atom", "meV/Å", "GPa"]
        self.errors.value = table(head, rows)


def _numbers(errors: Errors) -> list[str]:
    values = (
        errors.energy_mae_meV,
        errors.forces_mae_meV_per_A,
        errors.stress_mae_GPa,
    )
    return ["-" if math.isnan(value) else error_text(value) for value in values]
