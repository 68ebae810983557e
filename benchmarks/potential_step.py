"""Energy, forces and stress of one structure: ours against the other ways to have them.

Claims, all on the same threads in one process, medians of repeats in which the
contenders take turns, neighbor search included: SevenNet-0 30 times as fast as the
`sevenn` package's ASE calculator for 216 atoms of silicon, 15 times for 8 atoms, 30
times for 100 atoms of an oxide; l3i5 40, 15 and 40 times. A call for 8 atoms takes less
than 2 ms with SevenNet-0 in a process that does nothing else; taking turns, it finds
the caches full of the others' numbers. The time an atom at 8,000 atoms is within 1.5 of
that at 512. Peak memory at 216 atoms is less than half of the package's, each in a
process of its own, and so is its rise above that with everything loaded; 10,000 calls
add nothing. The row "busy" has two other processes spinning and OpenMP as it is without
settings; it is reported, not checked.
Where torch sees a GPU the same is measured there and written to a file of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import ase
import contenders
import psutil
import torch
from harness import parse_arguments, print_table, write_results
from parity import PACKAGE_NAMES, difference

NAMES = tuple(PACKAGE_NAMES)
SYSTEMS = {"Si 8": 25, "Si 64": 9, "Si 216": 5, "Si 512": 3, "oxide 100": 5}
"""With the number of repeats."""
QUICK_SYSTEMS = {"Si 8": 5, "Si 64": 1}
SIZES = (512, 1000, 1728, 4096, 8000)
QUICK_SIZES = (64, 512)
CALLS, QUICK_CALLS = 10_000, 300
SPINNERS = 2
TARGETS = {
    "Si 216 sevennet-0 times_as_fast": ("at least", 30.0),
    "Si 216 sevennet-l3i5 times_as_fast": ("at least", 40.0),
    "Si 8 sevennet-0 times_as_fast": ("at least", 15.0),
    "Si 8 sevennet-l3i5 times_as_fast": ("at least", 15.0),
    "oxide 100 sevennet-0 times_as_fast": ("at least", 30.0),
    "oxide 100 sevennet-l3i5 times_as_fast": ("at least", 40.0),
    "Si 8 sevennet-0 ms_alone": ("at most", 2.0),
    "sevennet-0 time_per_atom_growth": ("at most", 1.5),
    "sevennet-l3i5 time_per_atom_growth": ("at most", 1.5),
    "sevennet-0 peak_memory_share": ("at most", 0.5),
    "sevennet-l3i5 peak_memory_share": ("at most", 0.5),
    "sevennet-0 memory_rise_share": ("at most", 0.5),
    "sevennet-l3i5 memory_rise_share": ("at most", 0.5),
    "sevennet-0 growth_MB": ("at most", 8.0),
    "sevennet-l3i5 growth_MB": ("at most", 8.0),
}
STEP_COLUMNS = (
    *("potential", "system", "contender", "ms", "times_as_fast"),
    *("energy_eV_per_atom", "force_eV_per_A", "stress_GPa"),
)

Row = dict[str, Any]


def main() -> int:
    """Measure, print, write; 1 where a claim fails and --check is given."""
    arguments = parse_arguments(__doc__ or "")
    warnings.simplefilter("ignore")
    quick = arguments.quick
    names = NAMES[:1] if quick else NAMES
    headline: dict[str, float] = {}
    rows: list[Row] = []
    for name in names:
        for part in (steps, scaling, memory, growth, busy):
            found = part(name, quick, headline)
            print_table(found, STEP_COLUMNS if part is steps else tuple(found[0]))
            sys.stdout.write("\n")
            rows += [{"test": part.__name__, **row} for row in found]
    missed = [what for what, value in headline.items() if misses(what, value)]
    write_results(
        "potential_step",
        headline=headline | {"missed": missed},
        rows=[{"test": "setting", "threads": torch.get_num_threads()}, *rows],
        packages=("torch", "sevenn", "chgnet", "torch-sim-atomistic", "ase", "vesin"),
        quick=quick,
    )
    if torch.cuda.is_available():
        import potential_step_gpu

        potential_step_gpu.measure(quick=quick)
    for what, value in headline.items():
        target = "{} {}".format(*TARGETS[what]) if what in TARGETS else ""
        verdict = "MISSED, wanted" if what in missed else target and "wanted"
        sys.stdout.write(f"{what}: {value:.4g}  {verdict} {target}".rstrip() + "\n")
    return 1 if missed and arguments.check else 0


def misses(what: str, value: float) -> bool:
    """Whether a figure of the headline misses its target."""
    if what not in TARGETS:
        return False
    sense, limit = TARGETS[what]
    return not (value >= limit if sense == "at least" else value <= limit)


def structure(system: str) -> ase.Atoms:
    """By its name in the tables."""
    kind, n_atoms = system.split()
    return contenders.silicon(int(n_atoms)) if kind == "Si" else contenders.oxide()


def steps(name: str, quick: bool, headline: dict[str, float]) -> list[Row]:  # noqa: FBT001
    """Every contender on every system."""
    rivals = contenders.on_the_host(name)
    rows: list[Row] = []
    for system, repeats in (QUICK_SYSTEMS if quick else SYSTEMS).items():
        times, said = contenders.in_turn(rivals, structure(system), repeats)
        ours = statistics.median(times["ours"])
        for rival, taken in times.items():
            median = statistics.median(taken)
            row: Row = {
                "potential": name,
                "system": system,
                "contender": rival,
                "ms": median,
                "fastest_ms": min(taken),
                "slowest_ms": max(taken),
                "repeats": repeats,
                "times_as_fast": median / ours,
            }
            # CHGNet is another potential.
            if rival != "chgnet":
                apart = difference(said["ours"], said[rival])
                row["energy_eV_per_atom"] = apart.energy
                row["force_eV_per_A"] = apart.force
                row["stress_GPa"] = apart.stress
            rows.append(row)
        headline[f"{system} {name} ms"] = ours
        package = statistics.median(times["sevenn"])
        headline[f"{system} {name} times_as_fast"] = package / ours
    return rows


def scaling(name: str, quick: bool, headline: dict[str, float]) -> list[Row]:  # noqa: FBT001
    """Time an atom of ours for growing silicon."""
    evaluate = contenders.by_calculator(contenders.our_calculator(name))
    sizes = QUICK_SIZES if quick else SIZES
    structures = [contenders.silicon(n_atoms) for n_atoms in sizes]
    times = contenders.sizes_in_turn(evaluate, structures, 1 if quick else 3)
    rows = [
        {
            "potential": name,
            "n_atoms": n_atoms,
            "ms": statistics.median(taken),
            "ms_per_atom": statistics.median(taken) / n_atoms,
        }
        for n_atoms, taken in zip(sizes, times, strict=True)
    ]
    headline[f"{name} time_per_atom_growth"] = (
        rows[-1]["ms_per_atom"] / rows[0]["ms_per_atom"]
    )
    return rows


def memory(name: str, quick: bool, headline: dict[str, float]) -> list[Row]:  # noqa: FBT001
    """Peak memory of ours and the package's, each in a fresh process."""
    n_atoms = 64 if quick else 216
    rows = [
        {"potential": name, "contender": who, "n_atoms": n_atoms}
        | in_a_process(f"print_memory({who!r}, {name!r}, {n_atoms})")
        for who in ("ours", "sevenn")
    ]
    ours, package = (row["rise_MB"] for row in rows)
    headline[f"{name} memory_rise_share"] = ours / package
    headline[f"{name} peak_memory_share"] = rows[0]["peak_MB"] / rows[1]["peak_MB"]
    return rows


