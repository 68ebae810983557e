"""Machine code for sums over neighbors: of radial functions, and of these with harmonics.

Of atom i, with g_n the radial functions, w_j the weight of a neighbor and c its channel:

    forward    S_cn = Σ_j w_j g_n(r_ij),  Q_cn = Σ_j (w_j g_n(r_ij))²   over j in c
               M_cnlm = Σ_j w_j g_n(r_ij) Y_lm(r_ij)
               P_abnl = Σ_m M_anlm M_bnlm                               a <= b
    backward   from dE/dS, dE/dQ and dE/dP of each atom: dE/dr_ij of each pair

Radial functions fill a vector register, one place a function, and are cubics of the
distance in each interval of a table. As many neighbors as a register has places are
located at once: distances, harmonics and their derivatives go to a small array on the
stack, from which the sums take them one neighbor after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path

from llvmlite import ir

from gnndesign.potentials.kernels.cpu_code import RUN, Machine, Pointers, add_phase
from gnndesign.potentials.kernels.emitter import DOUBLE, INDEX, Emitter, Value
from gnndesign.potentials.kernels.harmonics import (
    Polynomial,
    derivative,
    harmonic_polynomials,
)
from gnndesign.potentials.kernels.kept import package_text

INPUTS = (
    *("positions", "cells", "systems", "rows", "neighbors", "shifts", "kinds"),
    "table",
)
PHASES: Mapping[str, tuple[str, ...]] = {
    "forward": (*INPUTS, "moments", "invariants"),
    "backward": (*INPUTS, "moments", "pulls", "slopes", "pairs", "atoms"),
}
"""Names of the arguments of each function; see cpu_code.py for how they are run."""

OF_ATOM = 12
"""Numbers in a row of "atoms": Σ_j dE/dr_ij, and Σ_j r_ij dE/dr_ij, row by row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SumsLayout:
    """Which sums, and where they lie.

    Attributes:
        machine: what the code is written for.
        n_radial, n_angular: radial functions of S, and of Q, M and P.
        n_channels: kinds of neighbors that are told apart.
        is_weighted: whether "kinds" are weights w (reals) instead of channels c
            (whole numbers), of which there is one then.
        lmax: of the harmonics.
        cutoff: Å, the end of the table.
        n_intervals: of the table; behind them is one more that is zero.
    """

    machine: Machine
    n_radial: int
    n_angular: int
    n_channels: int
    is_weighted: bool
    lmax: int
    cutoff: float
    n_intervals: int

    @property
    def lanes(self) -> int:
        """Places of a register."""
        return self.machine.lanes

    @property
    def radial_width(self) -> int:
        """Numbers in a row of radial functions, whole registers."""
        return self.lanes * ceil(self.n_radial / self.lanes)

    @property
    def angular_width(self) -> int:
        """Likewise of the functions of M."""
        return self.lanes * ceil(self.n_angular / self.lanes)

    @property
    def functions_width(self) -> int:
        """Both, one after the other."""
        return self.radial_width + self.angular_width

    @property
    def n_harmonics(self) -> int:
        """Of all l up to lmax; none without angular functions."""
        return (self.lmax + 1) ** 2 if self.n_angular else 0

    @property
    def n_orders(self) -> int:
        """Different l."""
        return self.lmax + 1 if self.n_angular else 0

    @property
    def channel_pairs(self) -> list[tuple[int, int]]:
        """Channels a <= b of P."""
        kinds = range(self.n_channels)
        return [(a, b) for a in kinds for b in kinds if a <= b]

    @property
    def moments_width(self) -> int:
        """Numbers of M an atom, by (c, lm, n)."""
        return self.n_channels * self.n_harmonics * self.angular_width

    @property
    def invariants_width(self) -> int:
        """Numbers of S and Q an atom, by (c, n), then of P by (pair, l, n)."""
        return self.power_place(len(self.channel_pairs), 0)

    def power_place(self, pair: int, order: int) -> int:
        """Where P of a pair of channels and an l begins."""
        number = pair * self.n_orders + order
        return self.n_channels * self.functions_width + number * self.angular_width

    @property
    def step(self) -> float:
        """Å, of the table."""
        return self.cutoff / self.n_intervals

    @property
    def key(self) -> list[str]:
        """Everything the code depends on."""
        return [package_text(), Path(__file__).read_text("utf-8"), repr(self)]

    def write(self) -> Iterator[ir.Module | str]:
        """A module a function, and the one that runs them."""
        for name, body in (("forward", _forward), ("backward", _backward)):
            module = ir.Module(name)
            add_phase(module, name, PHASES[name], self.machine, partial(body, self))
            yield module
        yield RUN


