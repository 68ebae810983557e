"""Predicted against reference: `parity`."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gnndesign.plots.error_bands import dressed
from gnndesign.properties.reference_sets import reference_set
from gnndesign.properties.validation_result import Validation

_COLORS = {"": "#1f77b4"}
_APART_COLOR = "#bcbd22"
_MISSED = "#d62728"


def parity(found: Validation) -> go.Figure:
    """Predicted against reference, a panel a quantity.

    What has no number is a red cross on the axis of the reference. Structures that are
    counted apart have a color of their own.
    """
    targets = [
        target
        for target in reference_set(found.reference_set).targets
        if any(row.key == target.key for row in found.rows)
    ]
    titles: list[str] = []
    for target in targets:
        (errors, *_) = [e for e in found.errors if e.key == target.key]
        beside = (
            "" if errors.published is None else f" (published {errors.published:g})"
        )
        titles.append(
            f"{target.name}: MAE {errors.mean_absolute:.3g} {errors.unit}{beside}"
        )
    figure = make_subplots(1, len(targets), subplot_titles=titles)
    for column, target in enumerate(targets, start=1):
        where: dict[str, Any] = {"row": 1, "col": column}
        rows = [row for row in found.rows if row.key == target.key]
        known = [row for row in rows if row.predicted is not None]
        missing = [row for row in rows if row.predicted is None]
        both = [row.reference for row in rows] + [
            row.predicted for row in known if row.predicted is not None
        ]
        ends = [min(both), max(both)]
        figure.add_scatter(
            x=ends,
            y=ends,
            mode="lines",
            line={"color": "#7f7f7f", "width": 1, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
            **where,
        )
        for group in sorted({row.group for row in known}):
            part = [row for row in known if row.group == group]
            figure.add_scatter(
                x=[row.reference for row in part],
                y=[row.predicted for row in part],
                text=[row.name for row in part],
                mode="markers",
                marker={"color": _COLORS.get(group, _APART_COLOR), "size": 7},
                name=group or "all others",
                legendgroup=group or "others",
                showlegend=column == 1,
                hovertemplate="%{text}<br>%{x:.4g} → %{y:.4g} "
                f"{target.unit}<extra></extra>",
                **where,
            )
        if missing:
            figure.add_scatter(
                x=[row.reference for row in missing],
                y=[ends[0]] * len(missing),
                text=[f"{row.name}: {row.message}" for row in missing],
                mode="markers",
                marker={"color": _MISSED, "symbol": "x", "size": 7},
                name="no number",
                legendgroup="none",
                showlegend=column == 1,
                hovertemplate="%{text}<extra></extra>",
                **where,
            )
        figure.update_xaxes(title_text=f"Reference ({target.unit})", **where)
        figure.update_yaxes(title_text=f"{found.potential} ({target.unit})", **where)
    dressed(figure, height=440, name=f"validation {found.reference_set}")
    # Above the titles of the panels.
    figure.update_layout(legend={"y": 1.1}, margin={"t": 70})
    return figure
