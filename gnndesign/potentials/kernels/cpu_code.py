"""The code of a whole network: one C function a phase, and one that runs them all.

A phase is a loop over atoms or blocks of edges without order. All threads call `run`
with a table of phases, one row each:

    row[0]   address of the phase's function, void(*)(int64 *row)
    row[1]   next item to be taken
    row[2]   number of items
    row[3]   items to take at once
    row[4]   added to every item
    row[5]   items that are done
    row[6:]  the phase's own pointers and numbers, in the order of PHASES

The threads share out the items of a phase by the first counter and go on to the next
phase when the last counter says that all are done. So nobody waits for a thread that
the system has not given a core: the others do its work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from llvmlite import ir

from gnndesign.potentials.algebra import SCALAR, Irrep
from gnndesign.potentials.kernels.cpu_convolution import emit_backward, emit_forward
from gnndesign.potentials.kernels.cpu_dense import (
    Product,
    Rows,
    emit_energy,
    emit_energy_backward,
    emit_gate,
    emit_gate_backward,
    emit_product,
    emit_start,
    gate_sections,
)
from gnndesign.potentials.kernels.cpu_geometry import (
    emit_collect,
    emit_geometry,
    emit_geometry_backward,
)
from gnndesign.potentials.kernels.cpu_layout import (
    Block,
    Entries,
    FeatureLayout,
    MessageLayout,
    column_pieces,
)
from gnndesign.potentials.kernels.emitter import INDEX, POINTER, Emitter, Value
from gnndesign.potentials.kernels.kept import package_text
from gnndesign.potentials.kernels.lowering import LoweredNetwork, Matrices
from gnndesign.potentials.kernels.radial_table import RadialGrid

Pointers = Mapping[str, Value]

_Body = Callable[[int, Emitter, Pointers], None]

HEADER = 6
"""Places of a row before a phase's own arguments."""

ROW = HEADER + 14
"""Places of a row."""

PROGRAM_HEADER = 3
"""Numbers before the rows: how many, where the flag is, where `sched_yield` is or 0."""

_SPINS = 1000

RUN = f"""
define void @run(ptr %program) {{
entry:
  %n_phases = load i64, ptr %program
  %flag_at = getelementptr i64, ptr %program, i64 1
  %flag = load ptr, ptr %flag_at
  %yield_at = getelementptr i64, ptr %program, i64 2
  %yield = load ptr, ptr %yield_at
  %can_yield = icmp ne ptr %yield, null
  br label %phase
phase:
  %k = phi i64 [ 0, %entry ], [ %next, %go_on ]
  %more = icmp ult i64 %k, %n_phases
  br i1 %more, label %work, label %done
work:
  %rows = mul i64 %k, {ROW}
  %offset = add i64 %rows, {PROGRAM_HEADER}
  %row = getelementptr i64, ptr %program, i64 %offset
  %function = load ptr, ptr %row
  call void %function(ptr %row)
  %n_at = getelementptr i64, ptr %row, i64 2
  %n_items = load i64, ptr %n_at
  %finished_at = getelementptr i64, ptr %row, i64 5
  br label %wait
wait:
  %spins = phi i64 [ 0, %work ], [ %spun, %again ]
  %finished = load atomic i64, ptr %finished_at acquire, align 8
  %ready = icmp sge i64 %finished, %n_items
  br i1 %ready, label %look, label %spin
spin:
  %spun = add i64 %spins, 1
  %long = icmp ugt i64 %spun, {_SPINS}
  %give = and i1 %long, %can_yield
  br i1 %give, label %give_way, label %again
give_way:
  call i32 %yield()
  br label %again
again:
  br label %wait
look:
  %raised = load i64, ptr %flag
  %stop = icmp ne i64 %raised, 0
  br i1 %stop, label %done, label %go_on
go_on:
  %next = add i64 %k, 1
  br label %phase
done:
  ret void
}}
"""
"""What each thread does: all phases in order, unless the flag is raised after one."""

