"""Where a job lives: one folder that any process may read while another writes.

spec.json        what to do
status.json      how far it is; replaced as a whole
metrics.jsonl    a line a recorded moment and structure; a later line of a moment
                 replaces an earlier one
trajectory/      a .traj file a structure
checkpoint.npz   the state to go on from
study.db         a search's Optuna study
epochs.json parity.npz training.pt potential.safetensors
                 of a training, see training.py; fine_tuning.json and
                 distillation.json too, see fine_tuning.py and distillation.py
outcomes.jsonl   of properties, see properties.py
log              what the worker said, and the traceback of a failure
lock             held by the worker that runs the job, freed by its death
stop pause extend    wishes: small files that the worker looks for
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ase
from filelock import FileLock

from gnndesign.disk import data_folder, is_locked, remove_partials, write_atomically
from gnndesign.errors import JobError
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.states import JobState, JobStatus, Wishes
from gnndesign.structures.trajectory import TrajectoryFile, frame_file

_WRITTEN_WITHIN_S, _REMOVED_WITHIN_S = 60.0, 3600.0
"""What is not complete, or not gone, after so long was left by a killed process."""

_HALF_FOLDER = f".{'[0-9]' * 8}-{'[0-9]' * 6}-{'[0-9]' * 6}-*-{'[0-9a-f]' * 4}"
"""The name of a job's folder that is being made or removed."""


