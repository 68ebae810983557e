"""200 structures on which our potentials are compared with their packages, and how.

Crystals of two of MatCalc's benchmarks, frames of the six mlearn sets, molecules of the
G2 set, cells smaller than the cutoff, and cells skewed far from their reduced form; all
but mlearn's, which are hot or strained already, are rattled.
"""

from __future__ import annotations

import json
import lzma
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.io import read
from ase.stress import voigt_6_to_full_3x3_stress
from harness import data_path

PACKAGE_NAMES = {"sevennet-0": "7net-0", "sevennet-l3i5": "7net-l3i5"}
"""Of the SevenNets, ours and the `sevenn` package's."""

LIMITS = {"energy": 1e-6, "force": 1e-5, "stress": 1e-4}
"""eV an atom, eV/Å, GPa."""

EV_PER_A3_TO_GPA = 160.21766208

CUTOFF = 5.0
"""Å, of the SevenNets: cells smaller than this in all directions are "small"."""

LARGEST_ATOMIC_NUMBER = 83
"""Below polonium, so that every element is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One structure: energy eV, forces (n_atoms, 3) eV/Å, stress (3, 3) GPa or None."""

    energy: float
    forces: np.ndarray
    stress: np.ndarray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Between two evaluations, the largest: energy eV/atom, forces eV/Å, stress GPa."""

    energy: float
    force: float
    stress: float


def difference(a: Evaluation, b: Evaluation) -> Difference:
    """How far two evaluations of one structure lie apart."""
    stress = 0.0
    if a.stress is not None and b.stress is not None:
        stress = float(np.abs(a.stress - b.stress).max())
    return Difference(
        energy=abs(a.energy - b.energy) / len(a.forces),
        force=float(np.abs(a.forces - b.forces).max()),
        stress=stress,
    )


def beyond_limits(ours: Evaluation, package: Evaluation) -> set[str]:
    """Which of energy, force and stress differ by more than the limit.

    The package adds up its total energy in float32, whose last digit (8e-6 eV in 80 eV)
    is allowed on top.
    """
    apart = difference(ours, package)
    digit = float(np.spacing(np.float32(abs(package.energy)))) / len(package.forces)
    allowed = LIMITS | {"energy": LIMITS["energy"] + digit}
    return {what for what, limit in allowed.items() if getattr(apart, what) > limit}


def unexplained(ours: Evaluation, package: Evaluation, exact: Evaluation) -> set[str]:
    """Which are beyond a limit although the package is nearer to float64 than we are."""
    off, package_off = difference(ours, exact), difference(package, exact)
    return {
        what
        for what in beyond_limits(ours, package)
        if getattr(off, what) > max(LIMITS[what], getattr(package_off, what))
    }


def by_package(name: str, structures: Sequence[ase.Atoms]) -> list[Evaluation]:
    """One by one with the `sevenn` package's own ASE calculator."""
    calculator = package_calculator(name)
    found: list[Evaluation] = []
    for atoms in structures:
        calculator.calculate(atoms.copy(), ["energy", "forces", "stress"])
        results = calculator.results
        stress = voigt_6_to_full_3x3_stress(results["stress"]) * EV_PER_A3_TO_GPA
        found.append(
            Evaluation(
                energy=float(results["energy"]),
                forces=np.array(results["forces"], dtype=float),
                stress=stress if atoms.pbc.all() else None,
            )
        )
    return found


def package_calculator(name: str) -> Any:
    """The `sevenn` package's own ASE calculator, which warns about torch.jit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator(PACKAGE_NAMES[name], device="cpu")


def by_potential(
    potential: Any, structures: Sequence[ase.Atoms], batch_size: int
) -> list[Evaluation]:
    """With a potential of ours, in batches of this many structures.

    A batch mixes what stands far apart in the list: crystals, molecules, slabs.
    """
    found: dict[int, Evaluation] = {}
    n_batches = -(-len(structures) // batch_size)
    for first in range(n_batches):
        places = range(first, len(structures), n_batches)
        batch = [structures[place] for place in places]
        prediction = potential.compute(batch)
        ends = np.cumsum([len(atoms) for atoms in batch])
        forces = np.split(prediction.forces.cpu().numpy(), ends[:-1])
        stress = prediction.stress.cpu().numpy() * EV_PER_A3_TO_GPA
        for k, place in enumerate(places):
            found[place] = Evaluation(
                energy=float(prediction.energy[k]),
                forces=forces[k],
                stress=stress[k] if batch[k].pbc.all() else None,
            )
    return [found[place] for place in range(len(structures))]


def parity_structures() -> list[tuple[str, ase.Atoms]]:
    """(where it comes from, structure), 200 of them, the same on every machine."""
    rng = np.random.default_rng(20)
    crystals = [
        atoms
        for name in ("mp_binary_pbe_elasticity", "alexandria_binary_pbe_cv300")
        for atoms in _crystals(data_path("matcalc_bench", f"{name}.json.xz"))
    ]
    small = [a for a in crystals if max(a.cell.lengths()) < CUTOFF and len(a) < 4]
    large = [a for a in crystals if 3 < len(a) < 30]
    drawn = [
        *(("matcalc", atoms) for atoms in _draw(large, 70, rng)),
        *(("molecule", atoms) for atoms in _draw(_molecules(), 40, rng)),
        *(("small cell", atoms) for atoms in _draw(small, 30, rng)),
        *(("skewed cell", _skewed(atoms, rng)) for atoms in _draw(large, 30, rng)),
    ]
    for _, atoms in drawn:
        atoms.positions += rng.normal(scale=0.04, size=atoms.positions.shape)
    hot = [
        ("mlearn", atoms)
        for element in ("Cu", "Ge", "Li", "Mo", "Ni", "Si")
        for atoms in _draw(_frames(element), 5, rng)
    ]
    return [*drawn, *hot]


def _draw(
    pool: Sequence[ase.Atoms], number: int, rng: np.random.Generator
) -> list[ase.Atoms]:
    places = rng.choice(len(pool), size=number, replace=False)
    return [pool[place].copy() for place in sorted(places)]


def _crystals(path: Path) -> list[ase.Atoms]:
    structures = [
        ase.Atoms(
            entry["species"],
            scaled_positions=entry["frac"],
            cell=entry["cell"],
            pbc=True,
        )
        for entry in _json(path)
    ]
    return [a for a in structures if max(a.numbers) <= LARGEST_ATOMIC_NUMBER]


def _molecules() -> list[ase.Atoms]:
    return [
        ase.Atoms(entry["species"], entry["positions"])
        for entry in _json(data_path("library", "g2_molecules.json.xz"))
        if len(entry["species"]) > 1
    ]


def _frames(element: str) -> list[ase.Atoms]:
    with lzma.open(data_path("mlearn", f"{element}_test.xyz.xz"), "rt") as stream:
        frames = read(StringIO(stream.read()), index=":", format="extxyz")
    return [atoms for atoms in frames if len(atoms) < 120]


def _skewed(atoms: ase.Atoms, rng: np.random.Generator) -> ase.Atoms:
    """The same crystal in another basis of its lattice, one in three left-handed."""
    change = np.eye(3, dtype=int)
    change[1, 0], change[2, 0], change[2, 1] = rng.integers(-2, 3, size=3)
    if rng.integers(3) == 0:
        change = change[[1, 0, 2]]
    skewed = atoms.copy()
    skewed.set_cell(change @ atoms.cell.array)
    return skewed


def _json(path: Path) -> Any:
    return json.loads(lzma.decompress(path.read_bytes()))
