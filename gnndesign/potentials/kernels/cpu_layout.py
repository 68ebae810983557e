"""Where the fused CPU kernels keep what: features, messages, weights, tables.

All rows are cut into pieces as wide as a vector register (`lanes` numbers); channels
are padded with zeros to whole pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from gnndesign.potentials.algebra import Irrep
from gnndesign.potentials.kernels.lowering import LoweredLayer, LoweredPath
from gnndesign.potentials.kernels.radial_table import RadialTable

NODE_VECTORS = 3
"""What a table keeps of a weight at a node: value, slope, secant to the next node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The numbers of one irrep in the row of an atom.

    Attributes:
        pieces: offset in the row of each piece of the first component's channels.
        stride: from one component to the next.
        components: 2l + 1.
        channels: of which channel each number of the pieces is, -1 for padding.
    """

    pieces: tuple[int, ...]
    stride: int
    components: int
    channels: tuple[int, ...]


class FeatureLayout:
    """Rows of features: irrep by irrep, component by component, channel by channel.

    An irrep's channels may come in sections, each padded on its own.
    """

    def __init__(self, sections: Mapping[Irrep, Sequence[int]], lanes: int) -> None:
        self.blocks: dict[Irrep, Block] = {}
        start = 0
        for ir, sizes in sections.items():
            channels: list[int] = []
            for size in sizes:
                done = sum(1 for k in channels if k >= 0)
                padded = -(-size // lanes) * lanes
                channels += [done + k if k < size else -1 for k in range(padded)]
            self.blocks[ir] = Block(
                pieces=tuple(range(start, start + len(channels), lanes)),
                stride=len(channels),
                components=ir.dim,
                channels=tuple(channels),
            )
            start += len(channels) * ir.dim
        self.width = start


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Paths from one sender irrep whose messages are summed together in registers.

    Attributes:
        sender: the irrep.
        paths: with the register at which each one's message starts.
        registers: number of vectors that the messages of one piece fill.
        n_pieces: of the sender's channels.
        offset: of the group in a row of messages.
        table: of the group in the table, in numbers.
    """

    sender: Irrep
    paths: tuple[tuple[LoweredPath, int], ...]
    registers: int
    n_pieces: int
    offset: int
    table: int


