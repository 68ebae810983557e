"""Figures of a composition search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gnndesign.errors import ParameterError
from gnndesign.search.results import SearchResult
from gnndesign.search.trials import ObjectiveColumn, Trial

# Chosen to be told apart on white and on black, and by color-blind people (Okabe, Ito).
_POINT = "#0072B2"
_UNCONVERGED = "#56B4E9"
_BEST = "#D55E00"
_TEXT = "#7f7f7f"
_GRID = "rgba(127, 127, 127, 0.25)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTraces:
    """The arrays of the figure's two traces, to draw it or to update one in place.

    Attributes:
        x: (n_evaluated,) trial number, or the first of two objectives.
        y: (n_evaluated,) the objective, or the second of two.
        trial_numbers: (n_evaluated,) the points' customdata: `Trial.number`.
        hover: (n_evaluated,) text.
        converged: (n_evaluated,) False where the relaxation ended at its step limit.
        best_x: x of the line of best values so far, or of the Pareto front.
        best_y: its y.
    """

    x: np.ndarray
    y: np.ndarray
    trial_numbers: np.ndarray
    hover: tuple[str, ...]
    converged: np.ndarray
    best_x: np.ndarray
    best_y: np.ndarray


def search_traces(
    result: SearchResult, objectives: Sequence[str] | None = None
) -> SearchTraces:
    """What `plot_search` draws.

    Args:
        result: of a search, finished or not.
        objectives: names of the one or two to draw; the first two if not given.

    Raises:
        ParameterError: a name is unknown, or more than two are given.
    """
    columns = _chosen(result, objectives)
    trials = result.evaluated
    values = np.array(
        [[trial.values[column.name] for column in columns] for trial in trials], float
    ).reshape(len(trials), len(columns))
    numbers = np.array([trial.number for trial in trials], dtype=int)
    if len(columns) == 1:
        x, y = numbers, values[:, 0]
        sign = columns[0].sign
        best_x, best_y = x, sign * np.minimum.accumulate(sign * y)
    else:
        x, y = values[:, 0], values[:, 1]
        front = _front(values * [column.sign for column in columns])
        best_x, best_y = x[front], y[front]
    return SearchTraces(
        x=x,
        y=y,
        trial_numbers=numbers,
        hover=tuple(_hover(trial, result.objectives) for trial in trials),
        converged=np.array([trial.status == "converged" for trial in trials], bool),
        best_x=best_x,
        best_y=best_y,
    )


def plot_search(
    result: SearchResult, objectives: Sequence[str] | None = None
) -> go.Figure:
    """Objective against trial number with the best so far, or two objectives.

    With two objectives, one against the other with the Pareto front. A point's
    customdata is its trial number; open symbols are relaxations that did not converge.
    The background is transparent, for light and dark pages.

    Args:
        result: of a search, finished or not.
        objectives: names of the one or two to draw; the first two if not given.

    Raises:
        ParameterError: a name is unknown, or more than two are given.
    """
    columns = _chosen(result, objectives)
    one = len(columns) == 1
    figure = go.Figure(
        [
            go.Scatter(
                mode="lines",
                name="best so far" if one else "Pareto front",
                line={"color": _BEST, "width": 2, "shape": "hv" if one else "linear"},
                hoverinfo="skip",
            ),
            go.Scatter(
                mode="markers",
                name="candidates",
                hovertemplate="%{text}<extra></extra>",
            ),
        ]
    )
    axis = {"gridcolor": _GRID, "zerolinecolor": _GRID, "linecolor": _TEXT}
    titles = ["trial", _title(columns[0])] if one else [_title(c) for c in columns]
    figure.update_layout(
        xaxis={"title": {"text": titles[0]}, **axis},
        yaxis={"title": {"text": titles[1]}, **axis},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"color": _TEXT},
        margin={"l": 70, "r": 20, "t": 30, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
        clickmode="event",
        # Zoom and selection stay when the figure is updated.
        uirevision="search",
    )
    update_search_plot(figure, result, objectives)
    return figure


def update_search_plot(
    figure: Any, result: SearchResult, objectives: Sequence[str] | None = None
) -> None:
    """Bring a figure of `plot_search` up to date in place.

    Args:
        figure: a `Figure` or `FigureWidget` that `plot_search` made.
        result: what the search has now.
        objectives: the same as the figure was made with.
    """
    traces = search_traces(result, objectives)
    symbols = np.where(traces.converged, "circle", "circle-open")
    colors = np.where(traces.converged, _POINT, _UNCONVERGED)
    with figure.batch_update():
        line, points = figure.data
        line.update(x=traces.best_x, y=traces.best_y)
        points.update(
            x=traces.x,
            y=traces.y,
            customdata=traces.trial_numbers,
            text=list(traces.hover),
            marker={"symbol": symbols, "color": colors, "size": 9},
        )


def _chosen(
    result: SearchResult, names: Sequence[str] | None
) -> tuple[ObjectiveColumn, ...]:
    if names is None:
        return result.objectives[:2]
    known = {column.name: column for column in result.objectives}
    if not 1 <= len(names) <= 2 or any(name not in known for name in names):
        raise ParameterError(
            f"Wanted one or two of the objectives {', '.join(known)}, got {list(names)}."
        )
    return tuple(known[name] for name in names)


def _title(column: ObjectiveColumn) -> str:
    return f"{column.name.replace('_', ' ')} ({column.unit})"


def _front(costs: np.ndarray) -> np.ndarray:
    """Indices of the Pareto front of (n, 2) costs, along the first."""
    front: list[int] = []
    lowest = np.inf
    for index in np.lexsort((costs[:, 1], costs[:, 0])):
        if costs[index, 1] < lowest:
            lowest = costs[index, 1]
            front.append(int(index))
    return np.array(front, dtype=int)


def _hover(trial: Trial, columns: Sequence[ObjectiveColumn]) -> str:
    lines = [f"<b>{_with_subscripts(trial.formula)}</b> (trial {trial.number})"]
    lines += [
        f"{_title(column)}: {trial.values[column.name]:.4g}" for column in columns
    ]
    lines += [f"{name}: {value:.4g}" for name, value in trial.measured.items()]
    if trial.status != "converged":
        lines.append(f"not converged: {trial.status}")
    return "<br>".join(lines)


def _with_subscripts(formula: str) -> str:
    return "".join(f"<sub>{c}</sub>" if c.isdigit() else c for c in formula)
