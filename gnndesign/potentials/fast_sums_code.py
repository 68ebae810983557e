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
from pathlib import Path

from llvmlite import ir

from gnndesign.potentials import fast_block
from gnndesign.potentials.fast_block import Block, SumsLayout
from gnndesign.potentials.kernels.cpu_code import RUN, Pointers, add_phase
from gnndesign.potentials.kernels.emitter import DOUBLE, INDEX, Emitter, Value
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


def code_key(layout: SumsLayout) -> list[str]:
    """Everything the code depends on."""
    texts = [Path(name).read_text("utf-8") for name in (__file__, fast_block.__file__)]
    return [package_text(), *texts, repr(layout)]


def write_code(layout: SumsLayout) -> Iterator[ir.Module | str]:
    """A module a function, and the one that runs them."""
    for name, body in (("forward", _forward), ("backward", _backward)):
        module = ir.Module(name)
        add_phase(module, name, PHASES[name], layout.machine, partial(body, layout))
        yield module
    yield RUN


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
    block = Block(emitter, pointers, layout, back=False)
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
    block = Block(emitter, pointers, layout, back=True)
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
    block: Block, wanted: _Row, pulls: _Row, out: Value, lane: Value
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


def _turn(block: Block, out: Value, slopes: Value) -> None:
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


def _collect(block: Block, slopes: Value, totals: Sequence[Value], lane: Value) -> None:
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
