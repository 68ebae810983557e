"""What a search found: `SearchResult`, and the best of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gnndesign.errors import ParameterError
from gnndesign.search.export import export_best, write_csv
from gnndesign.search.fronts import pareto_front
from gnndesign.search.trials import ConstraintColumn, ObjectiveColumn, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """All finished trials of a study.

    Attributes:
        study_name: in its storage.
        space: what was searched, as `Space.to_dict` describes it.
        objectives: names, units and directions of the values.
        potential: name of the potential.
        n_candidates: size of the space.
        trials: ascending by number; interrupted ones included.
        message: why the search ended, or how it stands.
        constraints: names, units and bounds of what a candidate must keep.
        provenance: whatever else is known of how it was made, as JSON has it: the
            potential's checksum, how candidates are relaxed, the energies of the
            elements, and of each run strategy, seed and versions; dates.
    """

    study_name: str
    space: Mapping[str, Any]
    objectives: tuple[ObjectiveColumn, ...]
    potential: str
    n_candidates: int
    trials: tuple[Trial, ...]
    message: str
    constraints: tuple[ConstraintColumn, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def evaluated(self) -> tuple[Trial, ...]:
        """The trials that have a value of every objective."""
        wanted = {column.name for column in self.objectives}
        return tuple(t for t in self.trials if t.values and wanted <= t.values.keys())

    @property
    def feasible(self) -> tuple[Trial, ...]:
        """Those of them that miss no constraint."""
        return tuple(trial for trial in self.evaluated if trial.is_feasible)

    @property
    def infeasible(self) -> tuple[Trial, ...]:
        """All trials that miss a constraint, whether they have values or not."""
        return tuple(trial for trial in self.trials if not trial.is_feasible)

    def trial(self, number: int) -> Trial:
        """The trial of a number, such as the customdata of a point that was clicked.

        Raises:
            ParameterError: there is none.
        """
        for trial in self.trials:
            if trial.number == number:
                return trial
        raise ParameterError(
            f"The study '{self.study_name}' has no finished trial {number}; it has "
            f"{len(self.trials)}."
        )

    def best(self, n: int | None = 10) -> tuple[Trial, ...]:
        """The best trials among those that miss no constraint.

        Args:
            n: at most so many; None for all.

        Returns:
            With one objective, the trials with the best values, best first. With
            several, the trials that no other one beats in all objectives (the Pareto
            front), sorted by the first objective.
        """
        if n is not None and n < 1:
            raise ParameterError(f"Wanted at least one best trial, got n={n}.")
        trials = self.feasible
        if not trials:
            return ()
        costs = np.array(
            [[c.sign * t.values[c.name] for c in self.objectives] for t in trials],
            dtype=float,
        )
        if len(self.objectives) > 1:
            order = pareto_front(costs)
        else:
            order = np.argsort(costs[:, 0], kind="stable")
        return tuple(trials[int(index)] for index in order[:n])

    def to_csv(self, path: str | Path) -> Path:
        """Write all trials as a table with units in the column names."""
        return write_csv(self.trials, self.objectives, self.constraints, Path(path))

    def export_best(self, folder: str | Path, n: int = 10) -> Path:
        """Write the best n as CIF files, best.json with how they were found, and a table.

        Each file is written whole or not at all, the table last: where best.csv is, all
        it names is.

        Returns:
            The path of the table, best.csv, whose columns `rank` and `cif` lead to the
            files.

        Raises:
            ParameterError: n is below 1, or no trial has a value yet.
        """
        best = self.best(n)
        if not best:
            raise ParameterError(
                f"None of the {len(self.trials)} trials has a value and misses no "
                "constraint; nothing to export."
            )
        definition = {
            "study_name": self.study_name,
            "message": self.message,
            "space": dict(self.space),
            "n_candidates": self.n_candidates,
            "n_trials": len(self.trials),
            "n_evaluated": len(self.evaluated),
            "n_infeasible": len(self.infeasible),
            "potential": self.potential,
            "provenance": dict(self.provenance),
        }
        return export_best(
            best, self.objectives, self.constraints, Path(folder), definition
        )