def growth(name: str, quick: bool, headline: dict[str, float]) -> list[Row]:  # noqa: FBT001
    """Resident memory of ours around many calls for 8 atoms, and the time of one."""
    calls = QUICK_CALLS if quick else CALLS
    found = in_a_process(f"print_growth({name!r}, {calls})")
    headline[f"Si 8 {name} ms_alone"] = found["ms"]
    headline[f"Si 8 {name} compute_ms_alone"] = found["compute_ms"]
    headline[f"{name} growth_MB"] = found["after_MB"] - found["before_MB"]
    return [{"potential": name, "calls": calls, **found}]


def busy(name: str, quick: bool, headline: dict[str, float]) -> list[Row]:  # noqa: FBT001
    """Ours and the package's, in turn, while other processes want the cores too."""
    system, repeats = ("Si 8", 2) if quick else ("Si 216", 5)
    others = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(SPINNERS)
    ]
    try:
        found = in_a_process(f"print_busy({name!r}, {system!r}, {repeats})")
    finally:
        for other in others:
            other.kill()
            other.wait()
    headline[f"{system} {name} times_as_fast_when_busy"] = (
        found["sevenn_ms"] / found["ours_ms"]
    )
    return [{"potential": name, "system": system, "spinning": SPINNERS, **found}]


