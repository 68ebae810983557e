"""64 small crystals relaxed with their cells: ours, a loop over ASE, torch-sim.

Binaries of up to eight atoms a cell, rattled by 0.1 Å and strained by 2 %, relaxed until
no force on an atom and no row of the force on the cell is longer than the bound
(`relaxers`), with the weights of SevenNet-0. Ours is `gnndesign.relax` on the list, with
each of its methods; the headline is its default. ASE's is a loop of FIRE on
FrechetCellFilter and the `sevenn` package's calculator. torch-sim's is its FIRE with
Frechet cells, on the package's network, all in one batch.

Every relaxation runs in a process of its own in which everything is loaded and has run
once; they take turns and the medians count. OpenBLAS has one thread and OpenMP all
cores, for all alike.

Claims, at 0.05 eV/Å: structures a minute at least 20 times ASE's and 10 times
torch-sim's on the processor; on a GPU, where torch sees one, at least 50 times ASE's on
that GPU, written to a file of its own. An end whose energy is 1 meV/atom or more from
ASE's is counted as another minimum and listed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ase
import contenders
import relaxers
import torch
from ase.optimize import FIRE
from harness import parse_arguments, print_table, write_results

NAME = "sevennet-0"
NUMBER, QUICK_NUMBER = 64, 6
SEED = 64
LARGEST = 8
STRAIN = 0.02
REPEATS = {0.05: 3, 0.01: 1}
"""By the largest force, eV/Å; the first is that of the claims."""
QUICK_REPEATS = {0.05: 1}
MAX_STEPS = 500
SAME_MINIMUM = 1e-3
"""eV an atom."""
TARGETS = {
    "cpu": {"times_as_fast_as_ase": 20.0, "times_as_fast_as_torch_sim": 10.0},
    "cuda": {"times_as_fast_as_ase": 50.0},
}
COLUMNS = (
    *("max_force", "contender", "seconds", "structures_per_minute", "times_as_fast"),
    *("evaluations", "converged", "other_minima", "largest_force"),
)

Row = dict[str, Any]


def main() -> int:
    """Measure, print, write; 1 where a claim fails and --check is given."""
    arguments = parse_arguments(__doc__ or "")
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    missed = [measure(device, quick=arguments.quick) for device in devices]
    return 1 if any(missed) and arguments.check else 0


def measure(device: str, *, quick: bool) -> list[str]:
    """All of it on one device; returns which targets are missed."""
    repeats = QUICK_REPEATS if quick else REPEATS
    number = QUICK_NUMBER if quick else NUMBER
    rows: list[Row] = []
    others: list[Row] = []
    for max_force, times in repeats.items():
        runs = in_turn(number, max_force, device, times)
        rows += [
            summary(who, found, runs["ase"], max_force) for who, found in runs.items()
        ]
        others += differing(runs, max_force, crystals(number))
    print_table(rows, COLUMNS)
    if others:
        sys.stdout.write("\nEnergies, eV/atom, of those that end elsewhere:\n")
        print_table(others, tuple(others[0]))
    first = {
        row["contender"]: row
        for row in rows
        if row["max_force"] == rows[0]["max_force"]
    }
    ours = first[f"ours, {relaxers.TITLES[relaxers.our_methods()[0]]}"]
    headline = {
        "n_structures": number,
        "structures_per_minute": ours["structures_per_minute"],
        "times_as_fast_as_ase": ours["times_as_fast"],
        "times_as_fast_as_torch_sim": first["torch-sim"]["seconds"] / ours["seconds"],
    }
    targets = TARGETS[device]
    missed = [what for what, least in targets.items() if headline[what] < least]
    write_results(
        "relax_many",
        headline=headline | {"missed": missed},
        rows=[{"test": "setting", **threads()}, *rows, *others],
        packages=("torch", "sevenn", "torch-sim-atomistic", "ase", "vesin"),
        device=device,
        quick=quick,
    )
    for what, value in headline.items():
        verdict = "MISSED, wanted" if what in missed else "wanted"
        target = f"  {verdict} at least {targets[what]:g}" if what in targets else ""
        sys.stdout.write(f"{device} {what}: {value:.4g}{target}\n")
    return missed


def crystals(number: int) -> list[ase.Atoms]:
    """What is relaxed."""
    return relaxers.rattled_crystals(
        number, seed=SEED, files=relaxers.FILES[:1], largest=LARGEST, strain=STRAIN
    )


def in_turn(
    number: int, max_force: float, device: str, repeats: int
) -> dict[str, list[Row]]:
    """By contender, what each of its runs said; the runs are A B C A B C ..."""
    ours = {f"ours, {relaxers.TITLES[m]}": m for m in relaxers.our_methods()}
    whos = {**ours, "ase": "ase", "torch-sim": "torch-sim"}
    runs: dict[str, list[Row]] = {name: [] for name in whos}
    for _ in range(repeats):
        for name, who in whos.items():
            call = f"print_relaxed({who!r}, {number}, {max_force}, {device!r})"
            runs[name].append(in_a_process(call))
    return runs


def summary(who: str, runs: list[Row], ase_runs: list[Row], max_force: float) -> Row:
    """A contender's row of the table."""
    seconds = [run["seconds"] for run in runs]
    median = statistics.median(seconds)
    ends = runs[0]
    pairs = zip(ends["energies"], ase_runs[0]["energies"], strict=True)
    return {
        "max_force": max_force,
        "contender": who,
        "seconds": median,
        "fastest_s": min(seconds),
        "slowest_s": max(seconds),
        "repeats": len(runs),
        "structures_per_minute": 60.0 * len(ends["energies"]) / median,
        # ASE's time over this one.
        "times_as_fast": statistics.median(r["seconds"] for r in ase_runs) / median,
        "evaluations": ends["evaluations"],
        "converged": ends["converged"],
        "other_minima": sum(abs(a - b) >= SAME_MINIMUM for a, b in pairs),
        "largest_force": ends["largest_force"],
    }


