"""The potentials that training jobs have left."""

from __future__ import annotations

from gnndesign.jobs.spec import JobKind
from gnndesign.jobs.store import list_jobs
from gnndesign.jobs.training import trained_file

_MOST = 20


def trained_potentials() -> list[tuple[str, str]]:
    """What they are called, and their files; the newest first."""
    found: list[tuple[str, str]] = []
    for store in list_jobs():
        if store.job_id.count(f"-{JobKind.TRAIN}-") and trained_file(store).is_file():
            time = store.job_id.split("-")[1]
            label = f"{store.spec.title} ({time[:2]}:{time[2:4]}:{time[4:]})"
            found.append((label, str(trained_file(store))))
        if len(found) == _MOST:
            break
    return found
