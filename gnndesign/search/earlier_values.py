"""Reads what a search can start from: earlier studies, and tables of the literature."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from optuna.trial import TrialState
from pymatgen.core import Composition
from pymatgen.core.composition import CompositionError

from gnndesign.errors import ParameterError
from gnndesign.search.notation import measure_to_text
from gnndesign.search.objectives import Objective
from gnndesign.search.pool import Choice, Pool
from gnndesign.search.record import MEASURES
from gnndesign.search.space import Space
from gnndesign.search.study import load_search
from gnndesign.search.warm_start import WarmStart
from gnndesign.studies import open_existing_study

Key = frozenset[tuple[str, float]]

_LITTLE = 0.1
"""Noise of the values of another search, which may have had another potential."""


def warm_start_from_study(
    storage: str | Path, study_name: str | None = None, *, noise: float = _LITTLE
) -> tuple[WarmStart, ...]:
    """What an earlier search found, for each of its objectives in their order.

    Its objectives need not be those of the new search: take the wanted ones and say with
    `dataclasses.replace(start, objective=...)` what they are about. Of trials that missed
    a constraint nothing is taken.

    Args:
        storage: of the earlier study.
        study_name: which; None for the only one there is.
        noise: see `WarmStart`; little for the same potential and settings.

    Raises:
        CheckpointError: no such storage or study.
        ParameterError: the study has no finished trials.
    """
    with open_existing_study(storage, study_name) as store:
        states = (TrialState.COMPLETE,)
        trials = store.study.get_trials(deepcopy=False, states=states)
        n_objectives = len(store.study.directions)
    if not trials:
        raise ParameterError(f"The study in {storage} has no trial with values.")
    starts: list[WarmStart] = []
    for number in range(n_objectives):
        values: list[float] = []
        for trial in trials:
            measures = list(trial.user_attrs.get(MEASURES, {}).values())
            told = len(measures) == n_objectives
            values.append(measures[number]["value"] if told else trial.values[number])
        starts.append(
            WarmStart(
                choices=tuple(dict(trial.params) for trial in trials),
                values=tuple(map(float, values)),
                objective=number,
                noise=noise,
            )
        )
    return tuple(starts)


def warm_start_from_csv(
    path: str | Path,
    space: Space,
    *,
    value: str,
    formula: str | None = None,
    objective: int = 0,
    noise: float = 0.3,
) -> WarmStart:
    """Values of a table, of the literature for example.

    Args:
        path: of a CSV file whose first line names the columns.
        space: what will be searched. Lines about other candidates are passed over.
        value: column of the values. Lines where it is empty are passed over.
        formula: column of the formulas. One that is written like a candidate's stands
            for that candidate ("SrTiO3" for strontium on the first site), another one for
            the only candidate of that composition. Every candidate is looked at, which
            takes a minute in a space of a million. Without it, the choices are in
            columns named like the parameters of the space.
        objective: see `WarmStart`.
        noise: see `WarmStart`.

    Raises:
        ParameterError: a column is missing, a value is no number, or no line is about a
            candidate of the space.
        FileNotFoundError: there is no such file.
    """
    wanted = list(space.pool.options) if formula is None else [formula]
    found: list[tuple[Mapping[str, Choice], float]] = []
    by_name = _Formulas(space) if formula is not None else None
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        missing = {*wanted, value} - set(table.fieldnames or ())
        if missing:
            raise ParameterError(
                f"{path} has no column {', '.join(sorted(missing))}; it has "
                f"{', '.join(table.fieldnames or ())}."
            )
        for row, number in _numbers(table, value, path):
            choices = (
                by_name.find(row[wanted[0]])
                if by_name is not None
                else _options(space.pool, row)
            )
            if choices is not None:
                found.append((choices, number))
    if not found:
        raise ParameterError(f"No line of {path} is about a candidate of the space.")
    return WarmStart(
        choices=tuple(choices for choices, _ in found),
        values=tuple(number for _, number in found),
        objective=objective,
        noise=noise,
    )


def warm_starts_from_text(
    text: str, space: Space, objectives: Sequence[Objective]
) -> tuple[WarmStart, ...]:
    """What a person points to: earlier searches, and columns of tables.

    Args:
        text: the storage of an earlier search, whatever its objectives were; or
            "FILE.csv:MEASURE=COLUMN", with "formula=COLUMN" where the candidates are
            given by formula: "perovskites.csv:formation_energy=Ef,formula=Formula".
            Several are separated by semicolons; empty for none.
        space: what will be searched.
        objectives: of the search, about whose measures something is to be known.

    Raises:
        ParameterError: the text, or nothing is known of any of the measures.
        CheckpointError: no such storage.
        FileNotFoundError: no such table.
    """
    starts: list[WarmStart] = []
    for part in filter(None, map(str.strip, text.split(";"))):
        path, colon, given = part.partition(".csv:")
        if colon:
            starts += _from_columns(f"{path}.csv", given, space, objectives)
        elif part.endswith(".csv"):
            raise ParameterError(
                f"Wanted {part}:MEASURE=COLUMN, to know what is in which column; also "
                "formula=COLUMN where the candidates are given by formula."
            )
        else:
            starts += _from_search(part, objectives)
    return tuple(starts)


def _from_search(storage: str, objectives: Sequence[Objective]) -> list[WarmStart]:
    """All that an earlier search measured of what is wanted now."""
    earlier = load_search(storage)
    starts: list[WarmStart] = []
    for number, objective in enumerate(objectives):
        column = objective.measure.column
        known = [trial for trial in earlier.trials if column in trial.measured]
        if known:
            starts.append(
                WarmStart(
                    choices=tuple(trial.choices for trial in known),
                    values=tuple(trial.measured[column] for trial in known),
                    objective=number,
                    noise=_LITTLE,
                )
            )
    if not starts:
        columns = sorted({name for trial in earlier.trials for name in trial.measured})
        raise ParameterError(
            f"The search in {storage} measured none of "
            f"{', '.join(o.measure.column for o in objectives)}; it has "
            f"{', '.join(columns) or 'nothing'}."
        )
    return starts


def _from_columns(
    path: str, given: str, space: Space, objectives: Sequence[Objective]
) -> list[WarmStart]:
    """Columns of a table that are told as MEASURE=COLUMN."""
    columns = {
        name.strip(): column.strip()
        for name, _, column in (part.partition("=") for part in given.split(","))
    }
    names = [measure_to_text(objective.measure) for objective in objectives]
    formula = columns.pop("formula", None)
    if not columns or not all(columns.values()) or not set(columns) <= set(names):
        raise ParameterError(
            f"Wanted {path}:MEASURE=COLUMN with a measure of {', '.join(names)}, and "
            f"formula=COLUMN where the candidates are given by formula; got '{given}'."
        )
    return [
        warm_start_from_csv(
            path, space, value=column, formula=formula, objective=names.index(name)
        )
        for name, column in columns.items()
    ]


def _numbers(
    table: csv.DictReader[str], column: str, path: str | Path
) -> Iterator[tuple[dict[str, str], float]]:
    """Lines with a value."""
    for row in table:
        text = (row[column] or "").strip()
        if not text:
            continue
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ParameterError(
                f"Wanted a number as {column} in line {table.line_num} of {path}, got "
                f"'{text}'."
            )
        yield row, number


def _options(pool: Pool, row: Mapping[str, str]) -> dict[str, Choice] | None:
    """The choices that a line spells; None where one is no option."""
    chosen: dict[str, Choice] = {}
    for name, options in pool.options.items():
        text = row[name].strip()
        same = [option for option in options if _spells(text, option)]
        if not same:
            return None
        chosen[name] = same[0]
    return chosen if pool.find(chosen) is not None else None


def _spells(text: str, option: Choice) -> bool:
    if isinstance(option, str):
        return text == option
    try:
        return math.isclose(float(text), option, abs_tol=1e-9)
    except ValueError:
        return False


class _Formulas:
    """Finds the candidates of a space by formula."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._written: dict[str, int] = {}
        self._composed: dict[Key, list[int]] = {}
        for index in range(len(space)):
            candidate = space.candidate(index)
            self._written.setdefault(candidate.formula, index)
            key = _key(candidate.composition)
            self._composed.setdefault(key, []).append(index)

    def find(self, formula: str) -> Mapping[str, Choice] | None:
        """Choices of the candidate; None where there is none, or several."""
        index = self._written.get(formula.strip())
        if index is None:
            try:
                amounts = Composition(formula).get_el_amt_dict()
            except (CompositionError, ValueError):
                return None
            alike = self._composed.get(_key(amounts), [])
            index = alike[0] if len(alike) == 1 else None
        return None if index is None else self._space.pool.choices(index)


def _key(composition: Mapping[str, float]) -> Key:
    """The same for the same composition, however many formula units are counted."""
    total = sum(composition.values()) or 1.0
    return frozenset((s, round(n / total, 6)) for s, n in composition.items() if n > 0)
