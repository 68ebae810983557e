"""Figures of fine-tunings and distillations: what was learned, and what it cost."""

from __future__ import annotations

import math

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gnndesign.errors import ParameterError
from gnndesign.plots.error_bands import COLORS, dressed
from gnndesign.training.distill_results import DistillationReport
from gnndesign.training.evaluation import Errors
from gnndesign.training.fine_tune_results import FineTuningReport

_QUANTITIES = {
    "Energy (meV/atom)": "energy_mae_meV",
    "Forces (meV/Å)": "forces_mae_meV_per_A",
    "Stress (GPa)": "stress_mae_GPa",
}
_SETS = {"new data": "new", "replay": "replay"}
_STAGES = {
    "before": "before",
    "energies of the elements moved": "shifted",
    "after": "after",
}
_NOTHING = 1e-6
"""Less is what the order of a sum leaves, in any of the units."""

_DECADES = 4
"""That a logarithmic axis shows at most; less has a bar of no height, and its number."""

_KINDS = {
    "student's own dynamics": "on_own_dynamics",
    "teacher's dynamics": "on_teachers_dynamics",
}


def error_text(value: float) -> str:
    """An error with three digits, in a number that can be read at a glance."""
    if abs(value) < _NOTHING:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1e3 else f"{value:.3g}"


def errors_before_and_after(report: FineTuningReport) -> go.Figure:
    """Mean absolute errors on the new data and on the replay set, before and after.

    A panel a quantity, on logarithmic axes with the numbers above the bars. What has no
    labels has no panel.

    Raises:
        ParameterError: nothing has labels.
    """
    errors = report.errors()
    panels = {
        title: name
        for title, name in _QUANTITIES.items()
        if any(math.isfinite(getattr(one, name)) for one in errors.values())
    }
    if not panels:
        raise ParameterError(
            "Wanted errors of something, got none: nothing has labels."
        )
    figure = make_subplots(
        rows=1,
        cols=len(panels),
        subplot_titles=list(panels),
        horizontal_spacing=0.08,
    )
    for column, name in enumerate(panels.values(), 1):
        _add_bars(figure, errors, name, column)
    figure.update_layout(barmode="group")
    dressed(figure, height=380, name="errors before and after")
    figure.update_layout(legend_y=1.13, margin_t=70)
    return figure


def _add_bars(
    figure: go.Figure, errors: dict[str, Errors], name: str, column: int
) -> None:
    values = {
        key: value
        for key, one in errors.items()
        if math.isfinite(value := getattr(one, name))
    }
    top = max([*values.values(), 1e-12])
    bottom = max(min([v for v in values.values() if v > 0], default=top), 0) / 3
    bottom = max(bottom, top * 10.0**-_DECADES)
    for place, (stage, ending) in enumerate(_STAGES.items()):
        found = {
            title: values[f"{prefix}_{ending}"]
            for title, prefix in _SETS.items()
            if f"{prefix}_{ending}" in values
        }
        figure.add_bar(
            x=list(found),
            y=[max(value, bottom) for value in found.values()],
            text=[error_text(value) for value in found.values()],
            textposition="outside",
            textangle=-90,
            constraintext="none",
            marker_color=COLORS[place],
            name=stage,
            legendgroup=stage,
            showlegend=column == 1,
            hovertemplate="%{x}, " + stage + ": %{text}<extra></extra>",
            row=1,
            col=column,
        )
    # Room for the numbers above the bars.
    low, high = math.log10(bottom), math.log10(top)
    span = [low, high + 0.3 * (high - low)]
    figure.update_yaxes(type="log", range=span, dtick=1, row=1, col=column)


def distillation_rounds(report: DistillationReport) -> go.Figure:
    """The student's force errors on fresh frames by round, and what it had learned.

    Left the root mean square errors of force components, the bound dashed; a cross
    where a run of the student diverged. Right the number of labelled frames.

    Raises:
        ParameterError: no round has ended.
    """
    if not report.history:
        raise ParameterError("Wanted at least one round that has ended, got none.")
    rounds = [one.number for one in report.history]
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.12)
    for place, (title, kind) in enumerate(_KINDS.items()):
        found = [getattr(one, kind) for one in report.history]
        own = kind == "on_own_dynamics"
        figure.add_scatter(
            x=rounds,
            y=[None if e is None else e.forces_rmse_meV_per_A for e in found],
            mode="lines+markers",
            line={"color": COLORS[place], "width": 2},
            marker={
                "size": 9,
                "symbol": [
                    "x" if own and one.n_diverged else "circle"
                    for one in report.history
                ],
            },
            name=title,
            hovertemplate="round %{x}: %{y:.3g} meV/Å<extra>" + title + "</extra>",
            row=1,
            col=1,
        )
    figure.add_scatter(
        x=[rounds[0] - 0.5, rounds[-1] + 0.5],
        y=[report.bound_meV_per_A] * 2,
        mode="lines",
        line={"color": "#7f7f7f", "dash": "dash", "width": 1},
        name="bound",
        hoverinfo="skip",
        row=1,
        col=1,
    )
    figure.add_bar(
        x=rounds,
        y=[one.n_frames for one in report.history],
        marker_color=COLORS[2],
        width=0.5,
        showlegend=False,
        hovertemplate="round %{x}: %{y} frames<extra></extra>",
        row=1,
        col=2,
    )
    figure.update_yaxes(
        title_text="force error on fresh frames (meV/Å)", type="log", row=1, col=1
    )
    figure.update_yaxes(title_text="frames learned", row=1, col=2)
    figure.update_xaxes(title_text="round", dtick=1)
    dressed(figure, height=380, name="distillation")
    figure.update_layout(legend_y=1.13, margin_t=60)
    return figure
