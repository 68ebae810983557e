"""Writes the Triton kernels of one network: every path, coupling and size is a literal.

A path (sender l1, harmonic l2, receiver l3) has couplings C[m, k, i], most of them zero.
Triton has no arrays in registers that a loop could index, so the loops over components
are written out, and only what is not zero is written. The mathematics is in
gpu_convolution_source.py and gpu_gate_source.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gnndesign.potentials.algebra import Irrep
from gnndesign.potentials.kernels.gpu_convolution_source import ConvolutionWriter
from gnndesign.potentials.kernels.gpu_gate_source import gate_backward, gate_forward
from gnndesign.potentials.kernels.gpu_layout import LayerLayout
from gnndesign.potentials.kernels.lowering import LoweredNetwork

_HEAD = '''"""Triton kernels of one network; written by gnndesign, not by hand."""

import triton
import triton.language as tl

from gnndesign.potentials.kernels.gpu_kernels import (
    hermite_slopes,
    hermite_values,
    silu,
    silu_slope,
    tanh,
)

'''

_DECORATOR = '@triton.jit(do_not_specialize=["n_atoms"])\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionKernels:
    """The two kernels of one sender irrep in one layer.

    Attributes:
        sender: whose features they read.
        channels: of the sender.
        forward, backward: names of the kernels.
        forward_rows, backward_rows: numbers a channel that stay in registers.
    """

    sender: Irrep
    channels: int
    forward: str
    backward: str
    forward_rows: int
    backward_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GateKernels:
    """Names of a gate's kernels."""

    forward: str
    backward: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSource:
    """The kernels of a network.

    Attributes:
        text: a Python module.
        convolutions: for each layer, the kernels of each sender irrep.
        gates: for each layer.
    """

    text: str
    convolutions: tuple[tuple[ConvolutionKernels, ...], ...]
    gates: tuple[GateKernels, ...]


class _Functions:
    """Functions without their names; equal ones are one function."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def name(self, kind: str, body: str) -> str:
        return self.names.setdefault(body, f"{kind}_{len(self.names)}")

    def text(self) -> str:
        functions = (
            f"{_DECORATOR}def {name}{body}" for body, name in self.names.items()
        )
        return _HEAD + "\n\n".join(functions)


def write_source(
    network: LoweredNetwork, layouts: Sequence[LayerLayout]
) -> KernelSource:
    """The kernels of all layers; layers of the same shape share them."""
    functions = _Functions()
    convolutions: list[tuple[ConvolutionKernels, ...]] = []
    gates: list[GateKernels] = []
    for number, layout in enumerate(layouts):
        kernels: list[ConvolutionKernels] = []
        for sender, channels in layout.senders.items():
            # What enters the first layer does not depend on where the atoms are.
            writer = ConvolutionWriter(
                network.couplings, layout, sender, needs_features=number > 0
            )
            kernels.append(
                ConvolutionKernels(
                    sender=sender,
                    channels=channels,
                    forward=functions.name("forward", writer.forward()),
                    backward=functions.name("backward", writer.backward()),
                    forward_rows=writer.forward_rows,
                    backward_rows=writer.backward_rows,
                )
            )
        convolutions.append(tuple(kernels))
        gates.append(
            GateKernels(
                forward=functions.name("gate", gate_forward(layout)),
                backward=functions.name("gate_back", gate_backward(layout)),
            )
        )
    return KernelSource(
        text=functions.text(), convolutions=tuple(convolutions), gates=tuple(gates)
    )
