"""One interaction on a device: matrices, radial table and kernels, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.potentials.algebra import SCALAR, Irrep
from gnndesign.potentials.kernels.gpu_layout import LayerLayout, Layout
from gnndesign.potentials.kernels.gpu_source import ConvolutionKernels
from gnndesign.potentials.kernels.gpu_tile import OPTIONS, Tile, n_blocks
from gnndesign.potentials.kernels.gpu_workspace import Workspace

Kernel = Any
"""A Triton function: kernel[grid](arguments)."""

Tiling = Callable[[int, int, int], Tile]
"""Channels, registers a channel and edge, and number of atoms to a `Tile`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """The kernels of one sender irrep.

    Attributes:
        sizes: their names and what they need.
        forward, backward: the kernels.
        slot: the first of an edge's slots that belong to it.
    """

    sizes: ConvolutionKernels
    forward: Kernel
    backward: Kernel
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLayer:
    """An interaction on a device.

    Attributes:
        layout: of its buffers.
        incoming: layout of the features before; None in the first layer.
        table: (n_nodes, 3, n_weights) radial weights, see `prepare_table`.
        joint: from the features before to the joint rows, one matrix an irrep.
        after: from summed messages to the gate's input.
        species: (n_species, width) joint rows of the scalars in the first layer.
        convolutions: one for each sender irrep.
        gate, gate_back: the gate's kernels.
        n_slots: of an edge.
    """

    layout: LayerLayout
    incoming: Layout | None
    table: Float[Tensor, "n_nodes 3 n_weights"]
    joint: Mapping[Irrep, Tensor]
    after: Mapping[Irrep, Tensor]
    species: Float[Tensor, "n_species _width"] | None
    convolutions: tuple[Convolution, ...]
    gate: Kernel
    gate_back: Kernel
    n_slots: int

    def forward(self, space: Workspace, joint: Tensor, tiling: Tiling) -> None:
        """Replace `space.features` by those after this layer, and fill `joint`."""
        layout, n = self.layout, space.n_atoms
        words = joint.dtype.itemsize // 4
        if self.species is not None:
            rows = layout.joint.block(joint, SCALAR, n)
            torch.index_select(self.species, 0, space.species, out=rows)
        if self.incoming is not None:
            for ir, matrix in self.joint.items():
                rows = layout.joint.block(joint, ir, n)
                torch.mm(self.incoming.block(space.features, ir, n), matrix, out=rows)
        for convolution in self.convolutions:
            sizes = convolution.sizes
            tile = tiling(sizes.channels, sizes.forward_rows * words, n)
            convolution.forward[n, n_blocks(sizes.channels)](
                *self._edges(space, joint),
                n,
                EDGES=tile.edges,
                CHANNELS=tile.channels,
                num_warps=tile.warps,
                **OPTIONS,
            )
        for ir, matrix in self.after.items():
            gate_input = self._gate_input(joint, ir, n)
            messages = layout.messages.block(space.messages, ir, n)
            if ir in self.joint or (self.species is not None and ir == SCALAR):
                gate_input.addmm_(messages, matrix)
            else:
                torch.mm(messages, matrix, out=gate_input)
        self.gate[n,](joint, space.features, n, **OPTIONS)

    def backward(self, space: Workspace, joint: Tensor, tiling: Tiling) -> None:
        """Replace `space.feature_gradient` after this layer by that before it.

        What the edges contribute to dE/dvector is added to `space.slots`.
        """
        layout, n = self.layout, space.n_atoms
        words = joint.dtype.itemsize // 4
        gradient = space.joint_gradient
        self.gate_back[n,](joint, space.feature_gradient, gradient, n, **OPTIONS)
        for ir, matrix in self.after.items():
            messages = layout.messages.block(space.messages, ir, n)
            torch.mm(self._gate_input(gradient, ir, n), matrix.mT, out=messages)
        for convolution in self.convolutions:
            sizes = convolution.sizes
            tile = tiling(sizes.channels, sizes.backward_rows * words, n)
            convolution.backward[n, n_blocks(sizes.channels)](
                *self._edges(space, joint),
                gradient,
                space.slots,
                n,
                N_SLOTS=self.n_slots,
                SLOT=convolution.slot,
                EDGES=tile.edges,
                CHANNELS=tile.channels,
                num_warps=tile.warps,
                **OPTIONS,
            )
        if self.incoming is None:
            return
        for ir in self.incoming.widths:
            before = self.incoming.block(space.feature_gradient, ir, n)
            if ir in self.joint:
                rows = layout.joint.block(gradient, ir, n)
                torch.mm(rows, self.joint[ir].mT, out=before)
            else:
                before.zero_()

    def _edges(self, space: Workspace, joint: Tensor) -> tuple[Tensor, ...]:
        return (
            space.row_starts,
            space.receivers,
            space.intervals,
            space.records,
            self.table,
            joint,
            space.messages,
        )

    def _gate_input(self, joint: Tensor, ir: Irrep, n_atoms: int) -> Tensor:
        block = self.layout.joint.block(joint, ir, n_atoms)
        return block[:, self.layout.senders.get(ir, 0) :]