class _Block:
    """Some neighbors of an atom, located: what is on the stack of them.

    Attributes:
        count: how many they are.
        first: place of the first pair.
        unit, distance: vectors of doubles, one place a neighbor.
    """

    def __init__(
        self, emitter: Emitter, pointers: Pointers, layout: SumsLayout, *, back: bool
    ) -> None:
        self.emitter, self.pointers, self.layout = emitter, pointers, layout
        lanes = layout.lanes
        self.doubles = ir.VectorType(DOUBLE, lanes)
        self.vectors = emitter.array(DOUBLE, 3 * lanes)
        self._nodes = emitter.array(INDEX, lanes)
        self._places = emitter.array(emitter.real, lanes)
        rows = layout.n_harmonics * (4 if back else 1)
        self.harmonics = emitter.array(emitter.real, max(rows, 1) * lanes)
        self._polynomials = list(harmonic_polynomials(layout.lmax))
        if not layout.n_angular:
            self._polynomials = []
        if back:
            own = self._polynomials
            for axis in range(3):
                own = [*own, *(derivative(p, axis) for p in self._polynomials)]
            self._polynomials = own
        self.count: Value = None
        self.first: Value = None
        self.unit: list[Value] = []
        self.distance: Value = None

    def locate(self, atom: Value, first: Value, end: Value) -> None:
        """The neighbors from the pair `first` on, at most to `end`."""
        emitter, builder, layout = self.emitter, self.emitter.builder, self.layout
        lanes = emitter.index(layout.lanes)
        rest = builder.sub(end, first)
        self.count = builder.select(builder.icmp_signed("<", rest, lanes), rest, lanes)
        self.first = first
        self._store_vectors(atom)
        vector = [self.load_doubles(self.vectors, axis) for axis in range(3)]
        square = builder.fmul(vector[0], vector[0])
        for x in vector[1:]:
            square = emitter.fma(x, x, square)
        self.distance = emitter.sqrt(square)
        self.unit = [builder.fdiv(x, self.distance) for x in vector]
        most = emitter.splat(float(layout.n_intervals), self.doubles)
        place = builder.fmul(
            self.distance, emitter.splat(1.0 / layout.step, self.doubles)
        )
        # What is not a number is no smaller, and goes on as no number below.
        inside = builder.fcmp_ordered("<", place, most)
        integers = ir.VectorType(INDEX, layout.lanes)
        node = builder.fptosi(builder.select(inside, place, most), integers)
        builder.store(node, self._nodes, align=8)
        within = builder.fsub(place, builder.sitofp(node, self.doubles))
        emitter.store_vector(self._real(within), self._places, emitter.index(0))
        unit = [self._real(x) for x in self.unit]
        for number, value in enumerate(_values(emitter, self._polynomials, unit)):
            place = emitter.index(number * layout.lanes)
            emitter.store_vector(value, self.harmonics, place)

    def _store_vectors(self, atom: Value) -> None:
        """r_j + shift @ cell - r_i; the last neighbor fills the block."""
        emitter, builder, pointers = self.emitter, self.emitter.builder, self.pointers
        system = emitter.load(pointers["systems"], atom, INDEX)
        cell = builder.mul(system, emitter.index(9))
        last = builder.sub(self.count, emitter.index(1))
        three = emitter.index(3)
        here = builder.mul(atom, three)
        with emitter.loop(emitter.index(0), emitter.index(self.layout.lanes)) as lane:
            inside = builder.icmp_signed("<", lane, last)
            pair = builder.add(self.first, builder.select(inside, lane, last))
            neighbor = emitter.load(pointers["neighbors"], pair, INDEX)
            there = builder.mul(neighbor, three)
            begin = builder.mul(pair, three)
            shifts = [
                builder.sitofp(
                    emitter.load(
                        pointers["shifts"], builder.add(begin, emitter.index(k)), INDEX
                    ),
                    DOUBLE,
                )
                for k in range(3)
            ]
            for axis in range(3):
                ends = [
                    emitter.load(
                        pointers["positions"],
                        builder.add(start, emitter.index(axis)),
                        DOUBLE,
                    )
                    for start in (there, here)
                ]
                value = builder.fsub(*ends)
                for k, shift in enumerate(shifts):
                    place = builder.add(cell, emitter.index(3 * k + axis))
                    lattice = emitter.load(pointers["cells"], place, DOUBLE)
                    value = emitter.fma(shift, lattice, value)
                self.put_double(value, self.vectors, axis, lane)

    def put_double(self, value: Value, array: Value, row: int, lane: Value) -> None:
        """Store a number of one neighbor in an array of rows of doubles."""
        place = self.emitter.builder.add(
            lane, self.emitter.index(row * self.layout.lanes)
        )
        self.emitter.builder.store(value, self.emitter.at(array, place, DOUBLE))

    def load_doubles(self, array: Value, row: int) -> Value:
        """A row of doubles."""
        place = self.emitter.index(row * self.layout.lanes)
        return self.emitter.builder.load(
            self.emitter.at(array, place, DOUBLE), typ=self.doubles, align=8
        )

    def functions(self, lane: Value) -> tuple[list[Value], list[Value]]:
        """Radial functions of a neighbor and their slopes times the table's step."""
        emitter, builder, layout = self.emitter, self.emitter.builder, self.layout
        node = emitter.load(self._nodes, lane, INDEX)
        t = emitter.broadcast(self._places, lane)
        width = layout.functions_width
        row = builder.mul(node, emitter.index(4 * width))
        values: list[Value] = []
        slopes: list[Value] = []
        for start in range(0, width, layout.lanes):
            c0, c1, c2, c3 = (
                emitter.load_vector(
                    self.pointers["table"],
                    builder.add(row, emitter.index(k * width + start)),
                )
                for k in range(4)
            )
            inner = emitter.fma(t, c3, c2)
            middle = emitter.fma(t, inner, c1)
            values.append(emitter.fma(t, middle, c0))
            # c1 + 2 c2 t + 3 c3 t², from what is there already.
            steep = emitter.fma(t, c3, inner)
            slopes.append(emitter.fma(t, steep, middle))
        return self._weighed(lane, values), self._weighed(lane, slopes)

    def _neighbor_kind(self, lane: Value, kind: ir.Type) -> Value:
        pair = self.emitter.builder.add(self.first, lane)
        neighbor = self.emitter.load(self.pointers["neighbors"], pair, INDEX)
        return self.emitter.load(self.pointers["kinds"], neighbor, kind)

    def _weighed(self, lane: Value, values: list[Value]) -> list[Value]:
        if not self.layout.is_weighted:
            return values
        weight = self.emitter.splat(self._neighbor_kind(lane, self.emitter.real))
        return [self.emitter.builder.fmul(weight, value) for value in values]

    def channel(self, lane: Value) -> Value:
        """Of a neighbor."""
        if self.layout.n_channels == 1:
            return self.emitter.index(0)
        return self._neighbor_kind(lane, INDEX)

    def harmonic(self, number: int, lane: Value) -> Value:
        """A harmonic of a neighbor, or a derivative, in every place."""
        place = self.emitter.index(number * self.layout.lanes)
        return self.emitter.broadcast(
            self.harmonics, self.emitter.builder.add(place, lane)
        )

    def _real(self, value: Value) -> Value:
        if isinstance(self.emitter.real, ir.DoubleType):
            return value
        return self.emitter.builder.fptrunc(value, self.emitter.vector)

    def wide(self, value: Value) -> Value:
        """A vector of reals as one of doubles."""
        if isinstance(self.emitter.real, ir.DoubleType):
            return value
        return self.emitter.builder.fpext(value, self.doubles)


