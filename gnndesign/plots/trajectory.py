"""Figures of a relaxation or of molecular dynamics against step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gnndesign.simulation.results import History

# Okabe and Ito's colors, told apart on white, on black, and by color-blind people.
_LINE = "#0072B2"
_CURSOR = "#D55E00"
_TEXT = "#7f7f7f"
_GRID = "rgba(127, 127, 127, 0.25)"
_MOST_POINTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    title: str
    name: str
    unit: str


_PANELS = (
    _Panel(title="Energy (eV)", name="energy", unit="eV"),
    _Panel(title="Largest force (eV/Å)", name="max_force", unit="eV/Å"),
    _Panel(title="Temperature (K)", name="temperature_K", unit="K"),
    _Panel(title="Cell volume (Å³)", name="volume", unit="Å³"),
)


def plot_history(history: History) -> go.Figure:
    """Energy, largest force, temperature and volume against step.

    A quantity without meaning for the run (no temperature in a relaxation, no volume
    of a molecule) leaves its panel empty. Points carry their step as customdata. The
    second trace of each panel is the cursor that `move_cursor` moves.
    """
    figure = make_subplots(
        rows=2,
        cols=2,
        shared_xaxes=True,
        horizontal_spacing=0.13,
        vertical_spacing=0.16,
        subplot_titles=[panel.title for panel in _PANELS],
    )
    for place, panel in enumerate(_PANELS):
        where = {"row": place // 2 + 1, "col": place % 2 + 1}
        hover = f"step %{{x}}<br>%{{y:.6g}} {panel.unit}<extra></extra>"
        figure.add_scatter(
            mode="lines", line={"color": _LINE, "width": 2}, hovertemplate=hover, **where
        )
        figure.add_scatter(
            mode="markers", marker={"color": _CURSOR, "size": 9}, hoverinfo="skip", **where
        )
    axis = {"gridcolor": _GRID, "zeroline": False, "linecolor": _TEXT}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis, exponentformat="power")
    figure.update_xaxes(title_text="step", title_standoff=4, row=2)
    figure.update_layout(
        showlegend=False,
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"color": _TEXT, "size": 11},
        margin={"l": 60, "r": 15, "t": 25, "b": 40},
        hovermode="closest",
        uirevision="history",
    )
    figure.update_annotations(font_size=12)
    update_history_plot(figure, history)
    return figure


def update_history_plot(figure: Any, history: History) -> None:
    """Bring a figure of `plot_history` up to date in place.

    Args:
        figure: a `Figure` or `FigureWidget` that `plot_history` made.
        history: what the run has now; drawn with 2,000 points at most.
    """
    kept = _thinned(len(history.step))
    steps = history.step[kept]
    with figure.batch_update():
        for place, panel in enumerate(_PANELS):
            values: np.ndarray = getattr(history, panel.name)
            meaningful = bool(np.isfinite(values).any())
            figure.data[2 * place].update(
                x=steps if meaningful else [], y=values[kept] if meaningful else []
            )


def move_cursor(figure: Any, history: History, step: int | None) -> None:
    """Mark the moment that is being looked at; None marks nothing."""
    place = None if step is None else int(np.searchsorted(history.step, step))
    if place is not None and place >= len(history.step):
        place = None
    with figure.batch_update():
        for number, panel in enumerate(_PANELS):
            cursor = figure.data[2 * number + 1]
            value = np.nan if place is None else getattr(history, panel.name)[place]
            if np.isfinite(value):
                cursor.update(x=[int(history.step[place])], y=[float(value)])
            else:
                cursor.update(x=[], y=[])


def _thinned(n_points: int) -> np.ndarray:
    """Indices of at most 2,000 of the points, the first and the last among them."""
    if n_points <= _MOST_POINTS:
        return np.arange(n_points)
    return np.unique(np.linspace(0, n_points - 1, _MOST_POINTS).round().astype(int))
