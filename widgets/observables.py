"""What is observed while a simulation runs: the choice, and the plots of it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import ipywidgets as ipw
from traitlets import HasTraits

from gnndesign.errors import CheckpointError
from gnndesign.jobs.store import JobStore
from gnndesign.plots.observables import plot_msd, plot_rdf, plot_vacf
from gnndesign.simulation.observables import (
    OBSERVABLES,
    ObservableResults,
    load_results,
)
from gnndesign_widgets.controls import FIELD

TITLES = {"averages": "Averages", "rdf": "RDF", "msd": "MSD", "vacf": "VACF"}
TOOLTIPS = {
    "averages": "Temperature, pressure, energies, volume, with standard errors",
    "rdf": "Radial distribution functions, coordination numbers",
    "msd": "Mean squared displacements, diffusion coefficients",
    "vacf": "Velocity autocorrelation, vibrational density of states",
}
PLOTS = {"rdf": plot_rdf, "msd": plot_msd, "vacf": plot_vacf}
"""How a result is drawn; averages are drawn into the history."""

_EVERY_S = 0.3
"""Seconds between two looks at the results of a running job."""


class ObservableBoxes(ipw.HBox):
    """A check box for everything that can be observed.

    The model has the trait `observed`, a tuple of names of `OBSERVABLES`.
    """

    def __init__(self, model: HasTraits) -> None:
        self._model = model
        self._showing = False
        self.boxes = {
            name: ipw.Checkbox(
                description=TITLES[name], tooltip=TOOLTIPS[name], indent=False
            )
            for name in OBSERVABLES
        }
        for box in self.boxes.values():
            box.layout.width = "auto"
            box.layout.margin = "2px 10px 2px 4px"
            box.observe(self._take, "value")
        label = ipw.Label("Observe")
        label.layout.width = FIELD["description_width"]
        label.layout.justify_content = "flex-end"
        super().__init__([label, *self.boxes.values()])
        model.observe(self._show, "observed")
        self._show()

    def _take(self, _change: object) -> None:
        if not self._showing:
            ticked = tuple(name for name, box in self.boxes.items() if box.value)
            self._model.set_trait("observed", ticked)

    def _show(self, _change: object = None) -> None:
        self._showing = True
        for name, box in self.boxes.items():
            box.value = name in self._model.trait_values()["observed"]
        self._showing = False


class ResultsReader:
    """The results of a job's observables, read again when they have changed."""

    def __init__(self, store: JobStore) -> None:
        wanted: Any = store.spec.parameters.get("observe") or ()
        self.names: tuple[str, ...] = tuple(wanted)
        self._file = store.results_file
        self._modified_ns = 0
        self._due = 0.0
        self._results: dict[int, ObservableResults] = {}

    def refresh(self, *, at_once: bool) -> None:
        """Read what is new, a few times a second at most.

        Args:
            at_once: however short ago it was read.
        """
        if not self.names or (time.monotonic() < self._due and not at_once):
            return
        self._due = time.monotonic() + _EVERY_S
        try:
            modified_ns = self._file.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if modified_ns != self._modified_ns:
            self._modified_ns = modified_ns
            # A job that is removed at this moment leaves what was read before.
            with suppress(CheckpointError):
                self._results = load_results(self._file)

    def of(self, system: int) -> ObservableResults | None:
        """What is known of a structure; None before anything is."""
        return self._results.get(system)
