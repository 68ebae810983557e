"""How `load_structures` copes with 305 real and damaged structure files and 37 DFT outputs.

The claim: a file gives structures or one sentence, quickly; and where ASE and pymatgen
agree on the number of atoms, so do we, unless the file is disordered, incomplete or
names no elements, which is then said.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from harness import (
    data_path,
    device_name,
    parse_arguments,
    print_table,
    write_results,
)

from gnndesign.errors import StructureError
from gnndesign.structures.files import load_structures

SLOW_S = 10.0

# Why a file is refused, recognized by the words of our own sentence.
REASONS = {
    "disordered or shared sites": r"disordered|order the structure first",
    "hydrogen not listed": r"hydrogen atoms",
    "sites do not make the stated formula": r"states the formula",
    "names no elements (VASP 4)": r"names no elements",
    "no atoms in the file": r"holds no atoms|holds reflections|has no atoms",
    "macromolecular CIF": r"macromolecular",
    "no cell": r"no cell|the cell has",
    "asymmetric unit of a PDB crystal": r"asymmetric unit only",
    "two readers disagree": r"is ambiguous",
    "format not read": r"Cannot tell the format",
    "not this format": r"Is this a POSCAR|not valid CIF|Cannot read",
}


def main() -> int:
    """Load every file, compare with the manifest, report."""
    arguments = parse_arguments(__doc__ or "")
    manifest = json.loads(data_path("corpus", "manifest.json").read_text("utf-8"))
    if arguments.quick:
        manifest = manifest[::10]
    archive = data_path("corpus", "corpus_files.tar.xz")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        files = Path(folder) / "files"
        rows = [_load(files / entry["file"], entry) for entry in manifest]
        outputs = sorted(Path(folder).glob("dft_outputs/*"))
        outputs += sorted(Path(folder).glob("outcar/*"))
        unlisted = {"ase": "not listed", "pymatgen": "not listed"}
        rows += [
            _load(path, {"file": f"{path.parent.name}/{path.name}", **unlisted})
            for path in outputs[:: 10 if arguments.quick else 1]
        ]
    headline = _summarize(rows)
    _report(rows, headline)
    write_results(
        "loader_corpus",
        headline=headline,
        rows=rows,
        packages=("ase", "pymatgen", "rdkit", "numpy"),
        quick=arguments.quick,
    )
    failed = headline["crashed"] + headline["warned"] + headline["slow"]
    failed += headline["unexplained"]
    return 1 if arguments.check and failed else 0


def _load(path: Path, entry: dict[str, Any]) -> dict[str, Any]:
    ase_count, pymatgen_count = entry["ase"], entry["pymatgen"]
    row: dict[str, Any] = {
        "file": entry["file"],
        "ase": _count(ase_count),
        "pymatgen": _count(pymatgen_count),
        "atoms": None,
        "message": "",
    }
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            structures = load_structures(path)
        row["atoms"] = [len(atoms) for atoms in structures]
        row["outcome"] = "loaded"
    except StructureError as error:
        row["message"] = str(error)
        row["outcome"] = "refused"
    except Warning as warning:
        row["message"] = repr(warning)
        row["outcome"] = "warned"
    except Exception as error:  # noqa: BLE001  the claim is that this never happens
        row["message"] = repr(error)
        row["outcome"] = "crashed"
    row["seconds"] = round(time.perf_counter() - start, 3)
    row["reason"] = _reason(row["message"]) if row["outcome"] == "refused" else ""
    row["unexplained"] = _is_unexplained(row)
    return row


def _count(entry: int | str) -> int | str:
    """Number of atoms in the manifest, or "error" for any exception named there."""
    return entry if isinstance(entry, int) or entry == "not listed" else "error"


def _reason(message: str) -> str:
    found = (r for r, words in REASONS.items() if re.search(words, message))
    return next(found, "other")


def _is_unexplained(row: dict[str, Any]) -> bool:
    """Whether ASE and pymatgen agree, and we neither agree nor say why not."""
    if row["ase"] != row["pymatgen"] or row["ase"] == "error":
        return False
    if row["ase"] == "not listed":
        return False
    if row["outcome"] == "loaded":
        return row["ase"] not in row["atoms"]
    return row["reason"] in {"", "other", "not this format"}


def _summarize(rows: list[dict[str, Any]]) -> dict[str, Any]:
    outcomes = Counter(row["outcome"] for row in rows)
    agreed = [
        r for r in rows if isinstance(r["ase"], int) and r["ase"] == r["pymatgen"]
    ]
    neither = [r for r in rows if r["ase"] == r["pymatgen"] == "error"]
    outputs = [r for r in rows if r["ase"] == "not listed"]
    return {
        "files": len(rows),
        "loaded": outcomes["loaded"],
        "refused with a reason": outcomes["refused"],
        "crashed": outcomes["crashed"],
        "warned": outcomes["warned"],
        "slow": sum(row["seconds"] > SLOW_S for row in rows),
        "slowest_s": max(row["seconds"] for row in rows),
        "ase_loads": sum(isinstance(row["ase"], int) for row in rows),
        "pymatgen_loads": sum(isinstance(row["pymatgen"], int) for row in rows),
        "dft_outputs": len(outputs),
        "dft_outputs_loaded": sum(r["outcome"] == "loaded" for r in outputs),
        "agreed": len(agreed),
        "agreed_and_same_count": sum(r["outcome"] == "loaded" for r in agreed)
        - sum(r["unexplained"] for r in agreed if r["outcome"] == "loaded"),
        "neither_but_loaded": sum(r["outcome"] == "loaded" for r in neither),
        "unexplained": sum(row["unexplained"] for row in rows),
    }


def _report(rows: list[dict[str, Any]], headline: dict[str, Any]) -> None:
    refused = [row for row in rows if row["outcome"] != "loaded"]
    reasons = Counter(row["reason"] or row["outcome"] for row in refused)
    table = [
        {
            "why not loaded": reason,
            "files": number,
            "read by ASE and pymatgen alike": sum(
                isinstance(row["ase"], int) and row["ase"] == row["pymatgen"]
                for row in refused
                if (row["reason"] or row["outcome"]) == reason
            ),
        }
        for reason, number in reasons.most_common()
    ]
    print_table(table, ["why not loaded", "files", "read by ASE and pymatgen alike"])
    for row in rows:
        if row["unexplained"] or row["outcome"] in {"crashed", "warned"}:
            sys.stdout.write(f"\n{row['file']}: {row['atoms']} {row['message']}\n")
    h = headline
    sys.stdout.write(
        f"\n{device_name()}, slowest file {h['slowest_s']:.2f} s\n"
        f"{h['files']} files: {h['loaded']} loaded, {h['refused with a reason']} refused "
        f"with a reason, {h['crashed']} crashed, {h['warned']} warned; of "
        f"{h['agreed']} that ASE and pymatgen read alike {h['agreed_and_same_count']} "
        f"have the same number of atoms, {h['unexplained']} differ unexplained.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
