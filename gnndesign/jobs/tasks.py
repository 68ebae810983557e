"""What a worker does for each kind of job: the loop a script would write, on a store."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import IO, Any

import numpy as np

from gnndesign.errors import StructureError
from gnndesign.jobs.control import Control, Progress
from gnndesign.jobs.observing import ObservedJob
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.jobs.store import JobStore
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import Snapshot, Status, Stepper
from gnndesign.simulation.checkpoint import Progress as RunProgress
from gnndesign.simulation.checkpoint import save_state
from gnndesign.simulation.dynamics import dynamics_stepper, with_masses
from gnndesign.simulation.relaxation import relaxation_stepper
from gnndesign.simulation.results import SCALARS
from gnndesign.simulation.run import resume, run
from gnndesign.simulation.running import Run
from gnndesign.simulation.trajectory import TrajectoryFolder

CHECKPOINT_EVERY_S = 2.0
"""Seconds between checkpoints; what a killed worker has computed twice at most."""


def run_simulation(
    store: JobStore, spec: JobSpec, potential: Potential, control: Control
) -> Iterator[Progress]:
    """Relax or propagate the job's structures, from its checkpoint where there is one.

    Frames and metrics are flushed as they come. After the death of a worker the run
    goes on from the last checkpoint; what lies behind it on disk is computed again,
    identically, and not written twice. A checkpoint never lies ahead of what is
    written, or of what the observables have seen.
    """
    wanted = int(spec.parameters["steps"])
    going = _start_or_resume(store, spec, potential, control.total or wanted)
    _name_refused(store, going)
    observed = ObservedJob(store, spec)
    told: RunProgress | None = None
    last_save = time.monotonic()

    def save() -> None:
        # Before anything was told, a run without a checkpoint starts anew.
        if told is not None:
            observed.save()
            save_state(store.checkpoint, told)

    def before_step() -> None:
        nonlocal told, last_save
        # Every snapshot of this moment and of those before is on disk by now.
        told = going.progress
        if time.monotonic() - last_save > CHECKPOINT_EVERY_S:
            with control.guard:
                save()
            last_save = time.monotonic()
        going.max_steps = control.total or wanted
        control.count(_steps_done(going))
        if control.should_stop():
            going.stop()

    control.save = save
    going.before_step = before_step
    contents = str(spec.parameters.get("contents", "full"))
    with (
        closing(TrajectoryFolder(store.trajectory_folder, contents=contents)) as frames,
        MetricsWriter(store) as metrics,
    ):
        for snapshot in going:
            with control.guard:
                frames.write(snapshot)
                metrics.write(snapshot)
                observed.add(snapshot)
            if int(snapshot.step.max()) >= going.max_steps:
                # The last chance to be given more steps.
                control.hear()
                going.max_steps = control.total or wanted
            yield _progress(spec, snapshot, going)
            _fail_if_nothing_began(spec, snapshot)
        told = going.progress
        with control.guard:
            save()
            observed.tell()


def run_search(
    store: JobStore, spec: JobSpec, potential: Potential, control: Control
) -> Iterator[Progress]:
    """Search compositions; the study in the store is what a resumed job goes on from."""
    # Optuna and pymatgen take seconds to import; other jobs do without them.
    from gnndesign.properties.plain import from_plain
    from gnndesign.search.earlier_values import warm_starts_from_text
    from gnndesign.search.notation import constraint_from_dict, objective_from_dict
    from gnndesign.search.space import space_from_dict
    from gnndesign.search.study import iterate_search

    parameters = dict(spec.parameters)
    space = space_from_dict(parameters.pop("space"))
    objectives = [objective_from_dict(entry) for entry in parameters.pop("objectives")]
    constraints = [constraint_from_dict(e) for e in parameters.pop("constraints", [])]
    if "relaxing" in parameters:
        parameters["relaxing"] = from_plain(parameters["relaxing"])
    earlier = parameters.pop("warm_start", "")
    warm_start = warm_starts_from_text(earlier, space, objectives)
    wanted = int(parameters.pop("n_trials"))
    total, done = control.total or wanted, store.status().done
    yield Progress(done=done, total=total, message="Relaxing the elements.")
    while True:
        for progress in iterate_search(
            space,
            objectives,
            potential,
            total,
            store.study_file,
            constraints=constraints,
            warm_start=warm_start,
            **parameters,
            should_stop=control.should_stop,
        ):
            yield Progress(done=progress.n_done, total=total, message=progress.message)
        control.hear()
        if control.stopping or (control.total or wanted) <= total:
            return
        # More trials were wished for while it ran.
        total = control.total or wanted


class MetricsWriter:
    """Appends one JSON line a structure and moment, flushed, never one twice."""

    def __init__(self, store: JobStore) -> None:
        self._path = store.folder / "metrics.jsonl"
        self._last: dict[int, tuple[int, str]] = {}
        rows, end = store.metrics()
        for row in rows:
            self._last[row["id"]] = row["step"], row["status"]
        if self._path.exists() and self._path.stat().st_size > end:
            # A line cut short by the death of a worker.
            os.truncate(self._path, end)
        self._file: IO[str] | None = None

    def __enter__(self) -> MetricsWriter:
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, snapshot: Snapshot) -> None:
        """Append what is new: a later step, or the end of a structure."""
        assert self._file is not None, "used as a context manager"
        for index, system in enumerate(snapshot.ids.tolist()):
            status = Status(int(snapshot.status[index]))
            last_step, last_status = self._last.get(system, (-1, ""))
            ended = status not in (Status.RUNNING, Status[last_status or "RUNNING"])
            step = int(snapshot.step[index])
            if step <= last_step and not ended:
                continue
            self._last[system] = step, status.name
            self._file.write(json.dumps(_row(snapshot, index, system)) + "\n")
        self._file.flush()

    def refuse(self, system: int, reason: str) -> None:
        """Say once why a structure was left out."""
        assert self._file is not None, "used as a context manager"
        if system not in self._last:
            self._last[system] = 0, Status.REFUSED.name
            nothing = dict.fromkeys(("time_fs", *SCALARS))
            row = {"id": system, "step": 0, **nothing, "status": Status.REFUSED.name}
            self._file.write(json.dumps({**row, "message": reason}) + "\n")


def _row(snapshot: Snapshot, index: int, system: int) -> dict[str, Any]:
    scalars = {name: float(getattr(snapshot, name)[index]) for name in SCALARS}
    return {
        "id": system,
        "step": int(snapshot.step[index]),
        "time_fs": float(snapshot.time_fs[index]),
        # JSON has no NaN; a quantity that has no meaning here is null.
        **{k: v if math.isfinite(v) else None for k, v in scalars.items()},
        "status": Status(int(snapshot.status[index])).name,
        "message": snapshot.messages[index],
    }


_OF_THE_JOB = (
    *("steps", "record_every", "contents", "masses"),
    *("observe", "observe_after_fs"),
)
"""Parameters that are not the method's."""


