"""Figures of how crystals answer to pressure and strain."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gnndesign.plots.error_bands import dressed
from gnndesign.properties.equation_of_state import EquationOfStateResult

_COLOR = "#1f77b4"


def equation_of_state(result: EquationOfStateResult) -> go.Figure:
    """Energy against volume: computed points and the fit."""
    n_atoms = len(result.atoms)
    low = result.energy_per_atom
    volumes = np.linspace(result.volumes.min(), result.volumes.max(), 200)
    figure = go.Figure()
    figure.add_scatter(
        x=volumes / n_atoms,
        y=1e3 * (result.curve(volumes) / n_atoms - low),
        mode="lines",
        line={"color": _COLOR, "width": 2},
        name=f"{result.form.title()}, B0 = {result.bulk_modulus_GPa:.1f} GPa",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=result.volumes / n_atoms,
        y=1e3 * (result.energies / n_atoms - low),
        mode="markers",
        marker={"color": _COLOR, "size": 8},
        name="Computed",
        hovertemplate="%{x:.3f} Å³/atom<br>%{y:.3f} meV/atom<extra></extra>",
    )
    figure.add_vline(x=result.volume_per_atom, line={"dash": "dot", "width": 1})
    figure.update_xaxes(title_text="Volume (Å³/atom)")
    figure.update_yaxes(title_text="Energy above the minimum (meV/atom)")
    return dressed(figure, height=380, name="equation of state")
