"""Barriers of reaction paths: ours and ASE's agree, and what each path costs.

The proton transfer of acetylacetone (ends of the nudged elastic band in BOTNet's test
set) and the hop of a vacancy in aluminum and copper (cells of 32 and 108 sites less
one, at SevenNet-0's own lattice constants), with SevenNet-0. Both programs begin from
the same ends, relaxed by ours, have seven images between them and a climbing one, begin
from the image-dependent pair potential and end at 0.01 eV/Å. ASE's band is its own
(`method="improvedtangent"`, `climb=True`) with its FIRE and with its adaptive solver
(`NEBOptimizer`), on our potential as a calculator; ours is `ReactionPath`, one path
alone, and all paths in one `compute`.

The claim: every barrier is symmetric, and that of ASE's band, within 2 meV, and all
paths together take less time than with the faster of ASE's methods for each.
Time is that of the processor, on one thread, so that others on the machine do not count.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import ase
import numpy as np
import torch
from ase.build import bulk
from ase.io import read
from ase.mep import NEB
from ase.mep.neb import NEBOptimizer
from ase.optimize import FIRE
from harness import data_path, parse_arguments, print_table, write_results

from gnndesign.potentials.base import Potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.properties.compute import compute
from gnndesign.properties.energy_profile import ReactionPathResult
from gnndesign.properties.reaction_path import ReactionPath
from gnndesign.simulation.relaxation import relax

N_IMAGES = 7
MAX_FORCE = 0.01
"""eV/Å."""
SAME_BARRIER_MEV = 2.0
MOST_STEPS = 1000
ASE_METHODS: dict[str, Callable[[NEB], Any]] = {
    "ASE, FIRE": lambda band: FIRE(band, logfile=None),
    "ASE, adaptive": lambda band: NEBOptimizer(band, logfile=None),
}
COLUMNS = (
    *("path", "by", "barrier_eV", "reverse_eV", "apart_meV"),
    *("iterations", "seconds", "iterations_per_s"),
)

Row = dict[str, Any]


def main() -> int:
    """Find the paths, compare, print, write; 1 where the claim fails with --check."""
    arguments = parse_arguments(__doc__ or "")
    torch.set_num_threads(1)
    potential = load_potential("sevennet-0", "cpu")
    potential.prepare()
    ends = {
        name: (relaxed(start, potential), relaxed(end, potential))
        for name, (start, end) in paths(potential, quick=arguments.quick).items()
    }
    rows: list[Row] = []
    for name, (start, end) in ends.items():
        rows += one_path(name, start, end, potential)
    together = all_paths(ends, potential)
    print_table(rows, COLUMNS)
    headline = summarize(rows, together)
    write_results(
        "reaction_paths",
        headline=headline,
        rows=rows,
        packages=("torch", "ase", "vesin"),
        quick=arguments.quick,
    )
    for what, value in headline.items():
        sys.stdout.write(f"{what}: {value}\n")
    return 1 if headline["missed"] and arguments.check else 0


def paths(
    potential: Potential, *, quick: bool
) -> dict[str, tuple[ase.Atoms, ase.Atoms]]:
    """Start and end of every path, by its name."""
    found: dict[str, tuple[ase.Atoms, ase.Atoms]] = {}
    frames: Any = read(data_path("acac_botnet", "test_H_transfer.xyz.xz"), ":")
    found["acetylacetone, proton"] = bare(frames[0]), bare(frames[-1])
    for symbol in ("Al",) if quick else ("Al", "Cu"):
        for size in (2,) if quick else (2, 3):
            crystal = relax(bulk(symbol, cubic=True), potential, cell="isotropic").atoms
            found[f"{symbol}{4 * size**3 - 1}, vacancy"] = hop(crystal * ((size,) * 3))
    return found


def hop(crystal: ase.Atoms) -> tuple[ase.Atoms, ase.Atoms]:
    """Without its first atom, and with a neighbor of it in its place."""
    start, end = bare(crystal), bare(crystal)
    neighbor = int(start.get_distances(0, range(1, len(start)), mic=True).argmin()) + 1
    end.positions[neighbor] = start.positions[0]
    del start[0], end[0]
    return start, end


def bare(atoms: ase.Atoms) -> ase.Atoms:
    """Elements, positions, cell and periodicity alone."""
    return ase.Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def relaxed(atoms: ase.Atoms, potential: Potential) -> ase.Atoms:
    """At its minimum in its cell."""
    end = relax(atoms, potential, max_force=0.005)
    assert end.converged, end.message
    return bare(end.atoms)


def ours(end: ase.Atoms) -> ReactionPath:
    """The path to an end that is relaxed."""
    return ReactionPath(end=end, n_images=N_IMAGES, max_force=MAX_FORCE, relaxing=None)


def one_path(
    name: str, start: ase.Atoms, end: ase.Atoms, potential: Potential
) -> list[Row]:
    """A row for ours and for each method of ASE."""
    began = time.process_time()
    result = compute(ours(end), start, potential)
    seconds = time.process_time() - began
    rows = [
        row(name, "ours", result.energies, result.n_iterations, seconds)
        | {"apart_meV": 1e3 * abs(result.barrier - result.reverse_barrier)}
    ]
    for method, optimizer in ASE_METHODS.items():
        began = time.process_time()
        energies, iterations = by_ase(result, start, potential, optimizer)
        seconds = time.process_time() - began
        apart = 1e3 * abs(float((energies - energies[0]).max()) - result.barrier)
        made = row(name, method, energies, iterations, seconds)
        rows.append(made | {"apart_meV": apart})
    for line in rows:
        sys.stderr.write(f"{line['path']}, {line['by']}: {line['seconds']:.1f} s\n")
    return rows


def by_ase(
    result: ReactionPathResult,
    start: ase.Atoms,
    potential: Potential,
    optimizer: Callable[[NEB], Any],
) -> tuple[np.ndarray, int]:
    """Energies of ASE's images, and how often it evaluated the band."""
    images = [bare(start) for _ in range(N_IMAGES + 2)]
    images[-1].positions = result.images[-1].positions
    # A calculator each, so that none forgets what it computed last.
    for image in images:
        image.calc = potential.as_calculator()
    band = NEB(images, climb=True, method="improvedtangent")
    band.interpolate("idpp")
    search = optimizer(band)
    if not search.run(fmax=MAX_FORCE, steps=MOST_STEPS):
        raise SystemExit(f"ASE's band did not converge in {MOST_STEPS} steps.")
    energies = np.array([image.get_potential_energy() for image in images])
    return energies, search.nsteps + 1


