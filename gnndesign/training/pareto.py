"""Which weights of the loss, and which network, are worth having: a Pareto front.

Errors of energy and of forces, and the cost of a network, cannot all be small at once.
Every trial is a whole training with other weights (and another shape, if wanted); the
front are those that no other one beats. Trials are proposed by a tree-structured Parzen
estimator for several objectives (Y. Ozaki et al., GECCO 2020), after random ones.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gnndesign.errors import ParameterError
from gnndesign.training.dataset import Dataset
from gnndesign.training.options import Training
from gnndesign.training.pareto_loop import Beginning, ParetoProgress, ParetoSearch
from gnndesign.training.pareto_results import ParetoResult, ParetoTrial, trials_folder
from gnndesign.training.pareto_space import ParetoSpace
from gnndesign.training.plan import TrainingPlan


def search_loss_weights(
    begin: Beginning,
    data: Dataset,
    validation: Dataset,
    *,
    storage: Path | str,
    training: Training | None = None,
    space: ParetoSpace | None = None,
    n_trials: int = 20,
    seed: int = 0,
    study_name: str = "pareto",
    on_trial: Callable[[ParetoTrial], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> ParetoResult:
    """Train with many weights of the loss and keep what no other training beats.

    Objectives are the mean absolute errors of energy, forces and, where there are
    labels, stress on the validation set; and the data moved an atom (see `ModelCost`),
    if shapes are chosen, too. Started again with the same storage, the search goes on
    until the study has `n_trials`, with a training that was stopped or killed from its
    checkpoint. Several processes may work on one study at the same time.

    Args:
        begin: where every training begins.
        data: to learn from.
        validation: to choose epochs and trials by. The front is so a little flattered:
            test a potential that you take from it on other structures.
        storage: an SQLite file on a disk of this machine. The potentials are beside it
            in NAME.trials, as `ParetoTrial.file` says.
        training: how, but for the weights of its loss; None for that of the plan, or
            the defaults.
        space: what is chosen; None for weights alone.
        n_trials: trainings in all, those of earlier runs on this storage included;
            failed ones count.
        seed: of the proposals. Each draws its random numbers from the seed and the
            number of trials before.
        study_name: in the storage.
        on_trial: called after every training.
        should_stop: asked after every batch.

    Returns:
        All trials of the study. One whose loss diverged, or whose shape no network
        has, is a failed one with the reason as its message.

    Raises:
        ParameterError: options out of range, or no labels of energy or of forces.
        StructureError, UnsupportedElementError: a structure that cannot be learned.
        CheckpointError: the storage holds a study of something else under this name.
    """
    steps = iterate_loss_weights(
        begin,
        data,
        validation,
        storage=storage,
        training=training,
        space=space,
        n_trials=n_trials,
        seed=seed,
        study_name=study_name,
        should_stop=should_stop,
    )
    result: ParetoResult | None = None
    for progress in steps:
        result = progress.result
        if progress.trial is not None and on_trial is not None:
            on_trial(progress.trial)
    assert result is not None, "iterate_loss_weights yields at least once"
    return result


def iterate_loss_weights(
    begin: Beginning,
    data: Dataset,
    validation: Dataset,
    *,
    storage: Path | str,
    training: Training | None = None,
    space: ParetoSpace | None = None,
    n_trials: int = 20,
    seed: int = 0,
    study_name: str = "pareto",
    should_stop: Callable[[], bool] | None = None,
) -> Generator[ParetoProgress, None, None]:
    """`search_loss_weights` as a generator; close it to stop between two batches.

    Arguments are checked at once, before the first step. It yields after every batch,
    after every training, and once more at the end with a message that says why.
    """
    if n_trials < 1:
        raise ParameterError(f"Wanted n_trials >= 1, got {n_trials}.")
    if training is None:
        training = begin.training if isinstance(begin, TrainingPlan) else Training()
    search = ParetoSearch(
        begin=begin,
        data=data,
        validation=validation,
        training=training,
        space=_without_labels_lacking(space or ParetoSpace(), data, validation),
        n_trials=n_trials,
        seed=seed,
        should_stop=should_stop,
        folder=trials_folder(storage),
    )
    return search.run(Path(storage).expanduser(), study_name, search.definition())


def _without_labels_lacking(
    space: ParetoSpace, data: Dataset, validation: Dataset
) -> ParetoSpace:
    """Leaves out stress where nobody knows it.

    Raises:
        ParameterError: a data set has no energies or no forces.
    """
    for dataset in (data, validation):
        if not np.isfinite(dataset.energy).any() or not any(
            forces is not None for forces in dataset.forces
        ):
            raise ParameterError(
                f"{dataset.source}: wanted energies and forces, whose errors are "
                "weighed against each other, got labels of one of them at most. Train "
                "on what there is with train()."
            )
    stresses = (data.stress, validation.stress)
    if all(bool(np.isfinite(stress).any()) for stress in stresses):
        return space
    return replace(space, stress=None)
