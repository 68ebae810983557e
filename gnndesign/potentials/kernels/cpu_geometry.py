"""Code of what depends on an edge alone: harmonics and the place in the radial table.

As many edges as a vector has lanes are treated at once, in double precision up to the
harmonics. Per edge the convolution finds: the node of the table, the weights of the
cubic for the value and for the slope (each of left slope, secant and right slope; the
value begins with the left one), and the entries of the Clebsch-Gordan tensors
contracted with the harmonics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from llvmlite import ir

from gnndesign.potentials.kernels.cpu_convolution import (
    EDGE_HEAD,
    NODE,
    record_width,
)
from gnndesign.potentials.kernels.cpu_layout import Entries
from gnndesign.potentials.kernels.emitter import DOUBLE, INDEX, Emitter, Value
from gnndesign.potentials.kernels.harmonics import (
    Polynomial,
    derivative,
    harmonic_polynomials,
)
from gnndesign.potentials.kernels.radial_table import RadialGrid

UNIT_SIZE = 4
"""Numbers kept of an edge for the way back: unit vector and distance."""


class _Doubles:
    """Arithmetic on vectors of doubles, one lane an edge."""

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self.builder = emitter.builder
        self.kind = ir.VectorType(DOUBLE, emitter.lanes)

    def const(self, value: float) -> Value:
        return self.emitter.splat(value, self.kind)

    def gather(self, lanes: Sequence[Value]) -> Value:
        vector: Value = ir.Constant(self.kind, ir.Undefined)
        for lane, value in enumerate(lanes):
            vector = self.builder.insert_element(
                vector, value, self.emitter.index(lane)
            )
        return vector

    def dot(self, a: Sequence[Value], b: Sequence[Value]) -> Value:
        total = self.builder.fmul(a[0], b[0])
        for x, y in zip(a[1:], b[1:], strict=True):
            total = self.emitter.fma(x, y, total)
        return total


def emit_geometry(
    emitter: Emitter,
    pointers: Mapping[str, Value],
    entries: Entries,
    grid: RadialGrid,
    lmax: int,
) -> None:
    """Everything of the blocks of edges from pointers["start"] to pointers["stop"]."""
    with emitter.loop(pointers["start"], pointers["stop"]) as block:
        doubles = _Doubles(emitter)
        vector = _edge_vectors(emitter, pointers, doubles, block)
        distance = emitter.sqrt(doubles.dot(vector, vector))
        unit = [emitter.builder.fdiv(x, distance) for x in vector]
        units = emitter.builder.mul(block, emitter.index(UNIT_SIZE * emitter.lanes))
        for place, value in enumerate([*unit, distance]):
            _store_doubles(emitter, pointers["units"], units, place, value)
        width = EDGE_HEAD + len(entries.sums)
        start = emitter.builder.mul(block, emitter.index(width * emitter.lanes))
        numbers = _table_place(emitter, pointers, doubles, grid, distance, block)
        harmonics = [
            _to_real(emitter, value)
            for value in _polynomials(doubles, harmonic_polynomials(lmax), unit)
        ]
        for place, (order, terms) in enumerate(entries.sums):
            total = emitter.builder.fmul(
                emitter.splat(terms[0][1]), harmonics[order**2 + terms[0][0]]
            )
            for m, c in terms[1:]:
                total = emitter.fma(emitter.splat(c), harmonics[order**2 + m], total)
            numbers[EDGE_HEAD + place] = total
        for place, value in numbers.items():
            column = emitter.builder.add(start, emitter.index(place * emitter.lanes))
            emitter.store_vector(value, pointers["edges"], column)


def _edge_vectors(
    emitter: Emitter, pointers: Mapping[str, Value], doubles: _Doubles, block: Value
) -> list[Value]:
    """x, y, z of r_neighbor + shift @ cell - r_center; the last edge fills the block."""
    builder = emitter.builder
    lanes: list[list[Value]] = [[], [], []]
    last = builder.sub(pointers["last_edge"], emitter.index(1))
    three = emitter.index(3)
    for lane in range(emitter.lanes):
        edge = builder.add(
            builder.mul(block, emitter.index(emitter.lanes)), emitter.index(lane)
        )
        edge = builder.add(edge, pointers["first_edge"])
        edge = builder.select(builder.icmp_signed("<", edge, last), edge, last)
        center = emitter.load(pointers["centers"], edge, INDEX)
        neighbor = emitter.load(pointers["neighbors"], edge, INDEX)
        system = emitter.load(pointers["systems"], center, INDEX)
        cell = builder.mul(system, emitter.index(9))
        shifts = [
            builder.sitofp(
                emitter.load(
                    pointers["shifts"],
                    builder.add(builder.mul(edge, three), emitter.index(k)),
                    INDEX,
                ),
                DOUBLE,
            )
            for k in range(3)
        ]
        for axis in range(3):
            ends = [
                emitter.load(
                    pointers["positions"],
                    builder.add(builder.mul(atom, three), emitter.index(axis)),
                    DOUBLE,
                )
                for atom in (neighbor, center)
            ]
            value = builder.fsub(*ends)
            for k, shift in enumerate(shifts):
                place = builder.add(cell, emitter.index(3 * k + axis))
                value = emitter.fma(
                    shift, emitter.load(pointers["cells"], place, DOUBLE), value
                )
            lanes[axis].append(value)
    return [doubles.gather(values) for values in lanes]


def _table_place(
    emitter: Emitter,
    pointers: Mapping[str, Value],
    doubles: _Doubles,
    grid: RadialGrid,
    distance: Value,
    block: Value,
) -> dict[int, Value]:
    """Stores the node; the weights of the cubic and of its slope, by place."""
    builder, const = emitter.builder, doubles.const
    _refuse_short(emitter, pointers, doubles, grid, distance)
    place = step = const(0.0)
    first = 0
    for (a, b), count in zip(pairwise(grid.breaks), grid.counts, strict=True):
        width = (b - a) / count
        within = builder.fmul(builder.fsub(distance, const(a)), const(1.0 / width))
        inside = builder.fcmp_ordered(">=", distance, const(a))
        shifted = builder.fadd(within, const(float(first)))
        place = builder.select(inside, shifted, place)
        step = builder.select(inside, const(width), step)
        first += count
    largest = const(float(first))
    place = builder.select(builder.fcmp_ordered("<", place, largest), place, largest)
    integers = ir.VectorType(NODE, emitter.lanes)
    node = builder.fptosi(place, integers)
    highest = ir.Constant(integers, [first - 1] * emitter.lanes)
    node = builder.select(builder.icmp_signed("<", node, highest), node, highest)
    address = emitter.at(
        pointers["nodes"], builder.mul(block, emitter.index(emitter.lanes)), NODE
    )
    builder.store(node, address, align=4)
    t = builder.fsub(place, builder.sitofp(node, doubles.kind))
    s = builder.fsub(const(1.0), t)
    ts = builder.fmul(t, s)
    minus_three = const(-3.0)
    value = [
        builder.fmul(builder.fmul(ts, s), step),
        builder.fmul(
            builder.fmul(builder.fmul(t, t), emitter.fma(const(2.0), s, const(1.0))),
            step,
        ),
        builder.fneg(builder.fmul(builder.fmul(ts, t), step)),
    ]
    slope = [
        builder.fmul(s, emitter.fma(minus_three, t, const(1.0))),
        builder.fmul(const(6.0), ts),
        builder.fmul(t, emitter.fma(minus_three, s, const(1.0))),
    ]
    return dict(enumerate(_to_real(emitter, x) for x in [*value, *slope]))


def _refuse_short(
    emitter: Emitter,
    pointers: Mapping[str, Value],
    doubles: _Doubles,
    grid: RadialGrid,
    distance: Value,
) -> None:
    """Raise the flag if a distance is below the table, or not a number."""
    builder = emitter.builder
    fine = builder.and_(
        builder.fcmp_ordered(">=", distance, doubles.const(grid.breaks[0])),
        builder.fcmp_ordered("<", distance, doubles.const(1e30)),
    )
    bits = builder.bitcast(fine, ir.IntType(emitter.lanes))
    full = ir.Constant(ir.IntType(emitter.lanes), -1)
    with builder.if_then(builder.icmp_unsigned("!=", bits, full), likely=False):
        builder.store(emitter.index(1), pointers["flag"])


def emit_geometry_backward(
    emitter: Emitter, pointers: Mapping[str, Value], lmax: int
) -> None:
    """dE/dvector of each edge of a range of blocks, from the edges' records."""
    n_harmonics = (lmax + 1) ** 2
    width = record_width(n_harmonics, emitter.lanes)
    polynomials = harmonic_polynomials(lmax)
    with emitter.loop(pointers["start"], pointers["stop"]) as block:
        builder, doubles = emitter.builder, _Doubles(emitter)
        units = builder.mul(block, emitter.index(UNIT_SIZE * emitter.lanes))
        *unit, distance = (
            _load_doubles(emitter, pointers["units"], units, place)
            for place in range(UNIT_SIZE)
        )
        first = builder.add(
            builder.mul(block, emitter.index(emitter.lanes)), pointers["first_edge"]
        )
        start = builder.mul(first, emitter.index(width))
        slopes = [
            _record(emitter, pointers, doubles, start, width, place)
            for place in range(n_harmonics)
        ]
        turned = [
            _weighted_sum(
                doubles,
                slopes[1:],
                _polynomials(doubles, [derivative(p, axis) for p in polynomials], unit)[
                    1:
                ],
            )
            for axis in range(3)
        ]
        along = doubles.dot(turned, unit)
        vectors = builder.mul(block, emitter.index(3 * emitter.lanes))
        for axis in range(3):
            across = builder.fsub(turned[axis], builder.fmul(along, unit[axis]))
            value = emitter.fma(slopes[0], unit[axis], builder.fdiv(across, distance))
            _store_doubles(emitter, pointers["vectors"], vectors, axis, value)


