"""What a worker does to check the winners of a search.

checks.json  a list of `WinnerCheck`s, written when all have ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gnndesign.disk import write_atomically
from gnndesign.errors import ParameterError
from gnndesign.jobs.control import Control, Progress
from gnndesign.jobs.reports import read_report
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.store import JobStore
from gnndesign.potentials.base import Potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.search.reality import iterate_checks
from gnndesign.search.reality_result import RealityCheck
from gnndesign.search.trials import Trial
from gnndesign.search.trust import TrustFlag


@dataclass(frozen=True, slots=True, kw_only=True)
class WinnerCheck:
    """What is left of a `RealityCheck` when its job is over.

    Attributes:
        trial: number of the trial in its search.
        formula: of it.
        standing: in a word: known, new, outside the training domain.
        status: checked, failed or stopped.
        message: why not all of it could be computed; empty otherwise.
        flags: the worst first.
    """

    trial: int
    formula: str
    standing: str
    status: str
    message: str
    flags: tuple[TrustFlag, ...]


def check_parameters(
    search: str,
    trials: Sequence[Trial],
    stability: str = "elastic",
    other_potential: str = "",
) -> dict[str, Any]:
    """The parameters of a job of this kind, as JSON holds them.

    Args:
        search: id of the job of the search.
        trials: the winners, whose structures are those of the job.
        stability: "elastic", "phonons", or empty for neither.
        other_potential: name of a second one; empty for none.
    """
    return {
        "search": search,
        "trials": [trial.number for trial in trials],
        "formulas": [trial.formula for trial in trials],
        "stability": stability,
        "other_potential": other_potential,
    }


def run_checks(
    store: JobStore, spec: JobSpec, potential: Potential, control: Control
) -> Iterator[Progress]:
    """Check the job's structures, all in one queue; a stopped job begins anew.

    Raises:
        ParameterError: an unknown kind of stability.
    """
    given = spec.parameters
    stability = given["stability"] or None
    if stability not in ("elastic", "phonons", None):
        raise ParameterError(f"Wanted elastic or phonons, got '{stability}'.")
    other = given["other_potential"]
    steps = iterate_checks(
        spec.atoms(),
        potential,
        load_potential(other, str(potential.device)) if other else None,
        stability=stability,
        should_stop=control.should_stop,
    )
    for progress in steps:
        if progress.checks and not control.stopping:
            found = [
                asdict(_left(check, trial, formula))
                for check, trial, formula in zip(
                    progress.checks, given["trials"], given["formulas"], strict=True
                )
            ]
            with control.guard:
                write_atomically(checks_file(store), json.dumps(found, indent=1))
        yield Progress(
            done=progress.done, total=progress.total, message=progress.message
        )


def checks_file(store: JobStore) -> Path:
    """Where a job's checks are."""
    return store.folder / "checks.json"


def read_checks(store: JobStore) -> list[WinnerCheck]:
    """The checks of a job; none before its end.

    Raises:
        CheckpointError: they were written by another version.
    """
    found = read_report(checks_file(store), _from_rows, anew="Check the winners anew.")
    return found or []


def _from_rows(rows: list[dict[str, Any]]) -> list[WinnerCheck]:
    return [
        WinnerCheck(flags=tuple(TrustFlag(**each) for each in row.pop("flags")), **row)
        for row in rows
    ]


def _left(check: RealityCheck, trial: int, formula: str) -> WinnerCheck:
    return WinnerCheck(
        trial=trial,
        formula=formula,
        standing=str(check.standing),
        status=str(check.status),
        message=check.message,
        flags=check.flags,
    )
