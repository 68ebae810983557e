"""Machine code that locates neighbors, and where their sums lie; see fast_sums_code.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from llvmlite import ir

from gnndesign.potentials.kernels.cpu_code import Machine, Pointers
from gnndesign.potentials.kernels.emitter import DOUBLE, INDEX, Emitter, Value
from gnndesign.potentials.kernels.harmonics import (
    Polynomial,
    derivative,
    harmonic_polynomials,
)


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


class Block:
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
