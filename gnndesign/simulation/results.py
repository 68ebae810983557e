"""Collecting what a run says: the history of every structure and its last moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from jaxtyping import Float, Int

from gnndesign.errors import ParameterError
from gnndesign.simulation.base import Snapshot, Status
from gnndesign.simulation.running import Run
from gnndesign.simulation.trajectory import TrajectoryFolder, frame


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A structure's scalars against step.

    Attributes:
        step: (n,).
        time_fs: (n,) fs; 0 in a relaxation.
        energy: (n,) potential energy, eV.
        kinetic_energy: (n,) eV; NaN in a relaxation.
        max_force: (n,) eV/Å.
        temperature_K: (n,) NaN in a relaxation.
        pressure_GPa: (n,) NaN without a volume.
        volume: (n,) Å³; NaN without a volume.
    """

    step: Int[np.ndarray, " n"]
    time_fs: Float[np.ndarray, " n"]
    energy: Float[np.ndarray, " n"]
    kinetic_energy: Float[np.ndarray, " n"]
    max_force: Float[np.ndarray, " n"]
    temperature_K: Float[np.ndarray, " n"]
    pressure_GPa: Float[np.ndarray, " n"]
    volume: Float[np.ndarray, " n"]


SCALARS = (
    "energy",
    "kinetic_energy",
    "max_force",
    "temperature_K",
    "pressure_GPa",
    "volume",
)
"""Per-structure scalars of a `Snapshot` that make up a `History`."""


class Recorder:
    """Takes the snapshots of a run and keeps scalars and the last moment of each."""

    def __init__(self, n_systems: int) -> None:
        self._rows: list[list[tuple[float, ...]]] = [[] for _ in range(n_systems)]
        self._last: dict[int, tuple[Snapshot, int]] = {}

    def add(self, snapshot: Snapshot) -> None:
        """Take a snapshot; a moment that is already there is replaced."""
        for index, system in enumerate(snapshot.ids.tolist()):
            rows = self._rows[system]
            step = int(snapshot.step[index])
            row = (
                step,
                float(snapshot.time_fs[index]),
                *(float(getattr(snapshot, name)[index]) for name in SCALARS),
            )
            if rows and rows[-1][0] == step:
                rows[-1] = row
            else:
                rows.append(row)
            self._last[system] = (snapshot, index)

    def last(self, system: int) -> tuple[Snapshot, int] | None:
        """The last snapshot in which a structure is, and its place there.

        None for one that was refused, or had not begun when the run was stopped.
        """
        return self._last.get(system)

    def history(self, system: int) -> History:
        """All scalars of a structure."""
        names = ("step", "time_fs", *SCALARS)
        columns = np.array(self._rows[system], dtype=float).reshape(-1, len(names)).T
        values = dict(zip(names, columns, strict=True))
        return History(step=values.pop("step").astype(int), **values)


def finished_atoms(start: ase.Atoms, last: Snapshot, index: int) -> ase.Atoms:
    """The input structure moved to where it ended, with its results attached.

    Tags, constraints, magnetic moments and info of the input stay.
    """
    atoms = start.copy()
    if not np.isfinite(last.energy[index]):
        return atoms  # Nothing was computed, and nothing moved.
    end = frame(last, index)
    atoms.set_cell(end.cell)
    atoms.set_positions(end.positions, apply_constraint=False)
    if last.momenta is not None:
        atoms.set_momenta(end.get_momenta(), apply_constraint=False)
    if end.calc is not None:
        atoms.calc = SinglePointCalculator(atoms, **end.calc.results)
    return atoms


def follow(
    going: Run,
    n_systems: int,
    *,
    trajectory: Path | str | None = None,
    contents: str = "full",
    on_snapshot: Callable[[Snapshot], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Recorder:
    """Run to the end, and keep what is said on the way.

    Args:
        going: the run.
        n_systems: number of structures given to it.
        trajectory: a folder for the frames; None keeps none.
        contents: of the frames, see `CONTENTS` of `gnndesign.simulation.trajectory`.
        on_snapshot: called with every snapshot.
        should_stop: asked after every snapshot.

    Raises:
        ParameterError: the folder holds frames of another run; no such contents.
    """
    recorder = Recorder(n_systems)
    if trajectory is not None and not going.is_resumed:
        _refuse_frames_of_another_run(Path(trajectory))
    folder = None
    if trajectory is not None:
        folder = TrajectoryFolder(Path(trajectory), contents=contents)
    try:
        for snapshot in going:
            recorder.add(snapshot)
            if folder is not None:
                folder.write(snapshot)
            if on_snapshot is not None:
                on_snapshot(snapshot)
            if should_stop is not None and should_stop():
                going.stop()
    finally:
        if folder is not None:
            folder.close()
    return recorder


def _refuse_frames_of_another_run(folder: Path) -> None:
    if folder.is_dir() and any(folder.glob("*.traj")):
        raise ParameterError(
            f"'{folder}' holds the frames of another run; wanted a new folder. Give "
            "another one, or the checkpoint to go on from."
        )


def not_run(going: Run, system: int) -> tuple[Status, str]:
    """Why there is nothing of a structure."""
    if system in going.refused:
        return Status.REFUSED, str(going.refused[system])
    return Status.STOPPED, "Stopped before it had begun."
