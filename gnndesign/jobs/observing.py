"""The observables of a running job, on disk."""

from __future__ import annotations

import time
from collections.abc import Mapping

from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.store import JobStore
from gnndesign.simulation.base import Snapshot
from gnndesign.simulation.dynamics import with_masses
from gnndesign.simulation.observables import Observables
from gnndesign.simulation.observables.results import save_results

_EVERY_S = 0.5
"""Seconds between results on disk, at least."""
_PAUSE = 20
"""How much longer than telling the results took they are left alone."""
_MOST_TOLD = 16
"""Structures whose results are told while the job runs, at most."""


class ObservedJob:
    """Takes a job's snapshots; keeps what was asked for by the parameter "observe".

    Everything collected is in one file, written before every checkpoint and hence
    never behind it; of the moments that a resumed job computes again, it takes those
    that it has not seen. The results, much smaller, are in another, for whoever
    watches.
    """

    def __init__(self, store: JobStore, spec: JobSpec) -> None:
        """Begin, or go on from the job's folder.

        Raises:
            ParameterError: an unknown observable.
            CheckpointError: the file is of another version.
        """
        self._state_file = store.observables_file
        self._results_file = store.results_file
        self._due = 0.0
        self._observables = self._create(spec)
        if self._observables is not None and self._state_file.is_file():
            self._observables = Observables.load(self._state_file)

    def add(self, snapshot: Snapshot) -> None:
        """Take a moment; tell the results of some structures, if that is due."""
        if self._observables is None:
            return
        self._observables.add(snapshot)
        if time.monotonic() >= self._due:
            began = time.monotonic()
            self.tell(_MOST_TOLD)
            took = time.monotonic() - began
            self._due = began + took + max(_EVERY_S, _PAUSE * took)

    def save(self) -> None:
        """Write everything, atomically."""
        if self._observables is not None:
            self._observables.save(self._state_file)

    def tell(self, most: int | None = None) -> None:
        """Write the results of the first structures, atomically; None for all."""
        if self._observables is not None:
            systems = self._observables.systems[:most]
            results = {system: self._observables.results(system) for system in systems}
            save_results(self._results_file, results)

    @staticmethod
    def _create(spec: JobSpec) -> Observables | None:
        wanted: list[str] | Mapping[str, Mapping[str, object]] | None
        wanted = spec.parameters.get("observe")
        if not wanted:
            return None
        masses = spec.parameters.get("masses") or {}
        structures = [with_masses(atoms, masses) for atoms in spec.atoms()]
        return Observables.create(
            wanted,
            skip_fs=float(spec.parameters.get("observe_after_fs", 0.0)),
            spacing=int(spec.parameters.get("record_every", 1)),
            masses={k: atoms.get_masses() for k, atoms in enumerate(structures)},
        )
