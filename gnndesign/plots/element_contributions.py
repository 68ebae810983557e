"""What each element contributed to a search, as a periodic table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from ase.data import atomic_numbers, chemical_symbols

from gnndesign.plots.search_points import (
    TEXT,
    chosen_column,
    elements_of,
    search_layout,
    title_of,
)
from gnndesign.search.results import SearchResult
from gnndesign.search.trials import Trial

_N_ROWS, _N_COLUMNS = 10, 18
_LAST = 118
_GAP = 3
_UNUSED = "rgba(127, 127, 127, 0.15)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementContribution:
    """What an element did for an objective.

    Attributes:
        symbol: of the element.
        n_trials: with a value, that contain it.
        mean: of their values, in the unit of the objective.
        standard_deviation: of their values; NaN of one.
        best: of their values.
        best_trial: number of the trial that has it.
        mean_difference: mean minus the mean of all trials with a value.
    """

    symbol: str
    n_trials: int
    mean: float
    standard_deviation: float
    best: float
    best_trial: int
    mean_difference: float


def element_contributions(
    result: SearchResult, objective: str | None = None
) -> tuple[ElementContribution, ...]:
    """Of every element that occurs in a feasible trial, by atomic number.

    An association and not a cause: an element that the search tried with good partners
    alone looks good.

    Args:
        result: finished or not.
        objective: name; the first if not given.

    Raises:
        ParameterError: unknown.
    """
    column = chosen_column(result, objective)
    trials = [t for t in result.feasible if elements_of(t)]
    if not trials:
        return ()
    everything = np.array([trial.values[column.name] for trial in trials])
    with_element: dict[str, list[Trial]] = {}
    for trial in trials:
        for symbol in elements_of(trial):
            with_element.setdefault(symbol, []).append(trial)
    found: list[ElementContribution] = []
    for symbol in sorted(with_element, key=lambda s: atomic_numbers[s]):
        values = np.array([t.values[column.name] for t in with_element[symbol]])
        place = int(np.argmin(column.sign * values))
        found.append(
            ElementContribution(
                symbol=symbol,
                n_trials=len(values),
                mean=float(values.mean()),
                standard_deviation=float(values.std(ddof=1))
                if len(values) > 1
                else np.nan,
                best=float(values[place]),
                best_trial=with_element[symbol][place].number,
                mean_difference=float(values.mean() - everything.mean()),
            )
        )
    return tuple(found)


def plot_elements(
    result: SearchResult,
    objective: str | None = None,
    by: Literal["mean", "best"] = "mean",
) -> go.Figure:
    """A periodic table, colored by what the trials with an element are like.

    The number below a symbol is how many trials have it. A cell's customdata is the
    number of the best trial with the element.

    Args:
        result: finished or not.
        objective: name; the first if not given.
        by: "mean", the mean of the trials with the element minus that of all trials; or
            "best", the best of their values.

    Raises:
        ParameterError: unknown objective.
    """
    column = chosen_column(result, objective)
    found = element_contributions(result, column.name)
    values, texts, hovers, numbers = (_empty(kind) for kind in (float, str, str, int))
    for entry in found:
        place = place_in_table(entry.symbol)
        values[place] = entry.mean_difference if by == "mean" else entry.best
        texts[place] = (
            f"<b>{entry.symbol}</b><br><span style='font-size:9px'>{entry.n_trials}</span>"
        )
        hovers[place] = _hover(entry, column.unit)
        numbers[place] = entry.best_trial
    is_less_better = column.sign == 1
    if by == "mean":
        title = (
            f"mean with the element − mean of all<br>{title_of(column)}; blue is better"
        )
        # Blue is better. White is in the middle.
        colors = {"colorscale": "RdBu", "reversescale": is_less_better, "zmid": 0}
    else:
        title = f"best with the element<br>{title_of(column)}"
        colors = {"colorscale": "Viridis", "reversescale": is_less_better}
    figure = go.Figure(
        [
            _others({entry.symbol for entry in found}),
            go.Heatmap(
                z=values,
                text=texts,
                hovertext=hovers,
                customdata=numbers,
                texttemplate="%{text}",
                textfont={"size": 13},
                hovertemplate="%{hovertext}<extra></extra>",
                hoverongaps=False,
                xgap=_GAP,
                ygap=_GAP,
                colorbar={
                    "title": {"text": title, "side": "bottom"},
                    "orientation": "h",
                    "x": 0.12,
                    "xanchor": "left",
                    "y": 0.99,
                    "yanchor": "top",
                    "len": 0.5,
                    "thickness": 12,
                    "outlinewidth": 0,
                },
                **colors,
            ),
        ]
    )
    hidden: dict[str, Any] = {
        "visible": False,
        "fixedrange": True,
        "showgrid": False,
        "zeroline": False,
    }
    figure.update_xaxes(range=[-0.5, _N_COLUMNS - 0.5], **hidden)
    figure.update_yaxes(range=[_N_ROWS - 0.5, -0.5], **hidden)
    search_layout(figure, "elements")
    return figure.update_layout(margin={"l": 10, "r": 10, "t": 10, "b": 10})


def place_in_table(symbol: str) -> tuple[int, int]:
    """Row and column of an element in the table of 18 groups, from 0.

    Lanthanides (La to Yb) and actinides (Ac to No) are in two rows of their own below,
    with an empty one in between; Lu and Lr are in group 3.
    """
    number = atomic_numbers[symbol]
    for first, row in ((57, 8), (89, 9)):
        if first <= number < first + 14:
            return row, 2 + number - first
    # The noble gases end the periods.
    ends = np.array([0, 2, 10, 18, 36, 54, 86, 118])
    period = int(np.searchsorted(ends, number))
    after = number - int(ends[period - 1])
    before_end = int(ends[period]) - number
    is_left = after <= (1 if period == 1 else 2)
    return period - 1, after - 1 if is_left else _N_COLUMNS - 1 - before_end


def _empty(kind: type) -> np.ndarray:
    blank: Any = {float: np.nan, str: "", int: -1}[kind]
    return np.full((_N_ROWS, _N_COLUMNS), blank, dtype=object if kind is str else kind)


def _others(used: set[str]) -> go.Heatmap:
    """Pale cells of the elements that no trial has."""
    values, texts = _empty(float), _empty(str)
    for symbol in chemical_symbols[1 : _LAST + 1]:
        if symbol not in used:
            values[place_in_table(symbol)] = 0.0
            texts[place_in_table(symbol)] = symbol
    return go.Heatmap(
        z=values,
        text=texts,
        texttemplate="%{text}",
        textfont={"color": TEXT, "size": 13},
        colorscale=[[0, _UNUSED], [1, _UNUSED]],
        showscale=False,
        hoverinfo="skip",
        xgap=_GAP,
        ygap=_GAP,
    )


def _hover(entry: ElementContribution, unit: str) -> str:
    several = entry.n_trials > 1
    spread = f" ± {entry.standard_deviation:.3g}" if several else ""
    return "<br>".join(
        (
            f"<b>{entry.symbol}</b>: {entry.n_trials} trial{'s' if several else ''}",
            f"mean {entry.mean:.4g}{spread} {unit} (standard deviation)",
            f"{entry.mean_difference:+.3g} {unit} against the mean of all",
            f"best {entry.best:.4g} {unit} (trial {entry.best_trial})",
        )
    )