def _values(
    emitter: Emitter, polynomials: Sequence[Polynomial], unit: Sequence[Value]
) -> list[Value]:
    """Polynomials of the components of unit vectors."""
    monomials: dict[tuple[int, int, int], Value] = {(0, 0, 0): emitter.splat(1.0)}

    def monomial(exponents: tuple[int, int, int]) -> Value:
        if exponents not in monomials:
            axis = next(k for k in range(3) if exponents[k])
            lower = list(exponents)
            lower[axis] -= 1
            rest = monomial((lower[0], lower[1], lower[2]))
            monomials[exponents] = emitter.builder.fmul(unit[axis], rest)
        return monomials[exponents]

    found: list[Value] = []
    for polynomial in polynomials:
        total = emitter.splat(0.0)
        for exponents, coefficient in polynomial.items():
            total = emitter.fma(emitter.splat(coefficient), monomial(exponents), total)
        found.append(total)
    return found


@dataclass(frozen=True, slots=True)
class _Row:
    """The numbers of an atom in an array, a register at a time."""

    emitter: Emitter
    array: Value
    start: Value

    def after(self, offset: Value) -> _Row:
        """The same, beginning later."""
        start = self.emitter.builder.add(self.start, offset)
        return _Row(self.emitter, self.array, start)

    def _place(self, place: int) -> Value:
        return self.emitter.builder.add(self.start, self.emitter.index(place))

    def get(self, place: int) -> Value:
        """The register at a place."""
        return self.emitter.load_vector(self.array, self._place(place))

    def put(self, place: int, value: Value) -> None:
        """Store it."""
        self.emitter.store_vector(value, self.array, self._place(place))

    def add_product(self, place: int, a: Value, b: Value) -> None:
        """Add a * b to it."""
        self.put(place, self.emitter.fma(a, b, self.get(place)))


