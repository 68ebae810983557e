"""What every benchmark shares: arguments, the device's name, versions, results.

A benchmark is one script for one claim. It runs without arguments, prints a table with
the headline figure last, and writes `benchmarks/results/NAME.DEVICE.json` with the
hardware, the versions and all rows. `--quick` takes a small part of the data;
`--check` exits with 1 where the claim does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def parse_arguments(description: str) -> argparse.Namespace:
    """Arguments of every benchmark: `quick` and `check`, both false by default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a small part of the data")
    parser.add_argument("--check", action="store_true", help="exit 1 if a claim fails")
    return parser.parse_args()


def data_path(*parts: str) -> Path:
    """A file of the benchmark data, in GNNDESIGN_DATA or `../shared/data`.

    Exits with a sentence where it is absent.
    """
    root = Path(os.environ.get("GNNDESIGN_DATA", str(ROOT / ".." / "shared" / "data")))
    path = root.joinpath(*parts).resolve()
    if not path.exists():
        sys.exit(
            f"{path} does not exist; set GNNDESIGN_DATA to the folder with the "
            "benchmark data."
        )
    return path


def device_name(device: str = "cpu") -> str:
    """Name of the hardware for file names, such as "amd-epyc-2core-cpu"."""
    if device != "cpu":
        import torch  # benchmarks on the host do without it

        return _slug(torch.cuda.get_device_name(device))
    return f"{_slug(_cpu_model())}-{len(os.sched_getaffinity(0))}core-cpu"


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, gnndesign and the named packages."""
    found = {"python": platform.python_version()}
    for package in ("gnndesign", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print the columns of the rows, aligned; numbers with four digits."""
    cells = [list(columns)]
    cells += [[_text(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(line[k]) for line in cells) for k in range(len(columns))]
    for line in cells:
        text = "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True))
        sys.stdout.write(text.rstrip() + "\n")


def write_results(
    name: str,
    *,
    headline: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    packages: Sequence[str] = (),
    device: str = "cpu",
    quick: bool = False,
) -> Path | None:
    """Write `benchmarks/results/NAME.DEVICE.json`; a quick run writes nothing."""
    if quick:
        return None
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.{device_name(device)}.json"
    content = {
        "benchmark": name,
        "date": datetime.now(UTC).date().isoformat(),
        "device": device_name(device),
        "versions": versions(*packages),
        "headline": dict(headline),
        "rows": [dict(row) for row in rows],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def _cpu_model() -> str:
    try:
        info = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    match = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    return match.group(1) if match else platform.machine()


def _slug(text: str) -> str:
    text = re.sub(r"\((R|TM|r|tm)\)|@.*|\b(CPU|Processor)\b", " ", text)
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
