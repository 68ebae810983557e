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
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import Timeout

from gnndesign.errors import JobError
from gnndesign.jobs.control import Control, Progress
from gnndesign.jobs.local import start_worker, worker_lock
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.jobs.states import JobState, JobStatus
from gnndesign.jobs.store import (
    JobStore,
    jobs_folder,
    list_jobs,
    remove_half_folders,
)
from gnndesign.jobs.tasks import run_search, run_simulation
from gnndesign.potentials.base import Potential
from gnndesign.potentials.catalog import choose_device, load_potential

IDLE_S = 900.0
"""Seconds without work after which a worker ends."""

_POLL_S = 0.1
_CLOCK_TICK_NS = 2_000_000_000
"""Two changes of a folder within a tick of its disk's clock look like one."""
Task = Callable[[JobStore, JobSpec, Potential, Control], Iterator[Progress]]
"""What the job of a kind does."""

_log = logging.getLogger("gnndesign.worker")


class Worker:
    """Runs the jobs of a home folder, the oldest first."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._warm: tuple[tuple[str, str, str], Potential] | None = None
        self._left_alone: set[str] = set()
        self._nothing_since = -1

    def serve(self) -> None:
        """Run jobs until told to end, idle for too long, or without a home folder."""
        remove_half_folders(self.home)
        idle_since = time.monotonic()
        lock = _inode(self.home / "worker.lock")
        while time.monotonic() - idle_since < IDLE_S and not self.is_unwanted:
            if lock is None or _inode(self.home / "worker.lock") != lock:
                return  # The folder was removed, and with it what keeps others away.
            store = self.next_job()
            if store is None:
                time.sleep(_POLL_S)
                continue
            self.run(store)
            idle_since = time.monotonic()

    @property
    def is_unwanted(self) -> bool:
        """Whether it was told to end."""
        return (self.home / "worker.stop").exists()

    def run(self, store: JobStore) -> None:
        """Run one job to its end, whatever that is."""
        try:
            with store.lock():
                # It may have been stopped, or run by another worker, since it was seen.
                if store.status().state is JobState.QUEUED:
                    store.remove_leftovers()
                    self._run_or_report(store)
        except (JobError, OSError) as error:
            # Its folder was removed or cannot be written to; `Timeout` is an OSError.
            _log.warning("%s is left alone: %s", store.job_id, error)
            self._left_alone.add(store.job_id)

    def _run_or_report(self, store: JobStore) -> None:
        control = Control(store, on_deadline=self._abandon)
        try:
            with control:
                self._run(store, control)
        except Exception as error:  # noqa: BLE001 - here a failed job is reported
            _log.warning("%s failed: %s", store.job_id, error)
            with store.log_file.open("a", encoding="utf-8") as log:
                traceback.print_exc(file=log)
            control.end(JobState.FAILED, f"{error}" or type(error).__name__)

    def _run(self, store: JobStore, control: Control) -> None:
        spec = store.spec
        device = str(choose_device(spec.device))
        before = store.status()

        def say(message: str) -> None:
            control.write(
                JobStatus(
                    state=JobState.RUNNING,
                    done=before.done,
                    total=before.total,
                    message=message,
                    device=device,
                )
            )

        last = Progress(done=before.done, total=before.total, message="Nothing to do.")
        for last in self._steps(store, spec, control, say):
            control.progress(last, device)
        state = JobState.STOPPED if control.stopping else JobState.FINISHED
        control.end(state, last.message)

    def _steps(
        self,
        store: JobStore,
        spec: JobSpec,
        control: Control,
        say: Callable[[str], None],
    ) -> Iterator[Progress]:
        if spec.kind is JobKind.TRAIN:
            from gnndesign.jobs.training import run_training

            say("Preparing the training.")
            return run_training(store, spec, control)
        if spec.kind is JobKind.PARETO:
            from gnndesign.jobs.pareto import run_pareto

            say("Preparing the trainings.")
            return run_pareto(store, spec, control)
        device = str(choose_device(spec.device))
        say(f"Loading {spec.potential} on {device}.")
        potential = self._potential(spec, device)
        if spec.kind is JobKind.FINE_TUNE:
            # It trains a copy, in the plain form: nothing is to be compiled.
            from gnndesign.jobs.fine_tuning import run_fine_tuning

            return run_fine_tuning(store, spec, potential, control)
        potential.prepare(say)
        return _task_of(spec.kind)(store, spec, potential, control)

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

    def next_job(self) -> JobStore | None:
        """The oldest job in the queue."""
        # Submitting and requeuing change the folder; reading every job ten times a
        # second would not be idle.
        changed = _modified_ns(jobs_folder(self.home))
        if changed == self._nothing_since:
            return None
        for store in reversed(list_jobs(self.home)):
            if store.job_id in self._left_alone:
                continue
            try:
                if store.status().state is JobState.QUEUED:
                    return store
            except JobError:
                continue  # Removed, or damaged, while we looked.
        if time.time_ns() - changed > _CLOCK_TICK_NS:
            self._nothing_since = changed
        return None

    def _abandon(self) -> None:
        """End this process in the midst of a step, and leave the queue to another."""
        if self.home.is_dir():
            start_worker(self.home)
        os._exit(0)


def _task_of(kind: JobKind) -> Task:
    """What is done with a potential that is ready."""
    if kind is JobKind.PROPERTIES:
        from gnndesign.jobs.properties import run_properties

        return run_properties
    if kind is JobKind.CHECK:
        from gnndesign.jobs.checks import run_checks

        return run_checks
    if kind is JobKind.DISTILL:
        from gnndesign.jobs.distillation import run_distillation

        return run_distillation
    return run_search if kind is JobKind.SEARCH else run_simulation


def main() -> int:
    """Entry point: python -m gnndesign.jobs.worker HOME."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr
    )
    worker = Worker(Path(sys.argv[1]))
    try:
        while True:
            # Long enough for a worker that is ending to let go.
            with worker_lock(worker.home, timeout=5.0):
                _log.info("worker %s serves %s", os.getpid(), worker.home)
                worker.serve()
            # Who queued a job a moment ago may have seen this worker still alive.
            if worker.is_unwanted or worker.next_job() is None:
                return 0
    except Timeout:
        _log.info("another worker serves %s", worker.home)
        return 0


def _modified_ns(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


if __name__ == "__main__":
    raise SystemExit(main())