def _row(emitter: Emitter, array: Value, atom: Value, width: int) -> _Row:
    start = emitter.builder.mul(atom, emitter.index(width))
    return _Row(emitter, array, start)


def _forward(layout: SumsLayout, emitter: Emitter, pointers: Pointers) -> None:
    builder = emitter.builder
    block = _Block(emitter, pointers, layout, back=False)
    radial, lanes = layout.radial_width // layout.lanes, layout.lanes
    with emitter.loop(pointers["start"], pointers["stop"]) as atom:
        moments = _row(emitter, pointers["moments"], atom, layout.moments_width)
        found = _row(emitter, pointers["invariants"], atom, layout.invariants_width)
        begin, end = _range(emitter, pointers, atom)
        with emitter.loop(begin, end, lanes) as first:
            block.locate(atom, first, end)
            with emitter.loop(emitter.index(0), block.count) as lane:
                channel = block.channel(lane)
                values, _ = block.functions(lane)
                sums = found.after(
                    builder.mul(channel, emitter.index(layout.functions_width))
                )
                for k, g in enumerate(values):
                    factor = emitter.splat(1.0) if k < radial else g
                    sums.add_product(k * lanes, factor, g)
                width = layout.n_harmonics * layout.angular_width
                own = moments.after(builder.mul(channel, emitter.index(width)))
                for m in range(layout.n_harmonics):
                    y = block.harmonic(m, lane)
                    for k, g in enumerate(values[radial:]):
                        own.add_product(m * layout.angular_width + k * lanes, g, y)
        for pair, (a, b) in enumerate(layout.channel_pairs):
            for l in range(layout.n_orders):
                for k in range(0, layout.angular_width, lanes):
                    total = emitter.splat(0.0)
                    for m in range(l * l, (l + 1) ** 2):
                        one, other = (
                            moments.get(_moment(layout, c, m) + k) for c in (a, b)
                        )
                        total = emitter.fma(one, other, total)
                    found.put(layout.power_place(pair, l) + k, total)


def _backward(layout: SumsLayout, emitter: Emitter, pointers: Pointers) -> None:
    block = _Block(emitter, pointers, layout, back=True)
    out = emitter.array(emitter.real, 4 * layout.lanes)
    slopes = emitter.array(DOUBLE, 3 * layout.lanes)
    totals = [emitter.variable(DOUBLE) for _ in range(OF_ATOM)]
    with emitter.loop(pointers["start"], pointers["stop"]) as atom:
        pulls = _pull_moments(layout, emitter, pointers, atom)
        wanted = _row(emitter, pointers["slopes"], atom, layout.invariants_width)
        for total in totals:
            total.set(ir.Constant(DOUBLE, 0.0))
        begin, end = _range(emitter, pointers, atom)
        with emitter.loop(begin, end, layout.lanes) as first:
            block.locate(atom, first, end)
            with emitter.loop(emitter.index(0), block.count) as lane:
                _pull_neighbor(block, wanted, pulls, out, lane)
            _turn(block, out, slopes)
            with emitter.loop(emitter.index(0), block.count) as lane:
                _collect(block, slopes, totals, lane)
        row = emitter.builder.mul(atom, emitter.index(OF_ATOM))
        for k, total in enumerate(totals):
            place = emitter.builder.add(row, emitter.index(k))
            emitter.builder.store(
                total.get(), emitter.at(pointers["atoms"], place, DOUBLE)
            )


def _pull_moments(
    layout: SumsLayout, emitter: Emitter, pointers: Pointers, atom: Value
) -> _Row:
    """dE/dM of an atom from dE/dP."""
    moments = _row(emitter, pointers["moments"], atom, layout.moments_width)
    wanted = _row(emitter, pointers["slopes"], atom, layout.invariants_width)
    pulls = _row(emitter, pointers["pulls"], atom, layout.moments_width)
    for a in range(layout.n_channels):
        for m in range(layout.n_harmonics):
            order = int(m**0.5)
            for k in range(0, layout.angular_width, layout.lanes):
                total = emitter.splat(0.0)
                for pair, (c, d) in enumerate(layout.channel_pairs):
                    if a not in (c, d):
                        continue
                    slope = wanted.get(layout.power_place(pair, order) + k)
                    if c == d:
                        slope = emitter.builder.fadd(slope, slope)
                    other = moments.get(_moment(layout, d if c == a else c, m) + k)
                    total = emitter.fma(slope, other, total)
                pulls.put(_moment(layout, a, m) + k, total)
    return pulls


