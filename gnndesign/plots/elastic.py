"""Figures of elastic tensors."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gnndesign.plots.error_bands import dressed
from gnndesign.properties.elasticity_result import ElasticityResult

_N_POLAR, _N_AROUND = 46, 91
_LABELS = ("xx", "yy", "zz", "yz", "xz", "xy")


def elasticity(result: ElasticityResult) -> go.Figure:
    """The tensor as a map, and Young's modulus by direction as a surface.

    The surface is as far from the middle as a pull that way is stiff. An unstable
    crystal has the map alone.
    """
    if not result.is_stable:
        figure = go.Figure(_map(result))
        _label_map(figure)
        return dressed(figure, height=380, name="elastic tensor", legend=False)
    figure = make_subplots(
        cols=2,
        specs=[[{"type": "xy"}, {"type": "scene"}]],
        subplot_titles=("Stiffness (GPa)", "Young's modulus (GPa)"),
        horizontal_spacing=0.05,
    )
    figure.add_trace(_map(result), row=1, col=1)
    _label_map(figure)
    figure.add_trace(_surface(result), row=1, col=2)
    figure.update_scenes(
        aspectmode="data",
        xaxis_title_text="x",
        yaxis_title_text="y",
        zaxis_title_text="z",
    )
    return dressed(figure, height=420, name="elastic tensor", legend=False)


def _map(result: ElasticityResult) -> go.Heatmap:
    most = float(np.abs(result.stiffness_GPa).max())
    return go.Heatmap(
        z=result.stiffness_GPa,
        x=_LABELS,
        y=_LABELS,
        zmin=-most,
        zmax=most,
        colorscale="RdBu_r",
        showscale=False,
        texttemplate="%{z:.0f}",
        hovertemplate="C(%{y}, %{x}) = %{z:.2f} GPa<extra></extra>",
    )


def _label_map(figure: go.Figure) -> None:
    figure.update_xaxes(title_text="Strain", constrain="domain")
    figure.update_yaxes(
        title_text="Stress", autorange="reversed", scaleanchor="x", constrain="domain"
    )


def _surface(result: ElasticityResult) -> go.Surface:
    polar, around = np.meshgrid(
        np.linspace(0, np.pi, _N_POLAR),
        np.linspace(0, 2 * np.pi, _N_AROUND),
        indexing="ij",
    )
    directions = np.stack(
        [
            np.sin(polar) * np.cos(around),
            np.sin(polar) * np.sin(around),
            np.cos(polar),
        ],
        axis=-1,
    )
    young = result.young_modulus_GPa_along(directions)
    x, y, z = np.moveaxis(young[..., None] * directions, -1, 0)
    return go.Surface(
        x=x,
        y=y,
        z=z,
        surfacecolor=young,
        customdata=young,
        colorscale="Viridis",
        colorbar={"title": {"text": "GPa"}, "thickness": 12, "len": 0.8},
        hovertemplate="%{customdata:.1f} GPa<extra></extra>",
    )
