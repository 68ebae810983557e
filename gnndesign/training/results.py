"""`train`: a potential from data in one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.training.dataset import Dataset
from gnndesign.training.evaluation import Parity, evaluate_set
from gnndesign.training.options import Training
from gnndesign.training.reports import EpochReport, Moment
from gnndesign.training.trainer import Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a training ended with.

    Attributes:
        potential: with the weights of the best epoch; `save_potential` writes it.
        history: a report an epoch.
        best: the report of the best epoch.
        reason: why it ended.
        parity: found and wanted values of the validation set, of `potential`.
    """

    potential: TrainablePotential[Any]
    history: tuple[EpochReport, ...]
    best: EpochReport
    reason: str
    parity: Parity


def train(
    potential: TrainablePotential[Any],
    data: Dataset,
    validation: Dataset,
    training: Training | None = None,
    *,
    checkpoint: Path | str | None = None,
    on_moment: Callable[[Moment], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TrainingResult | None:
    """Train a potential on labelled structures.

    Args:
        potential: of `new_potential` or `load_potential`; it is not modified.
        data: to learn from.
        validation: to choose the best epoch by.
        training: how; None for the defaults.
        checkpoint: a file to save to, and to go on from if it is there.
        on_moment: called after every batch.
        should_stop: asked after every batch.

    Returns:
        The result; None if it was stopped before the first epoch had ended.

    Raises:
        StructureError, UnsupportedElementError, ParameterError, CheckpointError: see
            `Trainer`.
        FitError: the loss became infinite or no number.
    """
    trainer = Trainer(
        potential, data, validation, training or Training(), checkpoint=checkpoint
    )
    for moment in trainer:
        if on_moment is not None:
            on_moment(moment)
        if should_stop is not None and should_stop():
            trainer.stop()
    best = trainer.best
    if best is None:
        return None
    trained = trainer.potential()
    return TrainingResult(
        potential=trained,
        history=tuple(trainer.history),
        best=best,
        reason=trainer.reason,
        parity=evaluate_set(trained, trainer.validation),
    )
