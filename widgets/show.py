"""`show`: results of properties in one call, with figure, numbers and structure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import ipywidgets as ipw

from gnndesign.errors import ParameterError
from gnndesign.plots.properties import can_draw, draw
from gnndesign.properties.base import Result
from gnndesign.properties.outcomes import Outcome
from gnndesign_widgets.outcomes import (
    COLUMNS,
    frames_of,
    outcome_html,
    outcome_row,
    result_html,
    structure_of,
)
from gnndesign_widgets.plot_view import PlotView
from gnndesign_widgets.row_table import RowTable
from gnndesign_widgets.viewer import ViewerPanel


class ResultView(ipw.VBox):
    """A result: its figure and numbers, beside its structure or what moves of it."""

    def __init__(self) -> None:
        self.plot = PlotView()
        self.numbers = ipw.HTML()
        self.viewer = ViewerPanel(height="320px")
        left, self._right = ipw.VBox([self.plot, self.numbers]), ipw.Box([self.viewer])
        left.layout.flex, self._right.layout.flex = "3 1 420px", "2 1 320px"
        left.layout.min_width = self._right.layout.min_width = "0"
        row = ipw.HBox([left, self._right])
        row.layout.flex_flow = "row wrap"
        super().__init__([row])

    def show(self, result: Result | None, numbers: str) -> None:
        """Show another result, with its numbers as HTML."""
        self.numbers.value = numbers
        if result is not None and can_draw(result):
            self.plot.draw(partial(draw, result))
        else:
            self.plot.clear()
        frames = frames_of(result) or structure_of(result)
        self._right.layout.display = "none" if frames is None else ""
        if frames is not None:
            self.viewer.view.show(frames)


class OutcomesView(ipw.VBox):
    """Outcomes in a table; the one that is chosen is shown below."""

    def __init__(self, outcomes: Sequence[Outcome[Any]]) -> None:
        self._outcomes = outcomes
        self.table = RowTable(COLUMNS)
        self.table.rows = [outcome_row(each, each.formula) for each in outcomes]
        self.view = ResultView()
        super().__init__([self.table, self.view])
        self.table.observe(self._show, "picked")
        self.table.picked = 0

    def _show(self, _change: object = None) -> None:
        outcome = self._outcomes[self.table.picked]
        self.view.show(outcome.result, outcome_html(outcome))


def show(what: Result | Outcome[Any] | Sequence[Outcome[Any]]) -> ipw.VBox:
    """What `compute` gave, drawn; show it as the last line of a cell.

    Args:
        what: a result, an outcome, or several outcomes (a click on a row shows one).

    Raises:
        ParameterError: there is none.
    """
    if isinstance(what, Outcome):
        return OutcomesView([what])
    if isinstance(what, Result):
        view = ResultView()
        view.show(what, result_html(what))
        return view
    if not what:
        raise ParameterError("Wanted one outcome of `compute` or more, got none.")
    return OutcomesView(what)
