"""The part of potential_step.py for a GPU; that script calls it where torch sees one.

Ours against the `sevenn` package's ASE calculator with e3nn's products, and with
cuEquivariance's and FlashTP's where these are installed; then atoms times steps a second
of ours, for one system up to 100,000 atoms and for batches of 64-atom cells. Aims: 5 ms
a step up to 256 atoms, 300,000 atom-steps/s in batches, 100,000 atoms on 80 GB.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import ase
import contenders
import torch
from harness import print_table, write_results
from parity import PACKAGE_NAMES, difference

import gnndesign as gd

DEVICE = "cuda"
SYSTEMS = (8, 64, 216, 512)
SIZES = (8, 64, 216, 512, 1728, 4096, 13_824, 32_768, 64_000, 97_336)
BATCHES = (1, 4, 16, 64, 256)
REPEATS = 5
ACCELERATORS = {"cuEquivariance": "cue", "FlashTP": "flash"}
"""What the package may use instead of e3nn, and what it calls that."""

MOST_MS, LEAST_ATOM_STEPS = 5.0, 3e5

Row = dict[str, Any]


def measure(*, quick: bool) -> None:
    """Measure, print, write the results of the device's own file."""
    rows: list[Row] = []
    for name in list(PACKAGE_NAMES)[: 1 if quick else None]:
        compared = against_the_package(name, SYSTEMS[: 2 if quick else None])
        throughput = [
            *rates(name, [[n] for n in SIZES[: 4 if quick else None]]),
            *rates(name, [[64] * n for n in BATCHES[: 3 if quick else None]]),
        ]
        for part in (compared, throughput):
            print_table(part, list(part[0]))
            sys.stdout.write("\n")
        rows += [*compared, *throughput]
    ran = [row for row in rows if "atom_steps_per_s" in row]
    batched = [row["atom_steps_per_s"] for row in ran if row["n_systems"] > 1]
    headline = {
        "slowest_up_to_256_atoms_ms": max(
            row["ms"] for row in ran if row["n_systems"] == 1 and row["n_atoms"] <= 256
        ),
        "batched_atom_steps_per_s": max(batched),
        "most_atoms": max(row["n_atoms"] for row in ran),
    }
    write_results(
        "potential_step",
        headline=headline,
        rows=rows,
        packages=("torch", "triton", "sevenn", "cuequivariance-torch", "flashtp"),
        device=DEVICE,
        quick=quick,
    )
    for what, value in headline.items():
        sys.stdout.write(f"{what}: {value:.4g}\n")
    sys.stdout.write(
        f"aims: {MOST_MS} ms, {LEAST_ATOM_STEPS:.3g} atom-steps/s, 100,000 atoms\n"
    )


def against_the_package(name: str, sizes: Sequence[int]) -> list[Row]:
    """Milliseconds of each way on silicon, in turn."""
    # Without a fused form for this device the network in torch is what there is.
    ours = contenders.our_calculator(name, DEVICE, kernel="auto")
    rivals = {"ours": contenders.by_calculator(ours)}
    rivals["sevenn"] = contenders.by_calculator(
        contenders.package_calculator(name, DEVICE)
    )
    for who, short in ACCELERATORS.items():
        helper: Any = import_module(f"sevenn.nn.{short}_helper")
        # Without it the package quietly takes e3nn.
        if getattr(helper, f"is_{short}_available")():
            option = {"enable_" + {"cue": "cueq"}.get(short, short): True}
            calculator = contenders.package_calculator(name, DEVICE, **option)
            rivals[f"sevenn + {who}"] = contenders.by_calculator(calculator)
    rivals["torch-sim + sevenn"] = contenders.by_torch_sim(name, DEVICE)
    rows: list[Row] = []
    for n_atoms in sizes:
        times, said = contenders.in_turn(rivals, contenders.silicon(n_atoms), REPEATS)
        for who, taken in times.items():
            apart = difference(said["ours"], said[who])
            rows.append(
                {
                    "potential": name,
                    "contender": who,
                    "kernel": ours.potential.describe_kernel() if who == "ours" else "",
                    "n_atoms": n_atoms,
                    "ms": statistics.median(taken),
                    "times_as_fast": statistics.median(taken)
                    / statistics.median(times["ours"]),
                    "energy_eV_per_atom": apart.energy,
                    "force_eV_per_A": apart.force,
                }
            )
    return rows


def rates(name: str, cases: Sequence[Sequence[int]]) -> list[Row]:
    """Atoms times steps a second of ours, neighbor search included."""
    potential: Any = gd.load_potential(name, DEVICE)
    potential.prepare(say=lambda _: None)
    rows: list[Row] = []
    for case in cases:
        structures = [contenders.silicon(n_atoms) for n_atoms in case]
        row: Row = {
            "potential": name,
            "kernel": potential.describe_kernel(),
            "n_systems": len(case),
            "n_atoms": sum(case),
        }
        rows.append(row)
        torch.cuda.reset_peak_memory_stats()
        try:
            taken = milliseconds(potential.compute, structures)
        except torch.OutOfMemoryError:
            row["ms"] = "out of memory"
            torch.cuda.empty_cache()
            break
        row["ms"] = taken
        row["atom_steps_per_s"] = 1e3 * sum(case) / taken
        row["peak_memory_GB"] = torch.cuda.max_memory_allocated() / 1e9
    return rows


def milliseconds(
    compute: Callable[[list[ase.Atoms]], Any], structures: Sequence[ase.Atoms]
) -> float:
    """Median of a call, with the device idle before and after it."""
    times: list[float] = []
    for repeat in range(REPEATS + 1):
        moved = [contenders.stirred(atoms, repeat) for atoms in structures]
        torch.cuda.synchronize()
        began = time.perf_counter()
        compute(moved)
        torch.cuda.synchronize()
        if repeat:
            times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)
