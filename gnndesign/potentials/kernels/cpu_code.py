"""The code of a whole network: one C function a phase, void(*)(int64 *arguments).

A phase is a loop over atoms or blocks of edges without order. Each thread calls the
phase's function; the calls share out the range among themselves by a counter:

    arguments[0]   next item to be taken
    arguments[1]   number of items
    arguments[2]   items to take at once
    arguments[3]   added to every item
    arguments[4:]  the phase's own pointers and numbers, in the order of PHASES
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

HEADER = 4
"""Arguments before a phase's own."""

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

    def write(self) -> Iterator[ir.Module]:
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
                    _add_phase(
                        module, name, PHASES[kind], self.machine, partial(body, t)
                    )
                    yield module

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


def _add_phase(
    module: ir.Module,
    name: str,
    arguments: Sequence[str],
    machine: Machine,
    body: Callable[[Emitter, Pointers], None],
) -> None:
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
        emitter.load(table, emitter.index(place), INDEX) for place in (1, 2, 3)
    )
    again = function.append_basic_block("again")
    work = function.append_basic_block("work")
    done = function.append_basic_block("done")
    builder.branch(again)
    builder.position_at_end(again)
    taken = builder.atomic_rmw("add", table, at_once, "monotonic")
    builder.cbranch(builder.icmp_signed("<", taken, n_items), work, done)
    builder.position_at_end(work)
    end = builder.add(taken, at_once)
    inside = builder.icmp_signed("<", end, n_items)
    pointers["start"] = builder.add(taken, base)
    pointers["stop"] = builder.add(builder.select(inside, end, n_items), base)
    body(emitter, pointers)
    builder.branch(again)
    builder.position_at_end(done)
    emitter.finish()
