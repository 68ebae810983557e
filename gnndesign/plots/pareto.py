"""The figure of a Pareto search, whose points are potentials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from gnndesign.errors import ParameterError
from gnndesign.plots.error_bands import dressed
from gnndesign.training.pareto_results import OBJECTIVES, ParetoResult, ParetoTrial

_LINE = "#7f7f7f"
_BEATEN_OPACITY = 0.35


def pareto_front(
    result: ParetoResult,
    *,
    x: str = "energy_mae_meV",
    y: str = "forces_mae_meV_per_A",
    color: str | None = None,
) -> go.Figure:
    """Two errors against each other; every point is a trained potential.

    Points of the front are large; those that another one beats are small and pale.
    With more than two objectives some of the front look beaten: what they are better
    in is the color. A point's `customdata` is its trial number and the file that
    `load_potential` takes, so that a click can load it. The line is the front of the
    two errors alone.

    Args:
        result: of a search, finished or not.
        x: name in `OBJECTIVES` of the horizontal axis.
        y: likewise of the vertical axis.
        color: likewise of the color; None for the cost if shapes were chosen, else the
            stress if it was learned, else the share of the energy in the loss.

    Raises:
        ParameterError: no such objective.
    """
    color = color or next(
        (
            name
            for name in ("traffic_kB", "stress_mae_GPa")
            if name in result.objectives
        ),
        "share",
    )
    for name in (x, y, color):
        if name not in OBJECTIVES and name != "share":
            raise ParameterError(
                f"Wanted one of {', '.join(OBJECTIVES)}, got {name!r}."
            )
    front = result.front
    numbers = {trial.number for trial in front}
    beaten = [trial for trial in result.finished if trial.number not in numbers]
    stairs = _stairs(result.finished, x, y)
    figure = go.Figure()
    figure.add_scatter(
        x=[trial.value(x) for trial in stairs],
        y=[trial.value(y) for trial in stairs],
        mode="lines",
        line={"color": _LINE, "width": 1, "dash": "dot", "shape": "hv"},
        hoverinfo="skip",
        showlegend=False,
    )
    _add_points(figure, beaten, "beaten by another", (x, y, color))
    _add_points(figure, front, "Pareto front", (x, y, color))
    figure.update_layout(
        clickmode="event",
        coloraxis={
            "colorscale": "Viridis",
            "colorbar": {"title": {"text": _title(color), "side": "right"}},
        },
    )
    figure.update_xaxes(title_text=_title(x))
    figure.update_yaxes(title_text=_title(y))
    return dressed(figure, height=420, name="Pareto front")


def _add_points(
    figure: go.Figure,
    trials: Sequence[ParetoTrial],
    name: str,
    axes: tuple[str, str, str],
) -> None:
    on_front = name == "Pareto front"
    x, y, color = axes
    figure.add_scatter(
        x=[trial.value(x) for trial in trials],
        y=[trial.value(y) for trial in trials],
        mode="markers",
        name=name,
        marker={
            "color": [_color(trial, color) for trial in trials],
            "coloraxis": "coloraxis",
            "size": 13 if on_front else 8,
            "opacity": 1.0 if on_front else _BEATEN_OPACITY,
            "line": {"color": _LINE, "width": 1},
        },
        customdata=[_clicked(trial) for trial in trials],
        text=[_hover(trial) for trial in trials],
        hovertemplate="%{text}<extra></extra>",
    )


def _clicked(trial: ParetoTrial) -> list[Any]:
    return [trial.number, "" if trial.file is None else str(trial.file)]


def _color(trial: ParetoTrial, name: str) -> float:
    return trial.weights["energy"] if name == "share" else trial.value(name)


def _title(name: str) -> str:
    return OBJECTIVES.get(name, "Share of the energy in the loss")


def _stairs(trials: Sequence[ParetoTrial], x: str, y: str) -> list[ParetoTrial]:
    """Those that no other one beats in these two."""
    found: list[ParetoTrial] = []
    for trial in sorted(trials, key=lambda trial: (trial.value(x), trial.value(y))):
        if not found or trial.value(y) < found[-1].value(y):
            found.append(trial)
    return found


def _hover(trial: ParetoTrial) -> str:
    shares = ", ".join(
        f"{name} {share:.3g}" for name, share in trial.weights.items() if share
    )
    lines = [f"<b>Trial {trial.number}</b>", f"weights: {shares}"]
    lines += [f"{name}: {value}" for name, value in trial.shape.items()]
    lines += [
        f"{title}: {value:.4g}"
        for name, title in OBJECTIVES.items()
        if (value := trial.value(name)) == value
    ]
    if trial.cost is not None:
        lines.append(f"Time: {trial.cost.time_us:.3g} µs an atom")
    return "<br>".join(lines)
