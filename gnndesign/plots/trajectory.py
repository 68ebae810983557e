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


def plot_history(history: History, cursor_step: int | None = None) -> go.Figure:
    """Energy, largest force, temperature and volume against step.

    A quantity without meaning for the run (no temperature in a relaxation, no volume
    of a molecule) has no panel.

    Args:
        history: drawn with 2,000 points at most.
        cursor_step: the moment to mark; None marks nothing.
    """
    panels = [p for p in _PANELS if np.isfinite(getattr(history, p.name)).any()]
    n_rows, n_columns = (len(panels) + 1) // 2 or 1, min(len(panels), 2) or 1
    figure = make_subplots(
        rows=n_rows,
        cols=n_columns,
        shared_xaxes=True,
        horizontal_spacing=0.14,
        vertical_spacing=0.16,
        subplot_titles=[panel.title for panel in panels],
    )
    kept = _thinned(len(history.step))
    steps = history.step[kept]
    for place, panel in enumerate(panels):
        where = {"row": place // 2 + 1, "col": place % 2 + 1}
        values: np.ndarray = getattr(history, panel.name)
        figure.add_scatter(
            x=steps,
            y=values[kept],
            mode="lines" if len(steps) > 1 else "markers",
            line={"color": _LINE, "width": 2},
            hovertemplate=f"step %{{x}}<br>%{{y:.6g}} {panel.unit}<extra></extra>",
            **where,
        )
        at = _place_of(history, cursor_step)
        if at is not None and np.isfinite(values[at]):
            figure.add_scatter(
                x=[int(history.step[at])],
                y=[float(values[at])],
                mode="markers",
                marker={"color": _CURSOR, "size": 9},
                hoverinfo="skip",
                **where,
            )
    _dress(figure, n_rows)
    return figure


def _dress(figure: go.Figure, n_rows: int) -> None:
    axis: dict[str, Any] = {"gridcolor": _GRID, "zeroline": False, "linecolor": _TEXT}
    figure.update_xaxes(axis)
    figure.update_yaxes({**axis, "exponentformat": "power"})
    figure.update_xaxes(title_text="step", title_standoff=4, row=n_rows)
    figure.update_layout(
        showlegend=False,
        height=90 + 125 * n_rows,
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"color": _TEXT, "size": 11},
        margin={"l": 60, "r": 15, "t": 25, "b": 40},
        hovermode="closest",
        uirevision="history",
    )
    figure.update_annotations(font_size=12)


def _place_of(history: History, step: int | None) -> int | None:
    """Index of a step, or of the next one that was recorded."""
    if step is None:
        return None
    place = int(np.searchsorted(history.step, step))
    return place if place < len(history.step) else None


def _thinned(n_points: int) -> np.ndarray:
    """Indices of at most 2,000 of the points, the first and the last among them."""
    if n_points <= _MOST_POINTS:
        return np.arange(n_points)
    return np.unique(np.linspace(0, n_points - 1, _MOST_POINTS).round().astype(int))
