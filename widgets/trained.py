"""The potentials that jobs have trained, and what a person calls a potential."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from gnndesign.errors import JobError
from gnndesign.jobs.spec import JobKind
from gnndesign.jobs.store import JobStore, list_jobs
from gnndesign.jobs.training import trained_file

_MOST = 20
_LEARNED = tuple(
    f"-{kind}-" for kind in (JobKind.TRAIN, JobKind.FINE_TUNE, JobKind.DISTILL)
)


def trained_potentials() -> list[str]:
    """Their files, the newest first."""
    found = [
        str(trained_file(store))
        for store in list_jobs()
        if any(kind in store.job_id for kind in _LEARNED)
        and trained_file(store).is_file()
    ]
    return found[:_MOST]


@lru_cache(maxsize=256)
def potential_label(name: str) -> str:
    """A name of the catalog; a job's title and time; a file by its folder and name."""
    path = Path(name)
    if len(path.parts) < 2:
        return name
    try:
        store = JobStore(path.parent)
        title, time = store.spec.title, store.job_id.split("-")[1]
    except (JobError, OSError, IndexError):
        pass  # Not in the folder of a job.
    else:
        if path == trained_file(store):
            return f"{title} ({time[:2]}:{time[2:4]}:{time[4:]})"
    return "/".join(path.parts[-2:])