_EDGE_LIST = ("rows", "neighbors", "first_edge")
PHASES: Mapping[str, tuple[str, ...]] = {
    "geometry": (
        *("positions", "cells", "systems", "centers", "neighbors", "shifts"),
        *("first_edge", "last_edge", "units", "nodes", "edges", "flag"),
    ),
    "geometry_backward": ("first_edge", "units", "records", "vectors"),
    "collect": (*(*_EDGE_LIST, "systems", "units", "vectors", "gradient", "virial"),),
    "start": ("species", "species_input", "species_kept", "features", "kept"),
    "forward": (*_EDGE_LIST, "nodes", "edges", "table", "features", "messages"),
    "backward": (
        *(*_EDGE_LIST, "nodes", "edges", "table", "features", "messages"),
        *("feature_slopes", "records"),
    ),
    "node": (
        *("messages", "kept", "gated", "after", "next_kept", "next_features"),
        *("self_connection", "before", "readout", "scale", "shift", "species"),
        "energies",
    ),
    "node_backward": (
        *("messages", "kept", "gated", "after_back", "next_kept", "feature_slopes"),
        *("self_connection_back", "before_back", "readout", "scale", "species"),
    ),
}
"""Names of each phase's own arguments."""

LAYERED = ("forward", "backward", "node", "node_backward")
"""Phases that differ between layers."""

NUMBERS = ("first_edge", "last_edge")
"""Arguments that are numbers, not pointers."""

FOLLOWING = (
    *("next_kept", "next_features", "self_connection", "before"),
    *("self_connection_back", "before_back"),
)
"""Arguments that belong to the layer after; the last layer has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLayout:
    """Rows of one layer.

    Attributes:
        features: input of the convolution.
        messages: its output.
        kept: input of the gate; first what bypasses the convolution, then the sum.
        gated: output of the gate.
    """

    features: FeatureLayout
    messages: MessageLayout
    kept: FeatureLayout
    gated: FeatureLayout


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the code is written for.

    Attributes:
        lanes: numbers in a vector register.
        registers: how many vectors a loop may keep.
        double: whether numbers are of double precision.
    """

    lanes: int
    registers: int
    double: bool


