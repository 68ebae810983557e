"""100,000 frames of 1,000 atoms: written, opened, followed, leafed through, shown.

Claims, with all frames in one file: a frame is appended in under 2 ms, the file opens in
under 1 s, looking for new frames takes under 10 ms (it is done ten times a second while
a job runs), any frame is read in under 10 ms and is on its way to the browser in under
100 ms, and what is in memory does not grow with the frames that were looked at. The
file lies in the system's cache, as far as that has room for it.

Beside that, on fewer frames: ASE's writer, frames of the compact kind, and exports.
--quick takes 2,000 frames.
"""

from __future__ import annotations

import itertools
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
from ase.build import bulk
from harness import parse_arguments, print_table, write_results

from gnndesign.simulation.base import Snapshot
from gnndesign.simulation.trajectory import TrajectoryFolder, frame
from gnndesign.structures.export import EXPORT_NAMES, export_trajectory
from gnndesign.structures.trajectory import TrajectoryFile, frame_file
from gnndesign_widgets.viewer import ViewerPanel

N_FRAMES, N_QUICK = 100_000, 2_000
N_LOOKS = 300
LIMITS_MS = {
    "append": 2.0,
    "open": 1000.0,
    "refresh": 10.0,
    "random frame": 10.0,
    "random frame in the viewer": 100.0,
}
LIMIT_MEMORY_MB = 50.0


def main() -> int:
    """Measure, print, write; 1 where a claim fails and --check is given."""
    arguments = parse_arguments(__doc__ or "")
    n_frames = N_QUICK if arguments.quick else N_FRAMES
    needed = 80_000 * n_frames
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < 2 * needed:
        sys.exit(
            f"{tempfile.gettempdir()} has {free / 1e9:.1f} GB free; wanted twice the "
            f"{needed / 1e9:.1f} GB that the trajectory takes. Set TMPDIR."
        )
    with tempfile.TemporaryDirectory() as folder:
        rows = [*write_frames(Path(folder) / "full", n_frames)]
        path = frame_file(Path(folder) / "full", 0)
        rows += read_frames(path)
        rows += [*other_writers(Path(folder), min(n_frames, N_QUICK))]
        rows += export(path, Path(folder))
        rows.append(open_a_cut_file(path))
    print_table(rows, ("what", "median_ms", "mean_ms", "largest_ms", "value"))
    found = {row["what"]: row for row in rows}
    headline = {f"{name} (ms)": found[name]["median_ms"] for name in LIMITS_MS}
    memory = found["memory for opening and looking at frames (MB)"]["value"]
    size = found["bytes a frame"]["value"]
    headline |= {"n_frames": n_frames, "memory (MB)": memory, "bytes a frame": size}
    write_results(
        "trajectory",
        headline=headline,
        rows=rows,
        packages=("ase", "numpy"),
        quick=arguments.quick,
    )
    sys.stdout.write(", ".join(f"{k}={v:.4g}" for k, v in headline.items()) + "\n")
    holds = memory < LIMIT_MEMORY_MB and all(
        found[name]["median_ms"] < limit for name, limit in LIMITS_MS.items()
    )
    return 0 if holds or not arguments.check else 1


def snapshots() -> Iterator[Snapshot]:
    """Moments of 1,000 silicon atoms, for ever; a few of them repeated."""
    atoms = bulk("Si", cubic=True) * (5, 5, 5)
    n_atoms = len(atoms)
    random = np.random.default_rng(0)

    def some(*shape: int) -> np.ndarray:
        return random.normal(size=shape)

    moments = [
        Snapshot(
            step=np.zeros(1, dtype=int),
            time_fs=np.zeros(1),
            ids=np.zeros(1, dtype=int),
            n_atoms=np.array([n_atoms]),
            atomic_numbers=atoms.numbers,
            positions=atoms.positions + 0.1 * some(n_atoms, 3),
            momenta=some(n_atoms, 3),
            forces=some(n_atoms, 3),
            cell=atoms.cell.array[None] + 0.01 * some(1, 3, 3),
            pbc=np.ones((1, 3), dtype=bool),
            energy=some(1),
            kinetic_energy=some(1),
            max_force=some(1),
            stress=some(1, 3, 3),
            temperature_K=some(1),
            pressure_GPa=some(1),
            volume=some(1),
            status=np.zeros(1, dtype=int),
            messages=("",),
        )
        for _ in range(16)
    ]
    for step, moment in enumerate(itertools.cycle(moments)):
        yield replace(moment, step=np.array([step]), time_fs=np.array([2.0 * step]))


