"""What a person sees of a `TrainingModel`."""

from __future__ import annotations

import math

import ipywidgets as ipw

from gnndesign.training.options import Training
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
from gnndesign_widgets.network_shape import starts
from gnndesign_widgets.options import OptionsForm
from gnndesign_widgets.training import TrainingModel


class TrainingPanel(ipw.VBox):
    """What a person sees of a `TrainingModel`, but for its data: see `DataSection`."""

    def __init__(self, model: TrainingModel) -> None:
        self._model = model
        self.bar = RunBar(model.job, model.start, again=lambda: model.epochs)
        self.best = ipw.HTML()
        self.pareto_bar = RunBar(
            model.pareto_job, model.start_pareto, again=lambda: model.n_trials
        )
        self.front = ipw.HTML()
        self.picked = Message()
        self.message = Message()
        super().__init__(
            [
                heading("Potential"),
                *self._potential_fields(),
                heading("Training"),
                *self._training_fields(),
                self.bar,
                self.best,
                ipw.HBox([button("Use this potential", self._use, icon="check")]),
                self.message,
                self._pareto_section(),
            ]
        )
        model.observe(self._show_best, "history")
        model.observe(self._show_front, "pareto")
        model.observe(self._show_picked, "picked")
        self._show_best()
        self._show_front()
        self._show_picked()

    def _potential_fields(self) -> list[ipw.Widget]:
        model = self._model
        self.architecture = field(
            model,
            "architecture",
            ipw.Dropdown(options=starts(), description="Architecture"),
        )
        self.cutoff = field(
            model,
            "cutoff",
            ipw.BoundedFloatText(min=0.5, max=20, step=0.5, description="Cutoff (Å)"),
        )
        self.shape = model.shape_form()
        return [self.architecture, self.cutoff, folded("Shape", self.shape)]

    def _training_fields(self) -> list[ipw.Widget]:
        model = self._model
        whole, number = ipw.BoundedIntText, ipw.BoundedFloatText
        self.loss, self.more = (
            OptionsForm(part, lambda: training_of(model.training_options(), Training()))
            for part in (model.loss, model.more)
        )
        return [
            field(model, "epochs", whole(min=1, max=10**6, description="Epochs")),
            field(
                model, "batch_size", whole(min=1, max=4096, description="Batch size")
            ),
            field(
                model,
                "learning_rate",
                ipw.FloatText(description="Learning rate", step=1e-3),
            ),
            field(
                model,
                "patience",
                whole(min=0, max=10**6, description="Patience (0: none)"),
            ),
            field(
                model,
                "augment_rotations",
                ipw.Checkbox(description="Turn structures at random", indent=False),
            ),
            field(
                model,
                "symmetry_penalty",
                number(min=0, max=1e6, step=0.1, description="Symmetry penalty"),
            ),
            folded("Loss", self.loss),
            folded("More", self.more),
        ]

    def _pareto_section(self) -> ipw.Accordion:
        trainings = ipw.BoundedIntText(min=1, max=10**4, description="Trainings")
        parts = [
            field(self._model, "n_trials", trainings),
            *(self.pareto_bar, self.front, self.picked),
        ]
        # Closed: the buttons of one training are enough to see.
        section = folded(
            "Weights of the loss: errors against each other", ipw.VBox(parts)
        )
        if self._model.pareto_job.job_id:
            section.selected_index = 0
        return section

    def _use(self) -> None:
        self.message.attempt(self._model.use_potential)

    def _show_best(self, _change: object = None) -> None:
        best = self._model.best
        if best is None:
            self.best.value = ""
            return
        last, errors = self._model.history[-1], best.validation
        rows = [
            ("Energy", errors.energy_mae_meV, errors.energy_rmse_meV, "meV/atom"),
            (
                "Forces",
                errors.forces_mae_meV_per_A,
                errors.forces_rmse_meV_per_A,
                "meV/Å",
            ),
            ("Stress", errors.stress_mae_GPa, errors.stress_rmse_GPa, "GPa"),
        ]
        speed = (
            f"Epoch {last.epoch}: learning rate {last.learning_rate:.2g}, "
            f"{last.seconds:.3g} s an epoch, {last.structures_per_s:.3g} structures/s."
        )
        self.best.value = (
            table(
                [f"Validation, epoch {best.epoch}", "MAE", "RMSE", ""],
                [
                    [name, f"{mae:.4g}", f"{rmse:.4g}", unit]
                    for name, mae, rmse, unit in rows
                    if not math.isnan(mae)
                ],
            )
            + f"<div>{speed}</div>"
        )

    def _show_front(self, _change: object = None) -> None:
        found = self._model.pareto
        if found is None or not found.front:
            self.front.value = ""
            return
        self.front.value = (
            table(
                ["Trial", "energy (meV/atom)", "forces (meV/Å)", "stress (GPa)"],
                [
                    [
                        str(trial.number),
                        f"{trial.errors.energy_mae_meV:.3g}",
                        f"{trial.errors.forces_mae_meV_per_A:.3g}",
                        "-"
                        if math.isnan(trial.errors.stress_mae_GPa)
                        else f"{trial.errors.stress_mae_GPa:.3g}",
                    ]
                    for trial in found.front
                    if trial.errors is not None
                ],
            )
            + "<div>Click on a point of the front to use its potential.</div>"
        )

    def _show_picked(self, _change: object = None) -> None:
        self.picked.say(self._model.picked)
