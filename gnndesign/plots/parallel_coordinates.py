"""Every trial a line across its choices, constraints and objectives."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from ase.data import atomic_numbers
from plotly.colors import sample_colorscale

from gnndesign.plots.search_points import (
    COLORSCALE,
    TEXT,
    chosen_column,
    hover_of,
    search_layout,
    title_of,
)
from gnndesign.search.results import SearchResult
from gnndesign.search.trials import Trial

_MOST_LINES = 300
_N_COLORS = 12
_MOST_LABELS = 24
_N_TICKS = 5
_MOST_CHARACTERS = 110
"""Of all titles together, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """One of the parallel axes.

    Attributes:
        title: above it.
        heights: (n_trials,) between 0 and 1, NaN where a trial has nothing.
        ticks: heights and texts of the labels.
    """

    title: str
    heights: np.ndarray
    ticks: tuple[tuple[float, str], ...]


def plot_parallel_coordinates(
    result: SearchResult, objective: str | None = None
) -> go.Figure:
    """Trials as lines across axes of their choices, constraints and objectives.

    The color is an objective, the brighter the better; better ends of the axes are where
    their numbers say. Of many trials the best 300 and those that miss a constraint, in
    gray, are drawn. A point's customdata is the number of its trial.

    Args:
        result: finished or not.
        objective: name of the color; the first if not given.

    Raises:
        ParameterError: unknown.
    """
    column = chosen_column(result, objective)
    feasible = sorted(
        result.feasible, key=lambda trial: column.sign * trial.values[column.name]
    )[:_MOST_LINES]
    missed = list(result.infeasible)[-_MOST_LINES:]
    trials = [*missed, *reversed(feasible)]
    axes = _axes(trials, result)
    figure = go.Figure()
    heights = np.array([axis.heights for axis in axes]).reshape(len(axes), len(trials))
    _add_lines(figure, heights[:, : len(missed)], "rgba(127, 127, 127, 0.3)")
    values = np.array([t.values[column.name] for t in reversed(feasible)])
    shades = _shades(column.sign * values)
    for shade, color in enumerate(_colors()):
        own = heights[:, len(missed) :][:, shades == shade]
        _add_lines(figure, own, color)
    _add_points(figure, trials, heights, result)
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        showlegend=False,
        marker={
            "color": [values.min(), values.max()] if len(values) else [0, 1],
            "colorscale": COLORSCALE,
            "reversescale": column.sign == 1,
            "colorbar": {
                "title": {"text": title_of(column), "side": "right"},
                "outlinewidth": 0,
                "x": 1.02,
            },
        },
    )
    _draw_axes(figure, axes)
    return search_layout(figure, "parallel").update_layout(
        showlegend=False, margin={"l": 40, "r": 20, "t": 75, "b": 20}
    )


def _axes(trials: Sequence[Trial], result: SearchResult) -> list[_Axis]:
    """Of all that is chosen, missed and found; a choice of one option is none."""
    options: dict[str, set[str | float]] = {}
    for trial in trials:
        for name, choice in trial.choices.items():
            options.setdefault(name, set()).add(choice)
    names = [name for name, chosen in options.items() if len(chosen) > 1]
    axes = [
        _axis_of(f"{name}", [trial.choices.get(name) for trial in trials])
        for name in names
    ]
    axes += [
        _axis_of(
            f"{title_of(constraint)} missed by",
            [trial.constraints.get(constraint.name) for trial in trials],
        )
        for constraint in result.constraints
    ]
    axes += [
        _axis_of(title_of(own), [trial.values.get(own.name) for trial in trials])
        for own in result.objectives
    ]
    return axes


