"""What a person sees of a `LearningModel`: the way, and the panel that belongs to it."""

from __future__ import annotations

import ipywidgets as ipw

from gnndesign_widgets.controls import field
from gnndesign_widgets.data_section import DataSection
from gnndesign_widgets.distill_panel import DistillPanel
from gnndesign_widgets.fine_tune_panel import FineTunePanel
from gnndesign_widgets.learning import DISTILL, FINE_TUNE, NEW, WAYS, LearningModel
from gnndesign_widgets.training_panel import TrainingPanel


class LearningPanel(ipw.VBox):
    """What a person sees of a `LearningModel`."""

    def __init__(self, model: LearningModel) -> None:
        self._model = model
        way = ipw.Dropdown(options=WAYS, description="Learn from")
        self.way = field(model, "way", way)
        self.data = DataSection(model.training)
        self.training = TrainingPanel(model.training)
        self.tuning = FineTunePanel(model.tuning)
        self.distilling = DistillPanel(model.distilling)
        self._panels = {
            NEW: self.training,
            FINE_TUNE: self.tuning,
            DISTILL: self.distilling,
        }
        super().__init__([self.way, self.data, *self._panels.values()])
        model.observe(self._show, "way")
        self._show()

    def _show(self, _change: object = None) -> None:
        if self._model.way == FINE_TUNE:
            self.tuning.list_potentials()
        self.data.layout.display = "none" if self._model.way == DISTILL else ""
        for way, panel in self._panels.items():
            panel.layout.display = "" if way == self._model.way else "none"
