"""The fused network on the CPU: buffers, packed weights, and the order of the phases."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Slopes
from gnndesign.potentials.kernels.cpu_code import (
    FOLLOWING,
    HEADER,
    NUMBERS,
    PHASES,
    PROGRAM_HEADER,
    ROW,
)
from gnndesign.potentials.kernels.cpu_convolution import EDGE_HEAD, record_width
from gnndesign.potentials.kernels.cpu_geometry import UNIT_SIZE
from gnndesign.potentials.kernels.cpu_weights import is_packed, pack, this_machine
from gnndesign.potentials.kernels.lowering import LoweredNetwork
from gnndesign.potentials.kernels.machine_code import MachineCode, is_compiled
from gnndesign.potentials.kernels.threads import (
    run_on_all_threads,
    yield_address,
)

_EDGE_BYTES = 2**30
"""Memory for what is stored of edges beside 100 bytes; more edges go in chunks."""

_FEW_ATOMS = 8
_ATOMS_AT_ONCE = 64
"""At most so many atoms are a thread's portion: their messages and a part of the table
stay in its cache."""


class CPUNetwork:
    """A lowered network, evaluated by generated machine code on all of torch's threads.

    Args:
        network: the network.
        dtype: float32 or float64, of everything within an atom and a message; geometry
            and totals are always float64.
        edge_bytes: memory for what is stored of edges.

    Raises:
        CheckpointError: its radial functions are too rough for a table.
    """

    def __init__(
        self,
        network: LoweredNetwork,
        dtype: torch.dtype = torch.float32,
        edge_bytes: int = _EDGE_BYTES,
    ) -> None:
        packed = pack(network, this_machine(dtype))
        self.code = packed.code
        self._constants = packed.arrays
        self._machine_code = MachineCode(packed.code.key, packed.code.write)
        self._real = np.dtype(np.float64 if packed.code.machine.double else np.float32)
        self._edge_bytes = edge_bytes
        self._buffers = Buffers(self._constants)
        self._templates: dict[tuple[str, int], np.ndarray] = {}
        self._names: dict[int, str] = {}
        self._prepared_for: object = None
        self._lock = Lock()
        self._start = self._machine_code.address("run")

    def evaluate(
        self, species: Tensor, batch: AtomicBatch, edges: NeighborList
    ) -> Slopes | None:
        """Energies and their derivatives; None if a distance is below the tables.

        Args:
            species: (n_atoms,) places of the atoms' elements in the embedding.
            batch: on the CPU.
            edges: both ways each, by ascending centers.
        """
        with self._lock:
            self._prepare(species, batch, edges)
            if not self._run():
                return None
            arrays = self._buffers.arrays
            dtype = batch.positions.dtype

            def result(name: str, *shape: int) -> Tensor:
                size = int(np.prod(shape))
                copy = arrays[name][:size].reshape(shape).copy()
                return torch.from_numpy(copy).to(dtype)

            virial = result("virial", batch.n_systems, 3, 3)
            return Slopes(
                atomic_energies=result("energies", batch.n_atoms),
                positions=result("gradient", batch.n_atoms, 3),
                strain=0.5 * (virial + virial.mT),
            )

    def _prepare(
        self, species: Tensor, batch: AtomicBatch, edges: NeighborList
    ) -> None:
        """Room for everything, and the input in it."""
        n_atoms, n_edges = batch.n_atoms, edges.n_edges
        boundaries = torch.arange(n_atoms + 1)
        rows = torch.searchsorted(edges.centers, boundaries).numpy()
        chunks = self._cut(rows)
        ranges = [(int(rows[a]), int(rows[b])) for a, b in chunks]
        key = (n_atoms, batch.n_systems, chunks, ranges, torch.get_num_threads())
        if key != self._prepared_for:
            self._chunks, self._ranges = chunks, ranges
            self._n_threads = torch.get_num_threads()
            largest = max(b - a for a, b in ranges)
            sizes = self._sizes(n_atoms, n_edges, batch.n_systems, largest)
            if self._buffers.reserve(sizes):
                self._templates.clear()
            self._program = self._write_program(n_atoms)
            self._prepared_for = key
        for name, tensor in (
            ("species", species),
            ("positions", batch.positions),
            ("cells", batch.cell),
            ("systems", batch.system_index),
            ("centers", edges.centers),
            ("neighbors", edges.neighbors),
            ("shifts", edges.shifts),
        ):
            flat = tensor.detach().reshape(-1).numpy()
            self._buffers.arrays[name][: flat.size] = flat
        self._buffers.arrays["rows"][: n_atoms + 1] = rows
        for name, size in (
            ("records", n_edges * self._record_width),
            ("gradient", 3 * n_atoms),
            ("virial", 9 * batch.n_systems),
            ("flag", 1),
        ):
            self._buffers.arrays[name][:size] = 0

    @staticmethod
    def is_quick(network: LoweredNetwork, dtype: torch.dtype = torch.float32) -> bool:
        """Whether tables and machine code are on disk already."""
        machine = this_machine(dtype)
        if not is_packed(network, machine):
            return False
        return is_compiled(pack(network, machine).code.key)

    @property
    def _record_width(self) -> int:
        n_harmonics = (self.code.network.lmax + 1) ** 2
        return record_width(n_harmonics, self.code.machine.lanes)

    @property
    def _edge_numbers(self) -> int:
        return EDGE_HEAD + len(self.code.entries.sums)

    def _cut(self, rows: np.ndarray) -> list[tuple[int, int]]:
        """Ranges of atoms whose edges fit into the memory for them."""
        most = max(1, self._edge_bytes // (self._edge_numbers * self._real.itemsize))
        if rows[-1] <= most:
            return [(0, len(rows) - 1)]
        chunks: list[tuple[int, int]] = []
        start = 0
        while start < len(rows) - 1:
            stop = int(np.searchsorted(rows, rows[start] + most, "right")) - 1
            stop = max(start + 1, stop)
            chunks.append((start, stop))
            start = stop
        return chunks

    def _sizes(
        self, n_atoms: int, n_edges: int, n_systems: int, largest: int
    ) -> dict[str, tuple[int, np.dtype]]:
        """Numbers in each buffer, and their kind."""
        index, double, real = np.dtype(np.int64), np.dtype(np.float64), self._real
        lanes, layers = self.code.machine.lanes, self.code.layers
        # Whole blocks of edges; a block may begin at any edge.
        n_local = (-(-largest // lanes) + 1) * lanes
        n_records = (n_edges + lanes) * self._record_width
        widest = max(layout.messages.width for layout in layers)
        gated = max(layout.gated.width for layout in layers)
        features = max(layout.features.width for layout in layers)
        sizes = {
            "species": (n_atoms, index),
            "positions": (3 * n_atoms, double),
            "cells": (9 * n_systems, double),
            "systems": (n_atoms, index),
            "centers": (n_edges, index),
            "neighbors": (n_edges, index),
            "shifts": (3 * n_edges, index),
            "rows": (n_atoms + 1, index),
            "units": (n_local * UNIT_SIZE, double),
            "vectors": (n_local * 3, double),
            "nodes": (n_local, np.dtype(np.int32)),
            "edges": (n_local * self._edge_numbers, real),
            "records": (n_records, real),
            "messages": (n_atoms * widest, real),
            "gated": (n_atoms * gated, real),
            "feature_slopes": (n_atoms * features, real),
            "energies": (n_atoms, double),
            "gradient": (3 * n_atoms, double),
            "virial": (9 * n_systems, double),
            "flag": (1, index),
        }
        for t, layout in enumerate(layers):
            sizes[f"features_{t}"] = (n_atoms * layout.features.width, real)
            sizes[f"kept_{t}"] = (n_atoms * layout.kept.width, real)
        return sizes

    def _run(self) -> bool:
        """All phases; False where a distance is below the tables."""
        self._call(self._program)
        return not self._buffers.arrays["flag"][0]

    def _call(self, rows: np.ndarray) -> None:
        program = np.empty(PROGRAM_HEADER + rows.size, np.int64)
        flag = self._buffers.address("flag")
        program[:PROGRAM_HEADER] = (rows.size // ROW, flag, yield_address())
        program[PROGRAM_HEADER:] = rows.ravel()
        run_on_all_threads(self._start, program.ctypes.data)

    def phase_seconds(
        self, species: Tensor, batch: AtomicBatch, edges: NeighborList
    ) -> list[tuple[str, float]]:
        """Name of each phase, in order, and what it takes alone; for benchmarks."""
        with self._lock:
            self._prepare(species, batch, edges)
            found: list[tuple[str, float]] = []
            for row in self._program:
                start = perf_counter()
                self._call(row)
                found.append((self._names[int(row[0])], perf_counter() - start))
            return found

    def _write_program(self, n_atoms: int) -> np.ndarray:
        """(n_phases, ROW) a row for each phase, in order; see cpu_code.py."""
        layers = range(len(self.code.layers))
        many = len(self._chunks) > 1
        rows = [self._row("start", 0, n_atoms)]
        if not many:
            rows.append(self._geometry(0))
        for t in layers:
            rows += self._convolution("forward", t)
            rows.append(self._row("node", t, n_atoms))
        for t in reversed(layers):
            rows.append(self._row("node_backward", t, n_atoms))
            rows += self._convolution("backward", t)
        for chunk, (a, b) in enumerate(self._chunks):
            if many:
                rows.append(self._geometry(chunk))
            edges = self._ranges[chunk]
            blocks = self._n_blocks(edges)
            rows += [
                self._row("geometry_backward", 0, blocks, edges=edges),
                # At once: atoms of different rows meet in the same sums.
                self._row("collect", 0, b - a, base=a, edges=edges, at_once=b - a),
            ]
        return np.stack(rows)

    def _geometry(self, chunk: int) -> np.ndarray:
        edges = self._ranges[chunk]
        return self._row("geometry", 0, self._n_blocks(edges), edges=edges)

    def _convolution(self, name: str, t: int) -> list[np.ndarray]:
        rows: list[np.ndarray] = []
        for chunk, (a, b) in enumerate(self._chunks):
            if len(self._chunks) > 1:
                rows.append(self._geometry(chunk))
            edges = self._ranges[chunk]
            rows.append(self._row(name, t, b - a, base=a, edges=edges))
        return rows

    def _n_blocks(self, edges: tuple[int, int]) -> int:
        return -(-(edges[1] - edges[0]) // self.code.machine.lanes)

    def _row(
        self,
        name: str,
        t: int,
        n_items: int,
        *,
        base: int = 0,
        edges: tuple[int, int] = (0, 0),
        at_once: int | None = None,
    ) -> np.ndarray:
        template = self._templates.get((name, t))
        if template is None:
            template = self._templates[name, t] = self._resolve(name, t)
        if at_once is None:
            at_once = self._portion(n_items)
        row = template.copy()
        row[2:5] = (n_items, max(1, at_once), base)
        for number, value in zip(NUMBERS, edges, strict=True):
            if number in PHASES[name]:
                row[HEADER + PHASES[name].index(number)] = value
        return row

    def _portion(self, n_items: int) -> int:
        """How many items a thread takes at once.

        Few enough that a thread which is late leaves work to the others, but not so
        few that a matrix product has less rows than it computes together.
        """
        share = -(-n_items // self._n_threads)
        if share <= _FEW_ATOMS:
            return share
        return min(_ATOMS_AT_ONCE, max(_FEW_ATOMS, -(-share // 2)))

    def _resolve(self, name: str, t: int) -> np.ndarray:
        """The row of a phase as far as it is the same every time."""
        last = t + 1 == len(self.code.layers)
        addresses = [
            0
            if argument in NUMBERS or (last and argument in FOLLOWING)
            else self._buffers.address(_array_name(argument, t))
            for argument in PHASES[name]
        ]
        row = np.zeros(ROW, np.int64)
        row[0] = self._machine_code.address(self.code.phase(name, t))
        self._names[int(row[0])] = name
        row[HEADER : HEADER + len(addresses)] = addresses
        return row


def _array_name(argument: str, t: int) -> str:
    """Of the array that is a phase's argument in layer t."""
    if argument in FOLLOWING:
        return f"{argument.removeprefix('next_')}_{t + 1}"
    if argument in ("features", "kept", "table", "after", "after_back"):
        return f"{argument}_{t}"
    return argument


class Buffers:
    """Arrays that are made anew only when they have become too small.

    What is asked for more than the largest need so far is a quarter of it.
    """

    def __init__(self, constants: Mapping[str, np.ndarray]) -> None:
        self.arrays: dict[str, np.ndarray] = dict(constants)

    def reserve(self, sizes: Mapping[str, tuple[int, np.dtype]]) -> bool:
        """Make room; whether an array has moved."""
        moved = False
        for name, (size, dtype) in sizes.items():
            old = self.arrays.get(name)
            if old is None or old.size < size:
                # Zeros: padding must not hold what is not a number.
                room = size if old is None else size + size // 4
                self.arrays[name] = np.zeros(room + _SLACK, dtype=dtype)
                moved = True
        return moved

    def address(self, name: str) -> int:
        """Where an array lies."""
        return self.arrays[name].ctypes.data


_SLACK = 64
"""Numbers after each array that a vector may touch."""
