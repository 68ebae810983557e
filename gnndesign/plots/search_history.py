"""How a search got on, beside the same trials in random order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from scipy.special import gammaln

from gnndesign.errors import ParameterError
from gnndesign.plots.search_points import (
    AXIS,
    BEST,
    POINT,
    TEXT,
    chosen_column,
    hover_of,
    search_layout,
    title_of,
    values_of,
)
from gnndesign.search.fronts import hypervolumes
from gnndesign.search.results import SearchResult
from gnndesign.search.trials import Trial, TrialStatus

_BAND = "rgba(127, 127, 127, 0.25)"
_LABEL = "the same trials in random order: median and 90 % band"
_MOST_ORDERS = 100
_MOST_INSERTIONS = 200_000
"""Over all random orders: some seconds."""
_QUANTILES = (0.05, 0.5, 0.95)


def best_of_random_draws(
    costs: Float[np.ndarray, " n_trials"], probability: float
) -> Float[np.ndarray, " n_trials"]:
    """Quantile of the best of 1, 2, ... draws without replacement, exact.

    Of N values in ascending order, the best of n draws is among the first k unless all
    of the draws are among the other N - k (hypergeometric):

        P(best of n <= k-th value) = 1 - C(N - k, n) / C(N, n)

    Args:
        costs: (n_trials,) less is better; infinite where there is no value.
        probability: of the quantile, between 0 and 1: 0.5 for the median.

    Returns:
        (n_trials,) for n from 1; infinite where that many draws find nothing.
    """
    ordered = np.sort(costs)
    total = len(costs)
    n = np.arange(1, total + 1)

    def chance(k: np.ndarray) -> np.ndarray:
        """That the best of n is among the first k; the factor n! cancels."""
        others = total - k
        left = gammaln(others + 1) - gammaln(np.maximum(others - n, 0) + 1)
        of_all = gammaln(total + 1) - gammaln(total - n + 1)
        return np.where(others >= n, 1.0 - np.exp(left - of_all), 1.0)

    # The smallest such k, by bisection: it is above `low` and at most `high`.
    low, high = np.zeros(total, dtype=int), np.full(total, total)
    while (high - low > 1).any():
        middle = (low + high) // 2
        enough = chance(middle) >= probability - 1e-12
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return ordered[high - 1]


def plot_history(result: SearchResult, objective: str | None = None) -> go.Figure:
    """The best value so far, and where random order would have been.

    The band is the best of as many draws without replacement from this very sample of
    trials, those without a value included. It does not know what else is in the space:
    since the search looked where values are good, a search at random would have been
    worse than that.

    Args:
        result: finished or not.
        objective: name; the first if not given.

    Raises:
        ParameterError: unknown.
    """
    column = chosen_column(result, objective)
    counted = _counted(result)
    numbers = np.arange(1, len(counted) + 1)
    found = [t if column.name in t.values and t.is_feasible else None for t in counted]
    costs = np.array(
        [np.inf if t is None else column.sign * t.values[column.name] for t in found]
    )
    low, middle, high = (
        _shown(column.sign * best_of_random_draws(costs, q)) for q in _QUANTILES
    )
    figure = go.Figure()
    _add_band(figure, numbers, (low, middle, high))
    best = np.minimum.accumulate(costs) if len(costs) else costs
    figure.add_scatter(
        x=numbers,
        y=_shown(column.sign * best),
        mode="lines",
        name="best so far",
        line={"color": BEST, "width": 2, "shape": "hv"},
        hoverinfo="skip",
    )
    places = [place for place, trial in enumerate(found) if trial is not None]
    drawn = [trial for trial in found if trial is not None]
    figure.add_scatter(
        x=numbers[places],
        y=values_of(drawn, [column])[:, 0],
        mode="markers",
        name="candidates",
        marker={"color": POINT, "size": 6},
        customdata=[trial.number for trial in drawn],
        text=[hover_of(trial, result, {}) for trial in drawn],
        hovertemplate="%{text}<extra></extra>",
    )
    figure.update_xaxes(title_text="candidates evaluated", **AXIS)
    figure.update_yaxes(title_text=title_of(column), **AXIS)
    return search_layout(figure, "history")


def plot_hypervolume(result: SearchResult, seed: int = 0) -> go.Figure:
    """The hypervolume of several objectives so far, as a share of the last.

    Its reference point is the worst feasible value of each objective. The band is of up
    to 100 random orders of the same trials; see `plot_history` for what it is not.

    Args:
        result: finished or not.
        seed: of the random orders.

    Raises:
        ParameterError: one objective alone.
    """
    if len(result.objectives) < 2:
        raise ParameterError(
            "Wanted a search of two objectives or more, got one: its figure is the "
            "history."
        )
    counted = _counted(result)
    signs = [column.sign for column in result.objectives]
    costs = values_of(counted, result.objectives) * signs
    costs[[not trial.is_feasible for trial in counted]] = np.nan
    complete = np.isfinite(costs).all(axis=1)
    numbers = np.arange(1, len(counted) + 1)
    figure = go.Figure()
    if complete.any():
        reference = costs[complete].max(axis=0)
        found = hypervolumes(costs, reference)
        total = found[-1] or 1.0
        random = np.random.default_rng(seed)
        orders = [
            hypervolumes(random.permutation(costs), reference) / total
            for _ in range(_n_orders(len(costs)))
        ]
        _add_band(figure, numbers, np.quantile(orders, _QUANTILES, axis=0))
        figure.add_scatter(
            x=numbers,
            y=found / total,
            mode="lines+markers",
            name="hypervolume so far",
            line={"color": BEST, "width": 2, "shape": "hv"},
            marker={"size": np.where(np.diff(found, prepend=0) > 0, 7, 0)},
            customdata=[trial.number for trial in counted],
            text=[hover_of(trial, result, {}) for trial in counted],
            hovertemplate="%{text}<extra></extra>",
        )
    figure.update_xaxes(title_text="candidates evaluated", **AXIS)
    figure.update_yaxes(title_text="hypervolume / hypervolume of all", **AXIS)
    return search_layout(figure, "hypervolume")


def _counted(result: SearchResult) -> list[Trial]:
    """Those that took an evaluation, with a value or without."""
    return [t for t in result.trials if t.status is not TrialStatus.INTERRUPTED]


def _n_orders(n_trials: int) -> int:
    return max(10, min(_MOST_ORDERS, _MOST_INSERTIONS // n_trials))


def _shown(values: np.ndarray) -> np.ndarray:
    """Nothing is drawn where nothing is found yet."""
    return np.where(np.isfinite(values), values, np.nan)


def _add_band(
    figure: go.Figure, x: np.ndarray, quantiles: Sequence[np.ndarray] | np.ndarray
) -> None:
    low, middle, high = quantiles
    known = np.isfinite(low) & np.isfinite(high)
    figure.add_scatter(
        x=np.concatenate([x[known], x[known][::-1]]),
        y=np.concatenate([high[known], low[known][::-1]]),
        mode="lines",
        fill="toself",
        fillcolor=_BAND,
        line={"width": 0},
        hoverinfo="skip",
        legendgroup="random",
        showlegend=False,
    )
    figure.add_scatter(
        x=x,
        y=middle,
        mode="lines",
        name=_LABEL,
        legendgroup="random",
        line={"color": TEXT, "width": 2, "dash": "dot"},
        hoverinfo="skip",
    )
