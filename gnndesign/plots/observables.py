"""Figures of what a run says of itself: averages, RDF, MSD, VACF, with their errors.

Bands are one standard error wide to either side; where the run is too short to tell it,
there is no band.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gnndesign.errors import ParameterError
from gnndesign.plots.error_bands import COLORS, add_curve, dressed, value_with_error
from gnndesign.simulation.observables.averages import Average, Averages
from gnndesign.simulation.observables.diffusion import Diffusion
from gnndesign.simulation.observables.mean_squared_displacement import (
    MeanSquaredDisplacement,
)
from gnndesign.simulation.observables.radial_distribution import (
    ALL,
    RadialDistribution,
)
from gnndesign.simulation.observables.velocity_autocorrelation import (
    VelocityAutocorrelation,
)

_AVERAGES = {
    "temperature_K": ("Temperature", "K"),
    "pressure_GPa": ("Pressure", "GPa"),
    "potential_energy": ("Potential energy", "eV"),
    "total_energy": ("Total energy", "eV"),
    "volume": ("Volume", "Å³"),
    "cell_length_a": ("Cell length a", "Å"),
    "cell_length_b": ("Cell length b", "Å"),
    "cell_length_c": ("Cell length c", "Å"),
    "kinetic_energy": ("Kinetic energy", "eV"),
    **{
        f"stress_{at}_GPa": (f"Stress {at}", "GPa")
        for at in ("xx", "yy", "zz", "yz", "xz", "xy")
    },
}


def plot_averages(averages: Averages, names: Sequence[str] | None = None) -> go.Figure:
    """Running averages against time, with their errors.

    Args:
        averages: of a structure.
        names: fields to draw; temperature, pressure, potential energy and volume when
            not given. What has no meaning for the structure has no panel.

    Raises:
        ParameterError: there is no such field.
    """
    unknown = [name for name in names or () if name not in _AVERAGES]
    if unknown:
        raise ParameterError(
            f"Wanted averages of {', '.join(_AVERAGES)}, got "
            f"{', '.join(map(repr, unknown))}."
        )
    names = names or ("temperature_K", "pressure_GPa", "potential_energy", "volume")
    shown: dict[str, Average] = {}
    for name in names:
        average = getattr(averages, name)
        if average is not None:
            shown[name] = average
    n_rows, n_columns = (len(shown) + 1) // 2 or 1, min(len(shown), 2) or 1
    titles = [
        f"{_AVERAGES[name][0]}: "
        f"{value_with_error(average.mean, average.standard_error)} {_AVERAGES[name][1]}"
        for name, average in shown.items()
    ]
    figure = make_subplots(
        rows=n_rows,
        cols=n_columns,
        shared_xaxes=True,
        horizontal_spacing=0.14,
        vertical_spacing=0.16,
        subplot_titles=titles,
    )
    for place, (name, average) in enumerate(shown.items()):
        where = {"row": place // 2 + 1, "col": place % 2 + 1}
        time_ps = average.curve_time_fs / 1000.0
        add_curve(
            figure,
            time_ps,
            average.curve_mean,
            average.curve_error,
            color=COLORS[0],
            hover=f"%{{x:.4g}} ps<br>%{{y:.6g}} {_AVERAGES[name][1]}",
            where=where,
        )
    figure.update_xaxes(title_text="time (ps)", row=n_rows)
    return dressed(figure, height=90 + 125 * n_rows, name="averages", legend=False)


def plot_rdf(
    rdf: RadialDistribution, pairs: Sequence[tuple[str, str]] | None = None
) -> go.Figure:
    """Radial distribution functions, and coordination numbers on the right axis.

    Without a volume there are coordination numbers alone.

    Args:
        rdf: of a structure.
        pairs: species to draw; all pairs of species when not given.
    """
    if pairs is None:
        pairs = rdf.pairs[1:] or rdf.pairs
    figure = make_subplots(specs=[[{"secondary_y": True}]])
    for number, pair in enumerate(pairs):
        row, color = rdf.row(*pair), COLORS[number % len(COLORS)]
        label = "–".join(pair) if pair != (ALL, ALL) else "all pairs"
        has_density = bool(np.isfinite(rdf.g[row]).any())
        if has_density:
            add_curve(
                figure,
                rdf.r,
                rdf.g[row],
                rdf.g_error[row],
                color=color,
                name=label,
                hover=f"{label}<br>%{{x:.3f}} Å<br>g = %{{y:.4g}}",
            )
        figure.add_scatter(
            x=rdf.r_outer,
            y=rdf.coordination_of(*pair),
            mode="lines",
            line={"color": color, "width": 1, "dash": "dot"},
            name=label,
            legendgroup=label,
            showlegend=not has_density,
            hovertemplate=(
                f"{pair[1]} around {pair[0]}<br>%{{y:.3g}} within %{{x:.3f}} Å"
                "<extra></extra>"
            ),
            secondary_y=True,
        )
    figure.update_xaxes(title_text="distance (Å)")
    figure.update_yaxes(title_text="g", range=_from_zero(rdf.g), secondary_y=False)
    figure.update_yaxes(
        title_text="neighbors within (dotted)",
        range=_from_zero(rdf.coordination),
        tickmode="auto",
        showgrid=False,
        secondary_y=True,
    )
    return dressed(figure, height=320, name="rdf")


def plot_msd(msd: MeanSquaredDisplacement) -> go.Figure:
    """Mean squared displacements, the fitted lines, and diffusion coefficients.

    Both axes are logarithmic: diffusion has slope 1, free flight 2, vibration 0. Lags
    too long for a standard error are dotted.
    """
    figure = go.Figure()
    lag_ps = msd.lag_fs / 1000.0
    for row, (species, fit) in enumerate(zip(msd.species, msd.diffusion, strict=True)):
        color, label = COLORS[row % len(COLORS)], _diffusion_label(species, fit)
        y, error = msd.displacement[row], msd.displacement_error[row]
        n_known = int(np.isfinite(error).sum())
        hover = f"{species}<br>%{{x:.4g}} ps<br>%{{y:.4g}} Å²"
        add_curve(
            figure,
            lag_ps[:n_known],
            y[:n_known],
            error[:n_known],
            color=color,
            name=label,
            hover=hover,
            logarithmic=True,
        )
        unknown = slice(max(n_known - 1, 0), None)
        figure.add_scatter(
            x=lag_ps[unknown],
            y=y[unknown],
            mode="lines",
            line={"color": color, "width": 1, "dash": "dot"},
            legendgroup=label,
            showlegend=False,
            hovertemplate=hover + "<extra></extra>",
        )
        if fit.coefficient_A2_per_ps is None or fit.window_fs is None:
            continue
        x = np.geomspace(*fit.window_fs) / 1000.0
        figure.add_scatter(
            x=x,
            y=(fit.intercept or 0.0) + 6.0 * fit.coefficient_A2_per_ps * x,
            mode="lines",
            line={"color": color, "width": 5},
            opacity=0.5,
            legendgroup=label,
            showlegend=False,
            hoverinfo="skip",
        )
    figure.update_xaxes(title_text="lag (ps)", type="log", dtick=1)
    title = "mean squared displacement (Å²)"
    figure.update_yaxes(title_text=title, type="log", dtick=1)
    return dressed(figure, height=340, name="msd")


def plot_vacf(vacf: VelocityAutocorrelation) -> go.Figure:
    """Velocity autocorrelation, and the vibrational density of states from it."""
    figure = make_subplots(
        rows=1,
        cols=2,
        horizontal_spacing=0.14,
        subplot_titles=[
            "Velocity autocorrelation",
            "Vibrational density of states (1/THz)",
        ],
    )
    for row, species in enumerate(vacf.species):
        if row == 0 and len(vacf.species) == 2:
            continue  # All atoms are those of the only species.
        color = COLORS[row % len(COLORS)]
        add_curve(
            figure,
            vacf.lag_fs,
            vacf.correlation[row],
            vacf.correlation_error[row],
            color=color,
            name=species,
            hover=f"{species}<br>%{{x:.4g}} fs<br>%{{y:.3f}}",
            where={"row": 1, "col": 1},
        )
        add_curve(
            figure,
            vacf.frequency_THz,
            vacf.density_of_states[row],
            vacf.density_of_states_error[row],
            color=color,
            hover=f"{species}<br>%{{x:.4g}} THz<br>%{{y:.3g}} / THz",
            legendgroup=species,
            where={"row": 1, "col": 2},
        )
    figure.update_xaxes(title_text="lag (fs)", col=1)
    figure.update_xaxes(title_text="frequency (THz)", col=2, **_up_to(vacf))
    dressed(figure, height=340, name="vacf", legend=len(vacf.species) > 2)
    # Above the titles of the panels.
    return figure.update_layout(legend_y=1.1, margin_t=60)


def _from_zero(values: np.ndarray) -> list[float]:
    """A range for values that are never negative."""
    highest = np.max(values, initial=0.0, where=np.isfinite(values))
    return [0.0, 1.05 * float(highest) or 1.0]


def _up_to(vacf: VelocityAutocorrelation) -> dict[str, Any]:
    """The range of frequencies that holds 99 % of the states."""
    total = np.cumsum(np.abs(vacf.density_of_states[:1]).sum(0))
    if len(total) == 0 or total[-1] <= 0.0:
        return {}
    last = int(np.searchsorted(total, 0.99 * total[-1]))
    return {"range": [0.0, 1.1 * float(vacf.frequency_THz[last])]}


def _diffusion_label(species: str, fit: Diffusion) -> str:
    if fit.coefficient_cm2_per_s is None:
        return f"{species}: no diffusion coefficient yet"
    text = value_with_error(fit.coefficient_cm2_per_s, fit.error_cm2_per_s)
    return f"{species}: D = {text} cm²/s"
