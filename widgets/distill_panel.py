"""What a person sees of a `DistillModel`."""

from __future__ import annotations

import html

import ipywidgets as ipw

from gnndesign.errors import GNNDesignError
from gnndesign.plots.teaching import error_text
from gnndesign.training.distill_results import DistillationReport, DistillationRound
from gnndesign.training.evaluation import Errors
from gnndesign.training.student_checks import SpeedUp, Stability
from gnndesign_widgets.controls import (
    Message,
    RunBar,
    button,
    field,
    folded,
    heading,
    table,
)
from gnndesign_widgets.distill import DistillModel, students
from gnndesign_widgets.options import OptionsForm

_FEW_ATOMS = 16


class DistillPanel(ipw.VBox):
    """What a person sees of a `DistillModel`."""

    def __init__(self, model: DistillModel) -> None:
        self._model = model
        self.teacher = ipw.HTML()
        self.bar = RunBar(model.job, model.start, again=lambda: model.rounds)
        self.rounds = ipw.HTML()
        self.message = Message()
        super().__init__(
            [
                heading("Teacher and structures"),
                self.teacher,
                heading("Student"),
                *self._student_fields(),
                heading("Frames and rounds"),
                *self._round_fields(),
                self.bar,
                self.rounds,
                ipw.HBox([button("Use this potential", self._use, icon="check")]),
                self.message,
            ]
        )
        model.potential.observe(self._show_teacher, ["card", "problem"])
        model.structure.observe(self._show_teacher, ["chosen", "revision"])
        model.observe(self._show_rounds, "report")
        self._show_teacher()
        self._show_rounds()

    def _student_fields(self) -> list[ipw.Widget]:
        model = self._model
        kinds = ipw.Dropdown(options=students(), description="Student")
        cutoff = ipw.BoundedFloatText(
            min=0.5, max=20, step=0.5, description="Cutoff (Å)"
        )
        self.shape = model.shape_form()
        return [
            field(model, "architecture", kinds),
            field(model, "cutoff", cutoff),
            folded("Shape", self.shape),
        ]

    def _round_fields(self) -> list[ipw.Widget]:
        model, whole, number = self._model, ipw.BoundedIntText, ipw.BoundedFloatText
        counts = {
            "rounds": "Rounds at most",
            "n_members": "Students",
            "n_dynamics": "Frames of dynamics",
            "n_deformed": "Deformed frames",
            "n_added": "Frames added a round",
            "epochs": "Epochs, first round",
            "more_epochs": "Epochs, later rounds",
        }
        texts = {"temperatures_K": "Learn at (K)"}
        self.more = OptionsForm(model.more, model.plan)
        return [
            field(
                model,
                "temperature_K",
                number(min=1, max=1e5, step=50, description="Good at (K)"),
            ),
            *(
                field(model, name, ipw.Text(description=said, continuous_update=False))
                for name, said in texts.items()
            ),
            field(
                model,
                "force_error",
                number(min=1e-6, max=1e6, step=10, description="Bound (meV/Å)"),
            ),
            *(
                field(model, name, whole(min=0, max=10**6, description=said))
                for name, said in counts.items()
            ),
            field(
                model,
                "stability_ps",
                number(min=0, max=1e6, step=1, description="Last run (ps)"),
            ),
            folded("More", self.more),
        ]

    def _use(self) -> None:
        self.message.attempt(self._model.use_potential)

    def _show_teacher(self, _change: object = None) -> None:
        model = self._model
        card = model.potential.card
        teacher = model.potential.problem if card is None else card.title
        try:
            fewest = min(map(len, model.structure.chosen_atoms()))
            entries = [model.structure.entries[k] for k in model.structure.chosen]
            names = ", ".join(entry.name for entry in entries)
        except GNNDesignError as error:
            fewest, names = _FEW_ATOMS, str(error)
        said = f"{teacher}, dynamics of {names}."
        if fewest < _FEW_ATOMS:
            said += (
                f" Of {fewest} atoms a frame shows little, and a student gains little: "
                "make a supercell of some tens first."
            )
        self.teacher.value = f"<div>{html.escape(said)}</div>"

    def _show_rounds(self, _change: object = None) -> None:
        report = self._model.report
        self.rounds.value = "" if report is None else report_html(report)


def report_html(report: DistillationReport) -> str:
    """Rounds in a table, then speed and stability."""
    head = ["Round", "frames", "own dynamics", "teacher's", "energy (meV/atom)"]
    parts = [table(head, [_row(one) for one in report.history])]
    verdict = "below" if report.reached else "above"
    parts.append(
        "<div>Root mean square force errors on fresh frames, meV/Å: "
        f"<b>{verdict} the bound of {report.bound_meV_per_A:g}</b>.</div>"
    )
    if report.speed is not None:
        parts.append(f"<div>{_speed(report.speed)}</div>")
    if report.stability is not None:
        parts.append(f"<div>{html.escape(_stability(report.stability))}</div>")
    return "".join(parts)


def _row(one: DistillationRound) -> list[str]:
    own = _forces(one.on_own_dynamics)
    energies = [
        errors.energy_rmse_meV
        for errors in (one.on_own_dynamics, one.on_teachers_dynamics)
        if errors is not None
    ]
    return [
        str(one.number),
        str(one.n_frames),
        f"{own}, {one.n_diverged} diverged" if one.n_diverged else own,
        _forces(one.on_teachers_dynamics),
        error_text(max(energies)) if energies else "none",
    ]


def _forces(errors: Errors | None) -> str:
    return "none" if errors is None else error_text(errors.forces_rmse_meV_per_A)


def _speed(speed: SpeedUp) -> str:
    return (
        f"<b>{speed.ratio:.3g} times as fast</b> a step of dynamics of {speed.n_atoms} "
        f"atoms: {speed.student.step_us:.3g} instead of {speed.teacher.step_us:.3g} µs "
        "an atom."
    )


def _stability(run: Stability) -> str:
    if not run.finished:
        return f"Its run ended after {run.time_ps:.3g} ps: {run.message}"
    return (
        f"It ran for {run.time_ps:.3g} ps at {run.temperature_K:.0f} K, energy drift "
        f"{run.energy_drift_meV_per_atom:.2g} meV/atom."
    )
