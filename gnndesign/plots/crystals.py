"""Figures of diffraction, of lattices before and after, and of electrodes."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from gnndesign.plots.error_bands import COLORS, dressed
from gnndesign.properties.diffraction import DiffractionResult
from gnndesign.properties.intercalation import IntercalationResult
from gnndesign.properties.structure_summary import StructureSummaryResult

_PROFILE_STEP_DEG = 0.02
_NAMED = 10.0
"""Intensity from which a reflection is named in the figure."""


def diffraction(result: DiffractionResult) -> go.Figure:
    """Reflections as sticks, and the profile of lines 0.2° wide behind them."""
    low, high = result.two_theta_range_deg
    angles = np.arange(low, high, _PROFILE_STEP_DEG)
    figure = go.Figure()
    figure.add_scatter(
        x=angles,
        y=result.profile(angles),
        mode="lines",
        line={"color": COLORS[5], "width": 1},
        fill="tozeroy",
        name="Lines 0.2° wide",
        hoverinfo="skip",
    )
    nothing = np.full_like(result.intensities, np.nan)
    sticks = np.stack([0 * result.intensities, result.intensities, nothing], axis=1)
    figure.add_scatter(
        x=np.repeat(result.two_theta_deg, 3),
        y=sticks.ravel(),
        mode="lines",
        line={"color": COLORS[0], "width": 1.5},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        x=result.two_theta_deg,
        y=result.intensities,
        mode="markers+text",
        marker={"color": COLORS[0], "size": 5},
        text=[
            hkl if intensity >= _NAMED else ""
            for hkl, intensity in zip(result.hkl, result.intensities, strict=True)
        ],
        textposition="top center",
        customdata=np.column_stack([result.hkl, result.spacings.round(4)]),
        hovertemplate=(
            "%{customdata[0]}<br>%{x:.3f}°<br>d = %{customdata[1]} Å<br>"
            "%{y:.1f}<extra></extra>"
        ),
        name="Reflections",
    )
    figure.update_xaxes(title_text=f"2θ (°), λ = {result.wavelength:.5g} Å")
    figure.update_yaxes(title_text="Intensity (strongest = 100)", rangemode="tozero")
    return dressed(figure, height=380, name="diffraction")


def structure_summary(result: StructureSummaryResult) -> go.Figure:
    """By how much a relaxation changed lattice parameters and the volume."""
    lengths = (result.a, result.b, result.c)
    changes = [
        100 * (after / before - 1)
        for after, before in zip(lengths, result.lattice_before, strict=False)
    ]
    changes.append(result.volume_change_percent)
    figure = go.Figure(
        go.Bar(
            x=["a", "b", "c", "Volume"],
            y=changes,
            marker_color=[*[COLORS[0]] * 3, COLORS[1]],
            customdata=[f"{length:.4f} Å" for length in lengths]
            + [f"{result.volume_per_atom:.3f} Å³/atom"],
            hovertemplate="%{customdata}<br>%{y:.2f} %<extra></extra>",
        )
    )
    figure.update_yaxes(title_text="Change upon relaxation (%)")
    figure.update_layout(
        title_text=(
            f"{result.space_group.symbol} ({result.space_group.number}), "
            f"{result.density_g_per_cm3:.3f} g/cm³"
        )
    )
    return dressed(figure, height=380, name="structure", legend=False)


def intercalation(result: IntercalationResult) -> go.Figure:
    """The voltage against the capacity: one step, from empty to full."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0.0, result.capacity_mAh_per_g],
        y=[result.voltage_V] * 2,
        mode="lines",
        line={"color": COLORS[0], "width": 2},
        name=f"Average against {result.working_ion}",
        hovertemplate="%{y:.3f} V<extra></extra>",
    )
    figure.update_xaxes(title_text="Capacity (mAh/g of the full crystal)")
    figure.update_yaxes(
        title_text=f"Voltage against {result.working_ion} (V)", rangemode="tozero"
    )
    return dressed(figure, height=380, name="voltage")
