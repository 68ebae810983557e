"""The GPU kernels: are they right, how fast are they, and what holds them back?

The first thing to run where there is a GPU. It compares with the plain network in
float64 on the host, tries tiles, times every kernel, and measures whole evaluations
against the device's own bandwidth and float32 arithmetic.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from ase import Atoms
from ase.build import bulk, molecule
from harness import parse_arguments, print_table, write_results

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList, find_neighbors
from gnndesign.potentials.base import EnergyModel
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.equivariant import EquivariantPotential
from gnndesign.potentials.kernels.gpu import GPUNetwork
from gnndesign.potentials.kernels.gpu_tile import Tile, channel_block
from gnndesign.potentials.kernels.lowering import LoweredNetwork, lower
from gnndesign.potentials.kernels.radial_table import tabulate

DEVICE = torch.device("cuda")
NAMES = ("sevennet-0", "sevennet-l3i5")
REPEATS = (1, 2, 3, 4, 5, 7, 10, 14, 18, 23)
BATCHES = (1, 4, 16, 64, 256, 1024)
CLAIM_FORCES = 1e-5  # eV/Å
CLAIM_STEP_MS = 5.0  # up to 256 atoms
CLAIM_ATOM_STEPS = 3e5  # a second, in batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A potential, and its form for the GPU."""

    name: str
    potential: EquivariantPotential
    lowered: LoweredNetwork
    network: GPUNetwork

    @classmethod
    def load(cls, name: str) -> Subject:
        """With the host's network raised to float64, for comparison."""
        potential = load_potential(name, "cpu")
        assert isinstance(potential, EquivariantPotential)
        lowered = lower(potential.network, potential.parameters)
        tables = tabulate([layer.radial for layer in lowered.layers], lowered.breaks)
        network = GPUNetwork(lowered, tables, DEVICE)
        potential.network.double()
        return cls(name=name, potential=potential, lowered=lowered, network=network)

    def inputs(self, structures: list[Atoms]) -> tuple[Any, AtomicBatch, NeighborList]:
        """What `GPUNetwork.evaluate` wants."""
        batch = AtomicBatch.from_atoms(structures, device=DEVICE)
        places = torch.zeros(120, dtype=torch.int64)
        for place, number in enumerate(self.potential.parameters.elements):
            places[number] = place
        edges = find_neighbors(batch, self.lowered.cutoff)
        return places.to(DEVICE)[batch.atomic_numbers], batch, edges


def rattled(atoms: Atoms) -> Atoms:
    """Thermal disorder, the same each time."""
    atoms.rattle(0.05, seed=0)
    return atoms


def milliseconds(function: Callable[[], object], times: int) -> float:
    """Median time of a call, with the device idle before and after it."""
    for _ in range(3):
        function()
    taken: list[float] = []
    for _ in range(times):
        torch.cuda.synchronize()
        start = time.perf_counter()
        function()
        torch.cuda.synchronize()
        taken.append(1e3 * (time.perf_counter() - start))
    return statistics.median(taken)


def correctness(subject: Subject) -> dict[str, Any]:
    """Largest differences from the plain network in float64; graph against eager."""
    structures = [
        rattled(bulk("Si", cubic=True)),
        rattled(molecule("CH3CH2OH")),
        rattled(bulk("NaCl", "rocksalt", 5.6)),
        rattled(bulk("Cu", cubic=True) * (3, 3, 3)),
    ]
    species, batch, edges = subject.inputs(structures)
    host = AtomicBatch.from_atoms(structures)
    expected = EnergyModel.energy_and_slopes(
        subject.potential, host, find_neighbors(host, subject.lowered.cutoff)
    )
    found = [subject.network.evaluate(species, batch, edges) for _ in range(3)]
    assert all(slopes is not None for slopes in found)

    def difference(name: str) -> float:
        parts = (getattr(f, name).cpu() - getattr(expected, name) for f in found)
        return max(float(part.abs().max()) for part in parts)

    return {
        "test": f"correctness {subject.name}",
        "energy_eV": difference("atomic_energies"),
        "forces_eV_A": difference("positions"),
        "strain_eV": difference("strain"),
        "graph": "captured" if subject.network.n_graphs > 0 else "none",
    }


def ceilings() -> dict[str, Any]:
    """Bandwidth of a copy, and float32 arithmetic of a large matrix product."""
    source = torch.empty(1 << 28, device=DEVICE)
    target = torch.empty_like(source)
    copy = milliseconds(lambda: target.copy_(source), 10)
    matrix = torch.randn((8192, 8192), device=DEVICE)
    product = milliseconds(lambda: matrix @ matrix, 5)
    return {
        "test": "ceilings",
        "bandwidth_GB_s": 2 * source.nbytes / copy / 1e6,
        "float32_TFLOP_s": 2 * 8192**3 / product / 1e9,
    }


def flops_per_step(lowered: LoweredNetwork, n_atoms: int, n_edges: int) -> float:
    """Arithmetic of an evaluation: multiplications and additions that must be done."""
    per_edge = per_atom = 0.0
    for number, layer in enumerate(lowered.layers):
        for path in layer.paths:
            channels = path.columns.stop - path.columns.start
            coupling = lowered.couplings[path.orders]
            triples = int((coupling != 0).sum())
            pairs = int((coupling != 0).any(0).sum())
            there = 3 + pairs + path.receiver.dim
            back = 6 + triples + pairs + 2 * (2 * path.harmonic + 1)
            back += (pairs + path.sender.dim) if number else 0
            per_edge += 2.0 * channels * (there + back)
        for matrices in (layer.before, layer.self_connection, layer.after):
            for ir, matrix in (matrices or {}).items():
                per_atom += 2 * 2.0 * ir.dim * matrix.size
    return per_edge * n_edges + per_atom * n_atoms