def _axis_of(title: str, entries: Sequence[str | float | None]) -> _Axis:
    texts = {entry for entry in entries if isinstance(entry, str)}
    if texts:
        return _axis_of_words(title, entries, texts)
    numbers = np.array([np.nan if e is None else float(e) for e in entries])
    if not np.isfinite(numbers).any():
        return _Axis(title=title, heights=numbers, ticks=())
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    width = high - low
    heights = (
        (numbers - low) / width if width else np.where(numbers == low, 0.5, np.nan)
    )
    several = np.linspace(0, 1, _N_TICKS) if width else np.array([0.5])
    start = low if width else low - 0.5 * width
    ticks = tuple((float(h), f"{start + h * width:.3g}") for h in several)
    return _Axis(title=title, heights=heights, ticks=ticks)


def _axis_of_words(
    title: str, entries: Sequence[str | float | None], texts: set[str]
) -> _Axis:
    """Elements by atomic number, other words by the alphabet."""
    order = sorted(texts, key=lambda text: (atomic_numbers.get(text, 999), text))
    places = np.linspace(0, 1, len(order)) if len(order) > 1 else np.array([0.5])
    height = dict(zip(order, places.tolist(), strict=True))
    found = [height.get(e, np.nan) if isinstance(e, str) else np.nan for e in entries]
    step = -(-len(order) // _MOST_LABELS)
    ticks = tuple((height[word], word) for word in order[::step])
    return _Axis(title=title, heights=np.array(found), ticks=ticks)


def _shades(costs: np.ndarray) -> np.ndarray:
    """Which of the colors each has, the lowest cost the last."""
    if not len(costs):
        return np.zeros(0, dtype=int)
    width = float(np.ptp(costs)) or 1.0
    share = (costs.max() - costs) / width
    return np.minimum((share * _N_COLORS).astype(int), _N_COLORS - 1)


def _colors() -> list[str]:
    places = (np.arange(_N_COLORS) + 0.5) / _N_COLORS
    return list(map(str, sample_colorscale(COLORSCALE, places.tolist())))


def _add_lines(figure: go.Figure, heights: np.ndarray, color: str) -> None:
    """One trace of many lines, with gaps between them."""
    if not heights.shape[1]:
        return
    n_axes, n_trials = heights.shape
    x = np.tile(np.append(np.arange(n_axes, dtype=float), np.nan), n_trials)
    y = np.vstack([heights, np.full(n_trials, np.nan)]).T.ravel()
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": color, "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )


def _add_points(
    figure: go.Figure,
    trials: Sequence[Trial],
    heights: np.ndarray,
    result: SearchResult,
) -> None:
    """What is hovered over and clicked."""
    n_axes = len(heights)
    hovers = [hover_of(trial, result, {}) for trial in trials]
    figure.add_scatter(
        x=np.tile(np.arange(n_axes), len(trials)),
        y=heights.T.ravel(),
        mode="markers",
        marker={"size": 7, "color": TEXT, "opacity": 0.35},
        customdata=np.repeat([trial.number for trial in trials], n_axes),
        text=[text for text in hovers for _ in range(n_axes)],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _draw_axes(figure: go.Figure, axes: Sequence[_Axis]) -> None:
    shared: dict[str, Any] = {"showgrid": False, "zeroline": False, "visible": False}
    figure.update_xaxes(range=[-0.4, len(axes) - 0.6], fixedrange=True, **shared)
    figure.update_yaxes(range=[-0.05, 1.05], fixedrange=True, **shared)
    for place, axis in enumerate(axes):
        line = {"color": TEXT, "width": 1}
        figure.add_shape(type="line", x0=place, x1=place, y0=0, y1=1, line=line)
        figure.add_annotation(
            x=place,
            y=1.04,
            text=_in_lines(axis.title, _MOST_CHARACTERS // max(len(axes), 1)),
            showarrow=False,
            yanchor="bottom",
        )
        for height, text in axis.ticks:
            figure.add_annotation(
                x=place,
                y=height,
                text=text,
                showarrow=False,
                xanchor="right",
                xshift=-5,
                # A rim, so that it can be read on the lines.
                font={"size": 11, "shadow": "auto"},
            )


def _in_lines(title: str, width: int) -> str:
    return "<br>".join(textwrap.wrap(title, max(width, 8), break_long_words=False))
