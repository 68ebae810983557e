"""What a search found: `SearchResult`, and the best of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gnndesign.errors import ParameterError
from gnndesign.search.export import export_best, write_csv
from gnndesign.search.trials import ConstraintColumn, ObjectiveColumn, Trial
from gnndesign.studies import undominated


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """All finished trials of a study.

    Attributes:
        study_name: in its storage.
        space: what was searched, as `Space.to_dict` describes it.
        objectives: names, units and directions of the values.
        constraints: names, units and bounds of what must hold.
        potential: name of the potential.
        n_candidates: size of the space.
        trials: ascending by number; interrupted ones included.
        message: why the search ended, or how it stands.
    """

    study_name: str
    space: Mapping[str, Any]
    objectives: tuple[ObjectiveColumn, ...]
    constraints: tuple[ConstraintColumn, ...]
    potential: str
    n_candidates: int
    trials: tuple[Trial, ...]
    message: str

    @property
    def evaluated(self) -> tuple[Trial, ...]:
        """The trials that have values."""
        return tuple(trial for trial in self.trials if trial.values)

    def best(self, n: int | None = 10) -> tuple[Trial, ...]:
        """The best trials.

        Args:
            n: at most so many; None for all.

        Returns:
            With one objective, the trials with the best values, best first. With
            several, the trials that no other one beats in all objectives (the Pareto
            front), sorted by the first objective.
        """
        if n is not None and n < 1:
            raise ParameterError(f"Wanted at least one best trial, got n={n}.")
        trials = [trial for trial in self.trials if trial.is_feasible]
        if not trials:
            return ()
        costs = np.array(
            [
                [c.sign * trial.values[c.name] for c in self.objectives]
                for trial in trials
            ]
        )
        chosen = np.arange(len(trials))
        if len(self.objectives) > 1:
            chosen = np.flatnonzero(undominated(costs))
        order = chosen[np.argsort(costs[chosen, 0], kind="stable")]
        return tuple(trials[int(index)] for index in order[:n])

    def to_csv(self, path: str | Path) -> Path:
        """Write all trials as a table with units in the column names."""
        return write_csv(self.trials, self.objectives, Path(path))

    def export_best(self, folder: str | Path, n: int = 10) -> Path:
        """Write the best n as CIF files and one table, best.csv, that names them.

        Returns:
            The path of the table, whose columns `rank` and `cif` lead to the files.

        Raises:
            ParameterError: n is below 1, or no trial has a value yet.
        """
        best = self.best(n)
        if not best:
            raise ParameterError(
                f"None of the {len(self.trials)} trials has a value; nothing to export."
            )
        return export_best(best, self.objectives, Path(folder))
