"""Crystals to relax, and those who relax them: ours, ASE and torch-sim.

All stop when no force on an atom and no row of the force on the cell, -V σ / n, is
longer than `max_force` (eV/Å), or at the limit of steps. Ours and torch-sim ask that of
the forces as they are. ASE's FrechetCellFilter turns and stretches them with the cell
first, by the few percent that the cell has changed; `largest_force` measures the ends
of all alike.
"""

from __future__ import annotations

import inspect
import json
import lzma
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
import torch
from ase.filters import FrechetCellFilter
from harness import data_path

import gnndesign as gd
from gnndesign.simulation.relaxation import METHODS

RATTLE = 0.1
"""Å, standard deviation of the displacement of every atom along each axis."""

TITLES = {"fire": "FIRE", "lbfgs": "L-BFGS"}
"""Of our methods, for the tables."""

FILES = ("mp_binary_pbe_elasticity", "alexandria_binary_pbe_cv300")

LARGEST_ATOMIC_NUMBER = 83
"""Below polonium, so that every element is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxed:
    """Where one structure ended.

    Attributes:
        atoms: the structure.
        energy: eV an atom.
        evaluations: how often its energy and forces were computed; None where the
            program does not say.
        force: eV/Å, see `largest_force`.
        converged: whether the program says so.
    """

    atoms: ase.Atoms
    energy: float
    evaluations: int | None
    force: float
    converged: bool


def rattled_crystals(
    number: int,
    *,
    seed: int,
    files: Sequence[str] = FILES,
    largest: int | None = None,
    strain: float = 0.0,
) -> list[ase.Atoms]:
    """Crystals of MatCalc's benchmarks, the same on every machine.

    Args:
        number: how many.
        seed: of the choice, the displacements and the strains.
        files: of `matcalc_bench`.
        largest: most atoms of a cell.
        strain: standard deviation of each component of the cell's strain.
    """
    entries = [
        entry
        for name in files
        for entry in json.loads(
            lzma.decompress(data_path("matcalc_bench", f"{name}.json.xz").read_bytes())
        )
    ]
    pool = [
        ase.Atoms(e["species"], cell=e["cell"], scaled_positions=e["frac"], pbc=True)
        for e in entries
        if largest is None or len(e["species"]) <= largest
    ]
    pool = [atoms for atoms in pool if max(atoms.numbers) <= LARGEST_ATOMIC_NUMBER]
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(pool), size=number, replace=False)
    return [_disturbed(pool[place], strain, rng) for place in chosen]


def _disturbed(atoms: ase.Atoms, strain: float, rng: np.random.Generator) -> ase.Atoms:
    moved = atoms.copy()
    moved.positions += rng.normal(scale=RATTLE, size=moved.positions.shape)
    gradient = rng.normal(scale=strain, size=(3, 3))
    symmetric = np.eye(3) + 0.5 * (gradient + gradient.T)
    moved.set_cell(moved.cell.array @ symmetric, scale_atoms=True)
    return moved


def largest_force(
    forces: np.ndarray, stress: np.ndarray | None, volume: float
) -> float:
    """The longest force on an atom or row of the force on the cell, eV/Å.

    Args:
        forces: (n_atoms, 3) eV/Å.
        stress: (3, 3) eV/Å³; None where the cell is kept.
        volume: Å³.
    """
    rows = [forces] if stress is None else [forces, volume * stress / len(forces)]
    return float(np.linalg.norm(np.vstack(rows), axis=1).max())


def by_ours(
    structures: Sequence[ase.Atoms],
    potential: Any,
    method: str,
    *,
    cell: bool,
    max_force: float,
    max_steps: int,
) -> list[Relaxed]:
    """All at once with `gnndesign.relax`."""
    results = gd.relax(
        list(structures),
        potential,
        cell="full" if cell else None,
        max_force=max_force,
        max_steps=max_steps,
        method=method,
    )
    return [
        Relaxed(
            atoms=result.atoms,
            energy=result.energy / len(result.atoms),
            evaluations=result.steps + 1,
            force=largest_force(
                result.atoms.get_forces(),
                result.stress if cell else None,
                result.atoms.cell.volume,
            ),
            converged=result.converged,
        )
        for result in results
    ]


def our_methods() -> list[str]:
    """Of `gnndesign.relax`, the default first."""
    default = inspect.signature(gd.relax).parameters["method"].default
    return sorted(METHODS, key=lambda name: name != default)


def by_ase(
    structure: ase.Atoms,
    calculator: Any,
    optimizer: type,
    *,
    cell: bool,
    max_force: float,
    max_steps: int,
) -> Relaxed:
    """One structure with an optimizer of ASE, and FrechetCellFilter for its cell."""
    atoms = structure.copy()
    atoms.calc = calculator
    going = optimizer(FrechetCellFilter(atoms) if cell else atoms, logfile=None)
    with warnings.catch_warnings():
        # Of the filter's logarithm, at every step: 1e-13 is exact enough.
        warnings.filterwarnings("ignore", "logm result may be inaccurate")
        converged = going.run(fmax=max_force, steps=max_steps)
    stress = atoms.get_stress(voigt=False) if cell else None
    end = Relaxed(
        atoms=atoms,
        energy=float(atoms.get_potential_energy()) / len(atoms),
        evaluations=going.nsteps + 1,
        force=largest_force(atoms.get_forces(), stress, atoms.cell.volume),
        converged=bool(converged),
    )
    # The calculator is the next structure's.
    atoms.calc = None
    return end


def by_torch_sim(
    structures: Sequence[ase.Atoms], model: Any, *, max_force: float, max_steps: int
) -> list[Relaxed]:
    """All at once in memory with torch-sim's FIRE, cells too.

    Its own default asks for the last change of the energy alone, and at every fifth
    step; with every step it asks as the others do, and is faster.
    """
    import torch_sim

    with warnings.catch_warnings():
        # It says so where a structure comes to the limit of steps.
        warnings.simplefilter("ignore")
        state = torch_sim.optimize(
            list(structures),
            model,
            optimizer=torch_sim.frechet_cell_fire,
            convergence_fn=torch_sim.generate_force_convergence_fn(
                max_force, include_cell_forces=True
            ),
            max_steps=max_steps,
            steps_between_swaps=1,
        )
    ends = torch_sim.io.state_to_atoms(state)
    counts = torch.bincount(state.system_idx).tolist()
    forces = torch.split(state.forces, counts)
    found: list[Relaxed] = []
    for k, atoms in enumerate(ends):
        force = largest_force(
            forces[k].cpu().numpy(), state.stress[k].cpu().numpy(), atoms.cell.volume
        )
        found.append(
            Relaxed(
                atoms=atoms,
                energy=float(state.energy[k]) / len(atoms),
                evaluations=None,
                force=force,
                converged=force <= max_force,
            )
        )
    return found
