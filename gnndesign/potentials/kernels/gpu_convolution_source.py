"""Writes the convolution's kernels for one sender irrep.

Forward, one program a receiver and a block of channels c; z stays in registers until
all neighbors j are through (u_j: direction to j, r_j: distance):

    a[k, i] = Σ_m C[m, k, i] Y_m(u_j)           the same for all channels
    z[k, c] += w_c(r_j) Σ_i a[k, i] x_j[i, c]

Backward, one program a sender and a block of channels. Each pair is in the list both
ways, so the neighbors of an atom are also those who listen to it. With g_j the gradient
of neighbor j's z, and u the direction from j to the sender:

    gx[i, c] += w_c Σ_k a[k, i] g_j[k, c]
    dE/dY_m  += Σ_c w_c S[m, c],    S[m, c] = Σ_ki C[m, k, i] x[i, c] g_j[k, c]
    dE/dr    += Σ_c w'_c Σ_m Y_m S[m, c]

Nothing that belongs to an edge and a channel is ever stored.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy import ndarray

from gnndesign.potentials.algebra import Irrep
from gnndesign.potentials.kernels.gpu_harmonic_source import (
    harmonic_lines,
    harmonic_step,
)
from gnndesign.potentials.kernels.gpu_layout import LayerLayout
from gnndesign.potentials.kernels.gpu_text import (
    component_sum,
    function,
    indented,
    total,
)
from gnndesign.potentials.kernels.lowering import LoweredPath

_TILE = "EDGES: tl.constexpr, CHANNELS: tl.constexpr"
_EDGE = "row_starts, receivers, intervals, records, table, joint, messages"
_ZEROS = "tl.zeros([EDGES, CHANNELS], joint.dtype.element_ty)"

_START = [
    "atom = tl.program_id(0).to(tl.int64)",
    "atoms = n_atoms.to(tl.int64)",
    "row = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)",
    "channel = row[None, :]",
    "start = tl.load(row_starts + atom)",
    "stop = tl.load(row_starts + atom + 1)",
]


class ConvolutionWriter:
    """Writes the kernels of one sender irrep in one layer.

    Args:
        couplings: C[m, k, i] by orders of a path.
        layout: of the layer's buffers.
        sender: the irrep.
        needs_features: whether the backward kernel computes the gradient with respect
            to the sender's features.
    """

    def __init__(
        self,
        couplings: Mapping[tuple[int, int, int], ndarray],
        layout: LayerLayout,
        sender: Irrep,
        *,
        needs_features: bool,
    ) -> None:
        self.couplings = couplings
        self.layout = layout
        self.sender = sender
        self.channels = layout.senders[sender]
        self.width = layout.joint.widths[sender]
        self.paths = [path for path in layout.paths if path.sender == sender]
        self.orders = sorted({path.harmonic for path in self.paths})
        self.needs_features = needs_features
        self._start = [*_START, f"inside = row < {self.channels}"]

    @property
    def forward_rows(self) -> int:
        """Numbers a channel in the forward kernel's registers: z and x."""
        return sum(path.receiver.dim for path in self.paths) + self.sender.dim

    @property
    def backward_rows(self) -> int:
        """The same in the backward kernel: x, gx, a path's sums, dE/dY, dE/dr."""
        widest = max(path.receiver.dim for path in self.paths)
        return 3 * self.sender.dim + widest + (self.orders[-1] + 1) ** 2

    def forward(self) -> str:
        """Arguments and body of the forward kernel."""
        rows = [(path, k) for path in self.paths for k in range(path.receiver.dim)]
        names = [f"z_{number}" for number in range(len(rows))]
        inner = [*self._edge(""), *self._load_features("other", "mask")]
        inner += harmonic_lines(self.orders[-1])
        inner.append("c1, c2, c3 = hermite_values(t, h)")
        number = 0
        for path in self.paths:
            inner += [*self._weight(path, slope=False), *self._matrix(path)]
            for k in range(path.receiver.dim):
                inner.append(f"z_{number} += w * ({self._moved(path, k)})")
                number += 1
        lines = [
            *self._start,
            *(f"{name} = {_ZEROS}" for name in names),
            "for first in range(start, stop, EDGES):",
            *indented(inner),
        ]
        lines += [
            f"tl.store(messages + {self._message(path, k, 'atom')} + row, "
            f"tl.sum({name}, 0), mask=inside)"
            for (path, k), name in zip(rows, names, strict=True)
        ]
        return function(f"{_EDGE}, n_atoms, {_TILE}", lines)

    def backward(self) -> str:
        """Arguments and body of the backward kernel."""
        gradients = range(self.sender.dim if self.needs_features else 0)
        inner = [
            *self._edge("-"),
            *harmonic_lines(self.orders[-1]),
            "c1, c2, c3 = hermite_values(t, h)",
            "d1, d2, d3 = hermite_slopes(t)",
            f"dr = {_ZEROS}",
            *(
                f"gy{l}_{m} = {_ZEROS}"
                for l in self.orders
                if l > 0
                for m in range(2 * l + 1)
            ),
        ]
        for path in self.paths:
            inner += self._path_backward(path)
        inner += self._edge_gradient()
        lines = [
            *self._start,
            *self._load_features("atom", "inside[None, :]"),
            *(f"gx_{i} = {_ZEROS}" for i in gradients),
            "for first in range(start, stop, EDGES):",
            *indented(inner),
        ]
        lines += [
            f"tl.store(gradient + {self._feature(i, 'atom')} + row, "
            f"tl.sum(gx_{i}, 0), mask=inside)"
            for i in gradients
        ]
        constants = f"N_SLOTS: tl.constexpr, SLOT: tl.constexpr, {_TILE}"
        return function(f"{_EDGE}, gradient, slots, n_atoms, {constants}", lines)

    def _edge(self, sign: str) -> list[str]:
        """Load the records of a tile of edges; `sign` turns their vectors around."""
        lines = [
            "edge = first + tl.arange(0, EDGES).to(tl.int64)",
            "real = edge < stop",
            "other = tl.load(receivers + edge, mask=real, other=0)",
            "other = other.to(tl.int64)[:, None]",
            "interval = tl.load(intervals + edge, mask=real, other=0)",
            "interval = interval.to(tl.int64)[:, None]",
            "mask = real[:, None] & inside[None, :]",
            f"node = table + interval * {3 * self.layout.n_weights} + channel",
        ]
        for place, name in enumerate(("u_0", "u_1", "u_2", "inverse", "t", "h")):
            minus = sign if name.startswith("u") else ""
            lines.append(
                f"{name} = {minus}tl.load(records + edge * 8 + {place}, mask=real, "
                "other=1.0)[:, None]"
            )
        return lines

    def _feature(self, i: int, atom: str) -> str:
        offset = self.layout.joint.offsets[self.sender]
        step = self.sender.dim * self.width
        return f"atoms * {offset} + {atom} * {step} + {i * self.width}"

    def _message(self, path: LoweredPath, k: int, atom: str) -> str:
        layout = self.layout.messages
        width = layout.widths[path.receiver]
        return (
            f"atoms * {layout.offsets[path.receiver]} + "
            f"{atom} * {path.receiver.dim * width} + {k * width + path.place.start}"
        )

    def _load_features(self, atom: str, mask: str) -> list[str]:
        return [
            f"x_{i} = tl.load(joint + {self._feature(i, atom)} + channel, "
            f"mask={mask}, other=0.0)"
            for i in range(self.sender.dim)
        ]

    def _weight(self, path: LoweredPath, *, slope: bool) -> list[str]:
        """The radial weight, and its slope, from the table (see gpu_prepare.py)."""
        width, start = self.layout.n_weights, path.columns.start
        # Value, slope and mean slope of the left node, slope of the right one.
        lines = [
            f"v{number} = tl.load(node + {start + place * width}, mask=mask, other=0.0)"
            for number, place in enumerate((0, 1, 2, 4))
        ]
        lines.append("w = v0 + c1 * v1 + c2 * v2 + c3 * v3")
        if slope:
            lines.append("dw = d1 * v1 + d2 * v2 + d3 * v3")
        return lines

    def _matrix(self, path: LoweredPath) -> list[str]:
        """a[k, i] of an edge; where l2 = 0 it is a constant and needs no line."""
        if path.harmonic == 0:
            return []
        coupling = self.couplings[path.orders]
        return [
            f"a_{k}_{i} = {component_sum(f'y{path.harmonic}', coupling[:, k, i])}"
            for k, i in np.ndindex(*coupling.shape[1:])
            if coupling[:, k, i].any()
        ]

    def _entry(self, path: LoweredPath, k: int, i: int) -> str | None:
        """a[k, i] as text, None where it is zero."""
        entry = self.couplings[path.orders][:, k, i]
        if not entry.any():
            return None
        return f"{float(entry[0])!r}" if path.harmonic == 0 else f"a_{k}_{i}"

    def _moved(self, path: LoweredPath, k: int) -> str:
        """Σ_i a[k, i] x[i]."""
        entries = ((i, self._entry(path, k, i)) for i in range(self.sender.dim))
        return total(f"{entry} * x_{i}" for i, entry in entries if entry)

    def _moved_back(self, path: LoweredPath, i: int) -> str:
        """Σ_k a[k, i] g[k]."""
        entries = ((k, self._entry(path, k, i)) for k in range(path.receiver.dim))
        return total(f"{entry} * g_{k}" for k, entry in entries if entry)

    def _path_backward(self, path: LoweredPath) -> list[str]:
        coupling = self.couplings[path.orders]
        l = path.harmonic
        lines = [*self._weight(path, slope=True), *self._matrix(path)]
        lines += [
            f"g_{k} = tl.load(messages + {self._message(path, k, 'other')} + channel, "
            "mask=mask, other=0.0)"
            for k in range(path.receiver.dim)
        ]
        if self.needs_features:
            lines += [
                f"gx_{i} += w * ({self._moved_back(path, i)})"
                for i in range(self.sender.dim)
            ]
        for m in range(2 * l + 1):
            # Sums of g first: sums of x do not change from edge to edge, and would be
            # carried through the loop in more registers than there are.
            parts = (
                f"({component_sum('g', coupling[m, :, i])}) * x_{i}"
                for i in range(self.sender.dim)
                if coupling[m, :, i].any()
            )
            lines.append(f"s_{m} = {total(parts)}")
        if l == 0:
            return [*lines, "dr += dw * s_0"]
        along = total(f"y{l}_{m} * s_{m}" for m in range(2 * l + 1))
        lines.append(f"dr += dw * ({along})")
        return [*lines, *(f"gy{l}_{m} += w * s_{m}" for m in range(2 * l + 1))]

    def _edge_gradient(self) -> list[str]:
        """Add the gradient with respect to the edges' vectors to this program's slot."""
        lines: list[str] = []
        orders = [l for l in self.orders if l > 0]
        for b in range(3):
            terms = [
                f"({l}.0 * d{l}_{m}_{b}) * gy{l}_{m}"
                for l in orders
                for m in range(2 * l + 1)
                if harmonic_step(l)[m, b].any()
            ]
            lines.append(
                f"f_{b} = tl.sum({total(terms)}, 1)[:, None]"
                if terms
                else f"f_{b} = 0.0 * u_{b}"
            )
        lines += [
            "radial = tl.sum(dr, 1)[:, None]",
            "across = f_0 * u_0 + f_1 * u_1 + f_2 * u_2",
            "place = slots + (edge[:, None] * N_SLOTS + SLOT + tl.program_id(1)) * 4",
            "known = real[:, None]",
        ]
        # u points from the neighbor to this atom, against the list's vector: minus.
        lines += [
            f"h_{b} = inverse * (across * u_{b} - f_{b}) - radial * u_{b}"
            for b in range(3)
        ]
        lines += [
            f"h_{b} += tl.load(place + {b}, mask=known, other=0.0)" for b in range(3)
        ]
        return [
            *lines,
            *(f"tl.store(place + {b}, h_{b}, mask=known)" for b in range(3)),
        ]