def _pull_neighbor(
    block: _Block, wanted: _Row, pulls: _Row, out: Value, lane: Value
) -> None:
    """Of one neighbor dE/dr times the step, and dE/du along x, y, z."""
    layout, emitter, builder = block.layout, block.emitter, block.emitter.builder
    radial, lanes = layout.radial_width // layout.lanes, layout.lanes
    channel = block.channel(lane)
    values, slopes = block.functions(lane)
    sums = wanted.after(builder.mul(channel, emitter.index(layout.functions_width)))
    width = layout.n_harmonics * layout.angular_width
    own = pulls.after(builder.mul(channel, emitter.index(width)))
    along = emitter.splat(0.0)
    across = [emitter.splat(0.0)] * 3
    for k, (g, slope) in enumerate(zip(values, slopes, strict=True)):
        pull = sums.get(k * lanes)
        if k < radial:
            along = emitter.fma(slope, pull, along)
            continue
        inner = builder.fmul(builder.fadd(g, g), pull)
        turned = [emitter.splat(0.0)] * 3
        for m in range(layout.n_harmonics):
            moment = own.get(m * layout.angular_width + (k - radial) * lanes)
            inner = emitter.fma(moment, block.harmonic(m, lane), inner)
            if m == 0:
                continue  # The first harmonic is constant.
            for axis in range(3):
                number = (axis + 1) * layout.n_harmonics + m
                turned[axis] = emitter.fma(
                    moment, block.harmonic(number, lane), turned[axis]
                )
        along = emitter.fma(slope, inner, along)
        across = [emitter.fma(g, t, x) for t, x in zip(turned, across, strict=True)]
    summed = emitter.sum_lanes([along, *across])
    for k in range(4):
        place = builder.add(lane, emitter.index(k * lanes))
        number = builder.extract_element(summed, emitter.index(k))
        builder.store(number, emitter.at(out, place, emitter.real))


def _turn(block: _Block, out: Value, slopes: Value) -> None:
    """dE/dvector of all neighbors of a block from dE/dr and dE/du."""
    emitter, builder, lanes = block.emitter, block.emitter.builder, block.layout.lanes
    along, *across = (
        block.wide(emitter.load_vector(out, emitter.index(k * lanes))) for k in range(4)
    )
    along = builder.fmul(along, emitter.splat(1.0 / block.layout.step, block.doubles))
    radial = builder.fmul(across[0], block.unit[0])
    for t, u in zip(across[1:], block.unit[1:], strict=True):
        radial = emitter.fma(t, u, radial)
    for axis, (t, u) in enumerate(zip(across, block.unit, strict=True)):
        side = builder.fdiv(builder.fsub(t, builder.fmul(radial, u)), block.distance)
        value = emitter.fma(along, u, side)
        place = emitter.at(slopes, emitter.index(axis * lanes), DOUBLE)
        builder.store(value, place, align=8)


def _collect(
    block: _Block, slopes: Value, totals: Sequence[Value], lane: Value
) -> None:
    """Store dE/dvector of a neighbor and add it to the sums of its atom."""
    emitter, builder, lanes = block.emitter, block.emitter.builder, block.layout.lanes
    pair = builder.mul(builder.add(block.first, lane), emitter.index(3))

    def row(array: Value, axis: int) -> Value:
        place = builder.add(lane, emitter.index(axis * lanes))
        return emitter.load(array, place, DOUBLE)

    slope = [row(slopes, axis) for axis in range(3)]
    vector = [row(block.vectors, axis) for axis in range(3)]
    for a in range(3):
        place = builder.add(pair, emitter.index(a))
        builder.store(slope[a], emitter.at(block.pointers["pairs"], place, DOUBLE))
        totals[a].add(slope[a])
        for b in range(3):
            totals[3 + 3 * a + b].add_product(vector[a], slope[b])


def _range(emitter: Emitter, pointers: Pointers, atom: Value) -> tuple[Value, Value]:
    after = emitter.builder.add(atom, emitter.index(1))
    begin = emitter.load(pointers["rows"], atom, INDEX)
    return begin, emitter.load(pointers["rows"], after, INDEX)


def _moment(layout: SumsLayout, channel: int, harmonic: int) -> int:
    """Where M of a channel and a harmonic begins."""
    return (channel * layout.n_harmonics + harmonic) * layout.angular_width
