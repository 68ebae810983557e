"""Whether error bars hold: a committee's spread beside its true errors.

The spread σ of a committee ranks its errors and is seldom as large as they are, since
members share their data and their shape. One factor s makes it an error bar, with which
errors ε should follow s σ t, t Student's with as many degrees of freedom as σ was
estimated from (normal, where σ is known). It is the factor by which quantiles Q of
|ε|/σ are those of |t|, in the geometric mean over 50, 68 and 90 %:

    log s = mean_p log(Q_p(|ε|/σ) / q_p),   P(|t| < q_p) = p

Coverage counts how often the bars hold: of the intervals said to hold with probability
p, what share does (V. Kuleshov, N. Fenner, S. Ermon, ICML 2018; a factor for committees
of potentials: F. Musil et al., J. Chem. Theory Comput. 15, 906 (2019)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
from jaxtyping import Float
from scipy.stats import spearmanr, t

from gnndesign.errors import FitError, ParameterError

LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.68, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Probabilities at which coverage is counted."""

_FEWEST = 4
"""Structures without which neither factor nor coverage mean anything."""

_MATCHED = (0.5, 0.68, 0.9)
"""Levels at which the factor makes coverage right."""

_RESAMPLES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How a spread becomes an error bar, and whether it then holds.

    Attributes:
        quantity: what the errors are of.
        unit: of errors and spreads.
        factor: error bar by spread.
        factor_interval: within which the factor lies with 95 % probability, from
            drawing structures again (bootstrap); atoms of one structure err together.
        rms_ratio: root mean square error by root mean square spread; it is larger than
            the factor where errors have long tails.
        degrees_of_freedom: of Student's t; infinite where the spread is known exactly.
        n_structures: on which the factor was found.
        n_held_out: structures on which the rest was counted.
        n_values: errors of these.
        levels: (n_levels,) probabilities.
        coverage: (n_levels,) share of the errors within the error bar of that level.
        coverage_interval: (n_levels, 2) within which coverage lies with 95 %
            probability, from drawing structures again.
        raw_coverage: (n_levels,) likewise with the factor 1.
        rank_correlation: Spearman's, of spread and size of the error; NaN where one of
            them is the same everywhere.
        bin_spread: (n_bins,) root mean square spread of as many values in each bin.
        bin_error: (n_bins,) root mean square error of these.
    """

    quantity: str
    unit: str
    factor: float
    factor_interval: tuple[float, float]
    rms_ratio: float
    degrees_of_freedom: float
    n_structures: int
    n_held_out: int
    n_values: int
    levels: Float[np.ndarray, " n_levels"]
    coverage: Float[np.ndarray, " n_levels"]
    coverage_interval: Float[np.ndarray, "n_levels 2"]
    raw_coverage: Float[np.ndarray, " n_levels"]
    rank_correlation: float
    bin_spread: Float[np.ndarray, " n_bins"]
    bin_error: Float[np.ndarray, " n_bins"]

    def error_bar(
        self, spread: float | np.ndarray, level: float = 0.68
    ) -> float | np.ndarray:
        """Half the width of the interval that holds with a probability.

        Args:
            spread: of the committee, in `unit`.
            level: between 0 and 1.

        Raises:
            ParameterError: a level that is no probability.
        """
        if not 0.0 < level < 1.0:
            raise ParameterError(f"Wanted a level between 0 and 1, got {level}.")
        return quantile(level, self.degrees_of_freedom) * self.factor * spread

    def coverage_at(self, level: float) -> float:
        """Coverage at one of `levels`.

        Raises:
            ParameterError: it was not counted there.
        """
        place = np.flatnonzero(np.isclose(self.levels, level))
        if not place.size:
            raise ParameterError(
                f"Wanted a level of {', '.join(map(str, self.levels))}, got {level}."
            )
        return float(self.coverage[place[0]])

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; an infinite number of degrees of freedom is null."""
        found: dict[str, Any] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, np.ndarray | tuple):
                value = np.asarray(value).tolist()
            if isinstance(value, float) and not math.isfinite(value):
                value = None
            found[entry.name] = value
        return found