def _record(
    emitter: Emitter,
    pointers: Mapping[str, Value],
    doubles: _Doubles,
    start: Value,
    width: int,
    place: int,
) -> Value:
    builder = emitter.builder
    lanes: list[Value] = []
    for lane in range(emitter.lanes):
        index = builder.add(start, emitter.index(lane * width + place))
        value = emitter.load(pointers["records"], index, emitter.real)
        if not isinstance(emitter.real, ir.DoubleType):
            value = builder.fpext(value, DOUBLE)
        lanes.append(value)
    return doubles.gather(lanes)


def emit_collect(emitter: Emitter, pointers: Mapping[str, Value]) -> None:
    """Adds dE/dvector to dE/dposition of both ends and to dE/dstrain, edge by edge."""
    builder = emitter.builder
    with emitter.loop(pointers["start"], pointers["stop"]) as atom:
        begin = emitter.load(pointers["rows"], atom, INDEX)
        end = emitter.load(pointers["rows"], builder.add(atom, emitter.index(1)), INDEX)
        system = emitter.load(pointers["systems"], atom, INDEX)
        own = [emitter.variable(DOUBLE) for _ in range(3)]
        virial = [emitter.variable(DOUBLE) for _ in range(9)]
        for variable in (*own, *virial):
            variable.set(ir.Constant(DOUBLE, 0.0))
        with emitter.loop(begin, end) as edge:
            _collect_edge(emitter, pointers, edge, own, virial)
        _add_doubles(emitter, pointers["gradient"], atom, [v.get() for v in own], -1)
        _add_doubles(emitter, pointers["virial"], system, [v.get() for v in virial], 1)


