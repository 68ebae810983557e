"""Where a job is in its life, and what may be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """Its worker died; it can be resumed from its checkpoint."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens unless somebody resumes it."""
        return self not in (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """How far a job is.

    Attributes:
        state: where it is in its life.
        done: steps made, or trials told.
        total: steps or trials wanted.
        message: one sentence for a person.
        device: what it runs on; empty before it runs.
        updated: when this was written, ISO 8601 in UTC.
    """

    state: JobState
    done: int = 0
    total: int = 0
    message: str = ""
    device: str = ""
    updated: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was asked of the worker.

    Attributes:
        stop: end the job.
        pause: wait.
        total: steps or trials in all, instead of what the spec says.
    """

    stop: bool
    pause: bool
    total: int | None
