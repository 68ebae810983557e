"""Frames on disk: ASE's trajectory format, appended to while a run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from gnndesign.errors import ParameterError, StructureError
from gnndesign.simulation.base import Snapshot
from gnndesign.structures.trajectory import TrajectoryFile, frame_file
from gnndesign.structures.ulm import FrameLog

CONTENTS = ("full", "compact")
"""What a frame may carry.

"full": positions, momenta and forces as they were computed, 72 bytes an atom.
"compact": positions and momenta in float32, 24 bytes an atom.

Energy, stress, cell, step and time, 0.7 kB, are in both, and masses where they are not
the natural ones; a relaxation has no momenta.
"""


def frame(snapshot: Snapshot, index: int) -> ase.Atoms:
    """The structure at place `index` with energy, forces, stress, and info.

    `info` has "step" and "time_fs". Stress is there for fully periodic structures.
    """
    atoms = snapshot.atoms(index)
    results = _scalars(snapshot, index)
    results["forces"] = snapshot.forces[snapshot.atom_range(index)]
    atoms.calc = SinglePointCalculator(atoms, **results)
    atoms.info |= _moment(snapshot, index)
    return atoms


class TrajectoryFolder:
    """One `.traj` file a structure, named by its id, readable by `ase.io.read`.

    Opening an existing folder goes on behind the frames that are there: a run that is
    repeated from an earlier checkpoint writes only what is new. A frame cut short by
    the death of a writer is removed. Files are open only while they are written to.
    """

    def __init__(self, folder: Path, *, contents: str = "full") -> None:
        """Open a folder, or make it.

        Args:
            folder: for the files.
            contents: what the frames carry, see `CONTENTS`.

        Raises:
            ParameterError: no such contents.
        """
        if contents not in CONTENTS:
            raise ParameterError(
                f"Wanted contents in {', '.join(map(repr, CONTENTS))}, got "
                f"{contents!r}."
            )
        self.folder = folder
        self.contents = contents
        folder.mkdir(parents=True, exist_ok=True)
        self._logs: dict[int, FrameLog] = {}

    def write(self, snapshot: Snapshot) -> None:
        """Append every structure of the snapshot that has a new step; flushed.

        What was never computed, an energy or a vector that is not finite, is no frame.

        Raises:
            StructureError: a file holds frames of another structure.
            OSError: a frame could not be written; those before it are as they were.
        """
        for index, system in enumerate(snapshot.ids.tolist()):
            if system not in self._logs:
                self._logs[system] = self._open(system, snapshot, index)
            log = self._logs[system]
            last_step = log.last.get("info", {}).get("step", -1)
            if snapshot.step[index] > last_step and _is_finite(snapshot, index):
                log.append(self._item(snapshot, index, with_header=log.n_items == 0))

    def close(self) -> None:
        """Forget the files; nothing is left to be written."""
        self._logs.clear()

    def _open(self, system: int, snapshot: Snapshot, index: int) -> FrameLog:
        path = frame_file(self.folder, system)
        log = FrameLog(path)
        if log.n_items:
            frames = TrajectoryFile(path)
            there = frames[0]
            frames.close()
            here = snapshot.atoms(index)
            if not np.array_equal(there.numbers, here.numbers):
                raise StructureError(
                    f"'{path}' holds frames of {there.get_chemical_formula()}, not of "
                    f"{here.get_chemical_formula()}. Give another folder for these."
                )
        return log

    def _item(
        self, snapshot: Snapshot, index: int, *, with_header: bool
    ) -> dict[str, Any]:
        """A frame as ASE's trajectories name its parts."""
        part = snapshot.atom_range(index)
        is_full = self.contents == "full"
        kind = np.float64 if is_full else np.float32
        item: dict[str, Any] = {"positions": snapshot.positions[part].astype(kind)}
        if snapshot.momenta is not None:
            item["momenta"] = snapshot.momenta[part].astype(kind)
        if (masses := snapshot.own_masses(index)) is not None:
            item["masses"] = masses
        results = _scalars(snapshot, index)
        if is_full:
            results["forces"] = snapshot.forces[part]
        item |= {
            "cell": snapshot.cell[index].tolist(),
            "calculator.": {"name": "unknown", **results},
            "info": _moment(snapshot, index),
        }
        if with_header:
            item |= {
                "version": 1,
                "ase_version": ase.__version__,
                "pbc": snapshot.pbc[index].tolist(),
                "numbers": snapshot.atomic_numbers[part],
            }
        return item


def _scalars(snapshot: Snapshot, index: int) -> dict[str, Any]:
    """Results of a structure that are not per atom, as ASE names them."""
    scalars: dict[str, Any] = {"energy": float(snapshot.energy[index])}
    stress = snapshot.stress[index]
    if snapshot.pbc[index].all() and np.isfinite(stress).all():
        (xx, xy, xz), (_, yy, yz), (_, _, zz) = stress.tolist()
        scalars["stress"] = [xx, yy, zz, yz, xz, xy]
    return scalars


def _moment(snapshot: Snapshot, index: int) -> dict[str, Any]:
    step, time_fs = int(snapshot.step[index]), float(snapshot.time_fs[index])
    return {"step": step, "time_fs": time_fs}


def _is_finite(snapshot: Snapshot, index: int) -> bool:
    part = snapshot.atom_range(index)
    vectors = [snapshot.positions[part], snapshot.forces[part], snapshot.cell[index]]
    if snapshot.momenta is not None:
        vectors.append(snapshot.momenta[part])
    energy = np.isfinite(snapshot.energy[index])
    return bool(energy) and all(np.isfinite(vector).all() for vector in vectors)