class NetworkCode:
    """Layouts and code of a network for a machine."""

    def __init__(
        self, network: LoweredNetwork, grid: RadialGrid, machine: Machine
    ) -> None:
        self.network = network
        self.grid = grid
        self.machine = machine
        self.entries = Entries(network.couplings)
        lanes = machine.lanes
        self.layers = [
            LayerLayout(
                features=FeatureLayout(
                    {ir: [size] for ir, size in layer.senders.items()}, lanes
                ),
                messages=MessageLayout(
                    layer,
                    lanes=lanes,
                    most_registers=machine.registers,
                    n_nodes=grid.n_nodes,
                ),
                kept=FeatureLayout(gate_sections(layer.gate), lanes),
                gated=FeatureLayout(
                    {ir: [size] for ir, size in layer.gate.after.items()}, lanes
                ),
            )
            for layer in network.layers
        ]
        self.key_of_layer = [self._signature(t) for t in range(len(self.layers))]

    def phase(self, name: str, layer: int) -> str:
        """Name of the function of a phase; equal layers share theirs."""
        if name not in LAYERED:
            return name
        return f"{name}_{self.key_of_layer.index(self.key_of_layer[layer])}"

    @property
    def key(self) -> list[str]:
        """Everything the code depends on."""
        couplings = [
            f"{orders} {coupling.tolist()}"
            for orders, coupling in self.network.couplings.items()
        ]
        return [
            package_text(),
            repr((self.machine, self.grid, self.network.lmax)),
            *self.key_of_layer,
            *couplings,
        ]

    def _signature(self, t: int) -> str:
        layer = self.network.layers[t]
        following = self.network.layers[t + 1] if t + 1 < len(self.layers) else None
        texts = (
            t == 0,
            {str(ir): n for ir, n in layer.senders.items()},
            {str(ir): n for ir, n in layer.gate.after.items()},
            [(str(p.sender), p.harmonic, str(p.receiver)) for p in layer.paths],
            None
            if following is None
            else sorted(map(str, following.self_connection or ())),
            sorted(map(str, layer.self_connection or layer.senders)),
        )
        return repr(texts)

    def write(self) -> Iterator[ir.Module | str]:
        """A module for each phase."""
        bodies: dict[str, _Body] = {
            "geometry": self._emit_geometry,
            "geometry_backward": self._emit_geometry_backward,
            "collect": self._emit_collect,
            "start": self._emit_start,
            "forward": self._emit_forward,
            "backward": self._emit_backward,
            "node": self._emit_node,
            "node_backward": self._emit_node_backward,
        }
        written: set[str] = set()
        for t in range(len(self.layers)):
            for kind, body in bodies.items():
                name = self.phase(kind, t)
                if name not in written:
                    written.add(name)
                    module = ir.Module(name)
                    add_phase(
                        module, name, PHASES[kind], self.machine, partial(body, t)
                    )
                    yield module
        yield RUN

    def products(
        self,
        matrices: Matrices,
        incoming: Mapping[Irrep, Block],
        outgoing: Mapping[Irrep, Block],
        adding: Sequence[Irrep] = (),
    ) -> list[tuple[Irrep, Product]]:
        """The products of a linear map, with its matrices packed one after another."""
        found: list[tuple[Irrep, Product]] = []
        offset = 0
        for irrep in matrices:
            source, target = incoming[irrep], outgoing[irrep]
            product = Product(
                incoming=source,
                outgoing=target,
                matrix=offset,
                columns=column_pieces(
                    len(target.pieces), irrep.dim, self.machine.registers
                ),
                adds=irrep in adding,
            )
            found.append((irrep, product))
            offset += len(source.channels) * len(target.channels)
        return found

    def _emit_geometry(self, t: int, emitter: Emitter, pointers: Pointers) -> None:
        del t
        emit_geometry(emitter, pointers, self.entries, self.grid, self.network.lmax)

    def _emit_geometry_backward(
        self, t: int, emitter: Emitter, pointers: Pointers
    ) -> None:
        del t
        emit_geometry_backward(emitter, pointers, self.network.lmax)

    def _emit_collect(self, t: int, emitter: Emitter, pointers: Pointers) -> None:
        del t
        emit_collect(emitter, pointers)

    def _emit_start(self, t: int, emitter: Emitter, pointers: Pointers) -> None:
        layout = self.layers[t]
        with emitter.loop(pointers["start"], pointers["stop"]) as atom:
            emit_start(emitter, pointers, layout.features, layout.kept, atom)

    def _emit_forward(self, t: int, emitter: Emitter, pointers: Pointers) -> None:
        layout = self.layers[t]
        emit_forward(emitter, pointers, layout.features, layout.messages, self.entries)

    def _emit_backward(self, t: int, emitter: Emitter, pointers: Pointers) -> None:
        layout = self.layers[t]
        emit_backward(
            emitter,
            pointers,
            layout.features,
            layout.messages,
            self.entries,
            lmax=self.network.lmax,
            to_features=t > 0,
        )

    def _multiply(
        self,
        emitter: Emitter,
        pointers: Pointers,
        matrices: str,
        source: tuple[str, int],
        target: tuple[str, int],
        products: Sequence[tuple[Irrep, Product]],
    ) -> None:
        for _, product in products:
            emit_product(
                emitter,
                product,
                (pointers["start"], pointers["stop"]),
                Rows(pointer=pointers[source[0]], width=source[1]),
                Rows(pointer=pointers[target[0]], width=target[1]),
                pointers[matrices],
                registers=self.machine.registers,
            )

    def _emit_node(self, t: int, emitter: Emitter, pointers: Pointers) -> None:
        layer, layout = self.network.layers[t], self.layers[t]
        bypass = [SCALAR] if layer.self_connection is None else layer.self_connection
        self._multiply(
            emitter,
            pointers,
            "after",
            ("messages", layout.messages.width),
            ("kept", layout.kept.width),
            self.products(
                layer.after, layout.messages.blocks, layout.kept.blocks, list(bypass)
            ),
        )
        with emitter.loop(pointers["start"], pointers["stop"]) as atom:
            emit_gate(
                emitter,
                layer.gate,
                atom,
                (pointers["kept"], layout.kept),
                (pointers["gated"], layout.gated),
            )
            if t + 1 == len(self.layers):
                emit_energy(emitter, pointers, layout.gated, atom)
        if t + 1 < len(self.layers):
            for name, target, matrices, blocks in self._onward(t):
                self._multiply(
                    emitter,
                    pointers,
                    name,
                    ("gated", layout.gated.width),
                    (target, blocks.width),
                    self.products(matrices, layout.gated.blocks, blocks.blocks),
                )

    def _onward(self, t: int) -> list[tuple[str, str, Matrices, FeatureLayout]]:
        """Linear maps from one layer's gate into the next layer."""
        following, layout = self.network.layers[t + 1], self.layers[t + 1]
        assert following.self_connection is not None
        assert following.before is not None
        return [
            (
                "self_connection",
                "next_kept",
                following.self_connection,
                layout.kept,
            ),
            ("before", "next_features", following.before, layout.features),
        ]

    def _emit_node_backward(self, t: int, emitter: Emitter, pointers: Pointers) -> None:
        layer, layout = self.network.layers[t], self.layers[t]
        last = t + 1 == len(self.layers)
        if not last:
            added: list[Irrep] = []
            for name, target, matrices, blocks in reversed(self._onward(t)):
                source = "feature_slopes" if name == "before" else target
                self._multiply(
                    emitter,
                    pointers,
                    f"{name}_back",
                    (source, blocks.width),
                    ("gated", layout.gated.width),
                    self.products(matrices, blocks.blocks, layout.gated.blocks, added),
                )
                added = [*added, *matrices]
        with emitter.loop(pointers["start"], pointers["stop"]) as atom:
            if last:
                emit_energy_backward(emitter, pointers, layout.gated, atom)
            emit_gate_backward(
                emitter,
                layer.gate,
                atom,
                (pointers["kept"], layout.kept),
                (pointers["gated"], layout.gated),
            )
        self._multiply(
            emitter,
            pointers,
            "after_back",
            ("kept", layout.kept.width),
            ("messages", layout.messages.width),
            self.products(layer.after, layout.kept.blocks, layout.messages.blocks),
        )


