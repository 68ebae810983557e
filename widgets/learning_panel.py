"""What a person sees of a `LearningModel`: the way, and the panel that belongs to it."""

from __future__ import annotations

from functools import cached_property

import ipywidgets as ipw

from gnndesign_widgets.controls import field
from gnndesign_widgets.data_section import DataSection
from gnndesign_widgets.distill_panel import DistillPanel
from gnndesign_widgets.fine_tune_panel import FineTunePanel
from gnndesign_widgets.learning import DISTILL, FINE_TUNE, WAYS, LearningModel
from gnndesign_widgets.training_panel import TrainingPanel


class LearningPanel(ipw.VBox):
    """What a person sees of a `LearningModel`.

    Attributes:
        way: chooses among the three.
        data: what is learned from, unless it is made by a potential.
    """

    def __init__(self, model: LearningModel) -> None:
        self._model = model
        way = ipw.Dropdown(options=WAYS, description="Learn from")
        self.way = field(model, "way", way)
        self.data = DataSection(model.training)
        super().__init__()
        model.observe(self._show, "way")
        self._show()

    @cached_property
    def training(self) -> TrainingPanel:
        """Of a new network; like the other two, made when it is first shown."""
        return TrainingPanel(self._model.training)

    @cached_property
    def tuning(self) -> FineTunePanel:
        """Of a network that has learned already."""
        return FineTunePanel(self._model.tuning)

    @cached_property
    def distilling(self) -> DistillPanel:
        """Of a student of the potential in use."""
        return DistillPanel(self._model.distilling)

    def _show(self, _change: object = None) -> None:
        way = self._model.way
        if way == DISTILL:
            self.children = [self.way, self.distilling]
        elif way == FINE_TUNE:
            self.tuning.list_potentials()
            self.children = [self.way, self.data, self.tuning]
        else:
            self.children = [self.way, self.data, self.training]