def _collect_edge(
    emitter: Emitter,
    pointers: Mapping[str, Value],
    edge: Value,
    own: Sequence[object],
    virial: Sequence[object],
) -> None:
    builder = emitter.builder
    local = builder.sub(edge, pointers["first_edge"])
    lanes = emitter.index(emitter.lanes)
    block, lane = builder.udiv(local, lanes), builder.urem(local, lanes)

    def read(pointer: Value, size: int, place: int) -> Value:
        index = builder.mul(block, emitter.index(size * emitter.lanes))
        index = builder.add(index, emitter.index(place * emitter.lanes))
        return emitter.load(pointer, builder.add(index, lane), DOUBLE)

    slope = [read(pointers["vectors"], 3, axis) for axis in range(3)]
    *unit, distance = (read(pointers["units"], UNIT_SIZE, k) for k in range(4))
    vector = [builder.fmul(x, distance) for x in unit]
    neighbor = emitter.load(pointers["neighbors"], edge, INDEX)
    _add_doubles(emitter, pointers["gradient"], neighbor, slope, 1)
    for a in range(3):
        own[a].add(slope[a])  # pyright: ignore[reportAttributeAccessIssue]
        for b in range(3):
            virial[3 * a + b].add_product(vector[a], slope[b])  # pyright: ignore[reportAttributeAccessIssue]


