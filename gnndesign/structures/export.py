"""`export_trajectory`: the frames of a run as a file for other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import ase

from gnndesign.disk import replacing
from gnndesign.errors import ParameterError, StructureError
from gnndesign.structures.frame_formats import WRITERS
from gnndesign.structures.trajectory import TrajectoryFile, frame_file

_FORMAT_OF_SUFFIX = {
    ".extxyz": "extxyz",
    ".xyz": "extxyz",
    ".xdatcar": "xdatcar",
    ".cif": "cif",
    ".pdb": "pdb",
    ".lammpstrj": "lammps-dump",
    ".dump": "lammps-dump",
}

EXPORT_NAMES = {
    "extxyz": "trajectory.extxyz",
    "xdatcar": "XDATCAR",
    "cif": "trajectory.cif",
    "pdb": "trajectory.pdb",
    "lammps-dump": "trajectory.lammpstrj",
}
"""By format, what its files are called."""


class _StopAskedError(Exception):
    """Somebody does not want the file any more."""


def export_trajectory(
    source: str | Path | Sequence[ase.Atoms],
    target: str | Path,
    format: str | None = None,  # noqa: A002  (as in ase.io.write)
    *,
    start: int | None = None,
    stop: int | None = None,
    every: int = 1,
    structure: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> int:
    """Write frames to one file; it appears whole or not at all.

    One frame is in memory at a time. What a format has no place for is left out:

    - "extxyz": all (positions, momenta, forces, cell, energy, stress, step, time).
    - "xdatcar": cell and fractional coordinates; a head whenever the cell changes.
    - "cif": a data block a frame, in P1.
    - "pdb": a MODEL a frame with its CRYST1; rounds to 0.001 Å, turns the cell.
    - "lammps-dump": positions, velocities and forces in LAMMPS's units "metal" (Å,
      Å/ps, eV/Å), turned with the cell as LAMMPS wants it.

    Positions are written as they are: atoms that have left the cell are not put back.

    Args:
        source: a `.traj` file, the folder of a run or of a job, or frames.
        target: the file to write or replace.
        format: one of the above; None tells it from the name: `.extxyz` `.xyz`,
            XDATCAR `.xdatcar`, `.cif`, `.pdb`, `.lammpstrj` `.dump`.
        start: the first frame, from 0; below 0 it counts from the end, as in a slice.
        stop: the frame before which to end; None takes all.
        every: of these, every so many.
        structure: which one, by its number, where the folder has several.
        on_progress: called after every frame with the numbers of those written and
            wanted.
        should_stop: asked before every frame; if it says so, no file is left.

    Returns:
        The number of frames written; 0 if it was stopped.

    Raises:
        StructureError: there are no such frames, or the format cannot hold them.
        ParameterError: no such format, or `every` is below 1.
    """
    target = Path(target)
    writer = WRITERS[_format_of(target, format)]
    if every < 1:
        raise ParameterError(f"Wanted every >= 1, got {every}.")
    if not target.parent.is_dir():
        raise StructureError(f"The folder '{target.parent}' does not exist.")

    def wanted(frames: Sequence[ase.Atoms], chosen: range) -> Iterator[ase.Atoms]:
        for done, k in enumerate(chosen):
            if should_stop is not None and should_stop():
                raise _StopAskedError
            yield frames[k]
            if on_progress is not None:
                on_progress(done + 1, len(chosen))

    if isinstance(source, str | Path):
        opened = closing(TrajectoryFile(find_trajectory(source, structure)))
    else:
        opened = nullcontext(source)
    with opened as frames:
        chosen = range(*slice(start, stop, every).indices(len(frames)))
        if not chosen:
            raise StructureError(
                f"There are {len(frames)} frames and none from {start or 0} to "
                f"{'the end' if stop is None else stop}; wanted at least one."
            )
        try:
            with (
                replacing(target) as partial,
                partial.open("w", encoding="utf-8", newline="\n") as stream,
            ):
                writer(stream, wanted(frames, chosen))
        except _StopAskedError:
            return 0
    return len(chosen)


def find_trajectory(path: str | Path, structure: int | None = None) -> Path:
    """The `.traj` file that a path means.

    Args:
        path: the file, the folder of a run or the folder of a job.
        structure: which one, by its number, where the folder has several.

    Raises:
        StructureError: there is none, or it is not clear which.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise StructureError(
            f"There is no '{path}'; wanted a .traj file or the folder of a run."
        )
    folder = path / "trajectory" if (path / "trajectory").is_dir() else path
    files = sorted(folder.glob("*.traj"))
    if not files:
        raise StructureError(f"'{path}' holds no trajectory (.traj).")
    if structure is None and len(files) == 1:
        return files[0]
    wanted = None if structure is None else frame_file(folder, structure)
    if wanted not in files:
        raise StructureError(
            f"'{path}' holds the trajectories of {len(files)} structures, from "
            f"{files[0].name} to {files[-1].name}; say which one by its number, got "
            f"{structure}."
        )
    return wanted


def _format_of(target: Path, wanted: str | None) -> str:
    if wanted is None and target.name.upper().startswith("XDATCAR"):
        return "xdatcar"
    if wanted is None:
        wanted = _FORMAT_OF_SUFFIX.get(target.suffix.lower())
    if wanted not in WRITERS:
        raise ParameterError(
            f"Cannot export to '{target.name}'; wanted a name ending in "
            f"{' '.join(_FORMAT_OF_SUFFIX)}, or the name XDATCAR, or one of the formats "
            f"{', '.join(WRITERS)}."
        )
    return wanted
