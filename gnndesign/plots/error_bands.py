"""Curves with bands of their standard error, and values with theirs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import plotly.graph_objects as go

# Okabe and Ito's colors, told apart on white, on black, and by color-blind people.
COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#F0E442",
)
_TEXT = "#7f7f7f"
_GRID = "rgba(127, 127, 127, 0.25)"
_OPACITY = 0.25


def value_with_error(value: float, error: float | None) -> str:
    """Such as "300.2 ± 1.4": the error with two digits, the value with as many."""
    if error is None:
        return f"{value:.4g}"
    if error <= 0.0:
        return f"{value:.6g}"
    places = max(1 - math.floor(math.log10(error)), 0)
    if places > 5:
        power = math.floor(math.log10(max(abs(value), error)))
        places = max(power + 1 - math.floor(math.log10(error)), 0)
        scaled = value / 10.0**power, error / 10.0**power
        return f"({scaled[0]:.{places}f} ± {scaled[1]:.{places}f}) × 10{_raised(power)}"
    return f"{value:.{places}f} ± {error:.{places}f}"


def add_curve(
    figure: go.Figure,
    x: np.ndarray,
    y: np.ndarray,
    error: np.ndarray,
    *,
    color: str,
    hover: str,
    name: str | None = None,
    legendgroup: str | None = None,
    logarithmic: bool = False,
    where: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Add a line, and the band of its standard error behind it.

    Args:
        figure: to add to.
        x: (n,).
        y: (n,).
        error: (n,) NaN where it is not known; there is no band there.
        color: of both.
        hover: template of the text at a point.
        name: in the legend; absent from it when not given.
        legendgroup: what goes on and off together; `name` when not given.
        logarithmic: keep the band above zero.
        where: row and column of a subplot.
    """
    group = legendgroup or name
    known = np.isfinite(error) & np.isfinite(y)
    low, high = (y - error)[known], (y + error)[known]
    if logarithmic:
        low = np.maximum(low, y[known] / 10.0)
    if len(low) > 1:
        figure.add_scatter(
            x=np.concatenate([x[known], x[known][::-1]]),
            y=np.concatenate([high, low[::-1]]),
            mode="lines",
            fill="toself",
            fillcolor=color,
            line={"width": 0},
            opacity=_OPACITY,
            hoverinfo="skip",
            legendgroup=group,
            showlegend=False,
            **where,
        )
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines" if len(x) > 1 else "markers",
        line={"color": color, "width": 2},
        name=name,
        legendgroup=group,
        showlegend=name is not None,
        hovertemplate=hover + "<extra></extra>",
        **where,
    )


def dressed(
    figure: go.Figure, *, height: int, name: str, legend: bool = True
) -> go.Figure:
    """The figure in the style of the house; `name` keeps zoom when it is redrawn."""
    axis: dict[str, Any] = {"gridcolor": _GRID, "zeroline": False, "linecolor": _TEXT}
    figure.update_xaxes({**axis, "title_standoff": 4})
    figure.update_yaxes({**axis, "exponentformat": "power"})
    figure.update_layout(
        showlegend=legend,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        height=height,
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"color": _TEXT, "size": 11},
        margin={"l": 60, "r": 50, "t": 40, "b": 40},
        hovermode="closest",
        uirevision=name,
    )
    figure.update_annotations(font_size=12)
    return figure


def _raised(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
