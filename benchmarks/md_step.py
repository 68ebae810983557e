"""What a step of molecular dynamics costs beside the potential.

Langevin dynamics of silicon with SevenNet-0, a frame every tenth step on disk: the time
of a step, and the part of it that is not the potential (integrator, neighbors, guards,
snapshots, trajectory). The neighbor search is no part of the potential here. For 64
atoms also the other ensembles, and ASE's Langevin on the `sevenn` package's calculator
in the same run.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import contenders
import torch
from ase import units
from ase.md.langevin import Langevin as ASELangevin
from harness import parse_arguments, print_table, write_results

import gnndesign as gd
from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Potential, Prediction
from gnndesign.simulation.dynamics import ENSEMBLES

COLUMNS = (
    "engine",
    "ensemble",
    "atoms",
    "step_ms",
    "potential_ms",
    "other_ms",
    "other_share",
    "steps_per_s",
)
LARGEST_SHARE = {64: 0.15, 512: 0.10, 4096: 0.10}
"""Of a step that may be spent beside the potential, by number of atoms."""

LEAST_STEPS_PER_S = 70.0
"""Of 64 silicon atoms on two CPU cores."""

RECORD_EVERY = 10


class Timed(Potential):
    """A potential that remembers how long each of its answers took."""

    def __init__(self, inner: Potential) -> None:
        self.inner = inner
        self.card, self.device, self.cutoff = inner.card, inner.device, inner.cutoff
        self.seconds: list[float] = []

    def prepare(self, say: Any = None) -> None:
        """Compile."""
        self.inner.prepare(say)

    def predict(self, batch: AtomicBatch, edges: NeighborList | None) -> Prediction:
        """Ask and time."""
        begin = time.perf_counter()
        prediction = self.inner.predict(batch, edges)
        if batch.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - begin)
        return prediction


def main() -> int:
    """Time, print, write and check."""
    arguments = parse_arguments(__doc__ or "")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    potential = gd.load_potential("sevennet-0", device)
    potential.prepare()
    quick = arguments.quick
    plan = {64: 60, 512: 10} if quick else {64: 400, 512: 60, 4096: 20}
    rows = [ours(potential, "langevin", n, steps) for n, steps in plan.items()]
    if not quick:
        others = [name for name in ENSEMBLES if name != "langevin"]
        rows += [ours(potential, name, 64, 400) for name in others]
    rows.append(package(64, 3 if quick else 20, device))
    print_table(rows, COLUMNS)
    langevin = {r["atoms"]: r for r in rows if r["ensemble"] == "langevin"}
    headline = {
        **{f"share_beside_{n}": row["other_share"] for n, row in langevin.items()},
        "steps_per_s_64": langevin[64]["steps_per_s"],
        "times_the_package": langevin[64]["steps_per_s"] / rows[-1]["steps_per_s"],
    }
    write_results(
        "md_step",
        headline=headline,
        rows=[{"threads": torch.get_num_threads()}, *rows],
        packages=("torch", "ase", "sevenn", "vesin"),
        device=device,
        quick=quick,
    )
    sys.stdout.write(
        f"{headline['steps_per_s_64']:.1f} steps/s of 64 atoms, "
        f"{headline['share_beside_64']:.1%} of a step beside the potential\n"
    )
    missed = [
        f"{share:.1%} beside the potential at {n} atoms, wanted {LARGEST_SHARE[n]:.0%}"
        for n, row in langevin.items()
        if (share := row["other_share"]) > LARGEST_SHARE[n]
    ]
    if device == "cpu" and headline["steps_per_s_64"] < LEAST_STEPS_PER_S:
        missed.append(f"fewer than {LEAST_STEPS_PER_S:g} steps/s of 64 atoms")
    for target in missed:
        sys.stdout.write(f"missed: {target}\n")
    return 1 if arguments.check and missed else 0


def ours(
    potential: Potential, ensemble: str, n_atoms: int, steps: int
) -> dict[str, Any]:
    """Medians over blocks of `RECORD_EVERY` steps, so that each has one frame."""
    timed = Timed(potential)
    marks: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        gd.molecular_dynamics(
            contenders.silicon(n_atoms),
            timed,
            ensemble=ensemble,
            temperature_K=300.0,
            steps=steps,
            record_every=RECORD_EVERY,
            trajectory=Path(folder),
            on_snapshot=lambda _: marks.append(
                (time.perf_counter(), len(timed.seconds))
            ),
        )
    whole, inside = [], []
    for (begin, first), (end, last) in pairwise(marks):
        n = last - first
        whole.append((end - begin) / n)
        inside.append(sum(timed.seconds[first:last]) / n)
    step, asked = statistics.median(whole), statistics.median(inside)
    share = statistics.median(1.0 - i / w for i, w in zip(inside, whole, strict=True))
    return {
        "engine": "gnndesign",
        "ensemble": ensemble,
        "atoms": n_atoms,
        "steps": steps,
        "step_ms": 1e3 * step,
        "potential_ms": 1e3 * asked,
        "other_ms": 1e3 * (step - asked),
        "other_share": share,
        "steps_per_s": 1.0 / step,
    }


def package(n_atoms: int, steps: int, device: str) -> dict[str, Any]:
    """ASE's Langevin on the package's calculator."""
    atoms = contenders.silicon(n_atoms)
    atoms.calc = contenders.package_calculator("sevennet-0", device)
    dynamics = ASELangevin(
        atoms, 1.0 * units.fs, temperature_K=300.0, friction=0.01 / units.fs
    )
    dynamics.run(1)
    times: list[float] = []
    for _ in range(steps):
        begin = time.perf_counter()
        dynamics.run(1)
        times.append(time.perf_counter() - begin)
    step = statistics.median(times)
    return {
        "engine": "ASE + sevenn",
        "ensemble": "langevin (ASE)",
        "atoms": n_atoms,
        "steps": steps,
        "step_ms": 1e3 * step,
        "steps_per_s": 1.0 / step,
    }


if __name__ == "__main__":
    sys.exit(main())