def calibrate(
    errors: Sequence[np.ndarray],
    spreads: Sequence[np.ndarray],
    *,
    quantity: str = "error",
    unit: str = "",
    degrees_of_freedom: float = math.inf,
    held_out: float = 0.5,
    seed: int = 0,
) -> Calibration:
    """Find the factor on some structures, and count coverage on the others.

    Args:
        errors: of each structure (n,), predicted less true.
        spreads: of each structure (n,), positive.
        quantity: for people.
        unit: for people.
        degrees_of_freedom: from which a spread was estimated.
        held_out: share of the structures on which coverage is counted.
        seed: of the choice of these, and of the bootstrap.

    Raises:
        FitError: fewer than four structures on either side, no spread, or numbers that
            are not finite.
        ParameterError: a share that is not between 0 and 1.
    """
    if not 0.0 < held_out < 1.0:
        raise ParameterError(f"Wanted held_out between 0 and 1, got {held_out}.")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(errors)).tolist()
    n_held = round(held_out * len(errors))
    fit, held = sorted(order[n_held:]), sorted(order[:n_held])
    if min(len(fit), len(held)) < _FEWEST:
        raise FitError(
            f"Wanted at least {_FEWEST} labeled structures to find the factor and as "
            f"many to count coverage, got {len(fit)} and {len(held)}. Label more."
        )
    ratios = _Ratios.of([errors[k] for k in fit], [spreads[k] for k in fit])
    factor = ratios.factor(np.ones(len(fit)), degrees_of_freedom)
    drawn = rng.multinomial(len(fit), [1 / len(fit)] * len(fit), size=_RESAMPLES)
    factors = [ratios.factor(times, degrees_of_freedom) for times in drawn]
    low, high = np.quantile(factors, [0.025, 0.975]).tolist()
    levels = np.array(LEVELS)
    held_errors, held_spreads = [errors[k] for k in held], [spreads[k] for k in held]
    bars = quantile(levels, degrees_of_freedom)
    within = _within(held_errors, held_spreads, factor * bars)
    sizes = np.array([len(e) for e in held_errors])
    drawn = rng.multinomial(len(held), [1 / len(held)] * len(held), size=_RESAMPLES)
    resampled = (drawn @ within) / (drawn @ sizes)[:, None]
    error, spread = np.concatenate(held_errors), np.concatenate(held_spreads)
    bin_spread, bin_error = _bins(error, spread)
    return Calibration(
        quantity=quantity,
        unit=unit,
        factor=factor,
        factor_interval=(low, high),
        rms_ratio=ratios.rms,
        degrees_of_freedom=float(degrees_of_freedom),
        n_structures=len(fit),
        n_held_out=len(held),
        n_values=len(error),
        levels=levels,
        coverage=within.sum(0) / sizes.sum(),
        coverage_interval=np.quantile(resampled, [0.025, 0.975], axis=0).T,
        raw_coverage=_within(held_errors, held_spreads, bars).sum(0) / sizes.sum(),
        rank_correlation=_rank_correlation(error, spread),
        bin_spread=bin_spread,
        bin_error=bin_error,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ratios:
    """|ε|/σ of many structures, ascending."""

    values: np.ndarray
    structure: np.ndarray
    rms: float

    @staticmethod
    def of(errors: Sequence[np.ndarray], spreads: Sequence[np.ndarray]) -> _Ratios:
        error, spread = np.concatenate(errors), np.concatenate(spreads)
        squares = np.array([(error**2).sum(), (spread**2).sum()])
        if not np.isfinite(squares).all() or not squares.min() > 0:
            raise FitError(
                f"Errors and spreads have the sums of squares {squares.tolist()}; "
                "wanted finite numbers above zero. Members that are equal are no "
                "committee."
            )
        structure = np.repeat(np.arange(len(errors)), [len(part) for part in errors])
        # Where symmetry makes both zero, nothing is said.
        known = (spread > 0) | (error != 0)
        with np.errstate(divide="ignore"):
            ratio = np.abs(error[known]) / spread[known]
        order = np.argsort(ratio)
        return _Ratios(
            values=ratio[order],
            structure=structure[known][order],
            rms=float(np.sqrt(squares[0] / squares[1])),
        )

    def factor(self, times: np.ndarray, degrees_of_freedom: float) -> float:
        """The factor, with each structure counted so many times."""
        weight = np.cumsum(times[self.structure])
        places = np.searchsorted(weight, np.array(_MATCHED) * weight[-1])
        matched = np.maximum(self.values[places], 1e-300)
        ratio = matched / quantile(np.array(_MATCHED), degrees_of_freedom)
        return float(np.exp(np.log(ratio).mean()))


def quantile(level: Any, degrees_of_freedom: float) -> Any:
    """How many standard deviations hold a share `level` of Student's distribution.

    With infinitely many degrees of freedom it is the normal distribution.
    """
    return t.ppf(0.5 + 0.5 * np.asarray(level), degrees_of_freedom)


def _within(
    errors: Sequence[np.ndarray], spreads: Sequence[np.ndarray], bars: np.ndarray
) -> np.ndarray:
    """(n_structures, n_levels) how many errors are within bars times their spread."""
    return np.array(
        [
            (np.abs(error)[:, None] <= spread[:, None] * bars).sum(0)
            for error, spread in zip(errors, spreads, strict=True)
        ],
        dtype=float,
    )


def _rank_correlation(error: np.ndarray, spread: np.ndarray) -> float:
    if min(np.ptp(np.abs(error)), np.ptp(spread)) == 0.0:
        return math.nan
    return float(cast("Any", spearmanr(spread, np.abs(error))).statistic)


def _bins(error: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    parts = np.array_split(np.argsort(spread), max(min(12, len(spread) // 10), 1))

    def rms(values: np.ndarray) -> np.ndarray:
        return np.array([np.sqrt((values[part] ** 2).mean()) for part in parts])

    return rms(spread), rms(error)
