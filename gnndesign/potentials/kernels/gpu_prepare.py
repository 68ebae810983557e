"""A lowered network's constants and kernels, put on a device."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from gnndesign.potentials.kernels.gpu_layer import Convolution, DeviceLayer
from gnndesign.potentials.kernels.gpu_layout import LayerLayout
from gnndesign.potentials.kernels.gpu_module import load_source
from gnndesign.potentials.kernels.gpu_source import KernelSource, write_source
from gnndesign.potentials.kernels.gpu_tile import n_blocks
from gnndesign.potentials.kernels.lowering import LoweredLayer, LoweredNetwork
from gnndesign.potentials.kernels.radial_table import RadialGrid, RadialTable


def prepare_layers(
    lowered: LoweredNetwork,
    tables: Sequence[RadialTable],
    layouts: Sequence[LayerLayout],
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[DeviceLayer, ...]:
    """All interactions of a network; writes and imports their kernels."""
    source = write_source(lowered, layouts)
    module = load_source(source.text)
    slots = n_slots(layouts)

    def tensor(array: ndarray) -> Tensor:
        return torch.from_numpy(array).to(device, dtype).contiguous()

    layers: list[DeviceLayer] = []
    incoming = None
    for number, (layer, layout, table) in enumerate(
        zip(lowered.layers, layouts, tables, strict=True)
    ):
        matrices = {ir: layout.joint_matrix(layer, ir) for ir in layout.joint.widths}
        species = _species_rows(layer)
        gate = source.gates[number]
        layers.append(
            DeviceLayer(
                layout=layout,
                incoming=incoming,
                table=tensor(prepare_table(table)),
                joint={ir: tensor(m) for ir, m in matrices.items() if m is not None},
                after={ir: tensor(m) for ir, m in layer.after.items()},
                species=None if species is None else tensor(species),
                convolutions=_convolutions(source, module, number),
                gate=getattr(module, gate.forward),
                gate_back=getattr(module, gate.backward),
                n_slots=slots,
            )
        )
        incoming = layout.features
    return tuple(layers)


def prepare_table(table: RadialTable) -> Float[ndarray, "n_nodes 3 n_weights"]:
    """(n_nodes, 3, n_weights) value, slope, and mean slope up to the next node (1/Å)."""
    steps = np.diff(table.grid.nodes)[:, None]
    mean = np.zeros_like(table.values)
    mean[:-1] = np.diff(table.values, axis=0) / steps
    return np.stack([table.values, table.slopes, mean], 1)


def prepare_grid(
    grid: RadialGrid, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Beginning (Å), width of an interval (Å) and intervals before each segment."""
    widths = [
        (b - a) / n
        for (a, b), n in zip(pairwise(grid.breaks), grid.counts, strict=True)
    ]
    before = [0, *accumulate(grid.counts)]
    return (
        torch.tensor(grid.breaks[:-1], dtype=torch.float64, device=device),
        torch.tensor(widths, dtype=torch.float64, device=device),
        torch.tensor(before, dtype=torch.int32, device=device),
    )


def n_slots(layouts: Sequence[LayerLayout]) -> int:
    """Parts of an edge's gradient: one for each program that adds to it in a layer."""
    return max(
        sum(n_blocks(channels) for channels in layout.senders.values())
        for layout in layouts
    )


def _species_rows(layer: LoweredLayer) -> ndarray | None:
    if layer.species_input is None or layer.species_kept is None:
        return None
    return np.concatenate([layer.species_input, layer.species_kept], 1)


def _convolutions(
    source: KernelSource, module: ModuleType, number: int
) -> tuple[Convolution, ...]:
    found: list[Convolution] = []
    slot = 0
    for sizes in source.convolutions[number]:
        found.append(
            Convolution(
                sizes=sizes,
                forward=getattr(module, sizes.forward),
                backward=getattr(module, sizes.backward),
                slot=slot,
            )
        )
        slot += n_blocks(sizes.channels)
    return tuple(found)
