"""Distillation in the notebook: a fast student of the potential in use."""

from __future__ import annotations

from functools import partial
from typing import Any

from traitlets import Enum, Float, Instance, Int, Unicode

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.jobs.distillation import read_distillation
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.plots.teaching import distillation_rounds
from gnndesign.potentials.architectures import ARCHITECTURES
from gnndesign.training.distill_options import Distillation
from gnndesign.training.distill_plan import DistillationPlan
from gnndesign.training.distill_results import DistillationReport
from gnndesign_widgets.figures import Build, Figures
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.network_shape import NetworkModel
from gnndesign_widgets.options import OptionsModel, other_fields
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.structure import StructureModel
from gnndesign_widgets.training_reports import use_trained

STUDENTS = ("behler-parrinello", "soap", "invariant", "equivariant")
ROUNDS = "Rounds"

_OWN = (
    *("temperature_K", "temperatures_K", "force_error_meV_per_A", "rounds"),
    *("n_members", "n_dynamics", "n_deformed", "n_added", "training.epochs"),
    *("more_epochs", "stability_ps", "seed", "training.seed"),
)
"""Options of `Distillation` that the model has itself."""


def students() -> list[tuple[str, str]]:
    """Architectures of a student: title and name, the fastest first."""
    return [(ARCHITECTURES[name].title, name) for name in STUDENTS]


class DistillModel(NetworkModel):
    """A student of the potential in use, for the structures that are chosen.

    Attributes:
        structure, potential: where dynamics starts, and the teacher.
        architecture: of the student, of `STUDENTS`.
        temperature_K: at which the student shall be good.
        temperatures_K: at which frames to learn from are made, separated by commas.
        force_error: meV/Å, root mean square on fresh frames, below which it is good.
        rounds, n_members, n_dynamics, n_deformed, n_added, stability_ps, seed: of
            `Distillation`.
        epochs, more_epochs: of the first round and of the later ones.
        more: other options of `Distillation`.
        job: the job that is followed.
        report: its rounds so far; None before the first has ended.
        figures: for the stage.
    """

    architecture = Enum(STUDENTS, default_value=STUDENTS[0])
    temperature_K = Float(300.0)
    temperatures_K = Unicode("300, 600, 900")
    force_error = Float(60.0)
    rounds = Int(4)
    n_members = Int(2)
    n_dynamics = Int(60)
    n_deformed = Int(30)
    n_added = Int(30)
    epochs = Int(100)
    more_epochs = Int(50)
    stability_ps = Float(10.0)
    seed = Int(0)
    report: DistillationReport | None = Instance(DistillationReport, allow_none=True)  # pyright: ignore[reportAssignmentType]

    def __init__(self, structure: StructureModel, potential: PotentialModel) -> None:
        super().__init__()
        self.structure, self.potential = structure, potential
        self.figures = Figures(title="Distillation")
        self.more = OptionsModel(other_fields(Distillation, _OWN, Distillation()))
        self.job = JobModel(JobKind.DISTILL)
        self.job.observe(self._read, ["revision", "job_id"])

    def plan(self) -> DistillationPlan:
        """What would be distilled now.

        Raises:
            ParameterError: something is no number, or out of range.
        """
        more = self.more.values()
        options: dict[str, Any] = {
            "temperature_K": self.temperature_K,
            "temperatures_K": _numbers(self.temperatures_K),
            "force_error_meV_per_A": self.force_error,
            "rounds": self.rounds,
            "n_members": self.n_members,
            "n_dynamics": self.n_dynamics,
            "n_deformed": self.n_deformed,
            "n_added": self.n_added,
            "training": {"epochs": self.epochs, **more.pop("training", {})},
            "more_epochs": self.more_epochs,
            "stability_ps": self.stability_ps,
            "seed": self.seed,
        }
        return DistillationPlan(
            architecture=self.architecture,
            shape=self.shape_options(),
            options=options | more,
        )

    def start(self) -> None:
        """Submit a distillation.

        Raises:
            GNNDesignError: the plan makes no sense, or there is no structure.
        """
        plan, card = self.plan(), self.potential.require_card()
        structures = self.structure.chosen_atoms()
        for atoms in structures:
            card.check_elements(atoms.numbers.tolist())
        plan.student(structures)  # So that a shape that is none is said at once.
        self.job.submit(
            JobSpec.create(
                JobKind.DISTILL,
                potential=self.potential.name,
                structures=structures,
                parameters=plan.to_dict(),
                device=self.potential.device_for_job,
                title=f"distil {card.title} for {self.structure.current.name}",
            )
        )
        self.figures.shown = ROUNDS

    def use_potential(self) -> str:
        """Make the best student of the last round the potential of the next job.

        Raises:
            JobError: there is none yet.
            CheckpointError: its file is damaged.
        """
        when = "one comes with the first round"
        return use_trained(self.job.store, self.potential, when)

    def _read(self, _change: object = None) -> None:
        store = self.job.store
        try:
            self.report = None if store is None else read_distillation(store)
        except CheckpointError as error:
            self.report, self.job.message = None, str(error)
        builds: dict[str, Build] = {}
        if self.report is not None and self.report.history:
            builds[ROUNDS] = partial(distillation_rounds, self.report)
        with self.figures.hold_trait_notifications():
            self.figures.title = (
                f"Distillation: {store.spec.title}" if store else "Distillation"
            )
            self.figures.builds = builds


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ParameterError(
            f"Wanted temperatures in K separated by commas, such as 300, 600, got "
            f"{text!r}."
        ) from error