class JobStore:
    """The folder of one job."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "spec.json").is_file():
            raise JobError(f"There is no job in {folder}.")
        self.folder = folder

    @classmethod
    def create(cls, spec: JobSpec, home: Path | None = None) -> JobStore:
        """A new folder for a job, complete at the moment it appears.

        Raises:
            JobError: the spec cannot be written as JSON.
        """
        text = spec.to_json()
        jobs = jobs_folder(home)
        jobs.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC)
        name = f"{now:%Y%m%d-%H%M%S-%f}-{spec.kind}-{secrets.token_hex(2)}"
        partial = jobs / f".{name}"
        partial.mkdir()
        (partial / "spec.json").write_text(text, encoding="utf-8")
        store = cls(partial)
        store.write_status(JobStatus(state=JobState.QUEUED, message="Waiting."))
        store.folder = partial.rename(jobs / name)
        return store

    @property
    def job_id(self) -> str:
        """The folder's name: time of submission and kind."""
        return self.folder.name

    @property
    def spec(self) -> JobSpec:
        """What the job is."""
        return JobSpec.from_json((self.folder / "spec.json").read_text("utf-8"))

    @property
    def checkpoint(self) -> Path:
        """The state to go on from."""
        return self.folder / "checkpoint.npz"

    @property
    def observables_file(self) -> Path:
        """All that observables have collected, to go on from."""
        return self.folder / "observables.npz"

    @property
    def results_file(self) -> Path:
        """What observables know by now, for whoever watches."""
        return self.folder / "results.npz"

    @property
    def trajectory_folder(self) -> Path:
        """Where the frames are."""
        return self.folder / "trajectory"

    @property
    def study_file(self) -> Path:
        """A search's SQLite file."""
        return self.folder / "study.db"

    @property
    def log_file(self) -> Path:
        """What the worker said."""
        return self.folder / "log"

    def lock(self, timeout: float = 5.0) -> FileLock:
        """The lock of the worker that runs the job."""
        return FileLock(self.folder / "lock", timeout=timeout)

    def status(self) -> JobStatus:
        """How far it is; INTERRUPTED where its worker is gone without a word.

        Raises:
            JobError: the folder was removed or its status is unreadable.
        """
        status = self._written_status()
        if status.state not in (JobState.RUNNING, JobState.PAUSED):
            return status
        if is_locked(self.folder / "lock"):
            return status
        # The worker may have ended the job between the two looks.
        status = self._written_status()
        if status.state not in (JobState.RUNNING, JobState.PAUSED):
            return status
        return JobStatus(
            state=JobState.INTERRUPTED,
            done=status.done,
            total=status.total,
            message="The worker is gone. Resume goes on from the last checkpoint.",
            device=status.device,
            updated=status.updated,
        )

    def write_status(self, status: JobStatus) -> None:
        """Replace the status; for the worker alone."""
        data = asdict(status) | {"updated": datetime.now(UTC).isoformat()}
        write_atomically(self.folder / "status.json", json.dumps(data))

    def metrics(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Complete lines from a byte offset on, and the offset behind them."""
        path = self.folder / "metrics.jsonl"
        if not path.is_file():
            return [], offset
        with path.open("rb") as file:
            file.seek(offset)
            text = file.read()
        end = text.rfind(b"\n") + 1
        rows = [json.loads(line) for line in text[:end].splitlines()]
        return rows, offset + end

    def trajectory(self, system: int = 0) -> TrajectoryFile | None:
        """The frames of a structure; None before the first is written."""
        path = frame_file(self.trajectory_folder, system)
        if not path.is_file() or path.stat().st_size == 0:
            return None
        return TrajectoryFile(path)

    def final_structures(self) -> list[ase.Atoms]:
        """The last frame of every structure, with its energy and forces.

        Raises:
            JobError: nothing has been written yet.
        """
        structures: list[ase.Atoms] = []
        for system in range(len(self.spec.structures)):
            frames = self.trajectory(system)
            if frames is None or len(frames) == 0:
                raise JobError(f"Job {self.job_id} has no frames yet.")
            structures.append(frames[-1])
            frames.close()
        return structures

    def request_stop(self) -> None:
        """Ask the worker to stop the job; it does so within a second."""
        (self.folder / "stop").touch()
        status = self._written_status()
        if status.state is JobState.QUEUED:
            began = "went on" if status.done else "began"
            self.write_status(
                replace(
                    status,
                    state=JobState.STOPPED,
                    message=f"Stopped before it {began}.",
                )
            )

    def request_pause(self, *, pause: bool) -> None:
        """Ask the worker to wait after the step under way, or to go on."""
        if pause:
            (self.folder / "pause").touch()
        else:
            (self.folder / "pause").unlink(missing_ok=True)

    def extend(self, total: int) -> None:
        """Wish for another number of steps or trials in all; also while it runs."""
        if total < 1:
            raise JobError(f"Wanted at least one step or trial in all, got {total}.")
        write_atomically(self.folder / "extend", str(total))

    def wishes(self) -> Wishes:
        """What was asked of the worker; who removed the job wants it to stop."""
        extend = self.folder / "extend"
        is_there = (self.folder / "spec.json").exists()
        return Wishes(
            stop=(self.folder / "stop").exists() or not is_there,
            pause=(self.folder / "pause").exists(),
            total=int(extend.read_text("utf-8")) if extend.is_file() else None,
        )

    def requeue(self) -> None:
        """Put a job that is over back into the queue, to go on where it is.

        Raises:
            JobError: it is not over.
        """
        status = self.status()
        if not status.state.is_over:
            raise JobError(f"Job {self.job_id} is {status.state}; stop it first.")
        for wish in ("stop", "pause"):
            (self.folder / wish).unlink(missing_ok=True)
        self.write_status(
            JobStatus(
                state=JobState.QUEUED,
                done=status.done,
                total=status.total,
                message="Waiting to go on.",
            )
        )
        # An idle worker looks at its jobs when their folder has changed.
        os.utime(self.folder.parent)

    def delete(self) -> None:
        """Remove a job that is over, with all it left.

        Raises:
            JobError: it is not over.
        """
        if not self.status().state.is_over:
            raise JobError(f"Job {self.job_id} is not over; stop it first.")
        # Gone at one moment, for whoever lists the jobs meanwhile.
        hidden = self.folder.rename(self.folder.with_name(f".{self.job_id}"))
        shutil.rmtree(hidden)

    def remove_leftovers(self) -> None:
        """Remove what killed processes were writing; for the holder of the lock."""
        for path in (self.checkpoint, self.observables_file, self.results_file):
            remove_partials(path)
        for name in ("status.json", "extend"):
            # Others write these too, perhaps at this moment.
            remove_partials(self.folder / name, older_than_s=_WRITTEN_WITHIN_S)

    def _written_status(self) -> JobStatus:
        path = self.folder / "status.json"
        try:
            data: dict[str, Any] = json.loads(path.read_text("utf-8"))
            return JobStatus(state=JobState(data.pop("state")), **data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise JobError(f"{path} cannot be read: {error}") from error


def jobs_folder(home: Path | None = None) -> Path:
    """Where the jobs are."""
    return (home or data_folder()) / "jobs"


def list_jobs(home: Path | None = None) -> list[JobStore]:
    """All jobs, the newest first."""
    folder = jobs_folder(home)
    if not folder.is_dir():
        return []
    paths = sorted(folder.iterdir(), reverse=True)
    return list(_stores(path for path in paths if not path.name.startswith(".")))


def remove_half_folders(home: Path | None = None) -> None:
    """Remove the folders of jobs that killed processes were making or removing."""
    before = time.time() - _REMOVED_WITHIN_S
    for folder in jobs_folder(home).glob(_HALF_FOLDER):
        # Others may do the same.
        with suppress(OSError):
            if folder.stat().st_mtime < before:
                shutil.rmtree(folder)


def _stores(folders: Iterable[Path]) -> Iterator[JobStore]:
    for folder in folders:
        # Whatever else is there, or was removed while we looked, is no job.
        with suppress(JobError):
            yield JobStore(folder)
