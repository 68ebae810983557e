"""From nothing to a potential: `load_potential("sevennet-0")` in a cold process.

Claim: under 2.5 s, with the interpreter's start and torch's import in it. Each time is
the wall-clock time of a whole fresh process, the median of several; a process that
imports torch alone, and one that also predicts (silicon, two atoms), run in turn with
it. The files are in the system's cache, as after the first start of a day.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from harness import parse_arguments, print_table, write_results

LIMIT_S = 2.5
PROGRAMS = {
    "import torch": "import torch",
    "load_potential": "import gnndesign; gnndesign.load_potential('sevennet-0')",
    "and predict, plain torch": (
        "import ase, gnndesign;"
        "potential = gnndesign.load_potential('sevennet-0');"
        "potential.kernel = 'plain';"
        "potential.compute(ase.Atoms('Si2', [[0, 0, 0], [2.3, 0, 0]]))"
    ),
}


def main() -> int:
    """Measure, print, write; 1 where the claim fails and --check is given."""
    arguments = parse_arguments(__doc__ or "")
    times = measure(repeats=3 if arguments.quick else 11)
    rows = [
        {
            "program": name,
            "median_s": statistics.median(seconds),
            "smallest_s": min(seconds),
            "largest_s": max(seconds),
        }
        for name, seconds in times.items()
    ]
    print_table(rows, ("program", "median_s", "smallest_s", "largest_s"))
    loading = statistics.median(times["load_potential"])
    headline = {
        "load_s": loading,
        "import_torch_s": statistics.median(times["import torch"]),
    }
    write_results(
        "cold_start",
        headline=headline,
        rows=rows,
        packages=("torch", "numpy", "ase", "safetensors"),
        quick=arguments.quick,
    )
    sys.stdout.write(f"load_s={loading:.2f}\n")
    return 0 if loading < LIMIT_S or not arguments.check else 1


def measure(repeats: int) -> dict[str, list[float]]:
    """Seconds of whole processes by program, in turn, after one warm-up each."""
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for repeat in range(repeats + 1):
        for name, program in PROGRAMS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            if repeat:
                times[name].append(time.perf_counter() - began)
    return times


if __name__ == "__main__":
    raise SystemExit(main())
