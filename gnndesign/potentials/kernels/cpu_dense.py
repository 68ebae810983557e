"""Code of what happens within an atom: linear maps and gates, there and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from gnndesign.potentials.algebra import SCALAR, Irrep
from gnndesign.potentials.irreps import Gate
from gnndesign.potentials.kernels.cpu_layout import Block, FeatureLayout
from gnndesign.potentials.kernels.emitter import DOUBLE, INDEX, Emitter, Value

_UNROLLED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A matrix product of one irrep, out += in @ matrix, for every component.

    Attributes:
        incoming, outgoing: where the numbers lie in their rows.
        matrix: offset of the packed matrix in its array.
        columns: outgoing pieces a pass.
        adds: whether to add to what is there.
    """

    incoming: Block
    outgoing: Block
    matrix: int
    columns: int
    adds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """An array with a row an atom."""

    pointer: Value
    width: int


def emit_product(
    emitter: Emitter,
    product: Product,
    atoms: tuple[Value, Value],
    source: Rows,
    target: Rows,
    matrices: Value,
    *,
    registers: int,
) -> None:
    """`product` for a range of atoms, several atoms and pieces at once in registers.

    Past the last atom the last one is computed again, so that no rest is left over.
    """
    builder = emitter.builder
    start, stop = atoms
    components = product.incoming.components
    together = max(1, registers // (components * product.columns))
    n_numbers = len(product.incoming.pieces) * emitter.lanes
    incoming = _constant_indices(emitter, product.incoming.pieces)
    outgoing = _constant_indices(emitter, product.outgoing.pieces)
    n_blocks = len(product.outgoing.pieces) // product.columns
    last = builder.sub(stop, emitter.index(1))
    with (
        emitter.loop(emitter.index(0), emitter.index(n_blocks)) as block,
        emitter.loop(start, stop, together) as first,
    ):
        atom_rows: list[Value] = []
        for k in range(together):
            atom = builder.add(first, emitter.index(k))
            inside = builder.icmp_signed("<", atom, last)
            atom_rows.append(builder.select(inside, atom, last))
        sums = [
            [emitter.variable() for _ in range(product.columns)]
            for _ in range(together * components)
        ]
        targets = _targets(
            emitter, product, atom_rows, target, outgoing=outgoing, block=block
        )
        for row, places in zip(sums, targets, strict=True):
            for variable, place in zip(row, places, strict=True):
                variable.set(
                    emitter.load_vector(target.pointer, place)
                    if product.adds
                    else emitter.splat(0.0)
                )
        size = n_numbers * product.columns * emitter.lanes
        matrix = builder.add(
            builder.mul(block, emitter.index(size)), emitter.index(product.matrix)
        )
        sources = [
            builder.add(
                builder.mul(atom, emitter.index(source.width)),
                emitter.index(component * product.incoming.stride),
            )
            for atom in atom_rows
            for component in range(components)
        ]
        _accumulate(
            emitter, product, sums, sources, source.pointer, matrices, matrix, incoming
        )
        for row, places in zip(sums, targets, strict=True):
            for variable, place in zip(row, places, strict=True):
                emitter.store_vector(variable.get(), target.pointer, place)


def _targets(
    emitter: Emitter,
    product: Product,
    atom_rows: Sequence[Value],
    target: Rows,
    *,
    outgoing: Value,
    block: Value,
) -> list[list[Value]]:
    """Places of the outgoing vectors: by atom and component, then by column."""
    builder = emitter.builder
    first = builder.mul(block, emitter.index(product.columns))
    pieces = [
        emitter.load(outgoing, builder.add(first, emitter.index(column)), INDEX)
        for column in range(product.columns)
    ]
    places: list[list[Value]] = []
    for atom in atom_rows:
        row = builder.mul(atom, emitter.index(target.width))
        for component in range(product.outgoing.components):
            start = builder.add(row, emitter.index(component * product.outgoing.stride))
            places.append([builder.add(start, piece) for piece in pieces])
    return places


def _accumulate(
    emitter: Emitter,
    product: Product,
    sums: Sequence[Sequence[object]],
    sources: Sequence[Value],
    source: Value,
    matrices: Value,
    matrix: Value,
    incoming: Value,
) -> None:
    builder = emitter.builder
    width = emitter.index(product.columns * emitter.lanes)
    n_pieces = emitter.index(len(product.incoming.pieces))
    with emitter.loop(emitter.index(0), n_pieces) as piece:
        offset = emitter.load(incoming, piece, INDEX)
        number = builder.mul(piece, emitter.index(emitter.lanes))
        unrolled = min(_UNROLLED, emitter.lanes)
        with emitter.loop(
            emitter.index(0), emitter.index(emitter.lanes), unrolled
        ) as lane:
            column = builder.add(offset, lane)
            line = builder.mul(builder.add(number, lane), width)
            line = builder.add(matrix, line)
            for step in range(unrolled):
                vectors = [
                    emitter.load_vector(
                        matrices,
                        builder.add(
                            line,
                            emitter.index((step * product.columns + k) * emitter.lanes),
                        ),
                    )
                    for k in range(product.columns)
                ]
                here = builder.add(column, emitter.index(step))
                for row, start in zip(sums, sources, strict=True):
                    number_in = emitter.broadcast(source, builder.add(start, here))
                    for variable, vector in zip(row, vectors, strict=True):
                        variable.add_product(number_in, vector)  # pyright: ignore[reportAttributeAccessIssue]


def gate_sections(gate: Gate) -> dict[Irrep, list[int]]:
    """Sections of the gate's input: the scalars, then the gates of each irrep."""
    gates = [size for irrep, size in gate.after.items() if irrep.l > 0]
    sections = {
        irrep: [gate.after.get(irrep, 0)] for irrep, size in gate.before.items() if size
    }
    sections[SCALAR] += gates
    return sections


def emit_gate(
    emitter: Emitter,
    gate: Gate,
    atom: Value,
    before: tuple[Value, FeatureLayout],
    after: tuple[Value, FeatureLayout],
) -> None:
    """Gated features of one atom, without the activations' second moments."""
    builder = emitter.builder
    source, target = _Row(emitter, *before, atom), _Row(emitter, *after, atom)
    for irrep, component, piece, gate_piece in _gate_places(gate, after[1]):
        value = source.load(irrep, component, piece)
        if irrep == SCALAR:
            result = builder.fmul(value, emitter.sigmoid(value))
        elif irrep.l == 0:
            result = _tanh(emitter, value)
        else:
            control = source.load(SCALAR, 0, gate_piece)
            silu = builder.fmul(control, emitter.sigmoid(control))
            result = builder.fmul(value, silu)
        target.store(result, irrep, component, piece)


def emit_gate_backward(
    emitter: Emitter,
    gate: Gate,
    atom: Value,
    before: tuple[Value, FeatureLayout],
    after: tuple[Value, FeatureLayout],
) -> None:
    """Derivatives with respect to the gate's input, in place of that input."""
    builder = emitter.builder
    values, slopes = _Row(emitter, *before, atom), _Row(emitter, *after, atom)
    one = emitter.splat(1.0)
    products: dict[int, Value] = {}
    controls: dict[int, tuple[Value, Value]] = {}
    for irrep, component, piece, gate_piece in _gate_places(gate, after[1]):
        value = values.load(irrep, component, piece)
        slope = slopes.load(irrep, component, piece)
        if irrep == SCALAR:
            result = builder.fmul(slope, _silu_slope(emitter, value))
        elif irrep.l == 0:
            tanh = _tanh(emitter, value)
            square = builder.fmul(tanh, tanh)
            result = builder.fmul(slope, builder.fsub(one, square))
        else:
            if gate_piece not in controls:
                control = values.load(SCALAR, 0, gate_piece)
                silu = builder.fmul(control, emitter.sigmoid(control))
                controls[gate_piece] = silu, _silu_slope(emitter, control)
            product = builder.fmul(slope, value)
            if gate_piece in products:
                product = builder.fadd(products[gate_piece], product)
            products[gate_piece] = product
            result = builder.fmul(slope, controls[gate_piece][0])
        values.store(result, irrep, component, piece)
    for gate_piece, product in products.items():
        result = builder.fmul(product, controls[gate_piece][1])
        values.store(result, SCALAR, 0, gate_piece)


def _gate_places(
    gate: Gate, after: FeatureLayout
) -> Iterator[tuple[Irrep, int, int, int]]:
    """(irrep, component, piece, piece of its gate) of all vectors of the output."""
    scalars = after.blocks.get(SCALAR)
    control = len(scalars.pieces) if scalars else 0
    for irrep in gate.after:
        n_pieces = len(after.blocks[irrep].pieces)
        for piece in range(n_pieces):
            for component in range(irrep.dim):
                yield irrep, component, piece, control + piece
        if irrep.l > 0:
            control += n_pieces


class _Row:
    """Vectors in the row of one atom."""

    def __init__(
        self, emitter: Emitter, pointer: Value, layout: FeatureLayout, atom: Value
    ) -> None:
        self._emitter = emitter
        self._pointer = pointer
        self._layout = layout
        self._start = emitter.builder.mul(atom, emitter.index(layout.width))

    def load(self, irrep: Irrep, component: int, piece: int) -> Value:
        place = self._place(irrep, component, piece)
        return self._emitter.load_vector(self._pointer, place)

    def store(self, value: Value, irrep: Irrep, component: int, piece: int) -> None:
        place = self._place(irrep, component, piece)
        self._emitter.store_vector(value, self._pointer, place)

    def _place(self, irrep: Irrep, component: int, piece: int) -> Value:
        block = self._layout.blocks[irrep]
        offset = block.pieces[piece] + component * block.stride
        return self._emitter.builder.add(self._start, self._emitter.index(offset))


def emit_energy(
    emitter: Emitter, pointers: Mapping[str, Value], layout: FeatureLayout, atom: Value
) -> None:
    """Energy of an atom: read-out · scalars, times its species' scale, plus shift."""
    builder = emitter.builder
    row = _Row(emitter, pointers["gated"], layout, atom)
    total = emitter.splat(0.0)
    for piece in range(len(layout.blocks[SCALAR].pieces)):
        weight = emitter.load_vector(
            pointers["readout"], emitter.index(piece * emitter.lanes)
        )
        total = emitter.fma(weight, row.load(SCALAR, 0, piece), total)
    value = builder.extract_element(emitter.sum_lanes([total]), emitter.index(0))
    if not isinstance(emitter.real, ir.DoubleType):
        value = builder.fpext(value, DOUBLE)
    species = emitter.load(pointers["species"], atom, INDEX)
    scale = emitter.load(pointers["scale"], species, DOUBLE)
    shift = emitter.load(pointers["shift"], species, DOUBLE)
    builder.store(
        emitter.fma(value, scale, shift),
        emitter.at(pointers["energies"], atom, DOUBLE),
    )


def emit_energy_backward(
    emitter: Emitter, pointers: Mapping[str, Value], layout: FeatureLayout, atom: Value
) -> None:
    """dE/d(gated scalars) of an atom."""
    builder = emitter.builder
    row = _Row(emitter, pointers["gated"], layout, atom)
    species = emitter.load(pointers["species"], atom, INDEX)
    scale = emitter.load(pointers["scale"], species, DOUBLE)
    if not isinstance(emitter.real, ir.DoubleType):
        scale = builder.fptrunc(scale, emitter.real)
    factor = emitter.splat(scale)
    for piece in range(len(layout.blocks[SCALAR].pieces)):
        weight = emitter.load_vector(
            pointers["readout"], emitter.index(piece * emitter.lanes)
        )
        row.store(builder.fmul(weight, factor), SCALAR, 0, piece)
    for irrep, block in layout.blocks.items():
        # The energy is made of scalars alone.
        for piece in range(len(block.pieces) if irrep != SCALAR else 0):
            for component in range(irrep.dim):
                row.store(emitter.splat(0.0), irrep, component, piece)


def emit_start(
    emitter: Emitter,
    pointers: Mapping[str, Value],
    features: FeatureLayout,
    kept: FeatureLayout,
    atom: Value,
) -> None:
    """The first layer's input and what bypasses it, by the species of an atom."""
    species = emitter.load(pointers["species"], atom, INDEX)
    for table, target, layout in (
        ("species_input", "features", features),
        ("species_kept", "kept", kept),
    ):
        n_pieces = len(layout.blocks[SCALAR].pieces)
        row = _Row(emitter, pointers[target], layout, atom)
        start = emitter.builder.mul(species, emitter.index(n_pieces * emitter.lanes))
        for piece in range(n_pieces):
            place = emitter.builder.add(start, emitter.index(piece * emitter.lanes))
            row.store(emitter.load_vector(pointers[table], place), SCALAR, 0, piece)


def _silu_slope(emitter: Emitter, value: Value) -> Value:
    builder = emitter.builder
    sigmoid = emitter.sigmoid(value)
    one = emitter.splat(1.0)
    inner = emitter.fma(value, builder.fsub(one, sigmoid), one)
    return builder.fmul(sigmoid, inner)


def _tanh(emitter: Emitter, value: Value) -> Value:
    builder = emitter.builder
    doubled = emitter.sigmoid(builder.fadd(value, value))
    return emitter.fma(emitter.splat(2.0), doubled, emitter.splat(-1.0))


def _constant_indices(emitter: Emitter, values: Sequence[int]) -> Value:
    """A table of indices in the module."""
    module = emitter.function.module
    kind = ir.ArrayType(INDEX, len(values))
    name = module.get_unique_name("places")
    table: Any = ir.GlobalVariable(module, kind, name)
    table.global_constant = True
    table.linkage = "internal"
    table.initializer = ir.Constant(kind, list(values))
    return table
