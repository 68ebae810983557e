"""Figures of properties that molecular dynamics gives, with their errors."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gnndesign.plots.error_bands import COLORS, add_curve, dressed, value_with_error
from gnndesign.plots.observables import plot_rdf, plot_vacf
from gnndesign.properties.density_temperature import DensityTemperatureResult
from gnndesign.properties.liquid_structure import LiquidStructureResult
from gnndesign.properties.melting import MeltingResult
from gnndesign.properties.transport import DiffusionResult
from gnndesign.properties.vibrations_md import VibrationsMDResult
from gnndesign.properties.viscosity import ViscosityResult
from gnndesign.units import BOLTZMANN_EV_PER_K


def diffusion(result: DiffusionResult) -> go.Figure:
    """Mean squared displacements; with several temperatures, Arrhenius' lines, too."""
    both = bool(result.arrhenius)
    figure = make_subplots(rows=1, cols=2 if both else 1, horizontal_spacing=0.14)
    for row, heat in enumerate(result.temperatures_K):
        for column, symbol in enumerate(result.species):
            value = value_with_error(
                float(result.coefficients_cm2_per_s[row, column]),
                float(result.errors_cm2_per_s[row, column]),
            )
            add_curve(
                figure,
                1e-3 * result.lag_fs,
                result.displacements[row, column],
                result.displacement_errors[row, column],
                color=COLORS[(row * len(result.species) + column) % len(COLORS)],
                hover="%{x:.3g} ps<br>%{y:.4g} Å²",
                name=f"{symbol}, {heat:.0f} K: {value} cm²/s",
                where={"row": 1, "col": 1},
            )
    figure.update_xaxes(title_text="Time (ps)", row=1, col=1)
    figure.update_yaxes(title_text="Mean squared displacement (Å²)", row=1, col=1)
    if both:
        _add_arrhenius(figure, result)
    return dressed(figure, height=400, name="diffusion")


def _add_arrhenius(figure: go.Figure, result: DiffusionResult) -> None:
    inverse = 1e3 / result.temperatures_K
    for column, symbol in enumerate(result.species):
        if symbol not in result.arrhenius:
            continue
        fit = result.arrhenius[symbol]
        color = COLORS[column % len(COLORS)]
        figure.add_scatter(
            x=inverse,
            y=result.coefficients_cm2_per_s[:, column],
            error_y={"array": result.errors_cm2_per_s[:, column], "color": color},
            mode="markers",
            marker={"color": color, "size": 8},
            showlegend=False,
            hovertemplate="%{y:.3g} cm²/s<extra></extra>",
            row=1,
            col=2,
        )
        energies = 1e-3 * inverse / BOLTZMANN_EV_PER_K
        energy = value_with_error(fit.activation_energy, fit.activation_energy_error)
        figure.add_scatter(
            x=inverse,
            y=np.exp(fit.line.intercept + fit.line.slope * energies),
            mode="lines",
            line={"color": color, "width": 2},
            name=f"{symbol}: {energy} eV",
            hoverinfo="skip",
            row=1,
            col=2,
        )
    figure.update_xaxes(title_text="1000 K / T", row=1, col=2)
    figure.update_yaxes(title_text="D (cm²/s)", type="log", row=1, col=2)


def liquid_structure(result: LiquidStructureResult) -> go.Figure:
    """Radial distribution functions and coordination numbers."""
    return plot_rdf(result.distribution)


def vibrations_md(result: VibrationsMDResult) -> go.Figure:
    """Velocity autocorrelation and vibrational density of states."""
    return plot_vacf(result.correlation)


def density_temperature(result: DensityTemperatureResult) -> go.Figure:
    """Density against temperature, and the line of the thermal expansion."""
    figure = go.Figure()
    heats = result.temperatures_K
    figure.add_scatter(
        x=heats,
        y=result.densities_g_per_cm3,
        error_y={"array": result.density_errors_g_per_cm3, "color": COLORS[0]},
        mode="markers",
        marker={"color": COLORS[0], "size": 8},
        name="Density",
        hovertemplate="%{x:.0f} K<br>%{y:.4f} g/cm³<extra></extra>",
    )
    if result.line is not None:
        span = np.linspace(heats.min(), heats.max(), 50)
        mass = float(result.densities_g_per_cm3[0] * result.volumes[0])
        volume = np.exp(result.line.intercept + result.line.slope * span)
        value = value_with_error(
            1e6 * result.expansion_per_K, 1e6 * result.expansion_error_per_K
        )
        figure.add_scatter(
            x=span,
            y=mass / volume,
            mode="lines",
            line={"color": COLORS[0], "width": 2},
            name=f"Expansion {value} × 10⁻⁶/K",
            hoverinfo="skip",
        )
    figure.update_xaxes(title_text="Temperature (K)")
    figure.update_yaxes(title_text="Density (g/cm³)")
    return dressed(figure, height=380, name="density against temperature")


def melting(result: MeltingResult) -> go.Figure:
    """Order of the half molten cell at every temperature, while its phases compete."""
    figure = go.Figure()
    cold, hot = result.temperatures_K.min(), result.temperatures_K.max()
    for heat, winner, order, alone in zip(
        result.temperatures_K,
        result.winners,
        result.order,
        result.order_of_solid,
        strict=True,
    ):
        share = (heat - cold) / (hot - cold)
        color = f"rgb({round(60 + 180 * share)}, 80, {round(240 - 180 * share)})"
        for values, dash, name in (
            (order, "solid", f"{heat:g} K: {winner}"),
            (alone, "dot", None),
        ):
            figure.add_scatter(
                x=result.time_ps,
                y=values,
                mode="lines",
                line={"color": color, "width": 2 if name else 1, "dash": dash},
                name=name,
                legendgroup=f"{heat:g}",
                showlegend=name is not None,
                hovertemplate=f"{heat:g} K<br>%{{x:.3g}} ps<br>%{{y:.3f}}<extra></extra>",
            )
    figure.update_xaxes(title_text="Time (ps)")
    figure.update_yaxes(title_text="Order (dotted: crystal alone)", rangemode="tozero")
    return dressed(figure, height=400, name="melting")


def viscosity(result: ViscosityResult) -> go.Figure:
    """The integral of the stress correlation, and where it was read off."""
    figure = go.Figure()
    add_curve(
        figure,
        1e-3 * result.lag_fs,
        result.integral_mPa_s,
        result.integral_error_mPa_s,
        color=COLORS[0],
        hover="%{x:.3g} ps<br>%{y:.4g} mPa s",
        name=value_with_error(result.viscosity_mPa_s, result.viscosity_error_mPa_s)
        + " mPa s",
    )
    first, last = (1e-3 * time for time in result.plateau_fs)
    figure.add_vrect(x0=first, x1=last, fillcolor=COLORS[1], opacity=0.15, line_width=0)
    figure.update_xaxes(
        title_text="Upper limit of the integral (ps)", range=[0, 3 * last]
    )
    figure.update_yaxes(title_text="Viscosity (mPa s)")
    return dressed(figure, height=380, name="viscosity")
