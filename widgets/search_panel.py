"""What a person sees of a `SearchModel`."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as ipw

from gnndesign.properties.fields import fields_of
from gnndesign.properties.work import Relaxing
from gnndesign.search.sampler import Strategy
from gnndesign.search.study import RELAXING
from gnndesign_widgets.controls import (
    FIELD,
    Message,
    RunBar,
    button,
    field,
    folded,
    heading,
)
from gnndesign_widgets.goal_rows import GoalRows
from gnndesign_widgets.parameter_form import ParameterForm
from gnndesign_widgets.row_table import RowTable
from gnndesign_widgets.search import SearchModel
from gnndesign_widgets.search_checks import ChecksPanel
from gnndesign_widgets.search_goals import BOUNDS, GOALS, Wish
from gnndesign_widgets.search_stage import best_columns, best_row, leading, trial_html
from gnndesign_widgets.space_panel import SpacePanel

_N_BEST = 10
_NEW_OBJECTIVE = Wish(measure="lattice_constant", how="target", number=4.0)
_NEW_CONSTRAINT = Wish(measure="energy_above_hull", how="at most", number=0.05)


class SearchPanel(ipw.VBox):
    """What a person sees of a `SearchModel`."""

    def __init__(self, model: SearchModel) -> None:
        self._model = model
        self._numbers: list[int] = []
        self.space = SpacePanel(model.space, model.potential)
        self.objectives = GoalRows(
            model,
            "objectives",
            GOALS,
            _NEW_OBJECTIVE,
            "Add objective",
            lambda: [wish.objective() for wish in model.objectives],
        )
        self.constraints = GoalRows(
            model,
            "constraints",
            BOUNDS,
            _NEW_CONSTRAINT,
            "Add constraint",
            lambda: [wish.constraint() for wish in model.constraints],
        )
        self.relaxing = ParameterForm(
            fields_of(Relaxing, RELAXING),
            model.relaxing,
            model.set_relaxing,
            model.relaxation,
        )
        self.estimate = ipw.HTML()
        self.bar = RunBar(model.job, model.start, again=lambda: model.n_trials)
        self.problem = Message()
        self.best = RowTable([])
        self.details = ipw.HTML()
        self.message = Message()
        self.checks = ChecksPanel(
            model.checks, lambda: model.start_check(self.n_best.value)
        )
        checks = folded("Check winners", self.checks)
        super().__init__(
            [
                self.space,
                heading("Objectives"),
                self.objectives,
                heading("Constraints"),
                self.constraints,
                *self._budget(),
                self.estimate,
                self.bar,
                self.problem,
                self.best,
                self.details,
                *self._result_buttons(),
                self.message,
                checks,
            ]
        )
        model.checks.observe(self._show_best, "found")
        model.observe(self._show_relaxing, "relaxing")
        model.observe(self._show_estimate, "estimate")
        model.observe(self._show_problem, "problem")
        model.observe(self._show_best, "result")
        model.observe(self._show_picked, "picked")
        self.best.observe(self._pick, "picked")
        self._show_estimate()
        self._show_problem()
        self._show_best()

    def _budget(self) -> list[ipw.Widget]:
        """How candidates are chosen, how many, and how they are relaxed."""
        model, whole = self._model, ipw.BoundedIntText
        strategies = [(str(s).replace("_", " ").capitalize(), str(s)) for s in Strategy]
        trials = whole(min=1, max=10**6, description="Trials")
        trials.tooltip = "Candidates in all; more of them and Resume goes on"
        warm_start = ipw.Text(
            description="Learn from", placeholder="study.db or values.csv:density=rho"
        )
        warm_start.tooltip = (
            "Storage of an earlier search, or FILE.csv:MEASURE=COLUMN,formula=COLUMN; "
            "several separated by semicolons"
        )
        relaxation = folded("Relaxation", self.relaxing)
        return [
            heading("Sampler and budget"),
            field(
                model,
                "strategy",
                ipw.Dropdown(options=strategies, description="Strategy"),
            ),
            field(model, "n_trials", trials),
            field(
                model, "batch_size", whole(min=1, max=4096, description="Batch size")
            ),
            field(model, "seed", whole(min=0, max=2**31 - 1, description="Seed")),
            field(model, "warm_start", warm_start),
            relaxation,
        ]

    def _result_buttons(self) -> list[ipw.Widget]:
        """What can be done with what was found."""
        take = button(
            "Use structure",
            lambda: self.message.attempt(self._model.take_structure),
            tooltip="Put the structure of the chosen row or point on the desk",
        )
        self.folder = ipw.Text(value="best_candidates", description="Folder")
        self.n_best = ipw.BoundedIntText(
            value=_N_BEST, min=1, max=10_000, description="Best"
        )
        for each in (self.folder, self.n_best):
            each.set_trait("style", FIELD)
            each.layout.width = "auto"
        export = button("Export", self._export, tooltip="CIF, CSV and JSON")
        return [ipw.HBox([take, export]), self.folder, self.n_best]

    def _export(self) -> None:
        self.message.attempt(
            lambda: self._model.export(self.folder.value, self.n_best.value)
        )

    def _show_relaxing(self, _change: object = None) -> None:
        self.relaxing.show(self._model.relaxing)

    def _show_estimate(self, _change: object = None) -> None:
        self.estimate.value = f"<i>{html.escape(self._model.estimate)}</i>"

    def _show_problem(self, _change: object = None) -> None:
        self.problem.refuse(self._model.problem)

    def _show_best(self, _change: object = None) -> None:
        result = self._model.result
        best = [] if result is None else leading(result, _N_BEST)
        found = self._model.checks.found
        self._numbers = [trial.number for _, trial in best]
        if result is not None:
            self.best.columns = best_columns(result)
            self.best.rows = [
                best_row(place, trial, result, found.get(trial.number))
                for place, trial in best
            ]
        else:
            self.best.rows = []
        self._show_picked()

    def _show_picked(self, _change: object = None) -> None:
        model = self._model
        trial, result = model.picked_trial(), model.result
        if trial is None or result is None:
            self.best.picked, self.details.value = -1, ""
            return
        in_table = trial.number in self._numbers
        self.best.picked = self._numbers.index(trial.number) if in_table else -1
        check = model.checks.found.get(trial.number)
        self.details.value = trial_html(trial, result, model.potential.card, check)

    def _pick(self, change: dict[str, Any]) -> None:
        if 0 <= change["new"] < len(self._numbers):
            self._model.picked = self._numbers[change["new"]]
