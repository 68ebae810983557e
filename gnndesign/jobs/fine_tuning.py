"""What a worker does to fine-tune a potential, and what it leaves beside a training's.

fine_tuning.json        a `FineTuningReport`: errors before, and after the best epoch
training.pt.replay.traj the crystals that the potential has labelled to remember
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gnndesign.disk import write_atomically
from gnndesign.jobs.control import Control, Progress
from gnndesign.jobs.reports import read_report
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.store import JobStore
from gnndesign.jobs.training import SAVE_EVERY_S, run_epochs, trained_file
from gnndesign.potentials.base import Potential
from gnndesign.potentials.files import save_potential
from gnndesign.training.fine_tune import FineTuner
from gnndesign.training.fine_tune_plan import FineTuningPlan
from gnndesign.training.fine_tune_results import FineTuningReport


def fine_tuning_file(store: JobStore) -> Path:
    """Where a fine-tuning job's errors are."""
    return store.folder / "fine_tuning.json"


def read_fine_tuning(store: JobStore) -> FineTuningReport | None:
    """Errors before and after; None before anything is known.

    Raises:
        CheckpointError: they were written by another version.
    """
    return read_report(
        fine_tuning_file(store), FineTuningReport.from_dict, anew="Fine-tune anew."
    )


def run_fine_tuning(
    store: JobStore, spec: JobSpec, potential: Potential, control: Control
) -> Iterator[Progress]:
    """Fine-tune; the checkpoint in the store is what a resumed job goes on from."""
    plan = FineTuningPlan.from_dict(spec.parameters)
    done, epochs = store.status().done, control.total or plan.epochs

    def say(message: str) -> Progress:
        return Progress(done=done, total=epochs, message=message)

    yield say("Reading the data, and labelling what is to be remembered.")
    tuner = plan.prepare(
        potential, checkpoint=store.folder / "training.pt", save_every_s=SAVE_EVERY_S
    )
    trainer = tuner.trainer
    trainer.training = replace(trainer.training, epochs=epochs)
    yield say("Looking at the errors before.")
    _write_report(store, tuner.before)
    yield from run_epochs(
        store, trainer, control, plan.epochs, lambda: _write_result(store, tuner)
    )


def _write_result(store: JobStore, tuner: FineTuner) -> None:
    result = tuner.result()
    if result is not None:
        save_potential(result.potential, trained_file(store))
        _write_report(store, result.report)


def _write_report(store: JobStore, report: FineTuningReport) -> None:
    text = json.dumps(report.to_dict(), allow_nan=False, indent=1)
    write_atomically(fine_tuning_file(store), text)
