"""The training panel: data, a potential, how it learns, and what has come of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from traitlets import (
    Bool,
    Enum,
    Float,
    Instance,
    Int,
    Tuple,
    Unicode,
)

from gnndesign.errors import GNNDesignError
from gnndesign.jobs.pareto import pareto_parameters
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.plots.pareto import pareto_front
from gnndesign.plots.training import label_distributions
from gnndesign.properties.fields import fields_of
from gnndesign.training.evaluation import Parity
from gnndesign.training.loss import Loss
from gnndesign.training.options import Training
from gnndesign.training.pareto_results import ParetoResult
from gnndesign.training.pareto_space import ParetoSpace
from gnndesign.training.plan import TrainingPlan
from gnndesign.training.reports import EpochReport
from gnndesign_widgets.background import Background, Done
from gnndesign_widgets.dataset_look import DatasetLook, data_path, look_at
from gnndesign_widgets.figures import Build, Figures
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.network_shape import NetworkModel
from gnndesign_widgets.options import OptionsModel, other_fields
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.training_reports import (
    CURVES,
    ReportsReader,
    best_of,
    use_trained,
)

SPLITS = {"Structures": "structure", "Whole groups": "group"}

_OWN = (
    *("epochs", "batch_size", "learning_rate", "patience", "seed", "loss"),
    *("augment_rotations", "symmetry_penalty"),
)
"""Options of `Training` that the model has itself."""

LABELS, FRONT = "Data", "Pareto front"


class TrainingModel(NetworkModel):
    """A network, what it is trained on, the job that trains, and what has come of it.

    Attributes:
        data: file or folder of labelled structures.
        validation_share: of the data, to choose the best epoch by.
        split_by: a value of `SPLITS`.
        epochs, batch_size, learning_rate, augment_rotations, symmetry_penalty, seed: of
            `Training`.
        patience: epochs without a better validation; 0 to go on.
        loss: what is made small, see `Loss`.
        more: other options of `Training`.
        job: the job that is followed.
        history: its reports so far.
        parity: found and wanted values of its best epoch; None before the first.
        look: the data set that was looked at; None before.
        looking: what is said of that.
        n_trials: trainings of a Pareto search over the weights of the loss.
        pareto_job: the Pareto search that is followed.
        pareto: what it has found; None before the first trial.
        picked: what is said of the point of the front that was clicked on.
        figures: for the stage.
    """

    data = Unicode("")
    validation_share = Float(0.1)
    split_by = Enum(list(SPLITS.values()), default_value="structure")
    epochs = Int(100)
    batch_size = Int(4)
    learning_rate = Float(2e-3)
    augment_rotations = Bool(default_value=False)
    symmetry_penalty = Float(0.0)
    patience = Int(0)
    seed = Int(0)
    history: tuple[EpochReport, ...] = Tuple()  # pyright: ignore[reportAssignmentType]
    parity: Parity | None = Instance(Parity, allow_none=True)  # pyright: ignore[reportAssignmentType]
    look: DatasetLook | None = Instance(DatasetLook, allow_none=True)  # pyright: ignore[reportAssignmentType]
    looking = Unicode("")
    n_trials = Int(12)
    pareto: ParetoResult | None = Instance(ParetoResult, allow_none=True)  # pyright: ignore[reportAssignmentType]
    picked = Unicode("")

    def __init__(self, potential: PotentialModel) -> None:
        super().__init__()
        self._potential = potential
        self._background = Background()
        self._reader = ReportsReader()
        self.loss = OptionsModel(fields_of(Loss))
        self.more = OptionsModel(other_fields(Training, _OWN))
        self.figures = Figures(title="Training")
        self.job = JobModel(JobKind.TRAIN)
        self.job.observe(self._read, ["revision", "job_id"])
        self.pareto_job = JobModel(JobKind.PARETO)
        self.pareto_job.observe(self._read_pareto, ["revision", "job_id"])

    def plan(self) -> TrainingPlan:
        """What would be trained now.

        Raises:
            ParameterError: something is missing, or out of range.
            StructureError: the data cannot be read.
        """
        return TrainingPlan(
            **self.data_options(),
            architecture=self.architecture,
            shape=self.shape_options(),
            seed=self.seed,
            options=self.training_options(),
        )

    def training_options(self) -> dict[str, Any]:
        """What differs from `Training()`.

        Raises:
            ParameterError: what was typed is no value of its field.
        """
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "augment_rotations": self.augment_rotations,
            "symmetry_penalty": self.symmetry_penalty,
            "patience": self.patience or None,
            "seed": self.seed,
            "loss": self.loss.values(),
            **self.more.values(),
        }

    def data_options(self) -> dict[str, Any]:
        """What a plan says of the data.

        Raises:
            ParameterError: there is no such file.
        """
        return {
            "data": str(data_path(self.data)),
            "validation_share": self.validation_share,
            "split_by": self.split_by,
        }

    def data_builds(self) -> dict[str, Build]:
        """Figures of the data, if they were looked at."""
        if self.look is None:
            return {}
        return {LABELS: partial(label_distributions, self.look.dataset)}

    def start(self) -> None:
        """Submit a training.

        Raises:
            GNNDesignError: the plan makes no sense.
        """
        plan = self.plan()
        self.job.submit(
            JobSpec.create(
                JobKind.TRAIN,
                parameters=plan.to_dict(),
                device=self._potential.device_for_job,
                title=f"{plan.architecture} on {data_path(self.data).name}",
            )
        )
        self.figures.shown = CURVES

    def start_pareto(self) -> None:
        """Submit a search for weights of the loss, each trial a training as set.

        Raises:
            GNNDesignError: the plan makes no sense.
        """
        plan = self.plan()
        self.pareto_job.submit(
            JobSpec.create(
                JobKind.PARETO,
                parameters=pareto_parameters(
                    plan, ParetoSpace(), n_trials=self.n_trials, seed=self.seed
                ),
                device=self._potential.device_for_job,
                title=f"weights of the loss on {data_path(self.data).name}",
            )
        )
        self.figures.shown = FRONT

    def look_at_data(self) -> None:
        """Load the data in the background; `look` and `looking` say what came of it.

        Raises:
            ParameterError: there is no such file.
        """
        path = data_path(self.data)
        self.looking = f"Reading {path.name} and looking for duplicates and outliers."

        def work() -> Done:
            try:
                found = look_at(path)
            except (GNNDesignError, OSError) as error:
                return partial(self._have_looked, None, str(error))
            return partial(self._have_looked, found, "")

        self._background.ask(work)

    def use_potential(self) -> str:
        """Make the best potential so far that of the next job.

        Raises:
            JobError: there is none yet.
            CheckpointError: its file is damaged.
        """
        every = "one comes every epoch"
        return use_trained(self.job.store, self._potential, every, self.history)

    @property
    def best(self) -> EpochReport | None:
        """The report of the best epoch so far."""
        return best_of(self.history)

    def _have_looked(self, look: DatasetLook | None, said: str) -> None:
        self.look = look
        self.looking = said
        if look is not None:
            self.figures.shown = LABELS
        self._offer()

    def _read(self, _change: dict[str, Any]) -> None:
        self._reader.read(self.job.store)
        self.history, self.parity = self._reader.history, self._reader.parity
        self._offer()

    def _read_pareto(self, _change: dict[str, Any]) -> None:
        store = self.pareto_job.store
        self.pareto = None
        if store is not None and store.study_file.is_file():
            try:
                self.pareto = ParetoResult.load(store.study_file)
            except GNNDesignError:
                return  # The worker has not yet written the study into its file.
        self._offer()

    def _pick(self, point: Sequence[Any]) -> None:
        """Take the potential of a point of the front."""
        number, file = point
        try:
            said = self._potential.use(str(file))
        except GNNDesignError as error:
            said = str(error)
        self.picked = f"Trial {number}: {said}"

    def _offer(self) -> None:
        """Figures of what there is."""
        builds = self._reader.builds() | self.data_builds()
        if self.pareto is not None and self.pareto.finished:
            builds[FRONT] = partial(pareto_front, self.pareto)
        store = self.job.store
        with self.figures.hold_trait_notifications():
            self.figures.title = (
                f"Training: {store.spec.title}" if store else "Training"
            )
            self.figures.clicks = {FRONT: self._pick}
            self.figures.builds = builds
