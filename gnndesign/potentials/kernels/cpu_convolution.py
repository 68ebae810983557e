"""Code of the fused convolution: gather, tensor product and sum, there and back.

For one atom and one piece of a sender irrep's channels, the messages of a group of
paths stay in registers while the loop runs over the atom's edges; radial weights come
from the table inside the loop. Nothing is stored an edge and channel.

On the way back an atom is the sender. Since every pair is in the list both ways, its
outgoing edges are its own row of the list, turned round: the distance is the same, and
harmonics of odd order change sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from llvmlite.ir import IntType

from gnndesign.potentials.kernels.cpu_layout import (
    NODE_VECTORS,
    Entries,
    FeatureLayout,
    Group,
    MessageLayout,
)
from gnndesign.potentials.kernels.emitter import INDEX, Emitter, Value, Variable

# Numbers of an edge beside the entries: three weights of the cubic, three of its slope.
EDGE_HEAD = 6
_VALUE_START, _SLOPE_START = 0, 3

NODE = IntType(32)


class EdgeReader:
    """Reads what geometry stored of one edge; see cpu_geometry.py."""

    def __init__(
        self, emitter: Emitter, pointers: Mapping[str, Value], entries: Entries
    ) -> None:
        self._emitter = emitter
        self._pointers = pointers
        self._entries = entries
        self._width = EDGE_HEAD + len(entries.sums)
        self._start: Value | None = None
        self.node: Value | None = None
        self.neighbor: Value | None = None

    def open(self, edge: Value) -> None:
        """Turn to an edge."""
        emitter, builder = self._emitter, self._emitter.builder
        lanes = emitter.index(emitter.lanes)
        first = self._pointers["first_edge"]
        local = builder.sub(edge, first)
        block = builder.udiv(local, lanes)
        lane = builder.urem(local, lanes)
        width = emitter.index(self._width * emitter.lanes)
        self._start = builder.add(builder.mul(block, width), lane)
        node = emitter.load(self._pointers["nodes"], local, NODE)
        self.node = builder.zext(node, INDEX)
        self.neighbor = emitter.load(self._pointers["neighbors"], edge, INDEX)

    def number(self, place: int) -> Value:
        """A number of this edge in every lane."""
        assert self._start is not None
        emitter = self._emitter
        offset = emitter.index(place * emitter.lanes)
        index = emitter.builder.add(self._start, offset)
        return emitter.broadcast(self._pointers["edges"], index)

    def value_weights(self) -> list[Value]:
        """Of left slope, secant, right slope: for the value less the left value."""
        return [self.number(_VALUE_START + k) for k in range(3)]

    def slope_weights(self) -> list[Value]:
        """Of left slope, secant, right slope: for the slope."""
        return [self.number(_SLOPE_START + k) for k in range(3)]

    def entry(self, orders: tuple[int, int, int], k: int, i: int) -> Value | None:
        """Clebsch-Gordan times harmonics; None where it is zero."""
        place = self._entries.places.get((orders, k, i))
        if place is None:
            return None
        if isinstance(place, float):
            return self._emitter.splat(place)
        return self.number(EDGE_HEAD + place)


def emit_forward(
    emitter: Emitter,
    pointers: Mapping[str, Value],
    senders: FeatureLayout,
    messages: MessageLayout,
    entries: Entries,
) -> None:
    """Messages of the atoms from pointers["start"] to pointers["stop"]."""
    for group in messages.groups:
        with (
            emitter.loop(emitter.index(0), emitter.index(group.n_pieces)) as piece,
            emitter.loop(pointers["start"], pointers["stop"]) as atom,
        ):
            _forward_atom(
                emitter, pointers, senders, messages, group, entries, piece, atom
            )


def _forward_atom(
    emitter: Emitter,
    pointers: Mapping[str, Value],
    senders: FeatureLayout,
    messages: MessageLayout,
    group: Group,
    entries: Entries,
    piece: Value,
    atom: Value,
) -> None:
    sums = [emitter.variable() for _ in range(group.registers)]
    for variable in sums:
        variable.set(emitter.splat(0.0))
    reader = EdgeReader(emitter, pointers, entries)
    with _edges_of(emitter, pointers, atom) as edge:
        reader.open(edge)
        assert reader.neighbor is not None
        features = _load_features(
            emitter, pointers["features"], senders, group, reader.neighbor, piece
        )
        weights = reader.value_weights()
        start = _table_start(emitter, group, messages, piece, reader)
        for place, (path, register) in enumerate(group.paths):
            corners = _corners(emitter, pointers["table"], start, place, group)
            weight = _weighted(emitter, weights, corners)
            weighted = [emitter.builder.fmul(weight, x) for x in features]
            for k in range(path.receiver.dim):
                for i, x in enumerate(weighted):
                    entry = reader.entry(path.orders, k, i)
                    if entry is not None:
                        sums[register + k].add_product(entry, x)
    row = _message_start(emitter, messages, group, atom, piece)
    for register, variable in enumerate(sums):
        place = emitter.builder.add(row, emitter.index(register * emitter.lanes))
        emitter.store_vector(variable.get(), pointers["messages"], place)


def emit_backward(
    emitter: Emitter,
    pointers: Mapping[str, Value],
    senders: FeatureLayout,
    messages: MessageLayout,
    entries: Entries,
    *,
    lmax: int,
    to_features: bool,
) -> None:
    """Derivatives with respect to the features and the edges of a range of atoms.

    Reads dE/dmessage of the neighbors. Adds to each edge's record: dE/ddistance in
    place 0 and dE/dY_m in place m = 1 ... (lmax + 1)² - 1.
    """
    seen: set[str] = set()
    for group in messages.groups:
        fresh = str(group.sender) not in seen
        seen.add(str(group.sender))
        with (
            emitter.loop(emitter.index(0), emitter.index(group.n_pieces)) as piece,
            emitter.loop(pointers["start"], pointers["stop"]) as atom,
        ):
            features = _load_features(
                emitter, pointers["features"], senders, group, atom, piece
            )
            slopes = [emitter.variable() for _ in features]
            for i, slope in enumerate(slopes):
                place = _feature_place(emitter, senders, group, atom, piece, i)
                slope.set(
                    emitter.splat(0.0)
                    if fresh
                    else emitter.load_vector(pointers["feature_slopes"], place)
                )
            _backward_edges(
                emitter,
                pointers,
                messages,
                group,
                entries,
                (piece, atom),
                (features, slopes),
                lmax,
            )
            for i, slope in enumerate(slopes if to_features else []):
                place = _feature_place(emitter, senders, group, atom, piece, i)
                emitter.store_vector(slope.get(), pointers["feature_slopes"], place)


def _backward_edges(
    emitter: Emitter,
    pointers: Mapping[str, Value],
    messages: MessageLayout,
    group: Group,
    entries: Entries,
    where: tuple[Value, Value],
    own: tuple[Sequence[Value], Sequence[Variable]],
    lmax: int,
) -> None:
    """The loop over an atom's edges.

    `where` is the piece of the channels and the atom, `own` are the atom's features and
    the variables for their derivatives.
    """
    builder = emitter.builder
    (piece, atom), (features, slopes) = where, own
    reader = EdgeReader(emitter, pointers, entries)
    n_harmonics = (lmax + 1) ** 2
    with _edges_of(emitter, pointers, atom) as edge:
        reader.open(edge)
        assert reader.neighbor is not None
        row = _message_start(emitter, messages, group, reader.neighbor, piece)
        start = _table_start(emitter, group, messages, piece, reader)
        value_weights, slope_weights = reader.value_weights(), reader.slope_weights()
        # dE/ddistance, then dE/dY_m.
        sums: list[Value | None] = [None] * n_harmonics
        for place, (path, register) in enumerate(group.paths):
            sign = -1.0 if path.harmonic % 2 else 1.0
            corners = _corners(emitter, pointers["table"], start, place, group)
            weight = _weighted(emitter, value_weights, corners)
            slope = _slope(emitter, slope_weights, corners)
            incoming = [
                emitter.load_vector(
                    pointers["messages"],
                    builder.add(row, emitter.index((register + k) * emitter.lanes)),
                )
                for k in range(path.receiver.dim)
            ]
            if sign < 0:
                weight, slope = builder.fneg(weight), builder.fneg(slope)
            back: list[Value | None] = []
            for i in range(path.sender.dim):
                found: Value | None = None
                for k, g in enumerate(incoming):
                    entry = reader.entry(path.orders, k, i)
                    if entry is not None:
                        found = _plus_product(emitter, found, entry, g)
                back.append(found)
            product: Value | None = None
            for i, v in enumerate(back):
                if v is not None:
                    slopes[i].add_product(weight, v)
                    product = _plus_product(emitter, product, v, features[i])
            if product is not None:
                sums[0] = _plus_product(emitter, sums[0], slope, product)
            if path.harmonic:
                weighted = [builder.fmul(weight, x) for x in features]
                _add_harmonic_slopes(
                    emitter, sums, entries, path.orders, incoming, weighted
                )
        _add_to_record(emitter, pointers, edge, sums)


def _add_harmonic_slopes(
    emitter: Emitter,
    sums: list[Value | None],
    entries: Entries,
    orders: tuple[int, int, int],
    incoming: Sequence[Value],
    weighted: Sequence[Value],
) -> None:
    """Σ_ki C[m, k, i] g_k w x_i to the sum of each m."""
    coupling = entries.couplings[orders]
    first = orders[1] ** 2
    for m in range(coupling.shape[0]):
        for i, x in enumerate(weighted):
            inner: Value | None = None
            for k, g in enumerate(incoming):
                c = float(coupling[m, k, i])
                if c != 0.0:
                    inner = _plus_product(emitter, inner, emitter.splat(c), g)
            if inner is not None:
                sums[first + m] = _plus_product(emitter, sums[first + m], inner, x)


def _add_to_record(
    emitter: Emitter,
    pointers: Mapping[str, Value],
    edge: Value,
    sums: Sequence[Value | None],
) -> None:
    lanes = emitter.lanes
    zero = emitter.splat(0.0)
    width = record_width(len(sums), lanes)
    start = emitter.builder.mul(edge, emitter.index(width))
    for first in range(0, width, lanes):
        part = [zero if v is None else v for v in sums[first : first + lanes]]
        place = emitter.builder.add(start, emitter.index(first))
        record = pointers["records"]
        total = emitter.builder.fadd(
            emitter.load_vector(record, place), emitter.sum_lanes(part)
        )
        emitter.store_vector(total, record, place)


def record_width(n_harmonics: int, lanes: int) -> int:
    """Numbers in an edge's record of derivatives, whole vectors."""
    return -(-n_harmonics // lanes) * lanes


def _edges_of(
    emitter: Emitter, pointers: Mapping[str, Value], atom: Value
) -> AbstractContextManager[Value]:
    rows = pointers["rows"]
    begin = emitter.load(rows, atom, INDEX)
    following = emitter.builder.add(atom, emitter.index(1))
    return emitter.loop(begin, emitter.load(rows, following, INDEX))


def _feature_place(
    emitter: Emitter,
    senders: FeatureLayout,
    group: Group,
    atom: Value,
    piece: Value,
    component: int,
) -> Value:
    builder = emitter.builder
    block = senders.blocks[group.sender]
    row = builder.mul(atom, emitter.index(senders.width))
    within = emitter.index(block.pieces[0] + component * block.stride)
    column = builder.mul(piece, emitter.index(emitter.lanes))
    return builder.add(builder.add(row, column), within)


def _load_features(
    emitter: Emitter,
    features: Value,
    senders: FeatureLayout,
    group: Group,
    atom: Value,
    piece: Value,
) -> list[Value]:
    return [
        emitter.load_vector(
            features, _feature_place(emitter, senders, group, atom, piece, i)
        )
        for i in range(group.sender.dim)
    ]


def _message_start(
    emitter: Emitter, messages: MessageLayout, group: Group, atom: Value, piece: Value
) -> Value:
    builder = emitter.builder
    row = builder.mul(atom, emitter.index(messages.width))
    within = builder.mul(piece, emitter.index(group.registers * emitter.lanes))
    return builder.add(builder.add(row, within), emitter.index(group.offset))


def _table_start(
    emitter: Emitter,
    group: Group,
    messages: MessageLayout,
    piece: Value,
    reader: EdgeReader,
) -> Value:
    builder = emitter.builder
    assert reader.node is not None
    nodes = builder.mul(piece, emitter.index(messages.n_nodes))
    row = builder.add(nodes, reader.node)
    size = len(group.paths) * NODE_VECTORS * emitter.lanes
    return builder.add(
        builder.mul(row, emitter.index(size)), emitter.index(group.table)
    )


def _corners(
    emitter: Emitter, table: Value, start: Value, place: int, group: Group
) -> list[Value]:
    """Left value, left slope, secant, right slope."""
    lanes = emitter.lanes
    first = place * NODE_VECTORS * lanes
    following = first + len(group.paths) * NODE_VECTORS * lanes
    offsets = (first, first + lanes, first + 2 * lanes, following + lanes)
    return [
        emitter.load_vector(table, emitter.builder.add(start, emitter.index(offset)))
        for offset in offsets
    ]


def _weighted(
    emitter: Emitter, weights: Sequence[Value], corners: Sequence[Value]
) -> Value:
    total = corners[0]
    for weight, corner in zip(weights, corners[1:], strict=True):
        total = emitter.fma(weight, corner, total)
    return total


def _slope(
    emitter: Emitter, weights: Sequence[Value], corners: Sequence[Value]
) -> Value:
    total = emitter.builder.fmul(weights[0], corners[1])
    for weight, corner in zip(weights[1:], corners[2:], strict=True):
        total = emitter.fma(weight, corner, total)
    return total


def _plus_product(emitter: Emitter, total: Value | None, a: Value, b: Value) -> Value:
    if total is None:
        return emitter.builder.fmul(a, b)
    return emitter.fma(a, b, total)
