"""Where everything lies in the GPU kernels' buffers.

A buffer holds features of all atoms, one block an irrep, channel-last:

    element (atom, component, channel) of an irrep lies at
    n_atoms · offset + (atom · (2l + 1) + component) · width + channel

so that every block is a matrix for a linear map and a row of channels is contiguous.

A layer has one *joint* buffer: beside the channels that enter the convolution lie those
of the gate's input. Both come from the same features, so one matrix product an irrep
makes them, and one transposed product takes both gradients back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from gnndesign.potentials.algebra import Irrep
from gnndesign.potentials.kernels.lowering import LoweredLayer, LoweredPath


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Blocks of one buffer.

    Attributes:
        widths: channels of each irrep, in the order of the blocks.
    """

    widths: Mapping[Irrep, int]

    @cached_property
    def offsets(self) -> Mapping[Irrep, int]:
        """Numbers an atom before the block of each irrep."""
        offsets: dict[Irrep, int] = {}
        total = 0
        for ir, width in self.widths.items():
            offsets[ir] = total
            total += ir.dim * width
        return offsets

    @cached_property
    def size(self) -> int:
        """Numbers an atom."""
        return sum(ir.dim * width for ir, width in self.widths.items())

    def block(self, buffer: Tensor, ir: Irrep, n_atoms: int) -> Tensor:
        """(n_atoms · (2l + 1), width) a view of one irrep's block."""
        start = n_atoms * self.offsets[ir]
        stop = start + n_atoms * ir.dim * self.widths[ir]
        return buffer[start:stop].view(-1, self.widths[ir])


@dataclass(frozen=True, kw_only=True)
class LayerLayout:
    """The buffers of one interaction.

    Attributes:
        senders: channels of each irrep that the convolution really uses; they come
            first in a row of `joint`.
        joint: `senders` beside the gate's input.
        messages: summed messages.
        features: output of the gate.
        gate_inputs: channels of the gate's input.
        paths: of the convolution.
        n_weights: radial weights of an edge.
    """

    senders: Mapping[Irrep, int]
    joint: Layout
    messages: Layout
    features: Layout
    gate_inputs: Mapping[Irrep, int]
    paths: tuple[LoweredPath, ...]
    n_weights: int

    @classmethod
    def of(cls, layer: LoweredLayer) -> LayerLayout:
        """The buffers that a lowered layer needs."""
        used = {path.sender for path in layer.paths}
        senders = {ir: n for ir, n in layer.senders.items() if ir in used}
        gate_inputs = dict(layer.gate.before)
        widths = {
            ir: senders.get(ir, 0) + gate_inputs.get(ir, 0)
            for ir in sorted({*senders, *gate_inputs}, key=lambda ir: (ir.l, -ir.p))
        }
        return cls(
            senders=senders,
            joint=Layout(widths=widths),
            messages=Layout(widths=dict(layer.middle)),
            features=Layout(widths=dict(layer.gate.after)),
            gate_inputs=gate_inputs,
            paths=layer.paths,
            n_weights=max(path.columns.stop for path in layer.paths),
        )

    def joint_matrix(
        self, layer: LoweredLayer, ir: Irrep
    ) -> Float[ndarray, "channels_in width"] | None:
        """From the features before to a row of `joint`; None where nothing comes in.

        A part of the row that no matrix makes is zero.
        """
        split = self.senders.get(ir, 0)
        before = (layer.before or {}).get(ir) if split else None
        kept = (layer.self_connection or {}).get(ir)
        given = before if before is not None else kept
        if given is None:
            return None
        matrix = np.zeros((len(given), self.joint.widths[ir]))
        if before is not None:
            matrix[:, :split] = before
        if kept is not None:
            matrix[:, split:] = kept
        return matrix
