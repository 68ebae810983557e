"""Reading the frames of a trajectory one by one, also while it grows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, overload

import ase
from ase.io import ulm
from ase.io.trajectory import TrajectoryReader as ASEReader

from gnndesign.errors import StructureError
from gnndesign.structures.ulm import read_index


class TrajectoryFile(Sequence[ase.Atoms]):
    """The frames of one structure, read one by one from a file that may still grow.

    Any ASE trajectory (`.traj`) will do. Of one that was cut short there are the frames
    that are whole. What is kept in memory is 8 bytes a frame. Threads may share it.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            StructureError: there is none, or it is something else.
        """
        if not path.is_file():
            raise StructureError(f"There is no trajectory {path}.")
        self.path = path
        self._lock = threading.Lock()
        self._reader = _Reader(path)

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
        fresh = _Reader(self.path)
        with self._lock:
            before, self._reader = self._reader, fresh
            before.close()
        return len(self)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._reader.close()


def frame_file(folder: Path, system: int) -> Path:
    """Where the frames of a structure lie."""
    return folder / f"{system:05d}.traj"


class _Reader(ASEReader):
    """ASE's reader, over the frames that are whole."""

    def _open(self, filename: Path) -> None:
        self._file = filename.open("rb")
        try:
            self.backend = _WholeItems(self._file, str(filename))
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()


class _WholeItems(ulm.Reader):
    """ASE's items of a file, without believing its head."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._offsets = read_index(file, name).offsets
        self._nitems, self._tag = len(self._offsets), "ASE-Trajectory"
        super().__init__(file, data={})
        if self._nitems:
            self._parse_data(self._read_data(0))
