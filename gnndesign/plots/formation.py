"""Figures of energies against a structure's elements and free atoms."""

from __future__ import annotations

from collections import Counter

import plotly.graph_objects as go

from gnndesign.plots.error_bands import COLORS, dressed
from gnndesign.properties.formation import CohesionResult, FormationResult

_DFT = "#E69F00"
_GAP = 0.3
"""Of the length of the bars: room for what is written at their ends."""


def formation(result: FormationResult) -> go.Figure:
    """The formation energy below or above its elements, beside that of DFT if known."""
    bars = {"This potential": (result.formation_energy_per_atom, COLORS[0])}
    if result.dft_formation_energy_per_atom is not None:
        dft = result.dft_formation_energy_per_atom
        bars["DFT (Materials Project)"] = (dft, _DFT)
    values = [value for value, _ in bars.values()]
    figure = go.Figure()
    figure.add_bar(
        x=list(bars),
        y=values,
        marker_color=[color for _, color in bars.values()],
        text=[f"{value:.3f}" for value in values],
        textposition="outside",
        width=0.5,
        showlegend=False,
        hovertemplate="%{x}<br>%{y:.4f} eV/atom<extra></extra>",
    )
    figure.add_hline(y=0, line={"width": 1, "color": "#7f7f7f"})
    low, high = min(0.0, *values), max(0.0, *values)
    high = high if high > low else 1.0
    room = _GAP * (high - low)
    figure.update_yaxes(
        title_text="Energy of formation from the elements (eV/atom)",
        range=[low - (room if low < 0 else 0.0), high + (room if high > 0 else 0.0)],
    )
    figure.update_xaxes(showgrid=False)
    if result.difference_to_dft_per_atom is not None:
        said = f"Difference: {1e3 * result.difference_to_dft_per_atom:+.0f} meV/atom"
        figure.update_xaxes(title_text=said)
    return dressed(figure, height=340, name="formation energy")


def cohesion(result: CohesionResult) -> go.Figure:
    """The energy of the free atoms, element by element, beside that of them together."""
    symbols = Counter(result.atoms.get_chemical_symbols())
    n_atoms = len(result.atoms)
    figure = go.Figure()
    for place, (symbol, number) in enumerate(symbols.items()):
        figure.add_bar(
            x=["Free atoms"],
            y=[number * result.atom_energies[symbol] / n_atoms],
            name=f"{number} {symbol}",
            marker_color=COLORS[(place + 1) % len(COLORS)],
            hovertemplate=f"{number} {symbol}<br>%{{y:.4f}} eV/atom<extra></extra>",
        )
    figure.add_bar(
        x=["Together"],
        y=[result.energy_per_atom],
        name="Together",
        marker_color=COLORS[0],
        text=[f"bound by {result.cohesive_energy_per_atom:.3f}"],
        hovertemplate="%{y:.4f} eV/atom<extra></extra>",
    )
    figure.update_layout(barmode="relative", bargap=0.5)
    figure.update_yaxes(title_text="Energy of the potential (eV/atom)")
    figure.update_xaxes(showgrid=False)
    return dressed(figure, height=340, name="cohesive energy")
