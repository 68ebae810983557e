"""Compositions of three elements, colored by an objective."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from ase.data import atomic_numbers

from gnndesign.errors import ParameterError
from gnndesign.plots.search_points import (
    BEST,
    COLORSCALE,
    GRID,
    TEXT,
    chosen_column,
    hover_of,
    search_layout,
    title_of,
)
from gnndesign.search.results import SearchResult
from gnndesign.search.trials import Trial


def has_three_elements(result: SearchResult) -> bool:
    """Whether three elements occur in different proportions, as in an alloy."""
    try:
        _varied(result.feasible)
    except ParameterError:
        return False
    return True


def plot_ternary(
    result: SearchResult,
    objective: str | None = None,
    elements: Sequence[str] | None = None,
) -> go.Figure:
    """Fractions of three elements, colored by an objective.

    A point is a feasible trial, its customdata the trial's number. The fractions are
    those of the structure, of the three elements alone where it has others too; trials
    with none of the three are left out. The best one is ringed.

    Args:
        result: finished or not.
        objective: name of the color; the first if not given.
        elements: three chemical symbols; if not given, the three whose fractions vary
            and that occur most often.

    Raises:
        ParameterError: an unknown objective, not three elements, or fewer than three
            whose fractions vary.
    """
    column = chosen_column(result, objective)
    three = _varied(result.feasible) if elements is None else tuple(elements)
    if len(set(three)) != 3:
        raise ParameterError(f"Wanted three different elements, got {list(three)}.")
    trials = [t for t in result.feasible if t.atoms is not None and _counts(t, three)]
    fractions = np.array([_counts(trial, three) for trial in trials], dtype=float)
    fractions = fractions.reshape(len(trials), 3)
    values = np.array([trial.values[column.name] for trial in trials])
    best = {trial.number for trial in result.best(1)}
    is_best = np.array([trial.number in best for trial in trials], dtype=bool)
    figure = go.Figure(
        go.Scatterternary(
            a=fractions[:, 0],
            b=fractions[:, 1],
            c=fractions[:, 2],
            sum=1,
            mode="markers",
            cliponaxis=False,
            customdata=[trial.number for trial in trials],
            text=[hover_of(trial, result, {}) for trial in trials],
            hovertemplate="%{text}<extra></extra>",
            marker={
                "color": values,
                "colorscale": COLORSCALE,
                # The brighter the better.
                "reversescale": column.sign == 1,
                "size": np.where(is_best, 15, 10),
                "opacity": 1,
                "line": {"color": BEST, "width": np.where(is_best, 3, 0)},
                "colorbar": {
                    "title": {"text": title_of(column), "side": "right"},
                    "outlinewidth": 0,
                },
            },
        )
    )
    axis = {"gridcolor": GRID, "linecolor": TEXT, "tickformat": ".0%", "nticks": 5}
    figure.update_ternaries(
        sum=1,
        bgcolor="rgba(0, 0, 0, 0)",
        aaxis={"title": {"text": three[0]}, **axis},
        baxis={"title": {"text": three[1]}, **axis},
        caxis={"title": {"text": three[2]}, **axis},
    )
    search_layout(figure, "ternary")
    return figure.update_layout(margin={"l": 50, "r": 20, "t": 40, "b": 40})


def _counts(trial: Trial, three: Sequence[str]) -> tuple[float, ...]:
    """Fractions among the three elements; empty where it has none of them."""
    assert trial.atoms is not None
    found = Counter(trial.atoms.get_chemical_symbols())
    total = sum(found[symbol] for symbol in three)
    return tuple(found[symbol] / total for symbol in three) if total else ()


def _varied(trials: Sequence[Trial]) -> tuple[str, str, str]:
    """The three elements to draw, by atomic number."""
    shares = [
        {symbol: n / len(trial.atoms) for symbol, n in found.items()}
        for trial in trials
        if trial.atoms is not None
        for found in (Counter(trial.atoms.get_chemical_symbols()),)
    ]
    occurs = Counter(symbol for share in shares for symbol in share)
    # In every perovskite a fifth is A: a fraction that is some or nothing is a choice
    # of the element, and not of how much of it.
    amounts = {s: {round(x[s], 6) for x in shares if s in x} for s in occurs}
    varied = [symbol for symbol, _ in occurs.most_common() if len(amounts[symbol]) > 1]
    if len(varied) < 3:
        raise ParameterError(
            "A ternary plot wants three elements whose fractions vary; these trials have "
            f"{len(varied)}. Give the elements to draw."
        )
    first, second, third = sorted(varied[:3], key=atomic_numbers.__getitem__)
    return first, second, third
