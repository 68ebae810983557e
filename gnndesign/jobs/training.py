"""What a worker does to train a potential, and what it leaves in the job's folder.

epochs.json            a list of epochs, as `EpochReport` has it
parity.npz              found and wanted values of the validation set, best epoch
potential.safetensors   the potential of the best epoch, for `load_potential`
training.pt             the checkpoint
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gnndesign.disk import replacing, write_atomically
from gnndesign.jobs.control import Control, Progress
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.store import JobStore
from gnndesign.potentials.catalog import choose_device
from gnndesign.potentials.files import save_potential
from gnndesign.training.evaluation import Parity
from gnndesign.training.plan import TrainingPlan
from gnndesign.training.reports import EpochReport, Moment
from gnndesign.training.trainer import Trainer

SAVE_EVERY_S = 10.0
"""Seconds between checkpoints; what a killed worker has computed twice at most."""


def epochs_file(store: JobStore) -> Path:
    """Where a training job's reports are."""
    return store.folder / "epochs.json"


def trained_file(store: JobStore) -> Path:
    """Where a training job's potential is."""
    return store.folder / "potential.safetensors"


def read_epochs(store: JobStore) -> list[EpochReport]:
    """The reports of a training job so far."""
    path = epochs_file(store)
    if not path.is_file():
        return []
    return [EpochReport.from_dict(row) for row in json.loads(path.read_text("utf-8"))]


def read_parity(store: JobStore) -> Parity | None:
    """The validation of a training job's best epoch; None before the first."""
    try:
        with np.load(store.folder / "parity.npz", allow_pickle=False) as arrays:
            return Parity(
                energy=arrays["energy"],
                forces=arrays["forces"],
                stress=arrays["stress"],
                n_atoms=int(arrays["n_atoms"]),
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None  # Not there yet.


def run_training(
    store: JobStore, spec: JobSpec, control: Control
) -> Iterator[Progress]:
    """Train; the checkpoint in the store is what a resumed job goes on from."""
    plan = TrainingPlan.from_dict(spec.parameters)
    training = plan.training
    training = replace(training, epochs=control.total or training.epochs)
    done = store.status().done
    yield Progress(done=done, total=training.epochs, message="Reading the data.")
    data, validation = plan.load_data()
    trainer = Trainer(
        plan.begin(data, choose_device(spec.device)),
        data,
        validation,
        training,
        checkpoint=store.folder / "training.pt",
        save_every_s=SAVE_EVERY_S,
    )

    def save() -> None:
        save_potential(trainer.potential(), trained_file(store))

    yield from run_epochs(store, trainer, control, training.epochs, save)


def run_epochs(
    store: JobStore,
    trainer: Trainer,
    control: Control,
    epochs: int,
    save: Callable[[], None],
) -> Iterator[Progress]:
    """Train until it is stopped or there are as many epochs as are wanted by then.

    Args:
        store: of the job, where reports go.
        trainer: new, or read from its checkpoint.
        control: of the job.
        epochs: as many as were planned.
        save: writes what the best epoch so far gave.
    """
    if trainer.best is not None:
        write_reports(store, trainer, improved=True)
        save()
    for moment in trainer:
        if moment.report is not None:
            write_reports(store, trainer, improved=moment.report.is_best)
            if moment.report.is_best:
                save()
        if control.should_stop():
            trainer.stop()
        control.hear()
        trainer.training = replace(trainer.training, epochs=control.total or epochs)
        yield Progress(
            done=len(trainer.history),
            total=trainer.training.epochs,
            message=said_of(trainer, moment),
        )


def write_reports(store: JobStore, trainer: Trainer, *, improved: bool) -> None:
    """Write what its epochs brought, and the parity of a better one."""
    rows = [report.to_dict() for report in trainer.history]
    write_atomically(epochs_file(store), json.dumps(rows, allow_nan=False))
    if not improved:
        return
    parity = trainer.parity
    if parity is not None:
        arrays: dict[str, Any] = {
            "energy": parity.energy,
            "forces": parity.forces,
            "stress": parity.stress,
            "n_atoms": np.array(parity.n_atoms),
        }
        with replacing(store.folder / "parity.npz") as partial:
            np.savez_compressed(partial, **arrays)


def said_of(trainer: Trainer, moment: Moment) -> str:
    """How far a training is, in a sentence."""
    if trainer.reason and not trainer.reason.startswith("all"):
        return f"Ended: {trainer.reason}."
    said = f"Epoch {moment.epoch}, batch {moment.batch} of {moment.n_batches}."
    best = trainer.best
    if best is None:
        return said
    errors = best.validation
    return (
        f"{said} Best validation in epoch {best.epoch}: "
        f"{errors.energy_mae_meV:.3g} meV an atom, "
        f"{errors.forces_mae_meV_per_A:.3g} meV/Å."
    )