def write_frames(
    folder: Path, n_frames: int, contents: str = "full", kind: str = ""
) -> Iterator[dict[str, Any]]:
    """Append frames as a run does."""
    frames = TrajectoryFolder(folder, contents=contents)
    times = [
        timed(frames.write, snapshot)
        for snapshot in itertools.islice(snapshots(), n_frames)
    ]
    frames.close()
    yield row(f"append{kind}", times)
    size = frame_file(folder, 0).stat().st_size
    yield {"what": f"bytes a frame{kind}", "value": size / n_frames}


def read_frames(path: Path) -> list[dict[str, Any]]:
    """Open, follow, leaf through and show."""
    before = memory_mb()
    opening = [timed(lambda: TrajectoryFile(path).close()) for _ in range(5)]
    with closing(TrajectoryFile(path)) as file:
        choices = np.random.default_rng(1).integers(0, len(file), N_LOOKS).tolist()
        looks = [timed(file.__getitem__, k) for k in choices]
        rows = [
            row("open", opening),
            row("refresh", [timed(file.refresh) for _ in range(N_LOOKS)]),
            row("random frame", looks),
            {
                "what": "memory for opening and looking at frames (MB)",
                "value": memory_mb() - before,
            },
            row("random frame in the viewer", show(file, choices[:100])),
        ]
    start = next(snapshots())
    again = [timed(reopen, path.parent, start) for _ in range(5)]
    by_ase = [timed(ase.io.read, path, k) for k in choices[:10]]
    return [*rows, row("open to append", again), row("ase.io.read", by_ase)]


def show(file: TrajectoryFile, choices: list[int]) -> list[float]:
    """Milliseconds from a move of the slider until the message to the browser."""
    view = ViewerPanel(file).view
    sent: list[int] = []

    def receive(message: dict[str, Any], buffers: object = None) -> None:
        if buffers:
            sent.append(message["sequence"])

    view.send = receive
    view._handle_message(view, {"type": "gnndesign:ready", "view": "tab"}, [])  # noqa: SLF001
    times: list[float] = []
    for choice in choices:
        before = len(sent)
        times.append(timed(setattr, view, "frame", choice))
        if len(sent) == before and choice != view.frame:
            sys.exit("The viewer sent nothing.")
        drawn = {"type": "gnndesign:drawn", "view": "tab", "sequence": sent[-1]}
        view._handle_message(view, drawn, [])  # noqa: SLF001
    return times


def other_writers(folder: Path, n_frames: int) -> Iterator[dict[str, Any]]:
    """Compact frames, and ASE's own writer."""
    yield from write_frames(folder / "compact", n_frames, "compact", " (compact)")
    atoms = [frame(moment, 0) for moment in itertools.islice(snapshots(), 16)]
    with ase.io.Trajectory(folder / "ase.traj", "w") as trajectory:
        images = itertools.islice(itertools.cycle(atoms), n_frames)
        yield row("append by ASE", [timed(trajectory.write, image) for image in images])


def export(path: Path, folder: Path) -> list[dict[str, Any]]:
    """Milliseconds a frame of every export."""
    rows: list[dict[str, Any]] = []
    for file_format, name in EXPORT_NAMES.items():
        times: list[float] = []
        last = [time.perf_counter()]

        def tell(
            _done: int,
            _total: int,
            last: list[float] = last,
            times: list[float] = times,
        ) -> None:
            now = time.perf_counter()
            times.append(1e3 * (now - last[0]))
            last[0] = now

        export_trajectory(path, folder / name, stop=50, on_progress=tell)
        rows.append(row(f"export a frame, {file_format}", times))
    return rows


def open_a_cut_file(path: Path) -> dict[str, Any]:
    """Open a file whose last frame was cut short, and make it whole."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)
    times = [timed(reopen, path.parent, next(snapshots()))]
    return row("open to append, last frame cut", times)


def reopen(folder: Path, start: Snapshot) -> None:
    """Open the files as for writing; the start of the run is there already."""
    TrajectoryFolder(folder).write(start)


def timed(do: Callable[..., object], *arguments: object) -> float:
    """Milliseconds of a call."""
    began = time.perf_counter()
    do(*arguments)
    return 1e3 * (time.perf_counter() - began)


def row(what: str, times: list[float]) -> dict[str, Any]:
    """Times in milliseconds."""
    return {
        "what": what,
        "median_ms": statistics.median(times),
        "mean_ms": statistics.mean(times),
        "largest_ms": max(times),
    }


def memory_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    raise SystemExit(main())
