"""The three ways to a potential of one's own, and which of them is looked at."""

from __future__ import annotations

from traitlets import Enum, HasTraits

from gnndesign_widgets.distill import DistillModel
from gnndesign_widgets.figures import Figures
from gnndesign_widgets.fine_tune import FineTuneModel
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.structure import StructureModel
from gnndesign_widgets.training import TrainingModel

NEW, FINE_TUNE, DISTILL = "new", "fine_tune", "distill"

WAYS = {
    "Data: a new potential": NEW,
    "Data: fine-tune a trained potential": FINE_TUNE,
    "The potential in use: distil a fast one": DISTILL,
}


class LearningModel(HasTraits):
    """Training, fine-tuning and distillation.

    Attributes:
        way: which of them is looked at; a value of `WAYS`.
        training, tuning, distilling: the models of the three.
    """

    way = Enum(list(WAYS.values()), default_value=NEW)

    def __init__(self, structure: StructureModel, potential: PotentialModel) -> None:
        super().__init__()
        self.training = TrainingModel(potential)
        self.tuning = FineTuneModel(self.training, potential)
        self.distilling = DistillModel(structure, potential)

    @property
    def _models(self) -> dict[str, TrainingModel | FineTuneModel | DistillModel]:
        return {NEW: self.training, FINE_TUNE: self.tuning, DISTILL: self.distilling}

    @property
    def figures(self) -> Figures:
        """Of the way that is looked at."""
        return self._models[self.way].figures

    @property
    def all_figures(self) -> list[Figures]:
        """Of every way."""
        return [model.figures for model in self._models.values()]

    @property
    def active(self) -> bool:
        """Whether a job of one of them is running or waiting."""
        return any(model.job.active for model in self._models.values())

    def attach_latest(self) -> None:
        """Follow the newest job of each kind, and look at the newest of these."""
        self.training.pareto_job.attach_latest()
        for model in self._models.values():
            model.job.attach_latest()
        # The name of a job begins with the time of its submission.
        newest = max(
            self._models, key=lambda way: (self._job(way).active, self._job(way).job_id)
        )
        self.way = newest

    def _job(self, way: str) -> JobModel:
        return self._models[way].job
