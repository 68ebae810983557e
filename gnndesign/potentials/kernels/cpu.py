"""The fused network on the CPU: buffers, packed weights, and the order of the phases."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.algebra import SCALAR
from gnndesign.potentials.base import Slopes
from gnndesign.potentials.kernels.cpu_code import (
    FOLLOWING,
    HEADER,
    LAYERED,
    NUMBERS,
    PHASES,
    Machine,
    NetworkCode,
)
from gnndesign.potentials.kernels.cpu_convolution import EDGE_HEAD, record_width
from gnndesign.potentials.kernels.cpu_geometry import UNIT_SIZE
from gnndesign.potentials.kernels.cpu_layout import Block, pack_matrix
from gnndesign.potentials.kernels.lowering import LoweredNetwork, Matrices
from gnndesign.potentials.kernels.machine_code import MachineCode, vector_bits
from gnndesign.potentials.kernels.radial_table import RadialTable
from gnndesign.potentials.kernels.threads import (
    run_on_all_threads,
    run_on_one_thread,
)

_EDGE_BYTES = 2**30
"""Memory for what is stored of edges beside 100 bytes; more edges go in chunks."""

_ATOMS_AT_ONCE = 64
"""At most so many atoms are a thread's portion: their messages and a part of the table
stay in its cache."""


class CPUNetwork:
    """A lowered network, evaluated by generated machine code on all of torch's threads.

    Args:
        network: the network.
        tables: radial tables of its layers.
        dtype: float32 or float64, of everything within an atom and a message; geometry
            and totals are always float64.
        on_compile: told before the compiler starts, if it must.
        edge_bytes: memory for what is stored of edges.
    """

    def __init__(
        self,
        network: LoweredNetwork,
        tables: Sequence[RadialTable],
        dtype: torch.dtype = torch.float32,
        on_compile: Callable[[], None] = lambda: None,
        edge_bytes: int = _EDGE_BYTES,
    ) -> None:
        double = dtype == torch.float64
        bits = vector_bits()
        machine = Machine(
            lanes=bits // (64 if double else 32),
            registers=12 if bits == 256 else 24,
            double=double,
        )
        self.code = NetworkCode(network, tables[0].grid, machine)
        self._machine_code = MachineCode(
            [_own_text(), *self.code.key], self.code.write, on_compile
        )
        self._real = np.dtype(np.float64 if double else np.float32)
        self._constants = self._pack(network, tables)
        self._edge_bytes = edge_bytes
        self._buffers = Buffers(self._constants)
        self._arguments: dict[tuple[str, int], np.ndarray] = {}
        self._lock = Lock()
        self._phases = {
            name: self._machine_code.address(name) for name in self._phase_names()
        }

    def _phase_names(self) -> list[str]:
        return [
            self._function(name, t)
            for name in PHASES
            for t in range(len(self.code.layers))
        ]

    def _pack(
        self, network: LoweredNetwork, tables: Sequence[RadialTable]
    ) -> dict[str, np.ndarray]:
        code, real, lanes = self.code, self._real, self.code.machine.lanes
        packed: dict[str, np.ndarray] = {
            "scale": network.scale,
            "shift": network.shift,
            "readout": _padded(network.readout[None], lanes).astype(real),
        }
        for t, (layer, layout) in enumerate(
            zip(network.layers, code.layers, strict=True)
        ):
            messages, kept = layout.messages.blocks, layout.kept.blocks
            packed[f"table_{t}"] = layout.messages.pack_table(tables[t]).astype(real)
            packed[f"after_{t}"] = self._matrices(layer.after, messages, kept)
            packed[f"after_back_{t}"] = self._matrices(
                layer.after, messages, kept, back=True
            )
            if layer.species_input is not None and layer.species_kept is not None:
                kept_width = len(kept[SCALAR].channels)
                filled = np.zeros((len(layer.species_kept), kept_width))
                columns = np.array(kept[SCALAR].channels)
                filled[:, columns >= 0] = layer.species_kept[:, columns[columns >= 0]]
                packed["species_kept"] = filled.astype(real)
                packed["species_input"] = _padded(layer.species_input, lanes).astype(
                    real
                )
                continue
            assert layer.before is not None
            assert layer.self_connection is not None
            gated = code.layers[t - 1].gated.blocks
            for name, matrices, blocks in (
                ("before", layer.before, layout.features.blocks),
                ("self_connection", layer.self_connection, kept),
            ):
                packed[f"{name}_{t}"] = self._matrices(matrices, gated, blocks)
                packed[f"{name}_back_{t}"] = self._matrices(
                    matrices, gated, blocks, back=True
                )
        return packed

    def _matrices(
        self,
        matrices: Matrices,
        incoming: Mapping[object, Block],
        outgoing: Mapping[object, Block],
        *,
        back: bool = False,
    ) -> np.ndarray:
        if back:
            matrices = {ir: matrix.T for ir, matrix in matrices.items()}
            incoming, outgoing = outgoing, incoming
        parts = [
            pack_matrix(
                matrices[ir],
                incoming[ir],
                outgoing[ir],
                lanes=self.code.machine.lanes,
                columns=product.columns,
            )
            for ir, product in self.code.products(matrices, incoming, outgoing)
        ]
        return np.concatenate(parts).astype(self._real)

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
        self._n_atoms = n_atoms
        boundaries = torch.arange(n_atoms + 1)
        self._rows = torch.searchsorted(edges.centers, boundaries).numpy()
        self._chunks = self._cut(self._rows)
        largest = max(
            (int(self._rows[b] - self._rows[a]) for a, b in self._chunks), default=0
        )
        sizes = self._sizes(n_atoms, n_edges, batch.n_systems, largest)
        if self._buffers.reserve(sizes):
            self._arguments.clear()
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
        self._buffers.arrays["rows"][: n_atoms + 1] = self._rows
        for name, size in (
            ("records", n_edges * self._record_width),
            ("gradient", 3 * n_atoms),
            ("virial", 9 * batch.n_systems),
            ("flag", 1),
        ):
            self._buffers.arrays[name][:size] = 0

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
        layers = range(len(self.code.layers))
        whole = len(self._chunks) == 1
        ranges = [(int(self._rows[a]), int(self._rows[b])) for a, b in self._chunks]

        def geometry(edges: tuple[int, int]) -> None:
            self._phase("geometry", 0, self._n_blocks(edges), edges=edges)

        def convolution(name: str, t: int) -> None:
            for (a, b), edges in zip(self._chunks, ranges, strict=True):
                if not whole:
                    geometry(edges)
                self._phase(name, t, b - a, base=a, edges=edges)

        self._phase("start", 0, self._n_atoms)
        if whole:
            geometry(ranges[0])
        for t in layers:
            convolution("forward", t)
            if self._buffers.arrays["flag"][0]:
                return False
            self._phase("node", t, self._n_atoms)
        for t in reversed(layers):
            self._phase("node_backward", t, self._n_atoms)
            convolution("backward", t)
        for (a, b), edges in zip(self._chunks, ranges, strict=True):
            if not whole:
                geometry(edges)
            self._phase("geometry_backward", 0, self._n_blocks(edges), edges=edges)
            # One thread: atoms of different rows meet in the same sums.
            self._phase("collect", 0, b - a, base=a, edges=edges, at_once=b - a)
        return True

    def _n_blocks(self, edges: tuple[int, int]) -> int:
        return -(-(edges[1] - edges[0]) // self.code.machine.lanes)

    def _phase(
        self,
        name: str,
        t: int,
        n_items: int,
        *,
        base: int = 0,
        edges: tuple[int, int] = (0, 0),
        at_once: int | None = None,
    ) -> None:
        arguments = self._arguments.get((name, t))
        if arguments is None:
            arguments = self._arguments[name, t] = self._resolve(name, t)
        if at_once is None:
            portions = 2 * torch.get_num_threads()
            at_once = min(_ATOMS_AT_ONCE, max(1, -(-n_items // portions)))
        arguments[:HEADER] = (0, n_items, at_once, base)
        for number, value in zip(("first_edge", "last_edge"), edges, strict=True):
            if number in PHASES[name]:
                arguments[HEADER + PHASES[name].index(number)] = value
        function = self._phases[self._function(name, t)]
        address = arguments.ctypes.data
        if at_once >= n_items:
            run_on_one_thread(function, address)
        else:
            run_on_all_threads(function, address)

    def _function(self, name: str, t: int) -> str:
        return self.code.phase(name, t if name in LAYERED else None)

    def _resolve(self, name: str, t: int) -> np.ndarray:
        """Arguments of a phase: where its arrays lie."""
        addresses: list[int] = [0] * HEADER
        last = t + 1 == len(self.code.layers)
        for argument in PHASES[name]:
            addresses.append(
                0
                if argument in NUMBERS or (last and argument in FOLLOWING)
                else self._buffers.address(_array_name(argument, t))
            )
        return np.array(addresses, dtype=np.int64)


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


def _padded(rows: np.ndarray, lanes: int) -> np.ndarray:
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % lanes)))


@cache
def _own_text() -> str:
    """A hash of the modules that write the code."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
