"""What the job that the panels describe would cost, said before it is started."""

from __future__ import annotations

import html

import ipywidgets as ipw

from gnndesign.errors import GNNDesignError
from gnndesign_widgets.latest import Latest
from gnndesign_widgets.simulation import SimulationModel


class EstimateLine(ipw.HTML):
    """The estimate in a sentence, renewed in a thread when something has changed."""

    def __init__(self, model: SimulationModel) -> None:
        super().__init__()
        self._model = model
        latest = Latest(self._estimate, self._show)
        # Its own traits are set by whoever types; the job's news come elsewhere.
        model.observe(latest.ask)
        model.structure.observe(latest.ask, ["entries", "chosen", "revision"])
        model.potential.observe(latest.ask)
        latest.ask()

    def _estimate(self) -> str:
        try:
            return self._model.estimate().text
        except GNNDesignError as error:
            return f"No estimate: {error}"

    def _show(self, text: str) -> None:
        self.value = f"<i>{html.escape(text)}</i>"
