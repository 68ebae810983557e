"""Acetylacetone: from 300 K to 600 K, and the barrier of the proton's transfer.

Networks learn frames of molecular dynamics at 300 K (I. Batatia et al., BOTNet data
sets, PBE-D3/def2-SVP) and are tested at 300 K, at 600 K, where they have to extrapolate,
and along the path of the proton from one oxygen to the other, whose barrier is 14.1 meV
in DFT. Root mean square errors beside those of the MACE paper (I. Batatia et al.,
NeurIPS 2022, Table 3).

Trainings are kept in `build/benchmarks`; names as arguments choose architectures.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from harness import data_path, print_table, write_results
from trainings import Row, kept, learned, parse_names, potential_of, say

import gnndesign as gd
from gnndesign.training.dataset import Dataset

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "equivariant": {
        "shape": {
            "channels": 16,
            "lmax": 2,
            "n_interactions": 3,
            "radial_hidden": (32,),
        },
        "epochs": 900,
        "learning_rate": 1e-2,
    },
    "invariant": {"shape": {}, "epochs": 150, "learning_rate": 3e-3},
    "behler-parrinello": {"shape": {}, "epochs": 150, "learning_rate": 5e-3},
}
LOSS = {"kind": "mse", "energy": (0.02, 1.0), "forces": 1.0, "stress": 0.0}
COLUMNS = (
    *("architecture", "parameters", "energy_300K", "forces_300K"),
    *("energy_600K", "forces_600K", "barrier_meV", "train_s"),
)
DFT_BARRIER_meV = 14.1


def main() -> int:
    """Train what is not there, print and write."""
    arguments = parse_names(__doc__ or "", "architectures; all")
    names = [a for a in ARCHITECTURES if not arguments.names or a in arguments.names]
    quick = arguments.quick
    for name in ["behler-parrinello"] if quick else names:
        row = trained(name, quick=quick)
        say(f"{name}: {row['600 K']['forces_rmse_meV_per_A']:.3g} meV/Å at 600 K")
    rows = [
        {
            "architecture": name,
            "parameters": row["parameters"],
            "train_s": row["train_s"],
            **of_molecule(row),
            "barrier_meV": barrier(_file(name, quick=quick)),
        }
        for name in ARCHITECTURES
        if (row := kept(_file(name, quick=quick), settings(name, quick=quick)))
    ]
    rows.append({"architecture": "DFT", "barrier_meV": reference_barrier()})
    print_table([*rows, *published()], COLUMNS)
    headline = {
        "trained": len(rows) - 1,
        "of": len(ARCHITECTURES),
        "barrier_meV": {row["architecture"]: row["barrier_meV"] for row in rows},
    }
    write_results(
        "acac",
        headline=headline,
        rows=[*rows, *published()],
        packages=("torch", "ase"),
        quick=quick,
    )
    sys.stdout.write(f"barriers (meV): {headline['barrier_meV']}\n")
    missing = headline["trained"] < headline["of"]
    return 1 if arguments.check and missing and not quick else 0


def settings(name: str, *, quick: bool) -> Row:
    """All that decides the outcome but the data."""
    own = dict(ARCHITECTURES[name])
    return {
        "architecture": name,
        "shape": {"cutoff": 5.0, **own.pop("shape")},
        "loss": LOSS,
        "batch_size": 5,
        **own,
        **({"epochs": 3} if quick else {}),
    }


def data_of(name: str) -> Dataset:
    """A file of the data set."""
    return gd.load_dataset(data_path("acac_botnet", f"{name}.xyz.xz"))


def trained(name: str, *, quick: bool) -> Row:
    """The errors at both temperatures."""
    data, validation = data_of("train_300K").split([0.9, 0.1], seed=1)
    tests = {f"{t} K": data_of(f"test_MD_{t}K") for t in (300, 600)}
    if quick:
        tests = {k: test.select(range(0, len(test), 20)) for k, test in tests.items()}
    key = _file(name, quick=quick)
    return learned(key, settings(name, quick=quick), data, validation, tests)


def of_molecule(row: Row) -> Row:
    """Root mean square errors; energies of the molecule, as they are published."""
    found: Row = {}
    for temperature in ("300 K", "600 K"):
        errors = row[temperature]
        n = errors["n_atoms"] / errors["n_structures"]
        short = temperature.replace(" ", "")
        found[f"energy_{short}"] = n * errors["energy_rmse_meV"]
        found[f"forces_{short}"] = errors["forces_rmse_meV_per_A"]
    return found


def barrier(file: str) -> float:
    """meV, of the highest image over the lower end of the path."""
    path = data_of("test_H_transfer")
    potential = potential_of(file)
    energy = potential.compute(list(path.structures)).energy.numpy()
    return _height(energy)


def reference_barrier() -> float:
    """meV, of the labels."""
    return _height(data_of("test_H_transfer").energy)


def _height(energy: np.ndarray) -> float:
    return 1e3 * float(energy.max() - min(energy[0], energy[-1]))


def _file(name: str, *, quick: bool) -> str:
    return f"acac.{name}" + (".quick" if quick else "")


def published() -> list[Row]:
    """What the MACE paper's table has."""
    tables = json.loads(data_path("published_baselines.json").read_text("utf-8"))
    (table,) = [v for k, v in tables.items() if k.startswith("AcAc_RMSE")]
    return [
        {
            "architecture": f"{name} (published)",
            **{
                f"{what}_{temperature}": table[temperature][name][place]
                for temperature in ("300K", "600K")
                for place, what in enumerate(("energy", "forces"))
            },
        }
        for name in table["300K"]
    ]


if __name__ == "__main__":
    raise SystemExit(main())
