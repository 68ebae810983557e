"""Where the data of the benchmarks are; tests that need them are skipped without."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def bench_file(*parts):
    given = os.environ.get("GNNDESIGN_DATA")
    path = Path(given) if given else ROOT.parent / "shared" / "data"
    path = path.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{'/'.join(parts)} of the benchmark data is not there")
    return path