class MessageLayout:
    """Rows of summed messages: by group, piece of channels, path, component."""

    def __init__(
        self, layer: LoweredLayer, *, lanes: int, most_registers: int, n_nodes: int
    ) -> None:
        self.lanes = lanes
        self.n_nodes = n_nodes
        self.groups: list[Group] = []
        offset = table = 0
        for sender, channels in layer.senders.items():
            n_pieces = -(-channels // lanes)
            paths = [path for path in layer.paths if path.sender == sender]
            for members in _shared_out(paths, most_registers):
                registers = sum(path.receiver.dim for path in members)
                starts = np.cumsum([0, *(path.receiver.dim for path in members)])
                self.groups.append(
                    Group(
                        sender=sender,
                        paths=tuple(zip(members, starts[:-1].tolist(), strict=True)),
                        registers=registers,
                        n_pieces=n_pieces,
                        offset=offset,
                        table=table,
                    )
                )
                offset += n_pieces * registers * lanes
                table += n_pieces * n_nodes * len(members) * NODE_VECTORS * lanes
        self.width = offset
        self.table_size = table
        self._layer = layer

    @cached_property
    def blocks(self) -> dict[Irrep, Block]:
        """The pieces of each receiver irrep, wherever they lie."""
        found: dict[Irrep, tuple[list[int], list[int]]] = {}
        for group in self.groups:
            size = self._layer.senders[group.sender]
            for path, start in group.paths:
                pieces, channels = found.setdefault(path.receiver, ([], []))
                for piece in range(group.n_pieces):
                    row = piece * group.registers + start
                    pieces.append(group.offset + row * self.lanes)
                    first = piece * self.lanes
                    channels += [
                        path.place.start + k if k < size else -1
                        for k in range(first, first + self.lanes)
                    ]
        return {
            ir: Block(
                pieces=tuple(pieces),
                stride=self.lanes,
                components=ir.dim,
                channels=tuple(channels),
            )
            for ir, (pieces, channels) in found.items()
        }

    def pack_table(self, table: RadialTable) -> Float[ndarray, " table_size"]:
        """Values, slopes and secants in the order in which the loops meet them."""
        packed = np.zeros(self.table_size)
        for group in self.groups:
            shape = (
                *(group.n_pieces, self.n_nodes, len(group.paths)),
                *(NODE_VECTORS, self.lanes),
            )
            part = np.zeros(shape)
            sources = (table.values, table.slopes, table.secants)
            for place, (path, _) in enumerate(group.paths):
                for which, source in enumerate(sources):
                    columns = source[:, path.columns]
                    columns = whole_pieces(columns, self.lanes)
                    pieces = columns.reshape(self.n_nodes, group.n_pieces, self.lanes)
                    part[:, :, place, which] = pieces.transpose(1, 0, 2)
            packed[group.table : group.table + part.size] = part.ravel()
        return packed


def pack_matrix(
    matrix: Float[ndarray, "channels_in channels_out"],
    incoming: Block,
    outgoing: Block,
    *,
    lanes: int,
    columns: int,
) -> Float[ndarray, " _size"]:
    """A matrix in the order in which the product reads it.

    (block of `columns` outgoing pieces, incoming number, number in the block).
    """
    rows = np.array(incoming.channels)
    cols = np.array(outgoing.channels)
    full = matrix[np.maximum(rows, 0)][:, np.maximum(cols, 0)]
    full = np.where((rows < 0)[:, None] | (cols < 0)[None, :], 0.0, full)
    blocks = full.reshape(len(rows), -1, columns * lanes)
    return blocks.transpose(1, 0, 2).ravel()


def whole_pieces(rows: ndarray, lanes: int) -> ndarray:
    """Rows padded with zeros to a multiple of `lanes`."""
    count, size = rows.shape
    padded = np.zeros((count, -(-size // lanes) * lanes))
    padded[:, :size] = rows
    return padded


def column_pieces(n_pieces: int, components: int, registers: int) -> int:
    """How many outgoing pieces one pass of a matrix product makes, a divisor of all."""
    most = max(1, min(4, registers // components))
    return max(k for k in range(1, most + 1) if n_pieces % k == 0)


def _shared_out(
    paths: Sequence[LoweredPath], most_registers: int
) -> list[list[LoweredPath]]:
    """The paths in as few groups as fit into the registers, in order."""
    groups: list[list[LoweredPath]] = []
    used = most_registers
    for path in paths:
        if groups and used + path.receiver.dim <= most_registers:
            groups[-1].append(path)
            used += path.receiver.dim
        else:
            groups.append([path])
            used = path.receiver.dim
    return groups


class Entries:
    """The nonzero entries of the Clebsch-Gordan tensors contracted with the harmonics.

    Entry (orders, k, i) = Σ_m couplings[orders][m, k, i] Y_m; for scalar harmonics it
    is a constant, and not stored.
    """

    def __init__(self, couplings: Mapping[tuple[int, int, int], ndarray]) -> None:
        self.couplings = couplings
        self.sums: list[tuple[int, tuple[tuple[int, float], ...]]] = []
        self.places: dict[tuple[tuple[int, int, int], int, int], int | float] = {}
        for orders in sorted(couplings):
            coupling = couplings[orders]
            for k, i in np.argwhere(np.abs(coupling).sum(0) > 0).tolist():
                terms = tuple(
                    (m, float(coupling[m, k, i]))
                    for m in range(coupling.shape[0])
                    if coupling[m, k, i] != 0
                )
                if orders[1] == 0:
                    self.places[orders, k, i] = terms[0][1]
                else:
                    self.places[orders, k, i] = len(self.sums)
                    self.sums.append((orders[1], terms))
