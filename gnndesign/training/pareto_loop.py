"""The loop of a Pareto search: ask for weights and a shape, train, tell what came out."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from gnndesign.errors import (
    CheckpointError,
    FitError,
    GNNDesignError,
    ParameterError,
)
from gnndesign.potentials.files import save_potential
from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.studies import INTERRUPTED, StudyStore, open_study
from gnndesign.training.batches import TrainingSet
from gnndesign.training.dataset import Dataset
from gnndesign.training.model_cost import measure_cost
from gnndesign.training.options import Training
from gnndesign.training.pareto_results import (
    DEFINITION,
    FORMAT,
    ParetoResult,
    ParetoTrial,
    outcome_of,
    read_definition,
    result_of,
    shape_of,
    weights_of,
)
from gnndesign.training.pareto_space import ENERGY, SHAPE, STRESS, ParetoSpace, Range
from gnndesign.training.plan import TrainingPlan
from gnndesign.training.reports import Moment
from gnndesign.training.trainer import Trainer

N_RANDOM = 8
"""Trials at random before the estimator has something to go by."""

Beginning = TrainingPlan | Callable[[Mapping[str, Any]], TrainablePotential[Any]]
"""Where trainings begin: a plan, or a function from the options of a network's shape to
the potential before training, which must be the same at every call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoProgress:
    """How far a Pareto search has come.

    Attributes:
        n_done: trainings that have ended, failed ones included.
        n_trials: how many there are to be.
        number: of the trial under way; None at the end.
        moment: of its training; None when it has ended.
        trial: what has just ended; None in between.
        result: everything so far.
        message: one line for a person.
    """

    n_done: int
    n_trials: int
    number: int | None
    moment: Moment | None
    trial: ParetoTrial | None
    result: ParetoResult
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoSearch:
    """A search that is ready to run; see `search_loss_weights`."""

    begin: Beginning
    data: Dataset
    validation: Dataset
    training: Training
    space: ParetoSpace
    n_trials: int
    seed: int
    should_stop: Callable[[], bool] | None
    folder: Path
    _latest: list[ParetoResult] = field(default_factory=list[ParetoResult])

    @property
    def objectives(self) -> tuple[str, ...]:
        """What is made small; cost, if networks of several shapes are trained."""
        names = ["energy_mae_meV", "forces_mae_meV_per_A"]
        if self.space.stress is not None:
            names.append("stress_mae_GPa")
        if self.space.shape:
            names.append("traffic_kB")
        return tuple(names)

    def definition(self) -> dict[str, Any]:
        """What a study of this search is about; bad input raises here."""
        first = self._potential(self.space.first_shape())
        for dataset in (self.data, self.validation):
            TrainingSet(dataset, first)
        options = asdict(self.training)
        for name in ("energy", "forces", "stress"):
            del options["loss"][name]
        definition = {
            "format": FORMAT,
            "objectives": self.objectives,
            "start": {
                "architecture": first.architecture,
                "checksum": first.card.checksum,
            },
            "data": self.data.checksum,
            "validation": self.validation.checksum,
            "training": options,
            "space": asdict(self.space),
        }
        # As it comes back from the storage: lists for tuples.
        return json.loads(json.dumps(definition))

    def run(
        self, storage: Path, study_name: str, definition: Mapping[str, Any]
    ) -> Generator[ParetoProgress, None, None]:
        """Ask, train and tell until the study has its trials."""
        directions = ["minimize"] * len(self.objectives)
        with open_study(
            storage,
            study_name,
            self._sampler(0),
            directions,  # pyright: ignore[reportArgumentType]
            {DEFINITION: definition},
        ) as store:
            _check(store.study, definition)
            self.folder.mkdir(exist_ok=True)
            stopped = False
            while not (stopped := self._wants_stop()):
                with store.exclusively():
                    trial = store.adopt_abandoned() or self._ask(store)
                if trial is None:
                    break
                if (yield from self._work(store, trial.number, trial.params)):
                    stopped = True
                    break
            yield self._progress(store, why="Stopped" if stopped else "Ended")

    def _wants_stop(self) -> bool:
        return self.should_stop is not None and self.should_stop()

    def _sampler(self, n_before: int) -> optuna.samplers.BaseSampler:
        numbers = np.random.default_rng([self.seed, n_before])
        return optuna.samplers.TPESampler(
            n_startup_trials=N_RANDOM, seed=int(numbers.integers(2**31))
        )

    def _ask(self, store: StudyStore) -> Any:
        taken = [
            trial
            for trial in store.study.get_trials(deepcopy=False)
            if trial.user_attrs.get("reason") != INTERRUPTED
        ]
        if len(taken) >= self.n_trials:
            return None
        store.study.sampler = self._sampler(len(taken))
        return store.ask(_distributions(self.space))

    def _potential(self, shape: Mapping[str, Any]) -> TrainablePotential[Any]:
        if not isinstance(self.begin, TrainingPlan):
            return self.begin(shape)
        if shape and self.begin.start is not None:
            raise ParameterError(
                f"The shape of '{self.begin.start}' is given, got a choice of "
                f"{', '.join(shape)}. Choose weights alone, or begin with an "
                "architecture."
            )
        plan = replace(self.begin, shape={**self.begin.shape, **shape})
        return plan.begin(self.data)

    def _work(
        self, store: StudyStore, number: int, parameters: Mapping[str, Any]
    ) -> Generator[ParetoProgress, None, bool]:
        """Train and tell what came out; whether it was stopped before."""
        checkpoint = self.folder / f"trial_{number:04d}.pt"
        try:
            loss = replace(self.training.loss, **weights_of(parameters))
            trainer = Trainer(
                self._potential(shape_of(parameters)),
                self.data,
                self.validation,
                replace(self.training, loss=loss),
                checkpoint=checkpoint,
                save_every_s=10.0,
            )
            for moment in trainer:
                if self._wants_stop():
                    trainer.stop()
                yield self._progress(store, number=number, moment=moment)
            if trainer.reason == "stopped":
                return True
            values = self._finish(store, number, trainer)
        except (GNNDesignError, MemoryError, torch.OutOfMemoryError) as error:
            # One that fails does not end the others.
            store.set_attribute(number, "reason", f"{type(error).__name__}: {error}")
            store.study.tell(number, state=TrialState.FAIL)
        else:
            store.study.tell(number, values)
        checkpoint.unlink(missing_ok=True)
        self._latest.clear()
        yield self._progress(store, number=number)
        return False

    def _finish(self, store: StudyStore, number: int, trainer: Trainer) -> list[float]:
        """Save the potential; the values of the objectives.

        Raises:
            FitError: an error that is no number.
        """
        best = trainer.best
        assert best is not None, "a training that was not stopped has an epoch"
        potential = trainer.potential()
        cost = measure_cost(potential, trainer.validation)
        known = best.validation.to_dict() | asdict(cost)
        values = [known[name] for name in self.objectives]
        if any(value is None or not np.isfinite(value) for value in values):
            raise FitError(
                f"The errors of the best epoch are {dict(zip(self.objectives, values, strict=True))}."
            )
        file = self.folder / f"trial_{number:04d}.safetensors"
        save_potential(potential, file)
        outcome = outcome_of(best.validation, cost, file, f"{trainer.reason}")
        store.set_attribute(number, "outcome", outcome)
        return values

    def _progress(
        self,
        store: StudyStore,
        *,
        number: int | None = None,
        moment: Moment | None = None,
        why: str = "",
    ) -> ParetoProgress:
        # Read again where something has ended only: batches are many.
        if moment is None or not self._latest:
            trials = store.study.get_trials(deepcopy=False)
            name = store.study.study_name
            self._latest[:] = [result_of(name, self.objectives, trials, self.folder)]
        result = self._latest[0]
        n_done = sum(trial.status != "unfinished" for trial in result.trials)
        message = f"{n_done} of {self.n_trials} trainings through."
        if moment is not None:
            message = f"Trial {number}, epoch {moment.epoch}. {message}"
        elif why:
            n_left = len(result.trials) - n_done
            rest = f" {n_left} under way or stopped." if n_left else ""
            message = f"{why}: {message}{rest}"
            result = replace(result, message=message)
        ended = None
        if moment is None and number is not None:
            ended = next(t for t in result.trials if t.number == number)
        return ParetoProgress(
            n_done=n_done,
            n_trials=self.n_trials,
            number=number,
            moment=moment,
            trial=ended,
            result=result,
            message=message,
        )


def _distributions(space: ParetoSpace) -> dict[str, BaseDistribution]:
    """What `study.ask` is given."""
    found: dict[str, BaseDistribution] = {
        ENERGY: FloatDistribution(*space.energy, log=True)
    }
    if space.stress is not None:
        found[STRESS] = FloatDistribution(*space.stress, log=True)
    for name, options in space.shape.items():
        if not isinstance(options, Range):
            texts = [json.dumps(choice) for choice in options]
            found[SHAPE + name] = CategoricalDistribution(texts)
        elif isinstance(options.low, int) and isinstance(options.high, int):
            found[SHAPE + name] = IntDistribution(
                options.low, options.high, log=options.log
            )
        else:
            found[SHAPE + name] = FloatDistribution(
                options.low, options.high, log=options.log
            )
    return found


def _check(study: optuna.Study, definition: Mapping[str, Any]) -> None:
    """Refuse to mix a study with another search."""
    stored = read_definition(study.study_name, study.user_attrs)
    for key, value in definition.items():
        if stored.get(key) != value:
            raise CheckpointError(
                f"The study '{study.study_name}' was begun with another {key}: "
                f"{stored.get(key)}, now {value}. Resume with the same, or give another "
                "study_name or storage."
            )
