"""Figures of paths between structures."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gnndesign.plots.error_bands import COLORS, dressed
from gnndesign.properties.dissociation import DissociationResult
from gnndesign.properties.energy_profile import ReactionPathResult


def reaction_path(result: ReactionPathResult) -> go.Figure:
    """Energy against the length of the path: images, and a curve with their slopes."""
    places = np.unique(
        np.concatenate(
            [
                np.linspace(0.0, result.path_coordinates[-1], 300),
                result.path_coordinates,
            ]
        )
    )
    figure = go.Figure()
    figure.add_scatter(
        x=places,
        y=result.curve(places),
        mode="lines",
        line={"color": COLORS[0], "width": 2},
        name="Cubic Hermite curve",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=result.path_coordinates,
        y=result.energies,
        mode="markers",
        marker={"color": COLORS[0], "size": 8},
        customdata=np.arange(len(result.energies)),
        name="Images",
        hovertemplate="Image %{customdata}<br>%{x:.3f} Å<br>%{y:.4f} eV<extra></extra>",
    )
    saddle = result.saddle_image
    if 0 < saddle < len(result.energies) - 1:
        figure.add_scatter(
            x=result.path_coordinates[[saddle]],
            y=result.energies[[saddle]],
            mode="markers+text",
            marker={"color": COLORS[1], "size": 12, "symbol": "diamond"},
            text=f"{result.barrier:.3f} eV",
            textposition="top center",
            name="Saddle point" if result.climbed else "Highest image",
            hoverinfo="skip",
            cliponaxis=False,
        )
    figure.update_xaxes(title_text="Path coordinate (Å)")
    figure.update_yaxes(title_text="Energy above the start (eV)")
    return dressed(figure, height=380, name="reaction path")


def dissociation(result: DissociationResult) -> go.Figure:
    """Energy of a pair against its distance; repulsion beyond a few eV is cut off."""
    zero = float(result.energies[-1])
    energies = result.energies - zero
    top = max(2.0, 1.5 * result.well_depth)
    figure = go.Figure()
    figure.add_scatter(
        x=result.distances,
        y=energies,
        mode="lines+markers",
        line={"color": COLORS[0], "width": 2},
        marker={"size": 5},
        hovertemplate="%{x:.3f} Å<br>%{y:.3f} eV<extra></extra>",
        showlegend=False,
    )
    if result.well_depth > 0:
        figure.add_vline(x=result.bond_length, line={"dash": "dot", "width": 1})
    figure.update_xaxes(title_text="Distance (Å)")
    figure.update_yaxes(
        title_text="Energy (eV)", range=[float(energies.min()) - 0.1 * top, top]
    )
    return dressed(figure, height=380, name="dissociation")
