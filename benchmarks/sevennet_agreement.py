"""Our SevenNets against the `sevenn` package: the same numbers, and silicon's lattice.

Claims: energies within 1e-6 eV/atom and forces within 1e-5 eV/Å of the package's
SevenNetCalculator, beyond the last digit of its total energy (float32, so 8e-6 eV in
80 eV: the raw difference is reported beside it); each structure evaluated alone by the package and in one batch by
us; rattled silicon relaxed with its cell to within 1e-3 Å of the lattice constant that
ASE's FIRE finds on the package's calculator. The seconds are medians of five, ours and
theirs in turn; they are reported, not checked.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import ase
import numpy as np
from ase.build import bulk, molecule
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from harness import parse_arguments, print_table, write_results

import gnndesign as gd

ENERGY, FORCE, LATTICE = 1e-6, 1e-5, 1e-3
PACKAGE_NAMES = {"sevennet-0": "7net-0", "sevennet-l3i5": "7net-l3i5"}
COLUMNS = (
    "potential",
    "energy_eV_per_atom",
    "energy_beyond_rounding_eV_per_atom",
    "force_eV_per_A",
    "stress_eV_per_A3",
    "lattice_ours_A",
    "lattice_package_A",
    "si64_ours_s",
    "si64_package_s",
)


def main() -> int:
    """Compare, print, write; 1 where a claim fails and --check is given."""
    arguments = parse_arguments(__doc__ or "")
    names = list(PACKAGE_NAMES)[: 1 if arguments.quick else None]
    rows = [compare(name, repeats=1 if arguments.quick else 5) for name in names]
    print_table(rows, COLUMNS)
    headline = {
        "largest_energy_difference_beyond_rounding_eV_per_atom": max(
            r["energy_beyond_rounding_eV_per_atom"] for r in rows
        ),
        "largest_force_difference_eV_per_A": max(r["force_eV_per_A"] for r in rows),
        "largest_lattice_difference_A": max(
            abs(r["lattice_ours_A"] - r["lattice_package_A"]) for r in rows
        ),
    }
    write_results(
        "sevennet_agreement",
        headline=headline,
        rows=rows,
        packages=("torch", "sevenn", "e3nn", "ase", "vesin"),
        quick=arguments.quick,
    )
    sys.stdout.write(" ".join(f"{k}={v:.2g}" for k, v in headline.items()) + "\n")
    bounds = (ENERGY, FORCE, LATTICE)
    kept = all(v < b for v, b in zip(headline.values(), bounds, strict=True))
    return 0 if kept or not arguments.check else 1


def compare(name: str, repeats: int) -> dict[str, Any]:
    """One potential's differences and times."""
    ours = gd.load_potential(name, "cpu")
    theirs = package_calculator(name)
    differences = difference(ours, theirs, structures())
    start = bulk("Si", a=5.3)
    start.rattle(0.05, seed=1)
    silicon = bulk("Si", a=5.43) * (4, 4, 2)
    silicon.rattle(0.05, seed=1)
    seconds = in_turn(
        lambda: ours.compute(silicon),
        lambda: theirs.calculate(silicon.copy(), ["energy", "forces", "stress"]),
        repeats,
    )
    return {
        "potential": name,
        "energy_eV_per_atom": float(differences[0]),
        "energy_beyond_rounding_eV_per_atom": float(differences[1]),
        "force_eV_per_A": float(differences[2]),
        "stress_eV_per_A3": float(differences[3]),
        "lattice_ours_A": lattice(
            gd.relax(start, ours, cell="full", max_force=1e-3).atoms
        ),
        "lattice_package_A": lattice(relaxed_by_ase(start, theirs)),
        "si64_ours_s": seconds[0],
        "si64_package_s": seconds[1],
    }


def package_calculator(name: str) -> Any:
    """The `sevenn` package's own ASE calculator, which warns about torch.jit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator(PACKAGE_NAMES[name], device="cpu")


def structures() -> list[ase.Atoms]:
    """Crystals, a slab and molecules, all rattled."""
    slab = bulk("Cu", "fcc", 3.65, cubic=True)
    slab.center(vacuum=8.0, axis=2)
    slab.pbc = [True, True, False]
    oxide = gd.build_crystal("SrTiO3", "perovskite")
    mixed = [
        bulk("Si") * (2, 2, 2),
        bulk("Fe"),
        bulk("NaCl", "rocksalt", a=5.64),
        oxide * (2, 1, 1),
        slab,
        molecule("CH3CH2OH"),
    ]
    for seed, atoms in enumerate(mixed):
        atoms.rattle(0.05, seed=seed)
    return mixed


def difference(ours: Any, theirs: Any, mixed: Sequence[ase.Atoms]) -> tuple[float, ...]:
    """Largest differences of energy per atom (raw, beyond rounding), force, stress."""
    batch = ours.compute(mixed)
    start, largest = 0, np.zeros(4)
    for k, atoms in enumerate(mixed):
        theirs.calculate(atoms.copy(), ["energy", "forces", "stress"])
        stop = start + len(atoms)
        total = theirs.results["energy"]
        energy = abs(float(batch.energy[k]) - total)
        last_digit = float(np.spacing(np.float32(abs(total))))
        found = [
            energy / len(atoms),
            max(energy - last_digit, 0.0) / len(atoms),
            np.abs(batch.forces[start:stop].numpy() - theirs.results["forces"]).max(),
            0.0,
        ]
        if atoms.pbc.all():
            xx, yy, zz, yz, xz, xy = theirs.results["stress"]
            full = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
            found[3] = np.abs(batch.stress[k].numpy() - full).max()
        largest = np.maximum(largest, found)
        start = stop
    return tuple(largest)


def relaxed_by_ase(start: ase.Atoms, calculator: Any) -> ase.Atoms:
    """With ASE's FIRE and its log-strain filter, to 1e-3 eV/Å."""
    atoms = start.copy()
    atoms.calc = calculator
    FIRE(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-3, steps=1000)
    return atoms


def lattice(atoms: ase.Atoms) -> float:
    """Lattice constant of the cubic cell of diamond, Å, from its primitive volume."""
    return float((4.0 * atoms.cell.volume) ** (1 / 3))


def in_turn(
    first: Callable[[], Any], second: Callable[[], Any], repeats: int
) -> tuple[float, float]:
    """Median seconds of two actions that alternate, after one warm-up each."""
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for action, taken in zip((first, second), times, strict=True):
            began = time.perf_counter()
            action()
            if repeat:
                taken.append(time.perf_counter() - began)
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    raise SystemExit(main())
