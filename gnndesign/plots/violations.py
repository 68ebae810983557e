"""Figures of what changes that mean nothing do to potentials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gnndesign.errors import ParameterError
from gnndesign.plots.error_bands import COLORS, dressed
from gnndesign.training.violations import RotationCurve, Violation

_LEAST = 1e-9
"""A logarithmic axis has no zero; smaller changes are drawn as this one."""

_ANGLE = {"color": "#7f7f7f", "dash": "dash", "width": 1}


def plot_violations(found: Mapping[str, Violation]) -> go.Figure:
    """Changes of energy and forces, potential by potential, on logarithmic axes.

    Bars begin at 1e-9 meV, far below what rounding does; no bar is no change at all.

    Raises:
        ParameterError: no potential.
    """
    if not found:
        raise ParameterError("Wanted the violations of a potential or more, got none.")
    titles = ("Energy change (meV/atom)", "Largest force error (meV/Å)")
    figure = make_subplots(
        rows=1, cols=2, subplot_titles=titles, horizontal_spacing=0.12
    )
    for place, (name, one) in enumerate(found.items()):
        values = (1e3 * one.energy_change, 1e3 * one.force_error)
        for column, value in enumerate(values, 1):
            figure.add_bar(
                x=[name],
                y=[max(value, _LEAST)],
                marker_color=COLORS[place % len(COLORS)],
                text=[_words(value)],
                textposition="auto",
                name=name,
                showlegend=False,
                hovertemplate=f"{_words(value)}<extra>{name}</extra>",
                row=1,
                col=column,
            )
    tops = [
        max(1e3 * one.energy_change for one in found.values()),
        max(1e3 * one.force_error for one in found.values()),
    ]
    for column, top in enumerate(tops, 1):
        power = math.log10(max(top, 1.0)) + 1.0
        figure.update_yaxes(type="log", range=[-9, power], row=1, col=column)
    return dressed(figure, height=380, name="violations", legend=False)


def plot_rotation_curves(
    curves: Mapping[str, RotationCurve], angle: float | None = None
) -> go.Figure:
    """How the energy changes in a full turn; it should not.

    Args:
        curves: by the name of the potential, all about one axis.
        angle: degrees, marked by a line; None for no line.

    Raises:
        ParameterError: no curve.
    """
    if not curves:
        raise ParameterError("Wanted a curve or more, got none.")
    figure = go.Figure()
    for place, (name, curve) in enumerate(curves.items()):
        figure.add_scatter(
            x=curve.angles,
            y=1e3 * curve.change,
            mode="lines",
            line={"color": COLORS[place % len(COLORS)], "width": 2},
            name=name,
            hovertemplate="%{x:.0f}°: %{y:.3g} meV/atom<extra>" + name + "</extra>",
        )
    if angle is not None:
        figure.add_vline(x=angle % 360.0, line=_ANGLE)
    axis = next(iter(curves.values())).axis
    figure.update_xaxes(title_text=f"angle about {axis} (degrees)", range=[0, 360])
    figure.update_xaxes(dtick=60)
    figure.update_yaxes(title_text="energy change (meV/atom)")
    # Rounding alone must not look like waves.
    largest = max(1e3 * abs(curve.change).max() for curve in curves.values())
    if largest < 1e-3:
        figure.update_yaxes(range=[-1e-2, 1e-2])
    return dressed(figure, height=340, name="rotation curves")


def _words(value: float) -> str:
    return "0" if value == 0.0 else f"{value:.3g}"


def worst_rotations(found: Mapping[str, Sequence[float]]) -> go.Figure:
    """Worst energy violations under rotation (meV an atom), a point a structure.

    Args:
        found: by name of the potential; values below 1e-9 are drawn there.

    Raises:
        ParameterError: no potential.
    """
    if not found:
        raise ParameterError("Wanted the violations of a potential or more, got none.")
    figure = go.Figure()
    for place, (name, values) in enumerate(found.items()):
        figure.add_box(
            y=[max(value, _LEAST) for value in values],
            name=name,
            boxpoints="all",
            jitter=0.5,
            marker_color=COLORS[place % len(COLORS)],
            showlegend=False,
        )
    figure.update_yaxes(
        type="log",
        title="Energy change, worst rotation (meV/atom)",
        exponentformat="power",
    )
    return dressed(figure, height=420, name="worst rotations", legend=False)
