"""What `make lab` and `make test` take from a clean clone, and how much they download.

Clones this repository's last commit into an empty folder, makes everything there that
the two commands need, and adds up the sizes of the files that pip says it fetched or
took from a wheel on this machine (its cache is switched off). torch is counted apart:
its builds differ by gigabytes. `--quick` only adds up what `make lab` would install.
There is no target; `--check` fails where a command fails.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import ROOT, parse_arguments, print_table, write_results

_SIZE = re.compile(r"(?:Downloading|Using cached) (\S+?)(?: \(([\d.]+) ([kMG]?)B\))?$")
_LOCAL = re.compile(r"Processing (/\S+\.(?:whl|tar\.gz))")
_UNITS = {"": 1e-6, "k": 1e-3, "M": 1.0, "G": 1e3}


def main() -> int:
    """Measure, print, write."""
    arguments = parse_arguments(__doc__ or "")
    targets = ["install"] if arguments.quick else ["install", "test"]
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "gnndesign"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        rows = [measure(clone, target) for target in targets]
    print_table(rows, ("target", "seconds", "torch_MB", "others_MB", "exit_code"))
    headline = {
        f"make_{row['target']}_{key}": row[key]
        for row in rows
        for key in ("seconds", "torch_MB", "others_MB")
    }
    write_results("installation", headline=headline, rows=rows, quick=arguments.quick)
    sys.stdout.write(" ".join(f"{k}={v:.0f}" for k, v in headline.items()) + "\n")
    failed = any(row["exit_code"] for row in rows)
    return 1 if failed and arguments.check else 0


def measure(clone: Path, target: str) -> dict[str, Any]:
    """Run a target of the Makefile in the clone."""
    environment = os.environ | {"PIP_NO_CACHE_DIR": "1", "PIP_PROGRESS_BAR": "off"}
    began = time.perf_counter()
    run = subprocess.run(
        ["make", target],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    sizes = fetched(run.stdout)
    torch = sum(size for name, size in sizes.items() if name.startswith("torch-2"))
    closing = re.findall(r"^=+ (.*(?:passed|failed).*) =+$", run.stdout, re.MULTILINE)
    if run.returncode:
        sys.stderr.write(run.stdout[-4000:] + run.stderr[-4000:])
    return {
        "target": target,
        "seconds": seconds,
        "torch_MB": torch,
        "others_MB": sum(sizes.values()) - torch,
        "n_files": len(sizes),
        "exit_code": run.returncode,
        "tests": closing[-1] if closing else "",
    }


def fetched(log: str) -> dict[str, float]:
    """Size in MB of every file that pip fetched, by name."""
    sizes: dict[str, float] = {}
    for line in log.splitlines():
        if (local := _LOCAL.search(line)) is not None:
            path = Path(local.group(1))
            sizes[path.name] = path.stat().st_size * 1e-6
        elif (size := _SIZE.search(line.strip())) is not None and size.group(2):
            name = size.group(1).rpartition("/")[2].removesuffix(".metadata")
            if not size.group(1).endswith(".metadata"):
                sizes[name] = float(size.group(2)) * _UNITS[size.group(3)]
    return sizes


if __name__ == "__main__":
    raise SystemExit(main())