def _add_doubles(
    emitter: Emitter, array: Value, row: Value, values: Sequence[Value], sign: int
) -> None:
    builder = emitter.builder
    start = builder.mul(row, emitter.index(len(values)))
    for place, value in enumerate(values):
        address = emitter.at(array, builder.add(start, emitter.index(place)), DOUBLE)
        old = builder.load(address, typ=DOUBLE)
        new = builder.fadd(old, value) if sign > 0 else builder.fsub(old, value)
        builder.store(new, address)


def _polynomials(
    doubles: _Doubles, polynomials: Sequence[Polynomial], unit: Sequence[Value]
) -> list[Value]:
    monomials: dict[tuple[int, int, int], Value] = {(0, 0, 0): doubles.const(1.0)}

    def monomial(exponents: tuple[int, int, int]) -> Value:
        if exponents not in monomials:
            axis = next(k for k in range(3) if exponents[k])
            lower = list(exponents)
            lower[axis] -= 1
            rest = monomial((lower[0], lower[1], lower[2]))
            monomials[exponents] = (
                unit[axis]
                if sum(lower) == 0
                else doubles.builder.fmul(unit[axis], rest)
            )
        return monomials[exponents]

    found: list[Value] = []
    for polynomial in polynomials:
        total = doubles.const(0.0)
        for exponents, coefficient in polynomial.items():
            total = doubles.emitter.fma(
                doubles.const(coefficient), monomial(exponents), total
            )
        found.append(total)
    return found


def _weighted_sum(
    doubles: _Doubles, weights: Sequence[Value], values: Sequence[Value]
) -> Value:
    if not weights:
        return doubles.const(0.0)
    return doubles.dot(weights, values)


def _to_real(emitter: Emitter, value: Value) -> Value:
    if isinstance(emitter.real, ir.DoubleType):
        return value
    return emitter.builder.fptrunc(value, emitter.vector)


def _store_doubles(
    emitter: Emitter, pointer: Value, start: Value, place: int, value: Value
) -> None:
    index = emitter.builder.add(start, emitter.index(place * emitter.lanes))
    emitter.builder.store(value, emitter.at(pointer, index, DOUBLE), align=8)


def _load_doubles(emitter: Emitter, pointer: Value, start: Value, place: int) -> Value:
    index = emitter.builder.add(start, emitter.index(place * emitter.lanes))
    kind = ir.VectorType(DOUBLE, emitter.lanes)
    return emitter.builder.load(emitter.at(pointer, index, DOUBLE), typ=kind, align=8)
