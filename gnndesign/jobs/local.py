"""Running jobs on this machine: submit, resume, and the worker that stays warm."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock

from gnndesign.disk import data_folder, is_locked
from gnndesign.errors import JobError
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.states import JobState
from gnndesign.jobs.store import JobStore

# Threads of BLAS and of torch fight for the cores; torch's do the work here. They sleep
# while they wait: spinning, they slow down the browser that watches, and themselves.
_THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
}

START_WITHIN_S = 30.0
"""A worker that has not taken its lock by then has died."""

# The worker is started by a process that ends at once, so that it belongs to no
# kernel: it outlives a restart and leaves no zombie behind.
_LAUNCH = """
import subprocess, sys
subprocess.Popen(
    sys.argv[1:], stdin=subprocess.DEVNULL, stdout=open(sys.argv[-1] + "/worker.log", "a"),
    stderr=subprocess.STDOUT, start_new_session=True, close_fds=True,
)
"""


def submit(spec: JobSpec, home: Path | None = None) -> JobStore:
    """Queue a job and make sure that a worker is there to run it."""
    store = JobStore.create(spec, home)
    ensure_worker(home)
    return store


def resume(store: JobStore, *, total: int | None = None) -> None:
    """Let a job that is over go on from its checkpoint.

    One that waits goes on waiting, for a new worker where the last one is gone.

    Args:
        store: the job.
        total: steps or trials in all, if other than before.

    Raises:
        JobError: it is running or paused.
    """
    if total is not None:
        store.extend(total)
    if store.status().state is not JobState.QUEUED:
        store.requeue()
    ensure_worker(store.folder.parent.parent)


def wait(store: JobStore, timeout_s: float = 600.0) -> None:
    """Block until a job is over.

    Raises:
        JobError: it is not over after `timeout_s` seconds, or no worker takes it.
    """
    home = store.folder.parent.parent
    start = time.monotonic()
    while not (status := store.status()).state.is_over:
        waited = time.monotonic() - start
        if waited > timeout_s:
            raise JobError(f"Job {store.job_id} is not over after {timeout_s:g} s.")
        lost = status.state is JobState.QUEUED and waited > START_WITHIN_S
        if lost and not worker_is_alive(home):
            raise JobError(
                f"Job {store.job_id} waits, but no worker came up within "
                f"{START_WITHIN_S:g} s; {home / 'worker.log'} says why."
            )
        time.sleep(0.05)


def worker_lock(home: Path, timeout: float = 0.0) -> FileLock:
    """Held by the one worker of a home folder."""
    return FileLock(home / "worker.lock", timeout=timeout)


def worker_is_alive(home: Path | None = None) -> bool:
    """Whether a worker holds the lock."""
    return is_locked((home or data_folder()) / "worker.lock")


def ensure_worker(home: Path | None = None) -> None:
    """Start a worker unless one is there; who wants one takes back `stop_worker`."""
    folder = home or data_folder()
    (folder / "worker.stop").unlink(missing_ok=True)
    if not worker_is_alive(folder):
        start_worker(folder)


def start_worker(folder: Path) -> None:
    """Start a worker; it ends by itself where another one holds the lock."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "gnndesign.jobs.worker", str(folder)]
    environment = dict(_THREADS) | os.environ
    subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-c", _LAUNCH, *command], env=environment, check=True
    )


def stop_worker(home: Path | None = None, timeout_s: float = 10.0) -> None:
    """Ask the worker to end after the job under way, and wait until it has.

    The wish stays until somebody wants a worker again, so that one which is about to
    start ends too.

    Raises:
        JobError: it is still there after `timeout_s` seconds; it ends later.
    """
    folder = home or data_folder()
    deadline = time.monotonic() + timeout_s
    wish = folder / "worker.stop"
    if not folder.is_dir():
        return
    wish.touch()
    while worker_is_alive(folder) and wish.exists():
        if time.monotonic() > deadline:
            raise JobError(f"The worker of {folder} did not end in {timeout_s:g} s.")
        time.sleep(0.05)
