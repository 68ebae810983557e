"""`gnndesign jobs`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from gnndesign.cli.output import DONE, Commands, add_command, note, write_table
from gnndesign.errors import JobError

if TYPE_CHECKING:
    from gnndesign.jobs.store import JobStore


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "jobs",
        "List the jobs of the app, the newest first; stop or resume one.",
        example="gnndesign jobs --stop 20260214-093000",
    )
    parser.add_argument(
        "--home",
        type=Path,
        metavar="FOLDER",
        help="where they are (default: $GNNDESIGN_HOME or the user's data folder)",
    )
    parser.add_argument("--stop", metavar="ID", help="a job, or a part of its name")
    parser.add_argument("--resume", metavar="ID", help="a job, or a part of its name")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Do what is asked for, then list."""
    from gnndesign.jobs import local
    from gnndesign.jobs.store import list_jobs

    jobs = list_jobs(options.home)
    if options.stop is not None:
        _find(jobs, options.stop).request_stop()
    if options.resume is not None:
        local.resume(_find(jobs, options.resume))
    rows: list[list[str]] = []
    for job in jobs:
        try:
            status, title = job.status(), job.spec.title
        except (JobError, OSError) as error:
            note(f"{job.job_id}: {error}")
            continue
        done = f"{status.done}/{status.total}" if status.total else "-"
        device = status.device or "-"
        rows.append(
            [job.job_id, str(status.state), done, device, title, status.message]
        )
    write_table(("job", "state", "done", "device", "title", "message"), rows)
    return DONE


def _find(jobs: list[JobStore], name: str) -> JobStore:
    found = [job for job in jobs if name in job.job_id]
    if len(found) == 1:
        return found[0]
    raise JobError(
        f"Wanted the name of one job or a part of it, got '{name}', which "
        f"{len(found)} of {len(jobs)} jobs have."
    )