def differing(
    runs: dict[str, list[Row]], max_force: float, structures: list[ase.Atoms]
) -> list[Row]:
    """Structures on whose energy not all agree, with what each says."""
    rows: list[Row] = []
    for k, atoms in enumerate(structures):
        energies = {who: found[0]["energies"][k] for who, found in runs.items()}
        if max(energies.values()) - min(energies.values()) >= SAME_MINIMUM:
            formula = atoms.get_chemical_formula()
            rows.append({"max_force": max_force, "structure": k, "formula": formula})
            rows[-1] |= {who: f"{energy:.5f}" for who, energy in energies.items()}
    return rows


def threads() -> dict[str, str]:
    """The same for every contender; OpenBLAS's own would fight with OpenMP's."""
    cores = str(len(os.sched_getaffinity(0)))
    return {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": cores}


def in_a_process(call: str) -> Row:
    """What a function of this module prints, in a fresh process."""
    tuned = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_")
    plain = {k: v for k, v in os.environ.items() if not k.startswith(tuned)}
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import relax_many as r; r.{call}"],
        cwd=Path(__file__).parent,
        env=plain | threads(),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        sys.exit(f"{call} failed:\n{answer.stderr}")
    return json.loads(answer.stdout.splitlines()[-1])


def print_relaxed(who: str, number: int, max_force: float, device: str) -> None:
    """Relax with one contender, ready and warm, and print how long it took."""
    structures = crystals(number)
    relax = contender(who, device)
    relax(structures[:3], max_force=max_force, max_steps=10)
    began = time.perf_counter()
    ends = relax(structures, max_force=max_force, max_steps=MAX_STEPS)
    seconds = time.perf_counter() - began
    evaluations = [end.evaluations for end in ends]
    found = {
        "seconds": seconds,
        "evaluations": "" if None in evaluations else sum(evaluations),
        "converged": sum(end.converged for end in ends),
        "largest_force": max(end.force for end in ends),
        "energies": [end.energy for end in ends],
    }
    sys.stdout.write(json.dumps(found) + "\n")


def contender(who: str, device: str) -> Any:
    """A function of structures, `max_force` and `max_steps`."""
    if who == "ase":
        package = contenders.package_calculator(NAME, device)
        return lambda structures, **bounds: [
            relaxers.by_ase(atoms, package, FIRE, cell=True, **bounds)
            for atoms in structures
        ]
    if who == "torch-sim":
        model = contenders.torch_sim_model(NAME, device)
        return lambda structures, **bounds: relaxers.by_torch_sim(
            structures, model, **bounds
        )
    potential = contenders.our_calculator(NAME, device).potential
    return lambda structures, **bounds: relaxers.by_ours(
        structures, potential, who, cell=True, **bounds
    )


if __name__ == "__main__":
    raise SystemExit(main())
