"""The ear of a running job: wishes are heard while the potential computes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType

from gnndesign.jobs.states import JobState, JobStatus
from gnndesign.jobs.store import JobStore

STOP_WITHIN_S = 0.5
"""A step that is under way when a stop is asked for may take so long to end."""

_POLL_S = 0.05
_STATUS_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a task says of itself.

    Attributes:
        done: steps made, or trials told.
        total: steps or trials wanted.
        message: one sentence.
    """

    done: int
    total: int
    message: str


class Control:
    """A context in which a thread watches a job's wishes.

    A stop is asked of the task first. If the step under way does not end in time, the
    thread itself saves what there is, ends the job, and calls `on_deadline`, which
    ends the process.

    Attributes:
        stopping: a stop was asked for.
        total: steps or trials in all that were asked for since; None for the spec's.
        save: called, with `guard` held, to write the checkpoint; set by the task.
        guard: held while files of the job are written.
    """

    def __init__(self, store: JobStore, on_deadline: Callable[[], None]) -> None:
        self.stopping = False
        self.total: int | None = None
        self.save: Callable[[], None] | None = None
        self.guard = threading.RLock()
        self._store = store
        self._on_deadline = on_deadline
        self._paused = False
        self._over = threading.Event()
        self._last = JobStatus(state=JobState.RUNNING)
        self._written = self._last
        self._written_at = 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Control:
        """Start to watch."""
        self.hear()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop to watch."""
        self._over.set()
        self._thread.join()

    def should_stop(self) -> bool:
        """Whether to end; waits here while the job is paused."""
        if self._paused and not self.stopping:
            self.write(replace(self._last, state=JobState.PAUSED, message="Paused."))
            while self._paused and not self.stopping:
                time.sleep(_POLL_S)
            self.write(replace(self._last, state=JobState.RUNNING))
        return self.stopping

    def progress(self, progress: Progress, device: str) -> None:
        """Take progress; written at most five times a second, the last one always."""
        with self.guard:
            if self._last.state.is_over:
                return
            self._last = JobStatus(
                state=JobState.RUNNING,
                done=progress.done,
                total=progress.total,
                message=progress.message,
                device=device,
            )
            self._write_if_due()

    def count(self, done: int) -> None:
        """Take the number of steps made, between two moments worth a message."""
        with self.guard:
            if not self._last.state.is_over:
                self._last = replace(self._last, done=done)

    def hear(self) -> None:
        """Look for wishes now; the thread does so twenty times a second."""
        try:
            wishes = self._store.wishes()
        except (OSError, ValueError):
            return
        self.stopping = self.stopping or wishes.stop
        self._paused = wishes.pause
        self.total = wishes.total

    def write(self, status: JobStatus) -> None:
        """Write a status."""
        with self.guard:
            if self._last.state.is_over:
                return
            self._last = self._written = status
            self._store.write_status(status)
            self._written_at = time.monotonic()

    def _write_if_due(self) -> None:
        if time.monotonic() - self._written_at >= _STATUS_EVERY_S:
            self.write(self._last)

    def end(self, state: JobState, message: str) -> None:
        """Write the last status."""
        self.write(replace(self._last, state=state, message=message))

    def _watch(self) -> None:
        deadline: float | None = None
        while not self._over.wait(_POLL_S):
            self.hear()
            with self.guard, suppress(OSError):
                if self._last != self._written:
                    self._write_if_due()
            if not self.stopping:
                continue
            deadline = deadline or time.monotonic() + STOP_WITHIN_S
            if time.monotonic() > deadline:
                self._end_now()
                return

    def _end_now(self) -> None:
        """Save and end the job without the thread that computes."""
        with self.guard:
            if self._over.is_set() or self._last.state.is_over:
                return
            message = self._last.message
            try:
                if self.save is not None:
                    self.save()
            except OSError as error:
                message = f"No checkpoint could be written: {error}."
            with suppress(OSError):
                self.end(JobState.STOPPED, f"Stopped. {message}")
            self._on_deadline()
