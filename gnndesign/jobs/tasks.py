"""What a worker does for each kind of job: the loop a script would write, on a store."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from typing import IO, Any

from gnndesign.jobs.control import Control, Progress
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.jobs.store import JobStore
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import Snapshot, Status, Stepper
from gnndesign.simulation.cell import CellMode
from gnndesign.simulation.dynamics import dynamics_stepper
from gnndesign.simulation.fire import FIRE
from gnndesign.simulation.results import SCALARS
from gnndesign.simulation.run import Run, resume, run
from gnndesign.simulation.trajectory import TrajectoryFolder

CHECKPOINT_EVERY_S = 2.0
"""Seconds between checkpoints; what a killed worker has computed twice at most."""


def run_simulation(
    store: JobStore, spec: JobSpec, potential: Potential, control: Control
) -> Iterator[Progress]:
    """Relax or propagate the job's structures, from its checkpoint where there is one.

    Frames and metrics are flushed as they come. After the death of a worker the run
    goes on from the last checkpoint; what lies behind it on disk is computed again,
    identically, and not written twice.
    """
    stepper = _stepper(spec)
    wanted = int(spec.parameters["steps"])
    every = int(spec.parameters.get("record_every", 1))
    going = _start_or_resume(store, spec, stepper, potential, control.total or wanted)
    frames = TrajectoryFolder(store.trajectory_folder)
    ended = 0

    def save() -> None:
        going.checkpoint(store.checkpoint)

    control.save = save
    last_save = time.monotonic()
    try:
        with MetricsWriter(store) as metrics:
            for snapshot in going:
                with control.guard:
                    frames.write(snapshot)
                    metrics.write(snapshot)
                    if time.monotonic() - last_save > CHECKPOINT_EVERY_S:
                        save()
                        last_save = time.monotonic()
                going.max_steps = control.total or wanted
                ended += int((snapshot.status != Status.RUNNING).sum())
                yield _progress(spec, snapshot, going.max_steps, ended)
                if control.should_stop():
                    going.stop()
        with control.guard:
            save()
    finally:
        frames.close()


def run_search(
    store: JobStore, spec: JobSpec, potential: Potential, control: Control
) -> Iterator[Progress]:
    """Search compositions; the study in the store is what a resumed job goes on from."""
    # Optuna and pymatgen take seconds to import; other jobs do without them.
    from gnndesign.search.objectives import objective_from_dict
    from gnndesign.search.space import PrototypeSpace
    from gnndesign.search.study import iterate_search

    parameters = dict(spec.parameters)
    space = PrototypeSpace.from_dict(parameters.pop("space"))
    objectives = [objective_from_dict(entry) for entry in parameters.pop("objectives")]
    wanted = int(parameters.pop("n_trials"))
    total = control.total or wanted
    yield Progress(done=0, total=total, message="Computing the references.")
    for progress in iterate_search(
        space,
        objectives,
        potential,
        total,
        store.study_file,
        **parameters,
        should_stop=control.should_stop,
    ):
        yield Progress(done=progress.n_done, total=total, message=progress.message)


class MetricsWriter:
    """Appends one JSON line a structure and moment, flushed, never one twice."""

    def __init__(self, store: JobStore) -> None:
        self._path = store.folder / "metrics.jsonl"
        self._last_step: dict[int, int] = {}
        rows, end = store.metrics()
        for row in rows:
            self._last_step[row["id"]] = row["step"]
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
            running = int(snapshot.status[index]) == Status.RUNNING
            if snapshot.step <= self._last_step.get(system, -1) and running:
                continue
            self._last_step[system] = snapshot.step
            self._file.write(json.dumps(_row(snapshot, index, system)) + "\n")
        self._file.flush()


def _row(snapshot: Snapshot, index: int, system: int) -> dict[str, Any]:
    scalars = {name: float(getattr(snapshot, name)[index]) for name in SCALARS}
    return {
        "id": system,
        "step": snapshot.step,
        "time_fs": snapshot.time_fs,
        # JSON has no NaN; a quantity that has no meaning here is null.
        **{k: v if math.isfinite(v) else None for k, v in scalars.items()},
        "status": Status(int(snapshot.status[index])).name,
        "message": snapshot.messages[index],
    }


def _stepper(spec: JobSpec) -> Stepper[Any]:
    parameters = dict(spec.parameters)
    for name in ("steps", "record_every"):
        parameters.pop(name, None)
    if spec.kind is JobKind.RELAX:
        return FIRE(cell=CellMode.parse(parameters.pop("cell", None)), **parameters)
    return dynamics_stepper(parameters.pop("ensemble"), **parameters)


def _start_or_resume(
    store: JobStore,
    spec: JobSpec,
    stepper: Stepper[Any],
    potential: Potential,
    max_steps: int,
) -> Run:
    every = int(spec.parameters.get("record_every", 1))
    if store.checkpoint.is_file():
        return resume(
            store.checkpoint, stepper, potential, max_steps=max_steps, every=every
        )
    return run(stepper, potential, spec.atoms(), max_steps=max_steps, every=every)


def _progress(spec: JobSpec, snapshot: Snapshot, total: int, ended: int) -> Progress:
    if spec.kind is JobKind.DYNAMICS:
        said = (
            f"{snapshot.time_fs / 1000:.3f} ps, {snapshot.temperature_K.mean():.0f} K"
        )
    else:
        n = len(spec.structures)
        said = f"Largest force {snapshot.max_force.max():.4f} eV/Å"
        said += f", {ended} of {n} structures ended" if n > 1 else ""
    done = int(snapshot.step)
    diverged = [message for message in snapshot.messages if message]
    return Progress(done=done, total=total, message=" ".join([*diverged, said + "."]))
