"""Ethanol and aspirin of revised MD17, from 950 and from 50 structures.

Split 01 of A. Christensen and O. A. von Lilienfeld (Mach. Learn.: Sci. Technol. 1,
045018 (2020)): 950 training and 50 validation structures, tested on 1,000; and 50
training structures with the same validation. Mean absolute errors beside those that the
MACE paper's Table 1 quotes (I. Batatia et al., NeurIPS 2022).

Networks are small and trained for as many steps as two cores make in a few hours; the
published ones were trained for days on a GPU. Trainings are kept in
`build/benchmarks`; names as arguments choose some (`rmd17.py ethanol 50 equivariant`).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from harness import data_path, print_table, write_results
from trainings import Row, kept, learned, parse_names, say

import gnndesign as gd

MOLECULES = ("ethanol", "aspirin")
SIZES = (950, 50)
EPOCHS = {("ethanol", 950): 120, ("aspirin", 950): 40}
FEW_EPOCHS = 800
"""Of 50 structures."""

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "equivariant": {
        "shape": {
            "channels": 16,
            "lmax": 2,
            "n_interactions": 3,
            "radial_hidden": (32,),
        },
        "learning_rate": 1e-2,
    },
    "invariant": {"shape": {}, "learning_rate": 3e-3},
    "behler-parrinello": {"shape": {}, "learning_rate": 5e-3},
}
LOSS = {"kind": "mse", "energy": (0.02, 1.0), "forces": 1.0, "stress": 0.0}
COLUMNS = (
    *("molecule", "training_structures", "architecture", "parameters"),
    *("energy_mae_meV", "forces_mae_meV_per_A", "train_s"),
)
QUICK = ("ethanol", 50, "behler-parrinello")


def main() -> int:
    """Train what is not there, print and write."""
    arguments = parse_names(__doc__ or "", "molecules, sizes, architectures; all")
    chosen = arguments.names
    work = [
        (molecule, size, name)
        for name in ARCHITECTURES
        for size in SIZES
        for molecule in MOLECULES
        if all(
            not set(chosen) & set(kind) or value in chosen
            for value, kind in (
                (molecule, MOLECULES),
                (str(size), tuple(map(str, SIZES))),
                (name, tuple(ARCHITECTURES)),
            )
        )
    ]
    quick = arguments.quick
    for molecule, size, name in [QUICK] if quick else work:
        row = trained(molecule, size, name, quick=quick)
        say(f"{molecule} {size} {name}: {row['forces_mae_meV_per_A']:.3g} meV/Å")
    every = [(m, s, a) for m in MOLECULES for s in SIZES for a in ARCHITECTURES]
    rows = [
        {"molecule": m, "training_structures": s, **of_molecule(row)}
        for m, s, a in ([QUICK] if quick else every)
        if (row := kept(_file(m, s, a, quick=quick), settings(m, s, a, quick=quick)))
    ]
    print_table([*rows, *published()], COLUMNS)
    headline = {
        "trained": len(rows),
        "of": len(every),
        "forces_mae_meV_per_A": {
            f"{r['molecule']} {r['training_structures']} {r['architecture']}": r[
                "forces_mae_meV_per_A"
            ]
            for r in rows
        },
    }
    write_results(
        "rmd17",
        headline=headline,
        rows=[*rows, *published()],
        packages=("torch", "ase"),
        quick=quick,
    )
    sys.stdout.write(f"{headline['trained']} of {headline['of']} trainings are there\n")
    missing = headline["trained"] < headline["of"]
    return 1 if arguments.check and missing and not quick else 0


def settings(molecule: str, size: int, name: str, *, quick: bool) -> Row:
    """All that decides the outcome but the data."""
    own = dict(ARCHITECTURES[name])
    epochs = FEW_EPOCHS if size == 50 else EPOCHS[molecule, size]
    return {
        "architecture": name,
        "shape": {"cutoff": 5.0, **own.pop("shape")},
        "loss": LOSS,
        "batch_size": 5,
        "epochs": 3 if quick else epochs,
        **own,
    }


def trained(molecule: str, size: int, name: str, *, quick: bool) -> Row:
    """The errors on the 1,000 test structures."""
    data, test = (
        gd.load_dataset(data_path("rmd17", f"{molecule}_{part}01.xyz.xz"))
        for part in ("train", "test")
    )
    training, validation = data.select(range(size)), data.select(range(950, 1000))
    if quick:
        test = test.select(range(0, 1000, 20))
    how = settings(molecule, size, name, quick=quick)
    key = _file(molecule, size, name, quick=quick)
    return learned(key, how, training, validation, {"test": test})


def _file(molecule: str, size: int, name: str, *, quick: bool) -> str:
    return f"rmd17.{molecule}.{size}.{name}" + (".quick" if quick else "")


def of_molecule(row: Row) -> Row:
    """Energies of the molecule, as they are published, not an atom."""
    n = row["n_atoms"] / row["n_structures"]
    energies = ("energy_mae_meV", "energy_rmse_meV")
    return {**row, **{key: n * row[key] for key in energies}}


def published() -> list[Row]:
    """What the MACE paper's table has."""
    tables = json.loads(data_path("published_baselines.json").read_text("utf-8"))
    found: list[Row] = []
    for size in SIZES:
        (table,) = [v for k, v in tables.items() if k.startswith(f"rMD17_MAE_{size}")]
        found += [
            {
                "molecule": molecule,
                "training_structures": size,
                "architecture": f"{name} (published)",
                "energy_mae_meV": energy,
                "forces_mae_meV_per_A": forces,
            }
            for molecule in MOLECULES
            for name, (energy, forces) in table[molecule].items()
        ]
    return found


if __name__ == "__main__":
    raise SystemExit(main())
