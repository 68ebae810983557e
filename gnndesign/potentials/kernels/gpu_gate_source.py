"""Writes the gate's kernels: one program an atom, all irreps in turn.

Scalars s pass through silu (odd ones tanh). Another irrep v has gates among the even
scalars: v silu(s); backward, with g the gradient of the output, dE/dv = g silu(s) and
dE/ds = silu'(s) Σ_k g_k v_k.
"""

from __future__ import annotations

from gnndesign.potentials.algebra import SCALAR, Irrep
from gnndesign.potentials.kernels.gpu_layout import LayerLayout
from gnndesign.potentials.kernels.gpu_text import function

_START = ["atom = tl.program_id(0).to(tl.int64)", "atoms = n_atoms.to(tl.int64)"]


def gate_forward(layout: LayerLayout) -> str:
    """From the gate's input in the joint buffer to features."""
    lines = list(_START)
    for ir, channels, gate in _gated(layout):
        lines += _channels(channels)
        if gate is None:
            activation = "silu" if ir == SCALAR else "tanh"
            value = f"{activation}({_load(_input(layout, ir, 0))})"
            lines.append(_store(_output(layout, ir, 0), value))
            continue
        lines.append(f"s = silu({_load(_input(layout, SCALAR, 0, gate))})")
        lines += [
            _store(_output(layout, ir, k), f"s * {_load(_input(layout, ir, k))}")
            for k in range(ir.dim)
        ]
    return function("joint, features, n_atoms", lines)


def gate_backward(layout: LayerLayout) -> str:
    """From the gradient of the features to that of the gate's input."""
    lines = list(_START)
    for ir, channels, gate in _gated(layout):
        lines += _channels(channels)
        if gate is None:
            slope = "silu_slope(v)" if ir == SCALAR else "(1.0 - tanh(v) * tanh(v))"
            lines += [
                f"v = {_load(_input(layout, ir, 0))}",
                f"g = {_load(_output(layout, ir, 0))}",
                _store(_input(layout, ir, 0, buffer="gradient"), f"g * {slope}"),
            ]
            continue
        lines += [
            f"gate = {_load(_input(layout, SCALAR, 0, gate))}",
            "s = silu(gate)",
            "slope = silu_slope(gate)",
        ]
        for k in range(ir.dim):
            lines += [
                f"g = {_load(_output(layout, ir, k))}",
                f"v = {_load(_input(layout, ir, k))}",
                _store(_input(layout, ir, k, buffer="gradient"), "g * s"),
                "along = g * v" if k == 0 else "along += g * v",
            ]
        row = _input(layout, SCALAR, 0, gate, buffer="gradient")
        lines.append(_store(row, "along * slope"))
    return function("joint, features, gradient, n_atoms", lines)


def _gated(layout: LayerLayout) -> list[tuple[Irrep, int, int | None]]:
    """Irrep, channels, and where its gates begin among the even scalars (or None)."""
    start = layout.features.widths.get(SCALAR, 0)
    gated: list[tuple[Irrep, int, int | None]] = []
    for ir, channels in layout.features.widths.items():
        gated.append((ir, channels, start if ir.l else None))
        start += channels if ir.l else 0
    return gated


def _channels(channels: int) -> list[str]:
    block = 1 << (channels - 1).bit_length()
    return [f"channel = tl.arange(0, {block})", f"inside = channel < {channels}"]


def _load(place: str) -> str:
    return f"tl.load({place}, mask=inside, other=0.0)"


def _store(place: str, value: str) -> str:
    return f"tl.store({place}, {value}, mask=inside)"


def _input(
    layout: LayerLayout, ir: Irrep, k: int, shift: int = 0, buffer: str = "joint"
) -> str:
    width = layout.joint.widths[ir]
    first = layout.senders.get(ir, 0) + shift
    return (
        f"{buffer} + atoms * {layout.joint.offsets[ir]} + atom * {ir.dim * width}"
        f" + {k * width + first} + channel"
    )


def _output(layout: LayerLayout, ir: Irrep, k: int) -> str:
    width = layout.features.widths[ir]
    return (
        f"features + atoms * {layout.features.offsets[ir]} + atom * {ir.dim * width}"
        f" + {k * width} + channel"
    )
