"""What the figures of a search have in common: colors, titles, texts, layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from gnndesign.errors import ParameterError
from gnndesign.search.results import SearchResult
from gnndesign.search.trials import ConstraintColumn, ObjectiveColumn, Trial
from gnndesign.search.trust import TrustFlag

# Chosen to be told apart on white and on black, and by color-blind people (Okabe, Ito).
POINT = "#0072B2"
UNCONVERGED = "#56B4E9"
BEST = "#D55E00"
MISSED = "#CC79A7"
TEXT = "#7f7f7f"
GRID = "rgba(127, 127, 127, 0.25)"
COLORSCALE = "Viridis"

AXIS: Mapping[str, Any] = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": TEXT}

Flags = Mapping[int, Sequence[TrustFlag]]
"""By number of the trial."""

_MARKS = {"bad": "✖", "warning": "⚠", "good": "✔"}


def search_layout(figure: go.Figure, name: str = "search") -> go.Figure:
    """The figure on light and dark pages alike; zoom stays while it keeps its name."""
    figure.update_layout(
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"color": TEXT},
        margin={"l": 70, "r": 20, "t": 30, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
        clickmode="event",
        uirevision=name,
    )
    return figure


def title_of(column: ObjectiveColumn | ConstraintColumn) -> str:
    """Of an axis: "formation energy (eV/atom)"."""
    name = column.name.replace("_", " ")
    return f"{name} ({column.unit})" if column.unit else name


def chosen_columns(
    result: SearchResult, names: Sequence[str] | None, most: int
) -> tuple[ObjectiveColumn, ...]:
    """The objectives of these names, or the first ones.

    Raises:
        ParameterError: a name is unknown, or there are none or too many.
    """
    if names is None:
        return result.objectives[:most]
    known = {column.name: column for column in result.objectives}
    if not 1 <= len(names) <= most or any(name not in known for name in names):
        wanted = ("one", "one or two", "one to three")[most - 1]
        raise ParameterError(
            f"Wanted {wanted} of the objectives {', '.join(known)}, got {list(names)}."
        )
    return tuple(known[name] for name in names)


def chosen_column(result: SearchResult, name: str | None) -> ObjectiveColumn:
    """The objective of this name, or the first one.

    Raises:
        ParameterError: it is unknown.
    """
    return chosen_columns(result, None if name is None else [name], 1)[0]


def values_of(
    trials: Sequence[Trial], columns: Sequence[ObjectiveColumn]
) -> Float[np.ndarray, "n_trials n_columns"]:
    """Values, NaN where a trial has none."""
    return np.array(
        [[trial.values.get(c.name, np.nan) for c in columns] for trial in trials],
        dtype=float,
    ).reshape(len(trials), len(columns))


def hover_of(trial: Trial, result: SearchResult, flags: Flags) -> str:
    """Formula, values with units, constraints missed, and what to know beside."""
    lines = [f"<b>{with_subscripts(trial.formula)}</b> (trial {trial.number})"]
    lines += [
        f"{title_of(column)}: {trial.values[column.name]:.4g}"
        for column in result.objectives
        if column.name in trial.values
    ]
    lines += [f"{name}: {value:.4g}" for name, value in trial.measured.items()]
    columns = {column.name: column for column in result.constraints}
    for name, over in trial.constraints.items():
        if over > 0:
            unit = columns[name].unit if name in columns else ""
            lines.append(f"misses {name.replace('_', ' ')} by {over:.3g} {unit}")
    if trial.status not in ("converged", "pruned"):
        lines.append(f"not converged: {trial.status}")
    lines += [
        f"{_MARKS[flag.level]} {flag.words}" for flag in flags.get(trial.number, ())
    ]
    return "<br>".join(lines)


def with_subscripts(formula: str) -> str:
    """A formula as it is printed."""
    return "".join(f"<sub>{c}</sub>" if c.isdigit() else c for c in formula)


def elements_of(trial: Trial) -> frozenset[str]:
    """Chemical symbols of its structure."""
    atoms = trial.atoms
    return frozenset() if atoms is None else frozenset(atoms.get_chemical_symbols())
