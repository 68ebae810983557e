"""Figures of what phonons do with heat: capacity, expansion, conductivity."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gnndesign.plots.error_bands import COLORS, dressed
from gnndesign.properties.phonon_result import PhononResult
from gnndesign.properties.quasi_harmonic_result import QuasiHarmonicResult
from gnndesign.properties.thermal_conductivity import ThermalConductivityResult

_TEMPERATURE = "Temperature (K)"
_Curve = tuple[str, np.ndarray]


def thermal_curves(result: PhononResult) -> go.Figure:
    """Heat capacity, entropy and free energy of the harmonic phonons, per atom."""
    thermal = result.thermal
    return _panels(
        thermal.temperatures_K,
        [
            ("C_V (J/(K mol atoms))", thermal.heat_capacity_per_atom_J_per_mol_K),
            ("Entropy (J/(K mol atoms))", thermal.entropy_per_atom_J_per_mol_K),
            ("Free energy (meV/atom)", 1e3 * thermal.free_energy_per_atom),
        ],
        name="thermal properties",
    )


def quasi_harmonic(result: QuasiHarmonicResult) -> go.Figure:
    """Free energy against volume, and what follows from its minimum."""
    n = result.n_atoms
    panels: list[_Curve] = [
        ("Thermal expansion (10⁻⁶/K)", 1e6 * result.thermal_expansion_per_K),
        ("Bulk modulus (GPa)", result.bulk_modulus_GPa),
        ("C_P (J/(K mol atoms))", result.heat_capacity_P_J_per_mol_K / n),
        ("Grüneisen parameter", result.gruneisen),
        ("Gibbs energy (eV/atom)", result.gibbs_free_energy / n),
    ]
    figure = make_subplots(rows=3, cols=2, vertical_spacing=0.1)
    places = np.linspace(0, len(result.temperatures_K) - 1, 7).round().astype(int)
    low = result.free_energies[0].min()
    for place in np.unique(places).tolist():
        figure.add_scatter(
            x=result.sampled_volumes / n,
            y=1e3 * (result.free_energies[place] - low) / n,
            mode="lines+markers",
            line={"color": COLORS[0], "width": 1},
            marker={"size": 4},
            showlegend=False,
            name=f"{result.temperatures_K[place]:.0f} K",
            hovertemplate="%{x:.3f} Å³/atom<br>%{y:.2f} meV/atom",
            row=1,
            col=1,
        )
    at_equilibrium = np.array(
        [
            np.interp(volume, result.sampled_volumes, energies)
            for volume, energies in zip(
                result.volumes, result.free_energies, strict=True
            )
        ]
    )
    figure.add_scatter(
        x=result.volumes[places] / n,
        y=1e3 * (at_equilibrium[places] - low) / n,
        mode="markers",
        marker={"color": COLORS[1], "size": 7, "symbol": "x"},
        showlegend=False,
        hovertemplate="Equilibrium, %{x:.3f} Å³/atom<extra></extra>",
        row=1,
        col=1,
    )
    figure.update_xaxes(title_text="Volume (Å³/atom)", row=1, col=1)
    figure.update_yaxes(title_text="F (meV/atom)", row=1, col=1)
    for place, (title, curve) in enumerate(panels, start=1):
        row, column = divmod(place, 2)
        _add(figure, result.temperatures_K, title, curve, row + 1, column + 1)
    return dressed(figure, height=760, name="quasi-harmonic", legend=False)


def thermal_conductivity(result: ThermalConductivityResult) -> go.Figure:
    """Conductivity along the axes against temperature, both logarithmic."""
    figure = go.Figure()
    curves = np.diagonal(result.conductivity_W_per_m_K, axis1=1, axis2=2)
    spread = np.ptp(curves, axis=1).max() > 1e-3 * curves.max()
    for axis in range(3) if spread else (0,):
        figure.add_scatter(
            x=result.temperatures_K,
            y=curves[:, axis],
            mode="lines+markers",
            line={"color": COLORS[axis], "width": 2},
            name=f"Along {'xyz'[axis]}" if spread else "Conductivity",
            hovertemplate="%{x:.0f} K<br>%{y:.3g} W/(m K)<extra></extra>",
        )
    figure.update_xaxes(title_text=_TEMPERATURE, type="log")
    figure.update_yaxes(title_text="Conductivity (W/(m K))", type="log")
    return dressed(figure, height=380, name="thermal conductivity", legend=bool(spread))


def _panels(temperatures: np.ndarray, curves: list[_Curve], *, name: str) -> go.Figure:
    figure = make_subplots(rows=1, cols=len(curves), horizontal_spacing=0.09)
    for column, (title, curve) in enumerate(curves, start=1):
        _add(figure, temperatures, title, curve, 1, column)
    return dressed(figure, height=320, name=name, legend=False)


def _add(
    figure: go.Figure,
    temperatures: np.ndarray,
    title: str,
    curve: np.ndarray,
    row: int,
    column: int,
) -> None:
    figure.add_scatter(
        x=temperatures,
        y=curve,
        mode="lines",
        line={"color": COLORS[0], "width": 2},
        showlegend=False,
        hovertemplate="%{x:.0f} K<br>%{y:.4g}<extra></extra>",
        row=row,
        col=column,
    )
    figure.update_xaxes(title_text=_TEMPERATURE, row=row, col=column)
    figure.update_yaxes(title_text=title, row=row, col=column)
