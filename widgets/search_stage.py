"""A search's figures for the stage, and its trials as text."""

from __future__ import annotations

import html
from dataclasses import replace
from functools import partial

from gnndesign.jobs.checks import WinnerCheck
from gnndesign.plots.search import draw_search, figures_of
from gnndesign.potentials.base import Card
from gnndesign.search.results import SearchResult
from gnndesign.search.trials import ObjectiveColumn, Trial
from gnndesign.search.trust import trust_flags
from gnndesign_widgets.controls import table
from gnndesign_widgets.figures import Build

_TITLES = {
    "trials": "Trials",
    "history": "History",
    "hypervolume": "Hypervolume",
    "parallel_coordinates": "Parallel",
    "elements": "Elements",
    "ternary": "Ternary",
}
_MARKS = {"bad": "✖", "warning": "⚠", "good": "✔"}


def search_builds(result: SearchResult | None) -> dict[str, Build]:
    """By title, what draws each figure that the result has something to show in."""
    if result is None or not result.trials:
        return {}
    kinds = figures_of(result)
    return {
        _TITLES.get(kind, kind.replace("_", " ").capitalize()): partial(
            draw_search, result, kind
        )
        for kind in kinds
    }


def leading(result: SearchResult, n: int) -> list[tuple[int, Trial]]:
    """The best trials, and what is behind them, best first.

    Returns:
        At most n trials with their places; with several objectives the place is that of
        the front a trial is on, 1 for the Pareto front.
    """
    if len(result.objectives) == 1:
        return list(enumerate(result.best(n), 1))
    found: list[tuple[int, Trial]] = []
    place, rest = 1, result
    while len(found) < n and (front := rest.best(None)):
        found += [(place, trial) for trial in front]
        place += 1
        gone = {trial.number for trial in front}
        left = tuple(trial for trial in rest.trials if trial.number not in gone)
        rest = replace(rest, trials=left)
    return found[:n]


def best_columns(result: SearchResult) -> list[str]:
    """What stands above `best_row`."""
    place = "Front" if len(result.objectives) > 1 else ""
    return [place, "Formula", *map(_head, result.objectives), "Status"]


def best_row(
    place: int, trial: Trial, result: SearchResult, check: WinnerCheck | None = None
) -> list[str]:
    """A trial as a row: place, formula, values, and the worst that is known of it."""
    values = [number(trial.values[column.name]) for column in result.objectives]
    flags = trust_flags(trial) if check is None else check.flags
    said = f"{_MARKS[flags[0].level]} {flags[0].words}" if flags else str(trial.status)
    if check is not None:
        said = f"{check.status}: {check.standing}; {said}"
    return [str(place), trial.formula, *values, said]


def trial_html(
    trial: Trial,
    result: SearchResult,
    card: Card | None,
    check: WinnerCheck | None = None,
) -> str:
    """Everything that is known of a trial."""
    rows = [
        [_words(c.name), f"{number(trial.values[c.name])} {c.unit}".strip()]
        for c in result.objectives
        if c.name in trial.values
    ]
    bounded = {column.column for column in result.constraints}
    rows += [
        [_words(name), number(value)]
        for name, value in trial.measured.items()
        # An objective that is to be small or large is the number itself.
        if name not in bounded and value not in trial.values.values()
    ]
    for column in result.constraints:
        if column.name in trial.constraints:
            over = trial.constraints[column.name]
            kept = "kept" if over <= 0 else f"missed by {number(over)} {column.unit}"
            value = trial.measured.get(column.column)
            if value is not None:
                kept = f"{number(value)} {column.unit}, {kept}"
            rows.append([f"constraint on {_words(column.name)}", kept])
    chosen = ", ".join(f"{name} {choice}" for name, choice in trial.choices.items())
    rows += [["choice", chosen], ["status", str(trial.status)]]
    if trial.max_force is not None:
        steps = f"{trial.steps} steps, {number(trial.max_force)} eV/Å left"
        rows.append(["relaxation", steps])
    said = [trial.message] if trial.message else []
    flags = trust_flags(trial, card)
    if check is not None:
        flags = check.flags
        rows.append(["reality check", f"{check.status}: {check.standing}"])
        said += [check.message] if check.message else []
    said += [f"{_MARKS[f.level]} {f.words}: {f.sentence}" for f in flags]
    title = f"Trial {trial.number}: {trial.formula}"
    lines = "".join(f"<div>{html.escape(line)}</div>" for line in said)
    return table([title, ""], rows) + lines


def number(value: float) -> str:
    """With four digits."""
    return f"{value:.4g}"


def _head(column: ObjectiveColumn) -> str:
    return f"{_words(column.name)} ({column.unit})" if column.unit else column.name


def _words(name: str) -> str:
    return name.replace("_", " ")
