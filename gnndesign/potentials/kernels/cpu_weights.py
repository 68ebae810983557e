"""Constants of a network in the order in which the CPU's code reads them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from gnndesign.potentials.algebra import SCALAR, Irrep
from gnndesign.potentials.kernels.cpu_code import Machine, NetworkCode
from gnndesign.potentials.kernels.cpu_layout import (
    Block,
    pack_matrix,
    whole_pieces,
)
from gnndesign.potentials.kernels.kept import is_kept, kept, package_text
from gnndesign.potentials.kernels.lowering import LoweredNetwork, Matrices
from gnndesign.potentials.kernels.machine_code import vector_bits
from gnndesign.potentials.kernels.radial_table import (
    RadialGrid,
    RadialTable,
    tabulate,
)

_SUFFIX = ".npz"
_GRID = "grid"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedNetwork:
    """A network's code and its constants by name; "name_t" belongs to layer t."""

    code: NetworkCode
    arrays: Mapping[str, ndarray]


def this_machine(dtype: torch.dtype) -> Machine:
    """The processor at hand, for numbers of a type."""
    bits, double = vector_bits(), dtype == torch.float64
    return Machine(
        lanes=bits // (64 if double else 32),
        # AVX2 has 16 vector registers, AVX-512 and ARM have 32.
        registers=12 if bits == 256 else 24,
        double=double,
    )


def is_packed(network: LoweredNetwork, machine: Machine) -> bool:
    """Whether the tables are on disk already."""
    return is_kept(_key(network, machine), _SUFFIX)


def pack(network: LoweredNetwork, machine: Machine) -> PackedNetwork:
    """Tabulate and pack, or read from the cache what was packed before.

    Raises:
        CheckpointError: a radial function is too rough for a table.
    """
    content = kept(_key(network, machine), _SUFFIX, lambda: _make(network, machine))
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    breaks, counts = json.loads(arrays.pop(_GRID).item())
    grid = RadialGrid(breaks=tuple(breaks), counts=tuple(counts))
    return PackedNetwork(code=NetworkCode(network, grid, machine), arrays=arrays)


def _key(network: LoweredNetwork, machine: Machine) -> list[str]:
    return [network.digest, repr(machine), package_text()]


def _make(network: LoweredNetwork, machine: Machine) -> bytes:
    tables = tabulate([layer.radial for layer in network.layers], network.breaks)
    grid = tables[0].grid
    packer = _Packer(NetworkCode(network, grid, machine))
    stream = io.BytesIO()
    arrays: dict[str, Any] = packer.arrays(tables)
    arrays[_GRID] = np.array(json.dumps([grid.breaks, grid.counts]))
    np.savez(stream, **arrays)
    return stream.getvalue()


class _Packer:
    def __init__(self, code: NetworkCode) -> None:
        self._code = code
        self._real = np.dtype(np.float64 if code.machine.double else np.float32)

    def arrays(self, tables: tuple[RadialTable, ...]) -> dict[str, ndarray]:
        code, real, lanes = self._code, self._real, self._code.machine.lanes
        network = code.network
        packed: dict[str, ndarray] = {
            "scale": network.scale,
            "shift": network.shift,
            "readout": whole_pieces(network.readout[None], lanes).astype(real),
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
                packed["species_input"] = whole_pieces(
                    layer.species_input, lanes
                ).astype(real)
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
        incoming: Mapping[Irrep, Block],
        outgoing: Mapping[Irrep, Block],
        *,
        back: bool = False,
    ) -> ndarray:
        if back:
            matrices = {ir: matrix.T for ir, matrix in matrices.items()}
            incoming, outgoing = outgoing, incoming
        parts = [
            pack_matrix(
                matrices[ir],
                incoming[ir],
                outgoing[ir],
                lanes=self._code.machine.lanes,
                columns=product.columns,
            )
            for ir, product in self._code.products(matrices, incoming, outgoing)
        ]
        return np.concatenate(parts).astype(self._real)