def row(
    name: str, by: str, energies: np.ndarray, iterations: int, seconds: float
) -> Row:
    """Of one path by one program."""
    highest = float(energies.max())
    return {
        "path": name,
        "by": by,
        "barrier_eV": highest - float(energies[0]),
        "reverse_eV": highest - float(energies[-1]),
        "iterations": iterations,
        "seconds": seconds,
        "iterations_per_s": iterations / seconds,
    }


def all_paths(
    ends: dict[str, tuple[ase.Atoms, ase.Atoms]], potential: Potential
) -> float:
    """Seconds of all paths in one computation.

    Ends that are not of a start are refused at once.
    """
    plans = [ours(end) for _, end in ends.values()]
    began = time.process_time()
    outcomes = compute(plans, [start for start, _ in ends.values()], potential)
    seconds = time.process_time() - began
    own = [outcomes[k * len(plans) + k] for k in range(len(plans))]
    assert all(outcome.result is not None for outcome in own), own
    return seconds


def summarize(rows: list[Row], together: float) -> Row:
    """The claim in numbers, and where it does not hold."""
    own = [line for line in rows if line["by"] == "ours"]
    theirs = [line for line in rows if line["by"] != "ours"]
    fastest = {
        line["path"]: min(x["seconds"] for x in theirs if x["path"] == line["path"])
        for line in own
    }
    alone = sum(line["seconds"] for line in own)
    ase_seconds = sum(fastest.values())
    missed = [
        f"{line['by']}: {line['path']}"
        for line in rows
        if line["apart_meV"] > SAME_BARRIER_MEV
    ]
    if together > ase_seconds:
        missed.append("time of all paths together")
    return {
        "n_paths": len(own),
        "largest_asymmetry_meV": max(line["apart_meV"] for line in own),
        "largest_difference_to_ASE_meV": max(line["apart_meV"] for line in theirs),
        "cpu_seconds_ours_one_by_one": alone,
        "cpu_seconds_ours_together": together,
        "cpu_seconds_ASE_faster_method": ase_seconds,
        "ASE_over_ours_one_by_one": ase_seconds / alone,
        "ASE_over_ours_together": ase_seconds / together,
        "missed": missed,
    }


if __name__ == "__main__":
    raise SystemExit(main())
