"""What a Pareto search found: `ParetoTrial`, `ParetoResult`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from gnndesign.errors import CheckpointError
from gnndesign.studies import INTERRUPTED, open_existing_study, undominated
from gnndesign.training.evaluation import Errors
from gnndesign.training.model_cost import ModelCost
from gnndesign.training.pareto_space import ENERGY, SHAPE, STRESS

DEFINITION = "gnndesign_pareto"
"""The attribute of a study that says what it is about."""

FORMAT = 1

OBJECTIVES: dict[str, str] = {
    "energy_mae_meV": "Energy error (meV an atom)",
    "forces_mae_meV_per_A": "Force error (meV/Å)",
    "stress_mae_GPa": "Stress error (GPa)",
    "traffic_kB": "Data moved (kB an atom)",
}
"""What may be made small, with titles for axes. Errors are mean absolute errors."""


class ParetoStatus(StrEnum):
    """How a trial stands."""

    FINISHED = "finished"
    FAILED = "failed"
    UNFINISHED = "unfinished"
    """Under way, or stopped; the next run on this study goes on with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoTrial:
    """One training.

    Attributes:
        number: of the Optuna trial, from 0.
        weights: of "energy", "forces" and "stress" in the loss; they sum to one.
        shape: what was chosen of the network's shape.
        errors: on the validation set, of the best epoch; None if not finished.
        cost: of the network; None if not finished.
        file: the potential, for `load_potential`; None if not finished.
        status: how it stands.
        message: why it ended.
    """

    number: int
    weights: Mapping[str, float]
    shape: Mapping[str, Any]
    errors: Errors | None
    cost: ModelCost | None
    file: Path | None
    status: ParetoStatus
    message: str

    def value(self, objective: str) -> float:
        """One of `OBJECTIVES`; NaN if not finished."""
        for part in (self.errors, self.cost):
            if part is not None and hasattr(part, objective):
                return getattr(part, objective)
        return float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoResult:
    """All trials of a study.

    Attributes:
        study_name: in its storage.
        objectives: names of `OBJECTIVES` that are made small.
        trials: ascending by number.
        message: why the search ended, or how it stands.
    """

    study_name: str
    objectives: tuple[str, ...]
    trials: tuple[ParetoTrial, ...]
    message: str

    @property
    def finished(self) -> tuple[ParetoTrial, ...]:
        """The trials that have values."""
        return tuple(t for t in self.trials if t.status is ParetoStatus.FINISHED)

    @property
    def front(self) -> tuple[ParetoTrial, ...]:
        """Finished trials that no other one beats, sorted by the energy error.

        One beats another if it is worse in no objective and better in one.
        """
        trials = self.finished
        if not trials:
            return ()
        values = np.array([[t.value(name) for name in self.objectives] for t in trials])
        best = undominated(values)
        kept = (trial for trial, good in zip(trials, best, strict=True) if good)
        return tuple(sorted(kept, key=lambda trial: trial.value(self.objectives[0])))

    @classmethod
    def load(cls, storage: Path | str, study_name: str | None = None) -> ParetoResult:
        """Read a study without running it.

        Args:
            storage: its SQLite file.
            study_name: which study; None for the only one there is.

        Raises:
            CheckpointError: no such file or study, or not one of a Pareto search.
        """
        with open_existing_study(storage, study_name) as store:
            definition = read_definition(store.study.study_name, store.study.user_attrs)
            return result_of(
                store.study.study_name,
                definition["objectives"],
                store.study.get_trials(deepcopy=False),
                trials_folder(storage),
            )


def trials_folder(storage: Path | str) -> Path:
    """Where the potentials of a study are."""
    database = Path(storage).expanduser().absolute()
    return database.with_name(f"{database.name}.trials")


def read_definition(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What a study is about, as it was written when it was begun.

    Raises:
        CheckpointError: it was not begun by a Pareto search of this version.
    """
    definition = attributes.get(DEFINITION)
    if definition is None or definition.get("format") != FORMAT:
        raise CheckpointError(
            f"The study '{name}' was not begun by search_loss_weights of this version. "
            "Give another study_name or storage."
        )
    return definition


def weights_of(parameters: Mapping[str, Any]) -> dict[str, float]:
    """Shares of energy, forces and stress in the loss, from what was chosen."""
    over_forces = {
        "energy": float(parameters[ENERGY]),
        "forces": 1.0,
        "stress": float(parameters.get(STRESS, 0.0)),
    }
    total = sum(over_forces.values())
    return {name: weight / total for name, weight in over_forces.items()}


def shape_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the network's shape, from what was chosen."""
    return {
        name.removeprefix(SHAPE): _choice(value) if isinstance(value, str) else value
        for name, value in parameters.items()
        if name.startswith(SHAPE)
    }


def _choice(text: str) -> Any:
    """Choices are kept as JSON, which has lists where shapes have tuples."""
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else value


def outcome_of(errors: Errors, cost: ModelCost, file: Path, message: str) -> Any:
    """What a study keeps of a finished trial."""
    return {
        "errors": errors.to_dict(),
        "cost": asdict(cost),
        "file": file.name,
        "message": message,
    }


def result_of(
    study_name: str, objectives: Iterable[str], trials: Iterable[Any], folder: Path
) -> ParetoResult:
    """What the Optuna trials of a study hold; those without parameters are left out."""
    found = tuple(
        _trial_of(frozen, folder)
        for frozen in trials
        if frozen.user_attrs.get("reason") != INTERRUPTED and ENERGY in frozen.params
    )
    n_done = sum(trial.status is not ParetoStatus.UNFINISHED for trial in found)
    return ParetoResult(
        study_name=study_name,
        objectives=tuple(objectives),
        trials=found,
        message=f"{n_done} trainings ended.",
    )


def _trial_of(frozen: Any, folder: Path) -> ParetoTrial:
    state = {"COMPLETE": ParetoStatus.FINISHED, "FAIL": ParetoStatus.FAILED}
    status = state.get(frozen.state.name, ParetoStatus.UNFINISHED)
    outcome = frozen.user_attrs.get("outcome")
    if status is not ParetoStatus.FINISHED or outcome is None:
        outcome = {"message": frozen.user_attrs.get("reason", "")}
    return ParetoTrial(
        number=frozen.number,
        weights=weights_of(frozen.params),
        shape=shape_of(frozen.params),
        errors=Errors.from_dict(outcome["errors"]) if "errors" in outcome else None,
        cost=ModelCost(**outcome["cost"]) if "cost" in outcome else None,
        file=folder / outcome["file"] if "file" in outcome else None,
        status=status,
        message=outcome["message"],
    )
