"""The worker: one process a home folder, which runs queued jobs and stays warm.

It is started by `gnndesign.jobs.local` and ends after a quarter of an hour without
work. The potential of the last job stays loaded for the next one.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from pathlib import Path

from filelock import Timeout

from gnndesign.errors import JobError
from gnndesign.jobs.control import Control, Progress
from gnndesign.jobs.local import start_worker, worker_lock
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.jobs.store import JobState, JobStatus, JobStore, list_jobs
from gnndesign.jobs.tasks import run_search, run_simulation
from gnndesign.potentials.base import Potential
from gnndesign.potentials.catalog import choose_device, load_potential

IDLE_S = 900.0
"""Seconds without work after which a worker ends."""

_POLL_S = 0.1
_log = logging.getLogger("gnndesign.worker")


class Worker:
    """Runs the jobs of a home folder, the oldest first."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._warm: tuple[tuple[str, str, str], Potential] | None = None

    def serve(self) -> None:
        """Run jobs until told to end or idle for too long."""
        idle_since = time.monotonic()
        while time.monotonic() - idle_since < IDLE_S:
            if (self.home / "worker.stop").exists():
                return
            store = self._next()
            if store is None:
                time.sleep(_POLL_S)
                continue
            self.run(store)
            idle_since = time.monotonic()

    def run(self, store: JobStore) -> None:
        """Run one job to its end, whatever that is."""
        control = Control(store, on_deadline=self._abandon)
        with store.lock():
            try:
                with control:
                    self._run(store, control)
            except Exception as error:  # noqa: BLE001 - here a failed job is reported
                with store.log_file.open("a", encoding="utf-8") as log:
                    traceback.print_exc(file=log)
                _log.warning("%s failed: %s", store.job_id, error)
                control.end(JobState.FAILED, f"{error}" or type(error).__name__)

    def _run(self, store: JobStore, control: Control) -> None:
        spec = store.spec
        device = str(choose_device(spec.device))
        control.write(
            JobStatus(
                state=JobState.RUNNING,
                done=store.status().done,
                message=f"Loading {spec.potential} on {device}.",
                device=device,
            )
        )
        potential = self._potential(spec, device)
        task = run_search if spec.kind is JobKind.SEARCH else run_simulation
        last = Progress(done=0, total=0, message="Nothing to do.")
        for last in task(store, spec, potential, control):
            control.progress(last, device)
        state = JobState.STOPPED if control.stopping else JobState.FINISHED
        control.end(state, last.message)

    def _potential(self, spec: JobSpec, device: str) -> Potential:
        key = (spec.potential, spec.potential_checksum, device)
        if self._warm is not None and self._warm[0] == key:
            return self._warm[1]
        self._warm = None
        potential = load_potential(spec.potential, device)
        if potential.card.checksum != spec.potential_checksum:
            raise JobError(
                f"The job was made for {spec.potential} with weights "
                f"{spec.potential_checksum[:12]}, but those here are "
                f"{potential.card.checksum[:12]}. Install the same release, or submit "
                "the job anew."
            )
        self._warm = (key, potential)
        return potential

    def _next(self) -> JobStore | None:
        for store in reversed(list_jobs(self.home)):
            try:
                if store.status().state is JobState.QUEUED:
                    return store
            except JobError:
                continue  # Removed, or damaged, while we looked.
        return None

    def _abandon(self) -> None:
        """End this process in the midst of a step, and leave the queue to another."""
        start_worker(self.home)
        os._exit(0)


def main() -> int:
    """Entry point: python -m gnndesign.jobs.worker HOME."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr
    )
    home = Path(sys.argv[1])
    try:
        # Long enough for a worker that is ending to let go.
        with worker_lock(home, timeout=5.0):
            _log.info("worker %s serves %s", os.getpid(), home)
            Worker(home).serve()
    except Timeout:
        _log.info("another worker serves %s", home)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
