"""Where a step of the fused CPU kernels spends its time, against what the machine can do.

Counts the floating-point operations and the bytes of an atom and a step from the code's
own layouts, times every phase alone (silicon, 216 atoms, all threads), and measures the
arithmetic that the machine reaches in a large float32 matrix product and the bandwidth
of a large copy. It reports; it claims nothing.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import contenders
import numpy as np
import torch
from harness import parse_arguments, print_table, write_results

import gnndesign as gd
from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.equivariant import EquivariantPotential
from gnndesign.potentials.kernels.cpu import CPUNetwork
from gnndesign.potentials.kernels.cpu_code import NetworkCode
from gnndesign.potentials.kernels.lowering import lower

NAMES = ("sevennet-0", "sevennet-l3i5")
COLUMNS = ("potential", "phase", "ms", "share", "GFLOP", "GFLOP_per_s", "of_peak")


def main() -> int:
    """Count, time, print and write."""
    arguments = parse_arguments(__doc__ or "")
    repeats = 5 if arguments.quick else 25
    peak, bandwidth = machine_peak(), machine_bandwidth()
    headline: dict[str, float] = {"peak_GFLOP_per_s": peak, "copy_GB_per_s": bandwidth}
    rows: list[dict[str, Any]] = []
    for name in NAMES[:1] if arguments.quick else NAMES:
        found, summary = measure(name, repeats, peak)
        rows += found
        headline |= {f"{name} {key}": value for key, value in summary.items()}
    print_table(rows, COLUMNS)
    write_results(
        "roofline",
        headline=headline,
        rows=[{"threads": torch.get_num_threads()}, *rows],
        packages=("torch", "llvmlite"),
        quick=arguments.quick,
    )
    for what, value in headline.items():
        sys.stdout.write(f"{what}: {value:.4g}\n")
    return 0


def measure(
    name: str, repeats: int, peak: float
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Rows of the phases of one network, and its figures of an atom and step."""
    potential = gd.load_potential(name, "cpu")
    assert isinstance(potential, EquivariantPotential)
    network = CPUNetwork(lower(potential.network, potential.parameters))
    batch = AtomicBatch.from_atoms(contenders.silicon(216))
    edges = find_neighbors(batch, potential.parameters.cutoff)
    species = potential.species(batch)
    network.evaluate(species, batch, edges)
    times = phase_times(lambda: network.phase_seconds(species, batch, edges), repeats)
    flops = phase_flops(network.code, batch.n_atoms, edges.n_edges)
    total = sum(times.values())
    rows = [
        {
            "potential": name,
            "phase": phase,
            "ms": taken * 1e3,
            "share": taken / total,
            "GFLOP": flops.get(phase, 0) / 1e9,
            "GFLOP_per_s": flops.get(phase, 0) / 1e9 / taken,
            "of_peak": flops.get(phase, 0) / 1e9 / taken / peak,
        }
        for phase, taken in times.items()
    ]
    whole = timed(lambda: network.evaluate(species, batch, edges), repeats)
    moved = bytes_per_atom(network.code, edges.n_edges / batch.n_atoms)
    return rows, {
        "MFLOP_per_atom": sum(flops.values()) / 1e6 / batch.n_atoms,
        "kB_per_atom": moved / 1e3,
        "edges_per_atom": edges.n_edges / batch.n_atoms,
        "ms_per_step": whole * 1e3,
        "atom_steps_per_s": batch.n_atoms / whole,
        "of_peak": sum(flops.values()) / 1e9 / whole / peak,
        "compute_bound_atom_steps_per_s": peak
        * 1e9
        / (sum(flops.values()) / batch.n_atoms),
    }


def phase_times(
    measured: Callable[[], list[tuple[str, float]]], repeats: int
) -> dict[str, float]:
    """Median seconds of each kind of phase, summed over the layers."""
    taken: dict[str, list[float]] = {}
    for _ in range(repeats):
        sums: dict[str, float] = {}
        for kind, seconds in measured():
            sums[kind] = sums.get(kind, 0.0) + seconds
        for kind, seconds in sums.items():
            taken.setdefault(kind, []).append(seconds)
    return {kind: statistics.median(values) for kind, values in taken.items()}


def phase_flops(code: NetworkCode, n_atoms: int, n_edges: int) -> dict[str, float]:
    """Operations of a step by kind of phase; a fused multiply-add counts as two."""
    flops = dict.fromkeys(("forward", "backward", "node", "node_backward"), 0.0)
    for t, layer in enumerate(code.network.layers):
        for path in layer.paths:
            channels = layer.senders[path.sender]
            coupling = code.network.couplings[path.orders]
            entries = np.count_nonzero(np.abs(coupling).sum(0))
            size = path.sender.dim
            flops["forward"] += n_edges * channels * (6 + size + 2 * entries)
            back = 6 + 5 + 2 * entries + 2 * size + 2 + (2 * size if t else 0)
            if path.harmonic:
                pairs = np.count_nonzero(np.abs(coupling).sum(1))
                back += size + 2 * np.count_nonzero(coupling) + 2 * pairs
            flops["backward"] += n_edges * channels * back
        maps = [layer.after]
        maps += [layer.before, layer.self_connection] if t else []
        dense = sum(
            2 * matrix.size * ir.dim
            for matrices in maps
            for ir, matrix in (matrices or {}).items()
        )
        flops["node"] += n_atoms * dense
        flops["node_backward"] += n_atoms * dense
    return flops


def bytes_per_atom(code: NetworkCode, edges_per_atom: float) -> float:
    """Bytes that an atom and step moves at least, if tables and neighbors are in cache.

    Every array of a layer is written once and read once on each way; an edge's numbers
    are written once and read in every layer on both ways.
    """
    size = 8 if code.machine.double else 4
    rows = sum(
        4 * layout.messages.width
        + 4 * layout.features.width
        + 6 * layout.kept.width
        + 4 * layout.gated.width
        for layout in code.layers
    )
    numbers = (6 + len(code.entries.sums)) * (1 + 2 * len(code.layers))
    return size * (rows + edges_per_atom * numbers)


def machine_peak() -> float:
    """GFLOP/s of a float32 matrix product of 2048 x 2048."""
    a = torch.randn(2048, 2048)
    return 2 * 2048**3 / 1e9 / timed(lambda: a @ a, 7)


def machine_bandwidth() -> float:
    """GB/s of copying 256 MB: read and written bytes."""
    source = torch.zeros(2**26)
    target = torch.empty_like(source)
    return 2 * 4 * 2**26 / 1e9 / timed(lambda: target.copy_(source), 7)


def timed(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call."""
    call()
    taken: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


if __name__ == "__main__":
    sys.exit(main())
