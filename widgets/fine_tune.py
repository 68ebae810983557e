"""Fine-tuning in the notebook: what is learned, what is remembered, and the errors."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from traitlets import Bool, Float, HasTraits, Instance, Int, Tuple, Unicode

from gnndesign.errors import CheckpointError
from gnndesign.jobs.fine_tuning import read_fine_tuning
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.plots.teaching import errors_before_and_after
from gnndesign.training.fine_tune import FINE_TUNING
from gnndesign.training.fine_tune_plan import FineTuningPlan
from gnndesign.training.fine_tune_results import FineTuningReport
from gnndesign.training.options import Training
from gnndesign.training.plan import TrainingPlan
from gnndesign.training.reports import EpochReport
from gnndesign_widgets.dataset_look import data_path
from gnndesign_widgets.figures import Build, Figures
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.options import OptionsModel, other_fields
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.trained import potential_label
from gnndesign_widgets.training import TrainingModel
from gnndesign_widgets.training_reports import ReportsReader, use_trained

ERRORS = "Before and after"

_OWN = ("epochs", "batch_size", "learning_rate", "seed", "calibrate")
"""Options of `Training` that the model has itself, or that mean nothing here."""


class FineTuneModel(HasTraits):
    """What a trained potential learns more, and what has come of it.

    The data are those of the `TrainingModel`.

    Attributes:
        start_from: name or file of the potential.
        replay: file of structures with old labels; empty for crystals of the library
            that the potential labels itself.
        replay_ratio: replay structures per new one.
        refit_shift: move the energies of the elements to the data's level of theory.
        epochs, batch_size, learning_rate, seed: of `Training`.
        more: other options of `Training`; its defaults are those of `FINE_TUNING`.
        job: the job that is followed.
        history: its reports so far.
        report: errors before and after; None before anything is known.
        figures: for the stage.
    """

    start_from = Unicode("sevennet-0")
    replay = Unicode("")
    replay_ratio = Float(2.0)
    refit_shift = Bool(default_value=True)
    epochs = Int(FINE_TUNING.epochs)
    batch_size = Int(FINE_TUNING.batch_size)
    learning_rate = Float(FINE_TUNING.learning_rate)
    seed = Int(0)
    history: tuple[EpochReport, ...] = Tuple()  # pyright: ignore[reportAssignmentType]
    report: FineTuningReport | None = Instance(FineTuningReport, allow_none=True)  # pyright: ignore[reportAssignmentType]

    def __init__(self, training: TrainingModel, potential: PotentialModel) -> None:
        super().__init__()
        self.training = training
        self._potential = potential
        self._reader = ReportsReader()
        self.figures = Figures(title="Fine-tuning")
        self.more = OptionsModel(other_fields(Training, _OWN, FINE_TUNING))
        self.job = JobModel(JobKind.FINE_TUNE)
        self.job.observe(self._read, ["revision", "job_id"])
        training.observe(self._offer, "look")

    def plan(self) -> FineTuningPlan:
        """What would be learned now.

        Raises:
            ParameterError: something is missing, or out of range.
        """
        replay = self.replay.strip()
        return FineTuningPlan(
            plan=TrainingPlan(
                **self.training.data_options(),
                start=_whole_path(self.start_from.strip()),
                seed=self.seed,
                options=self.training_options(),
            ),
            replay=str(data_path(replay)) if replay else None,
            replay_ratio=self.replay_ratio,
            refit_shift=self.refit_shift,
        )

    def training_options(self) -> dict[str, Any]:
        """What differs from `FINE_TUNING`.

        Raises:
            ParameterError: what was typed is no value of its field.
        """
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
            **self.more.values(),
        }

    def start(self) -> None:
        """Submit a fine-tuning.

        Raises:
            GNNDesignError: the plan makes no sense, or there is no such potential.
        """
        plan = self.plan()
        what = potential_label(plan.start)
        self.job.submit(
            JobSpec.create(
                JobKind.FINE_TUNE,
                potential=plan.start,
                parameters=plan.to_dict(),
                device=self._potential.device_for_job,
                title=f"fine-tune {what} on {data_path(self.training.data).name}",
            )
        )
        self.figures.shown = ERRORS

    def use_potential(self) -> str:
        """Make the best potential so far that of the next job.

        Raises:
            JobError: there is none yet.
            CheckpointError: its file is damaged.
        """
        every = "one comes with the first epoch"
        return use_trained(self.job.store, self._potential, every, self.history)

    def _read(self, _change: object = None) -> None:
        store = self.job.store
        self._reader.read(store)
        try:
            self.report = None if store is None else read_fine_tuning(store)
        except CheckpointError as error:
            self.job.message = str(error)
        self.history = self._reader.history
        self._offer()

    def _offer(self, _change: object = None) -> None:
        builds: dict[str, Build] = {}
        if self.report is not None:
            builds[ERRORS] = partial(errors_before_and_after, self.report)
        builds |= self._reader.builds() | self.training.data_builds()
        store = self.job.store
        with self.figures.hold_trait_notifications():
            self.figures.title = (
                f"Fine-tuning: {store.spec.title}" if store else "Fine-tuning"
            )
            self.figures.builds = builds


def _whole_path(name: str) -> str:
    """A file's, because a worker may stand in another folder; else the name."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.suffix or len(path.parts) > 1 else name
