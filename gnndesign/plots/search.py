"""Figures of a composition search: `plot_search`, and `draw_search` for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gnndesign.errors import ParameterError
from gnndesign.plots.element_contributions import plot_elements
from gnndesign.plots.parallel_coordinates import plot_parallel_coordinates
from gnndesign.plots.search_history import plot_history, plot_hypervolume
from gnndesign.plots.search_points import (
    AXIS,
    BEST,
    COLORSCALE,
    MISSED,
    POINT,
    UNCONVERGED,
    Flags,
    chosen_columns,
    hover_of,
    search_layout,
    title_of,
    values_of,
)
from gnndesign.plots.ternary import has_three_elements, plot_ternary
from gnndesign.search.fronts import pareto_front
from gnndesign.search.results import SearchResult
from gnndesign.search.trials import ObjectiveColumn, Trial

_NO_FLAGS: Flags = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTraces:
    """The arrays of the figure's traces, to draw it or to update one in place.

    Attributes:
        x: (n_points,) trial number, or the first of several objectives.
        y: (n_points,) the objective, or the second of several.
        color: (n_points,) the third objective; None for one or two.
        trial_numbers: (n_points,) the points' customdata: `Trial.number`.
        hover: (n_points,) text.
        converged: (n_points,) False where the relaxation ended at its step limit.
        best_x: x of the line of best values so far, or of the Pareto front.
        best_y: its y.
        missed: trials that miss a constraint and have the values to be drawn.
        n_not_drawn: trials that miss a constraint and have no values.
    """

    x: np.ndarray
    y: np.ndarray
    color: np.ndarray | None
    trial_numbers: np.ndarray
    hover: tuple[str, ...]
    converged: np.ndarray
    best_x: np.ndarray
    best_y: np.ndarray
    missed: tuple[Trial, ...]
    n_not_drawn: int


def search_traces(
    result: SearchResult,
    objectives: Sequence[str] | None = None,
    flags: Flags = _NO_FLAGS,
) -> SearchTraces:
    """What `plot_search` draws; see there."""
    columns = chosen_columns(result, objectives, 3)
    trials = result.feasible
    values = values_of(trials, columns)
    numbers = np.array([trial.number for trial in trials], dtype=int)
    front = pareto_front(values * [column.sign for column in columns])
    if len(columns) == 1:
        sign = columns[0].sign
        x, y = numbers, values[:, 0]
        best_x, best_y = x, sign * np.minimum.accumulate(sign * y)
    else:
        x, y = values[:, 0], values[:, 1]
        best_x, best_y = x[front], y[front]
    missed = [
        trial
        for trial in result.infeasible
        if all(column.name in trial.values for column in columns)
    ]
    return SearchTraces(
        x=x,
        y=y,
        color=values[:, 2] if len(columns) == 3 else None,
        trial_numbers=numbers,
        hover=tuple(hover_of(trial, result, flags) for trial in trials),
        converged=np.array([trial.status == "converged" for trial in trials], bool),
        best_x=best_x,
        best_y=best_y,
        missed=tuple(missed),
        n_not_drawn=len(result.infeasible) - len(missed),
    )


def plot_search(
    result: SearchResult,
    objectives: Sequence[str] | None = None,
    flags: Flags = _NO_FLAGS,
) -> go.Figure:
    """Objective against trial number with the best so far, or two or three objectives.

    With two objectives, one against the other with the Pareto front; with three, the
    third is the color and the points of the front are ringed. A point's customdata is its
    trial number; open symbols are relaxations that did not converge, crosses miss a
    constraint. The background is transparent, for light and dark pages.

    Args:
        result: of a search, finished or not.
        objectives: names of the one to three to draw; the first three if not given.
        flags: what the hover text says beside the values, by number of the trial.

    Raises:
        ParameterError: a name is unknown, or more than three are given.
    """
    columns = chosen_columns(result, objectives, 3)
    one = len(columns) == 1
    points: dict[str, Any] = {
        "mode": "markers",
        "hovertemplate": "%{text}<extra></extra>",
    }
    figure = go.Figure(
        [
            go.Scatter(
                # Of three objectives the front is a surface, and no line.
                mode="markers" if len(columns) == 3 else "lines",
                name="best so far" if one else "Pareto front",
                line={"color": BEST, "width": 2, "shape": "hv"},
                marker={
                    "symbol": "circle-open",
                    "color": BEST,
                    "size": 15,
                    "line": {"width": 2},
                },
                hoverinfo="skip",
            ),
            go.Scatter(name="candidates", **points),
            go.Scatter(
                marker={
                    "symbol": "x-thin",
                    "size": 8,
                    "line": {"color": MISSED, "width": 2},
                },
                **points,
            ),
        ]
    )
    search_layout(figure)
    titles = ["trial", title_of(columns[0])] if one else list(map(title_of, columns))
    figure.update_xaxes(title_text=titles[0], **AXIS)
    figure.update_yaxes(title_text=titles[1], **AXIS)
    if len(columns) == 3:
        bar = {"title": {"text": titles[2], "side": "right"}, "outlinewidth": 0}
        # The brighter the better.
        is_reversed = columns[2].sign == 1
        figure.update_layout(
            coloraxis={
                "colorscale": COLORSCALE,
                "colorbar": bar,
                "reversescale": is_reversed,
            }
        )
    update_search_plot(figure, result, objectives, flags)
    return figure


def update_search_plot(
    figure: Any,
    result: SearchResult,
    objectives: Sequence[str] | None = None,
    flags: Flags = _NO_FLAGS,
) -> None:
    """Bring a figure of `plot_search` up to date in place.

    Args:
        figure: a `Figure` or `FigureWidget` that `plot_search` made.
        result: what the search has now.
        objectives: the same as the figure was made with.
        flags: what the hover text says beside the values, by number of the trial.
    """
    columns = chosen_columns(result, objectives, 3)
    traces = search_traces(result, objectives, flags)
    missed_x, missed_y = _coordinates(traces.missed, columns)
    hidden = f", {traces.n_not_drawn} without values" if traces.n_not_drawn else ""
    with figure.batch_update():
        line, points, missed = figure.data
        line.update(x=traces.best_x, y=traces.best_y)
        points.update(
            x=traces.x,
            y=traces.y,
            customdata=traces.trial_numbers,
            text=list(traces.hover),
            marker=_marker(traces),
        )
        missed.update(
            x=missed_x,
            y=missed_y,
            customdata=[trial.number for trial in traces.missed],
            text=[hover_of(trial, result, flags) for trial in traces.missed],
            name=f"miss a constraint ({len(traces.missed)}{hidden})",
            visible=bool(traces.missed or traces.n_not_drawn),
        )


def _marker(traces: SearchTraces) -> dict[str, Any]:
    symbols = np.where(traces.converged, "circle", "circle-open")
    if traces.color is None:
        colors = np.where(traces.converged, POINT, UNCONVERGED)
        return {"symbol": symbols, "color": colors, "size": 9}
    return {
        "symbol": symbols,
        "color": traces.color,
        "coloraxis": "coloraxis",
        "size": 9,
    }


def _coordinates(
    trials: Sequence[Trial], columns: Sequence[ObjectiveColumn]
) -> tuple[np.ndarray, np.ndarray]:
    values = values_of(trials, columns)
    if len(columns) == 1:
        return np.array([trial.number for trial in trials]), values[:, 0]
    return values[:, 0], values[:, 1]


FIGURES: Mapping[str, Callable[[SearchResult], go.Figure]] = MappingProxyType(
    {
        "trials": plot_search,
        "history": plot_history,
        "hypervolume": plot_hypervolume,
        "parallel_coordinates": plot_parallel_coordinates,
        "elements": plot_elements,
        "ternary": plot_ternary,
    }
)
"""By kind. A point of each has the number of its trial as customdata."""


def draw_search(result: SearchResult, kind: str = "trials") -> go.Figure:
    """A figure of a search.

    Args:
        result: finished or not.
        kind: one of `FIGURES`.

    Raises:
        ParameterError: unknown, or the result has nothing such a figure shows.
    """
    if kind not in FIGURES:
        raise ParameterError(
            f"Wanted one of the figures {', '.join(FIGURES)}, got '{kind}'."
        )
    return FIGURES[kind](result)


def figures_of(result: SearchResult) -> tuple[str, ...]:
    """The kinds of figures that a result has something to show in."""
    has_several = len(result.objectives) > 1
    shown = {
        "trials": True,
        "history": True,
        "hypervolume": has_several,
        "parallel_coordinates": True,
        "elements": True,
        "ternary": has_three_elements(result),
    }
    return tuple(kind for kind, is_shown in shown.items() if is_shown)