def in_a_process(call: str) -> Row:
    """What a function of this module prints, in a fresh process with OpenMP's defaults."""
    tuned = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_")
    plain = {k: v for k, v in os.environ.items() if not k.startswith(tuned)}
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import potential_step as p; p.{call}"],
        cwd=Path(__file__).parent,
        env=plain,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        sys.exit(f"{call} failed:\n{answer.stderr}")
    return json.loads(answer.stdout.splitlines()[-1])


def contender(who: str, name: str) -> contenders.Contender:
    """Ours or the package's."""
    make = {"ours": contenders.our_calculator, "sevenn": contenders.package_calculator}
    return contenders.by_calculator(make[who](name))


def print_memory(who: str, name: str, n_atoms: int) -> None:
    """How far the resident memory rises, at most, above that with everything loaded."""
    evaluate = contender(who, name)
    atoms = contenders.silicon(n_atoms)
    before = psutil.Process().memory_info().rss / 1e6
    # Linux then begins a new peak; the one before is that of loading, or even that of
    # the process which started this one.
    Path("/proc/self/clear_refs").write_text("5")
    for repeat in range(3):
        evaluate(contenders.stirred(atoms, repeat))
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    _answer({"rise_MB": peak - before, "peak_MB": peak})


def print_growth(name: str, calls: int) -> None:
    """Resident memory around many calls whose number of edges changes, and their time."""
    calculator = contenders.our_calculator(name)
    evaluate = contenders.by_calculator(calculator)
    atoms = contenders.silicon(8)
    process = psutil.Process()
    before, times = 0.0, list[float]()
    for call in range(100 + calls):
        if call == 100:
            before = process.memory_info().rss / 1e6
        # Volumes within 10 %, that is 26 to 30 neighbors.
        moved = contenders.stirred(atoms, call)
        moved.set_cell(moved.cell * (1 + 0.03 * (call % 11 - 5) / 5), scale_atoms=True)
        began = time.perf_counter()
        evaluate(moved)
        times.append(1e3 * (time.perf_counter() - began))
    after = process.memory_info().rss / 1e6
    bare: list[float] = []
    for call in range(300):
        moved = contenders.stirred(atoms, call)
        began = time.perf_counter()
        calculator.potential.compute(moved)
        bare.append(1e3 * (time.perf_counter() - began))
    _answer(
        {
            "ms": statistics.median(times[100:]),
            "compute_ms": statistics.median(bare),
            "before_MB": before,
            "after_MB": after,
        }
    )


def print_busy(name: str, system: str, repeats: int) -> None:
    """Medians of ours and of the package's."""
    rivals = {who: contender(who, name) for who in ("ours", "sevenn")}
    times, _ = contenders.in_turn(rivals, structure(system), repeats)
    _answer({f"{who}_ms": statistics.median(taken) for who, taken in times.items()})


def _answer(found: Row) -> None:
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
