"""Figures of a relaxation or of molecular dynamics against step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gnndesign.plots.error_bands import add_curve, value_with_error
from gnndesign.simulation.observables.averages import Average, Averages
from gnndesign.simulation.results import History

# Okabe and Ito's colors, told apart on white, on black, and by color-blind people.
_LINE = "#0072B2"
_CURSOR = "#D55E00"
_AVERAGE = "#E69F00"
_TEXT = "#7f7f7f"
_GRID = "rgba(127, 127, 127, 0.25)"
_MOST_POINTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    title: str
    name: str
    unit: str
    average: str


_ENERGY = _Panel(
    title="Energy (eV)", name="energy", unit="eV", average="potential_energy"
)
_FORCE = _Panel(title="Largest force (eV/Å)", name="max_force", unit="eV/Å", average="")
_TEMPERATURE = _Panel(
    title="Temperature (K)", name="temperature_K", unit="K", average="temperature_K"
)
_PRESSURE = _Panel(
    title="Pressure (GPa)", name="pressure_GPa", unit="GPa", average="pressure_GPa"
)
_VOLUME = _Panel(title="Cell volume (Å³)", name="volume", unit="Å³", average="volume")


def plot_history(
    history: History,
    cursor_step: int | None = None,
    averages: Averages | None = None,
) -> go.Figure:
    """Energy, largest force or temperature, pressure and volume against step.

    A quantity without meaning for the run (no volume of a molecule) has no panel.

    Args:
        history: drawn with 2,000 points at most.
        cursor_step: the moment to mark; None marks nothing.
        averages: drawn over it as they ran, with bands of their standard errors, and
            named in the titles.
    """
    moves = bool(np.isfinite(history.temperature_K).any())
    panels = (_ENERGY, _TEMPERATURE if moves else _FORCE, _PRESSURE, _VOLUME)
    panels = [p for p in panels if np.isfinite(getattr(history, p.name)).any()]
    n_rows, n_columns = (len(panels) + 1) // 2 or 1, min(len(panels), 2) or 1
    found = [_average(averages, panel) for panel in panels]
    figure = make_subplots(
        rows=n_rows,
        cols=n_columns,
        shared_xaxes=True,
        horizontal_spacing=0.14,
        vertical_spacing=0.16,
        subplot_titles=[
            _title(panel, average) for panel, average in zip(panels, found, strict=True)
        ],
    )
    kept = _thinned(len(history.step))
    steps = history.step[kept]
    for place, (panel, average) in enumerate(zip(panels, found, strict=True)):
        where = {"row": place // 2 + 1, "col": place % 2 + 1}
        values: np.ndarray = getattr(history, panel.name)
        figure.add_scatter(
            x=steps,
            y=values[kept],
            mode="lines" if len(steps) > 1 else "markers",
            line={"color": _LINE, "width": 1 if average else 2},
            opacity=0.6 if average else 1.0,
            hovertemplate=f"step %{{x}}<br>%{{y:.6g}} {panel.unit}<extra></extra>",
            **where,
        )
        if average is not None:
            add_curve(
                figure,
                np.interp(average.curve_time_fs, history.time_fs, history.step),
                average.curve_mean,
                average.curve_error,
                color=_AVERAGE,
                hover=f"mean up to step %{{x:.0f}}<br>%{{y:.6g}} {panel.unit}",
                where=where,
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


def _average(averages: Averages | None, panel: _Panel) -> Average | None:
    if averages is None or not panel.average:
        return None
    return getattr(averages, panel.average)


def _title(panel: _Panel, average: Average | None) -> str:
    if average is None:
        return panel.title
    said = value_with_error(average.mean, average.standard_error)
    return f"{panel.title}: {said}"


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