def _stepper(spec: JobSpec) -> Stepper[Any]:
    parameters = dict(spec.parameters)
    for name in _OF_THE_JOB:
        parameters.pop(name, None)
    if spec.kind is JobKind.RELAX:
        return relaxation_stepper(**parameters)
    return dynamics_stepper(parameters.pop("ensemble"), **parameters)


def _start_or_resume(
    store: JobStore,
    spec: JobSpec,
    potential: Potential,
    max_steps: int,
) -> Run:
    every = int(spec.parameters.get("record_every", 1))
    masses = spec.parameters.get("masses") or {}
    structures = [with_masses(atoms, masses) for atoms in spec.atoms()]
    begin = run
    if store.checkpoint.is_file():
        begin = partial(resume, store.checkpoint)
    return begin(
        _stepper(spec), potential, structures, max_steps=max_steps, every=every
    )


def _name_refused(store: JobStore, going: Run) -> None:
    """Say of each structure that was left out why; raise that if none is left."""
    with MetricsWriter(store) as metrics:
        for system, reason in going.refused.items():
            metrics.refuse(system, str(reason))
    if len(going.refused) == len(store.spec.structures):
        raise going.refused[0]


def _steps_done(going: Run) -> int:
    """Steps of the system that is farthest."""
    members = going.progress.members
    return 0 if members is None else int(members.step.max())


def _fail_if_nothing_began(spec: JobSpec, snapshot: Snapshot) -> None:
    """Refuse the one structure of a job as a script would, if it is beyond help."""
    if len(spec.structures) == 1 and not np.isfinite(snapshot.energy[0]):
        raise StructureError(snapshot.messages[0])


def _progress(spec: JobSpec, snapshot: Snapshot, going: Run) -> Progress:
    n, total = len(spec.structures), going.max_steps
    if spec.kind is JobKind.DYNAMICS:
        said = (
            f"{snapshot.time_fs.max() / 1000:.3f} ps, "
            f"{snapshot.temperature_K.mean():.0f} K"
        )
    elif not np.isfinite(snapshot.max_force).any():
        said = "Nothing was computed"
    else:
        said = f"Largest force {np.nanmax(snapshot.max_force):.3g} eV/Å"
    if n > 1:
        through = n - going.n_running - going.n_waiting
        said += f", {through} of {n} structures ended"
    notes = [message for message in snapshot.messages if message]
    notes += [f"Left out: {message}" for message in going.refused.values()]
    return Progress(
        done=max(int(snapshot.step.max()), _steps_done(going)),
        total=total,
        message=" ".join([*notes, said + "."]),
    )
