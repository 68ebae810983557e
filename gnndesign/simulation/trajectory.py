"""Frames on disk: ASE's trajectory format, appended to while a run goes on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import ase
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.trajectory import TrajectoryReader as ASEReader
from ase.io.trajectory import TrajectoryWriter as ASEWriter

from gnndesign.errors import StructureError
from gnndesign.simulation.base import Snapshot


def frame(snapshot: Snapshot, index: int) -> ase.Atoms:
    """The structure at place `index` with energy, forces, stress, and info.

    `info` has "step" and "time_fs". Stress is there for fully periodic structures.
    """
    atoms = snapshot.atoms(index)
    results: dict[str, Any] = {
        "energy": float(snapshot.energy[index]),
        "forces": snapshot.forces[snapshot.atom_range(index)],
    }
    if atoms.pbc.all():
        (xx, xy, xz), (_, yy, yz), (_, _, zz) = snapshot.stress[index]
        results["stress"] = [xx, yy, zz, yz, xz, xy]
    atoms.calc = SinglePointCalculator(atoms, **results)
    atoms.info |= {
        "step": int(snapshot.step[index]),
        "time_fs": float(snapshot.time_fs[index]),
    }
    return atoms


class TrajectoryFolder:
    """One `.traj` file a structure, named by its id, readable by `ase.io.read`.

    Opening an existing folder goes on behind the frames that are there: a run that is
    repeated from an earlier checkpoint writes only what is new.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._writers: dict[int, ASEWriter] = {}
        self._last_step: dict[int, int] = {}

    def write(self, snapshot: Snapshot) -> None:
        """Append every structure of the snapshot that has a new step; flushed."""
        for index, system in enumerate(snapshot.ids.tolist()):
            if system not in self._writers:
                self._open(system)
            step = int(snapshot.step[index])
            if step > self._last_step[system]:
                self._writers[system].write(frame(snapshot, index))
                self._last_step[system] = step

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _open(self, system: int) -> None:
        path = frame_file(self.folder, system)
        self._last_step[system] = -1
        if path.exists() and path.stat().st_size > 0:
            frames = TrajectoryFile(path)
            if len(frames):
                self._last_step[system] = int(frames[-1].info["step"])
            frames.close()
        self._writers[system] = ASEWriter(str(path), mode="a")


class TrajectoryFile(Sequence[ase.Atoms]):
    """The frames of one structure, read one by one from a file that may still grow.

    Threads may share it.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise StructureError(f"There is no trajectory {path}.")
        self.path = path
        self._lock = threading.Lock()
        self._reader = ASEReader(str(path))

    def __len__(self) -> int:
        """Number of frames when last refreshed."""
        return len(self._reader)

    @overload
    def __getitem__(self, index: int) -> ase.Atoms: ...
    @overload
    def __getitem__(self, index: slice) -> list[ase.Atoms]: ...
    def __getitem__(self, index: int | slice) -> ase.Atoms | list[ase.Atoms]:
        """A frame, or a list of frames."""
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        with self._lock:
            atoms = self._reader[index]
        assert isinstance(atoms, ase.Atoms)
        return atoms

    def refresh(self) -> int:
        """Look for frames written since; returns their number in all."""
        with self._lock:
            self._reader.close()
            self._reader = ASEReader(str(self.path))
        return len(self)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._reader.close()


def frame_file(folder: Path, system: int) -> Path:
    """Where the frames of a structure lie."""
    return folder / f"{system:05d}.traj"
