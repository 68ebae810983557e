"""Figures of vibrations: bands and density of states, spectra, modes followed down."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from gnndesign.plots.error_bands import COLORS, dressed
from gnndesign.properties.follow_mode import FollowModeResult
from gnndesign.properties.molecular_vibrations import MolecularVibrationsResult
from gnndesign.properties.phonon_bands import PhononBands
from gnndesign.properties.phonon_result import PhononResult

_NOTHING_THZ = -1e-2
_REAL, _IMAGINARY = COLORS[0], COLORS[1]


def bands_and_density_of_states(result: PhononResult) -> go.Figure:
    """Bands and density of states over one axis; imaginary modes below zero, colored."""
    figure = make_subplots(
        rows=1,
        cols=2,
        shared_yaxes=True,
        column_widths=[0.78, 0.22],
        horizontal_spacing=0.02,
    )
    _add_bands(figure, result.bands)
    dos = result.density_of_states
    for color, below in ((_REAL, False), (_IMAGINARY, True)):
        chosen = (dos.frequencies_THz < _NOTHING_THZ) == below
        # The frequencies begin a little below the lowest mode.
        if not dos.density_per_THz[chosen].any():
            continue
        figure.add_scatter(
            x=dos.density_per_THz[chosen],
            y=dos.frequencies_THz[chosen],
            mode="lines",
            fill="tozerox",
            line={"color": color, "width": 1.5},
            showlegend=False,
            hovertemplate="%{y:.2f} THz<br>%{x:.2f} /THz<extra></extra>",
            row=1,
            col=2,
        )
    lowest = min(0.0, float(result.bands.frequencies_THz.min()))
    highest = float(result.bands.frequencies_THz.max())
    room = 0.04 * (highest - lowest)
    low = lowest - room if lowest < -room else 0.0
    figure.update_yaxes(range=[low, highest + room])
    figure.update_yaxes(title_text="Frequency (THz), negative: imaginary", row=1, col=1)
    figure.update_xaxes(title_text="States (1/THz)", rangemode="tozero", row=1, col=2)
    return dressed(figure, height=440, name="phonons")


def _add_bands(figure: go.Figure, bands: PhononBands) -> None:
    lines = (
        (_REAL, "Real", np.maximum(bands.frequencies_THz, 0.0)),
        (_IMAGINARY, "Imaginary", np.minimum(bands.frequencies_THz, 0.0)),
    )
    shape = bands.frequencies_THz.shape
    along = np.broadcast_to(bands.distances[:, None], shape)
    # For whoever clicks on one: the place of the q-point, and the band. Lists, since a
    # row of an array would not come back as one.
    places = np.indices(shape, dtype=float)
    modes = np.stack([_broken(each, bands) for each in places], axis=1).tolist()
    for color, name, frequencies in lines:
        if name == "Imaginary" and frequencies.min() > _NOTHING_THZ:
            continue
        # A half that is cut off at zero is not drawn along it.
        there = np.abs(frequencies) > 0
        figure.add_scatter(
            x=_broken(along, bands),
            y=_broken(np.where(_touching(there), frequencies, np.nan), bands),
            customdata=modes,
            mode="lines",
            line={"color": color, "width": 1.5},
            name=name,
            hovertemplate="%{y:.2f} THz<extra></extra>",
            row=1,
            col=1,
        )
    ticks: dict[float, str] = {}
    for tick, label in zip(bands.ticks, bands.labels, strict=True):
        shown = "Γ" if label == "G" else label
        ticks[tick] = f"{ticks[tick]}|{shown}" if tick in ticks else shown
    figure.update_xaxes(
        tickvals=list(ticks),
        ticktext=list(ticks.values()),
        range=[bands.ticks[0], bands.ticks[-1]],
        row=1,
        col=1,
    )
    figure.add_hline(y=0, line={"width": 1, "color": "#7f7f7f"}, row="all", col="all")


def _touching(there: np.ndarray) -> np.ndarray:
    """Also the neighbors along the path, so that a line reaches zero."""
    wider = there.copy()
    wider[1:] |= there[:-1]
    wider[:-1] |= there[1:]
    return wider


def _broken(
    values: Float[np.ndarray, "n_q n_bands"], bands: PhononBands
) -> Float[np.ndarray, " n"]:
    """All bands one after the other, with gaps where a piece of the path ends."""
    gap = np.full((1, values.shape[1]), np.nan)
    pieces = [part for piece in bands.segments for part in (values[piece], gap)]
    return np.concatenate(pieces).T.ravel()


def stick_spectrum(result: MolecularVibrationsResult) -> go.Figure:
    """Where the modes of a molecule are; imaginary ones below zero, colored."""
    figure = go.Figure()
    waves = result.wavenumbers_per_cm
    for color, name, chosen in (
        (_REAL, "Real", waves >= 0),
        (_IMAGINARY, "Imaginary", waves < 0),
    ):
        if not chosen.any():
            continue
        where = waves[chosen]
        heights = np.stack([0 * where, 0 * where + 1, np.full(len(where), np.nan)], 1)
        figure.add_scatter(
            x=np.repeat(where, 3),
            y=heights.ravel(),
            mode="lines",
            line={"color": color, "width": 2},
            name=name,
            customdata=np.repeat(np.flatnonzero(chosen) + 1, 3),
            hovertemplate="Mode %{customdata}: %{x:.1f} cm⁻¹<extra></extra>",
        )
    ends = [waves.min(initial=0.0), waves.max(initial=0.0)]
    figure.update_xaxes(
        title_text="Wavenumber (cm⁻¹), negative: imaginary",
        range=[1.05 * float(end) for end in ends],
    )
    figure.update_yaxes(visible=False, range=[0, 1.1])
    return dressed(figure, height=260, name="vibrations")


def followed_modes(result: FollowModeResult) -> go.Figure:
    """What the starts of every round relaxed to, by energy."""
    figure = go.Figure()
    before = 0.0
    for number, followed in enumerate(result.rounds):
        energies = followed.energies_meV_per_atom + before
        known = np.isfinite(energies)
        figure.add_scatter(
            x=[number] + [number + 1] * int(known.sum()),
            y=[before, *energies[known]],
            text=[
                followed.space_group.symbol,
                *(group.symbol for group in followed.space_groups if group),
            ],
            mode="markers",
            marker={"color": COLORS[number % len(COLORS)], "size": 9},
            name=f"Down from {followed.space_group.symbol}",
            hovertemplate="%{text}<br>%{y:.2f} meV/atom<extra></extra>",
        )
        before += float(np.nanmin(followed.energies_meV_per_atom))
    figure.update_xaxes(title_text="Round", dtick=1)
    figure.update_yaxes(title_text="Energy (meV/atom)")
    return dressed(figure, height=340, name="followed modes")