def add_phase(
    module: ir.Module,
    name: str,
    arguments: Sequence[str],
    machine: Machine,
    body: Callable[[Emitter, Pointers], None],
) -> None:
    """Add the function of a phase to a module; `body` writes what is done to items."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER]), name)
    real = ir.DoubleType() if machine.double else ir.FloatType()
    emitter = Emitter(function, machine.lanes, real)
    builder, table = emitter.builder, function.args[0]
    pointers: dict[str, Value] = {
        argument: emitter.load(
            table,
            emitter.index(HEADER + place),
            INDEX if argument in NUMBERS else POINTER,
        )
        for place, argument in enumerate(arguments)
    }
    n_items, at_once, base = (
        emitter.load(table, emitter.index(place), INDEX) for place in (2, 3, 4)
    )
    again = function.append_basic_block("again")
    work = function.append_basic_block("work")
    done = function.append_basic_block("done")
    builder.branch(again)
    builder.position_at_end(again)
    following = emitter.at(table, emitter.index(1), INDEX)
    taken = builder.atomic_rmw("add", following, at_once, "monotonic")
    builder.cbranch(builder.icmp_signed("<", taken, n_items), work, done)
    builder.position_at_end(work)
    end = builder.add(taken, at_once)
    inside = builder.icmp_signed("<", end, n_items)
    end = builder.select(inside, end, n_items)
    pointers["start"] = builder.add(taken, base)
    pointers["stop"] = builder.add(end, base)
    body(emitter, pointers)
    finished = emitter.at(table, emitter.index(5), INDEX)
    builder.atomic_rmw("add", finished, builder.sub(end, taken), "acq_rel")
    builder.branch(again)
    builder.position_at_end(done)
    emitter.finish()
