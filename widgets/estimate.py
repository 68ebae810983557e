"""What the job that the panels describe would cost, said before it is started."""

from __future__ import annotations

import html
import threading

import ipywidgets as ipw

from gnndesign.errors import GNNDesignError
from gnndesign_widgets.simulation import SimulationModel

_PAUSE_S = 0.25
"""Seconds without a change after which it is estimated."""


class EstimateLine(ipw.HTML):
    """The estimate in a sentence, renewed in a thread when something has changed."""

    def __init__(self, model: SimulationModel) -> None:
        super().__init__()
        self._model = model
        self._guard = threading.Lock()
        self._timer: threading.Timer | None = None
        self._number = 0
        # Its own traits are set by whoever types; the job's news come elsewhere.
        model.observe(self._ask)
        model.structure.observe(self._ask, ["entries", "chosen", "revision"])
        model.potential.observe(self._ask)
        self._ask()

    def _ask(self, _change: object = None) -> None:
        with self._guard:
            if self._timer is not None:
                self._timer.cancel()
            self._number += 1
            self._timer = threading.Timer(_PAUSE_S, self._tell, [self._number])
            self._timer.daemon = True
            self._timer.start()

    def _tell(self, number: int) -> None:
        try:
            text = self._model.estimate().text
        except GNNDesignError as error:
            text = f"No estimate: {error}"
        with self._guard:
            # Whoever changed something meanwhile gets an answer of his own.
            if number == self._number:
                self.value = f"<i>{html.escape(text)}</i>"