def step(
    subject: Subject, structures: list[Atoms], peak_TFLOP_s: float, times: int
) -> dict[str, Any]:
    """Time, throughput and memory of an evaluation, and of the neighbor search."""
    species, batch, edges = subject.inputs(structures)
    torch.cuda.reset_peak_memory_stats()
    network = subject.network
    evaluate = milliseconds(lambda: network.evaluate(species, batch, edges), times)
    memory = torch.cuda.max_memory_allocated()
    cutoff = subject.lowered.cutoff
    neighbors = milliseconds(lambda: find_neighbors(batch, cutoff), times)
    flops = flops_per_step(subject.lowered, batch.n_atoms, edges.n_edges)
    return {
        "test": f"step {subject.name}",
        "n_systems": batch.n_systems,
        "n_atoms": batch.n_atoms,
        "n_edges": edges.n_edges,
        "evaluate_ms": evaluate,
        "neighbors_ms": neighbors,
        "atom_steps_per_s": 1e3 * batch.n_atoms / evaluate,
        "with_neighbors_per_s": 1e3 * batch.n_atoms / (evaluate + neighbors),
        "arithmetic_share": flops / evaluate / 1e9 / peak_TFLOP_s,
        "peak_memory_GB": memory / 1e9,
    }


def kernel_times(subject: Subject, structures: list[Atoms]) -> list[dict[str, Any]]:
    """Time of each kernel on the device in one evaluation, largest first."""
    from torch.profiler import ProfilerActivity, profile

    species, batch, edges = subject.inputs(structures)
    subject.network.evaluate(species, batch, edges)
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        subject.network.evaluate(species, batch, edges)
        torch.cuda.synchronize()
    rows = [
        {
            "test": f"kernel {subject.name}",
            "kernel": event.key[:60],
            "launches": event.count,
            "ms": event.device_time_total / 1e3,
        }
        for event in found.key_averages()
    ]
    return sorted(rows, key=lambda row: -float(str(row["ms"])))[:24]


def tiles(subject: Subject, structures: list[Atoms]) -> list[dict[str, Any]]:
    """Time of an evaluation with other tiles than `Tile.choose` takes."""
    species, batch, edges = subject.inputs(structures)
    network, usual = subject.network, subject.network.tiling
    rows: list[dict[str, Any]] = []
    for elements in (1, 2, 4):
        for warps in (1, 2, 4):

            def tiling(
                channels: int, rows: int, n: int, e: int = elements, w: int = warps
            ) -> Tile:
                del rows, n
                block = channel_block(channels)
                w = max(w, block // (32 * e))
                return Tile(edges=max(1, 32 * w * e // block), channels=block, warps=w)

            network.tiling = tiling
            taken = milliseconds(lambda: network.evaluate(species, batch, edges), 3)
            rows.append(
                {
                    "test": f"tile {subject.name}",
                    "elements": elements,
                    "warps": warps,
                    "ms": taken,
                }
            )
    network.tiling = usual
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print rows of one kind."""
    if rows:
        print_table(rows, list(rows[0]))


def headline_of(rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    """The claims: accuracy, latency, throughput."""
    steps = [row for row in rows if str(row["test"]) == "step sevennet-0"]
    return {
        "largest_force_error_eV_A": max(row.get("forces_eV_A", 0.0) for row in rows),
        "slowest_up_to_256_atoms_ms": max(
            row["evaluate_ms"] for row in steps if row["n_atoms"] <= 256
        ),
        "batched_atom_steps_per_s": max(row["atom_steps_per_s"] for row in steps),
        "most_atoms": max(row["n_atoms"] for row in steps),
    }


def main() -> None:
    """Measure, print, write."""
    arguments = parse_arguments(__doc__ or "")
    if not torch.cuda.is_available():
        sys.exit("There is no CUDA device here; this benchmark measures nothing else.")
    rows = [ceilings()]
    show(rows)
    peak = float(rows[0]["float32_TFLOP_s"])
    for name in NAMES[: 1 if arguments.quick else 2]:
        subject = Subject.load(name)
        start = time.perf_counter()
        found = correctness(subject)
        found["first_use_s"] = time.perf_counter() - start
        show([found])
        rows.append(found)
        silicon = bulk("Si", cubic=True)
        medium = [rattled(silicon * (10, 10, 10))]
        sizes = REPEATS[:5] if arguments.quick else REPEATS
        batches = BATCHES[:4] if arguments.quick else BATCHES
        cases = [[rattled(silicon * (k, k, k))] for k in sizes]
        cases += [[rattled(silicon * (2, 2, 2)) for _ in range(n)] for n in batches]
        steps = [step(subject, case, peak, 5) for case in cases]
        kernels = kernel_times(subject, medium)
        # Each tile is compiled: too long for the largest kernels.
        lengthy = arguments.quick or name != NAMES[0]
        tried = [] if lengthy else tiles(subject, medium)
        for part in (steps, kernels, tried):
            show(part)
        rows += [*steps, *kernels, *tried]
    headline = headline_of(rows)
    for what, value in headline.items():
        sys.stdout.write(f"{what}: {value:.4g}\n")
    write_results(
        "gpu_kernels",
        headline=headline,
        rows=rows,
        packages=("torch", "triton"),
        device="cuda",
        quick=arguments.quick,
    )
    holds = (
        headline["largest_force_error_eV_A"] < CLAIM_FORCES
        and headline["slowest_up_to_256_atoms_ms"] < CLAIM_STEP_MS
        and headline["batched_atom_steps_per_s"] > CLAIM_ATOM_STEPS
    )
    if arguments.check and not holds:
        sys.exit("The claims do not hold: see the headline above.")


if __name__ == "__main__":
    main()
