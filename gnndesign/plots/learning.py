"""Figures of trainings: how errors fall by the epoch, and found beside wanted values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gnndesign.errors import ParameterError
from gnndesign.plots.error_bands import COLORS, dressed
from gnndesign.training.evaluation import Parity
from gnndesign.training.reports import EpochReport

_DIAGONAL = {"color": "#7f7f7f", "dash": "dash", "width": 1}
_SEPARATE = 2000
"""More points than this are drawn on the graphics card."""

_ONLY = "this training"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curve:
    """A number of an epoch; `dash` tells it from another in the same panel."""

    panel: int
    name: str
    value: Callable[[EpochReport], float]
    dash: str = "solid"


_PANELS = (
    "Loss",
    "Energy MAE (meV/atom)",
    "Force MAE (meV/Å)",
    "Stress MAE (GPa)",
    "Learning rate",
    "Seconds an epoch",
)
_STRESS = 3
_CURVES = (
    _Curve(panel=0, name="training", value=lambda e: e.loss),
    _Curve(panel=0, name="validation", value=lambda e: e.score, dash="dot"),
    _Curve(panel=1, name="energy", value=lambda e: e.validation.energy_mae_meV),
    _Curve(panel=2, name="forces", value=lambda e: e.validation.forces_mae_meV_per_A),
    _Curve(panel=3, name="stress", value=lambda e: e.validation.stress_mae_GPa),
    _Curve(panel=4, name="learning rate", value=lambda e: e.learning_rate),
    _Curve(panel=5, name="time", value=lambda e: e.seconds),
)


def learning_curves(
    histories: Sequence[EpochReport] | Mapping[str, Sequence[EpochReport]],
) -> go.Figure:
    """Loss, validation errors, learning rate and time by the epoch.

    Axes are logarithmic but for the time. The loss of the training data is a line, that
    of the validation data dotted; a star is the best epoch so far, whose weights are
    kept.

    Args:
        histories: the reports of one training, or of several by name.

    Raises:
        ParameterError: no training.
    """
    several = histories
    if not isinstance(several, Mapping):
        several = {_ONLY: several}
    if not several:
        raise ParameterError("Wanted the reports of a training, got none.")
    figure = make_subplots(
        rows=2,
        cols=3,
        subplot_titles=_PANELS,
        horizontal_spacing=0.09,
        vertical_spacing=0.17,
    )
    for place, (name, history) in enumerate(several.items()):
        _add_history(figure, name, history, COLORS[place % len(COLORS)])
    figure.update_yaxes(type="log")
    figure.update_yaxes(type="linear", rangemode="tozero", row=2, col=3)
    figure.update_xaxes(title_text="epoch", row=2)
    dressed(figure, height=520, name="learning curves")
    figure.update_layout(legend_y=1.07, margin_t=60)
    return figure


def parity_plots(
    parities: Parity | Mapping[str, Parity], *, most: int = 3000
) -> go.Figure:
    """Energies, forces and stresses as found against as wanted.

    What is right lies on the diagonal. The title of a panel has the mean absolute error
    of one potential; of several, the legend tells them apart. What has no labels has no
    panel.

    Args:
        parities: of one potential, or of several by name.
        most: points of a kind and potential; of more, so many evenly among them, and
            always the farthest off.

    Raises:
        ParameterError: no potential, or nothing has a label.
    """
    several = parities
    if isinstance(several, Parity):
        several = {"": several}
    panels = [panel for panel in _QUANTITIES if _has_labels(several, panel)]
    if not panels:
        raise ParameterError(
            "Wanted found and wanted values, got none: no structure has a label."
        )
    figure = make_subplots(
        rows=1,
        cols=len(panels),
        subplot_titles=[_headline(several, panel) for panel in panels],
        horizontal_spacing=0.1,
    )
    for column, panel in enumerate(panels, 1):
        _add_parity(figure, several, panel, most, column)
    dressed(figure, height=380, name="parity", legend=len(several) > 1)
    figure.update_layout(legend_y=1.13, margin_t=60)
    return figure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantity:
    """What a panel of `parity_plots` shows."""

    name: str
    unit: str
    pairs: Callable[[Parity], np.ndarray]
    error: Callable[[Parity], tuple[float, str]]


_QUANTITIES = (
    _Quantity(
        name="Energy",
        unit="eV/atom",
        pairs=lambda parity: parity.energy,
        error=lambda parity: (parity.errors.energy_mae_meV, "meV/atom"),
    ),
    _Quantity(
        name="Force component",
        unit="eV/Å",
        pairs=lambda parity: parity.forces,
        error=lambda parity: (parity.errors.forces_mae_meV_per_A, "meV/Å"),
    ),
    _Quantity(
        name="Stress component",
        unit="GPa",
        pairs=lambda parity: parity.stress,
        error=lambda parity: (parity.errors.stress_mae_GPa, "GPa"),
    ),
)


def _add_history(
    figure: go.Figure, name: str, history: Sequence[EpochReport], color: str
) -> None:
    alone = name == _ONLY
    epochs = [report.epoch for report in history]
    best = [report.epoch for report in history if report.is_best][-1:]
    for curve in _CURVES:
        values = np.array([curve.value(report) for report in history], float)
        where = {"row": curve.panel // 3 + 1, "col": curve.panel % 3 + 1}
        if curve.panel == _STRESS and not np.isfinite(values).any():
            continue
        in_legend = curve.panel == 0 and (alone or curve.dash == "solid")
        figure.add_scatter(
            x=epochs,
            y=values,
            mode="lines" if len(epochs) > 1 else "markers",
            line={
                "color": COLORS[1] if alone and curve.dash == "dot" else color,
                "width": 2,
                "dash": curve.dash,
            },
            name=f"{curve.name} loss" if alone else name,
            legendgroup=curve.name if alone else name,
            showlegend=in_legend,
            hovertemplate="epoch %{x}: %{y:.4g}<extra>" + f"{name}</extra>",
            **where,
        )
        # Errors and the validation loss are what an epoch is chosen by.
        if best and 0 <= curve.panel <= _STRESS and curve.name != "training":
            figure.add_scatter(
                x=best,
                y=values[[epochs.index(best[0])]],
                mode="markers",
                marker={"symbol": "star", "size": 11, "color": color},
                name="best epoch",
                legendgroup="best" if alone else name,
                showlegend=alone and curve.panel == 0,
                hovertemplate="best, epoch %{x}: %{y:.4g}<extra></extra>",
                **where,
            )


def _has_labels(parities: Mapping[str, Parity], panel: _Quantity) -> bool:
    return any(np.isfinite(panel.pairs(one)[:, 1]).any() for one in parities.values())


def _headline(parities: Mapping[str, Parity], panel: _Quantity) -> str:
    if len(parities) > 1:
        return panel.name
    value, unit = panel.error(next(iter(parities.values())))
    return f"{panel.name}, MAE {value:.3g} {unit}"


def _add_parity(
    figure: go.Figure,
    parities: Mapping[str, Parity],
    panel: _Quantity,
    most: int,
    column: int,
) -> None:
    ends: list[float] = []
    for place, (name, parity) in enumerate(parities.items()):
        pairs = panel.pairs(parity)
        pairs = pairs[np.isfinite(pairs).all(1)]
        if not len(pairs):
            continue
        ends += [float(pairs.min()), float(pairs.max())]
        shown = pairs[_sample(np.abs(pairs[:, 0] - pairs[:, 1]), most)]
        kind = go.Scattergl if len(shown) > _SEPARATE else go.Scatter
        value, unit = panel.error(parity)
        figure.add_trace(
            kind(
                x=shown[:, 1],
                y=shown[:, 0],
                mode="markers",
                marker={
                    "color": COLORS[place % len(COLORS)],
                    "size": 6 if len(shown) < 300 else 4,
                    "opacity": 0.6,
                },
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                hovertemplate="wanted %{x:.4g}<br>found %{y:.4g} "
                f"{panel.unit}<extra>{name} MAE {value:.3g} {unit}</extra>",
            ),
            row=1,
            col=column,
        )
    low, high = min(ends), max(ends)
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line=_DIAGONAL,
        hoverinfo="skip",
        showlegend=False,
        row=1,
        col=column,
    )
    figure.update_xaxes(title_text=f"wanted ({panel.unit})", row=1, col=column)
    figure.update_yaxes(title_text=f"found ({panel.unit})", row=1, col=column)


def _sample(distance: np.ndarray, most: int) -> np.ndarray:
    """Places of at most so many points: the farthest off, and evenly among the rest."""
    if len(distance) <= most:
        return np.arange(len(distance))
    n_farthest = most // 10
    order = np.argsort(distance)
    farthest, rest = order[len(order) - n_farthest :], order[: len(order) - n_farthest]
    even = np.linspace(0, len(rest) - 1, most - n_farthest).astype(int)
    return np.sort(np.concatenate([farthest, np.sort(rest)[even]]))
