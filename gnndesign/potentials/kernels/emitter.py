"""Writing LLVM code with explicit vectors: a thin layer over llvmlite's builder.

The fused kernels for the CPU are written straight in LLVM's language rather than in
Python for Numba: what decides their speed is which numbers stay in which vector
registers while a loop runs over the edges of an atom, and only here can that be said.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from math import log
from typing import Any

from llvmlite import ir

INDEX = ir.IntType(64)
DOUBLE = ir.DoubleType()
POINTER = ir.PointerType()

Value = Any


class Emitter:
    """Writes the body of one function.

    Attributes:
        builder: llvmlite's own, for everything not covered here.
        lanes: numbers in a vector.
        real: type of the numbers, float or double.
        vector: type of a vector of them.
    """

    def __init__(self, function: ir.Function, lanes: int, real: ir.Type) -> None:
        self.function = function
        self.lanes = lanes
        self.real = real
        self.vector = ir.VectorType(real, lanes)
        self._entry = function.append_basic_block("entry")
        # llvmlite does not say what its builder returns.
        self.builder: Any = ir.IRBuilder(function.append_basic_block("body"))
        self._entry_builder: Any = ir.IRBuilder(self._entry)

    def finish(self) -> None:
        """Return from the function."""
        self.builder.ret_void()
        blocks = self.function.basic_blocks
        self._entry_builder.branch(blocks[1])

    # Numbers.

    def index(self, value: int) -> Value:
        """A constant of the index type."""
        return ir.Constant(INDEX, value)

    def splat(self, value: float | Value, vector: ir.VectorType | None = None) -> Value:
        """A vector of equal numbers."""
        vector = vector or self.vector
        if not isinstance(value, ir.Value):
            return ir.Constant(vector, [float(value)] * vector.count)
        empty = ir.Constant(vector, ir.Undefined)
        first = self.builder.insert_element(empty, value, ir.Constant(INDEX, 0))
        mask = ir.Constant(
            ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count
        )
        return self.builder.shuffle_vector(first, empty, mask)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """The sum of a * b and c, rounded once."""
        return self._intrinsic("llvm.fma", (a, b, c))

    def sqrt(self, a: Value) -> Value:
        """Square root of a number or a vector."""
        return self._intrinsic("llvm.sqrt", (a,))

    def _intrinsic(self, name: str, operands: Sequence[Value]) -> Value:
        kind = operands[0].type
        scalar = kind.element if isinstance(kind, ir.VectorType) else kind
        suffix = "f64" if isinstance(scalar, ir.DoubleType) else "f32"
        if isinstance(kind, ir.VectorType):
            suffix = f"v{kind.count}{suffix}"
        full = f"{name}.{suffix}"
        module = self.function.module
        callee = module.globals.get(full) or ir.Function(
            module, ir.FunctionType(kind, [kind] * len(operands)), full
        )
        return self.builder.call(callee, operands)

    # Memory.

    def load_pointer(self, table: Value, place: int) -> Value:
        """The pointer at a place of a table of pointers."""
        return self.load(table, self.index(place), POINTER)

    def at(self, pointer: Value, index: Value, kind: ir.Type) -> Value:
        """Address of the element `index` of an array of `kind`."""
        return self.builder.gep(pointer, [index], source_etype=kind)

    def load(self, pointer: Value, index: Value, kind: ir.Type) -> Value:
        """The element `index` of an array of `kind`."""
        return self.builder.load(self.at(pointer, index, kind), typ=kind)

    def load_vector(self, pointer: Value, index: Value) -> Value:
        """`lanes` reals from the element `index` of an array of reals."""
        return self.builder.load(
            self.at(pointer, index, self.real), typ=self.vector, align=self._align
        )

    def store_vector(self, value: Value, pointer: Value, index: Value) -> None:
        """The opposite of `load_vector`."""
        self.builder.store(value, self.at(pointer, index, self.real), align=self._align)

    def broadcast(self, pointer: Value, index: Value) -> Value:
        """One real of an array, in every lane."""
        return self.splat(self.load(pointer, index, self.real))

    @property
    def _align(self) -> int:
        return 8 if isinstance(self.real, ir.DoubleType) else 4

    def variable(self, kind: ir.Type | None = None) -> Variable:
        """A register that loops may change; its first value must be set."""
        return Variable(self, self._entry_builder.alloca(kind or self.vector), kind)

    def array(self, kind: ir.Type, size: int) -> Value:
        """The address of `size` numbers on the stack, not set."""
        slot = self._entry_builder.alloca(kind, size=self.index(size))
        slot.type = POINTER  # To anything: vectors are stored there, too.
        return slot

    # Loops.

    @contextmanager
    def loop(self, start: Value, stop: Value, step: int = 1) -> Generator[Value]:
        """`for index in range(start, stop, step)`."""
        builder = self.builder
        before = builder.block
        head = self.function.append_basic_block("head")
        body = self.function.append_basic_block("loop")
        after = self.function.append_basic_block("after")
        builder.branch(head)
        builder.position_at_end(head)
        counter = builder.phi(INDEX)
        counter.add_incoming(start, before)
        builder.cbranch(builder.icmp_signed("<", counter, stop), body, after)
        builder.position_at_end(body)
        yield counter
        following = builder.add(counter, self.index(step))
        counter.add_incoming(following, builder.block)
        builder.branch(head)
        builder.position_at_end(after)

    # Functions of vectors.

    def sum_lanes(self, vectors: Sequence[Value]) -> Value:
        """A vector whose lane k is the sum over the lanes of `vectors[k]`.

        At most `lanes` vectors; the lanes beyond them are zero. Pairs of vectors are
        folded into one until one is left.
        """
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        stack = list(vectors) + [zero] * (self.lanes - len(vectors))
        sources = 1
        while len(stack) > 1:
            width = self.lanes // sources
            low = [s * width + k for s in range(2 * sources) for k in range(width // 2)]
            high = [k + width // 2 for k in low]
            stack = [
                zero
                if a is zero and b is zero
                else self.builder.fadd(
                    self._shuffle(a, b, low), self._shuffle(a, b, high)
                )
                for a, b in zip(stack[::2], stack[1::2], strict=True)
            ]
            sources *= 2
        return stack[0]

    def _shuffle(self, a: Value, b: Value, places: Sequence[int]) -> Value:
        kind = ir.VectorType(ir.IntType(32), len(places))
        return self.builder.shuffle_vector(a, b, ir.Constant(kind, list(places)))

    def sigmoid(self, x: Value) -> Value:
        """1 / (1 + exp(-x)) to the last digit or two.

        exp(-x) = 2^n exp(f ln 2), |f| <= 1/2, with the Taylor series of the
        exponential cut off below rounding.
        """
        builder = self.builder
        double = isinstance(self.real, ir.DoubleType)
        bits, mantissa, bias, degree, bound = (
            (64, 52, 1023, 13, 700.0) if double else (32, 23, 127, 8, 87.0)
        )
        low, high = self.splat(-bound), self.splat(bound)
        x = builder.select(builder.fcmp_ordered("<", x, low), low, x)
        x = builder.select(builder.fcmp_ordered(">", x, high), high, x)
        scaled = builder.fmul(x, self.splat(-1.0 / log(2.0)))
        # Adding and taking away this number rounds to the nearest whole one.
        magic = self.splat(1.5 * 2.0**mantissa)
        whole = builder.fsub(builder.fadd(scaled, magic), magic)
        coarse, fine = _LOG_2_DOUBLE if double else _LOG_2_FLOAT
        rest = self.fma(whole, self.splat(-coarse), builder.fneg(x))
        rest = self.fma(whole, self.splat(-fine), rest)
        series = self.splat(1.0)
        for k in range(degree, 0, -1):
            series = self.fma(
                builder.fmul(series, self.splat(1.0 / k)), rest, self.splat(1.0)
            )
        integer = ir.VectorType(ir.IntType(bits), self.lanes)
        exponent = builder.add(
            builder.fptosi(whole, integer),
            ir.Constant(integer, [bias] * self.lanes),
        )
        power = builder.bitcast(
            builder.shl(exponent, ir.Constant(integer, [mantissa] * self.lanes)),
            self.vector,
        )
        one = self.splat(1.0)
        return builder.fdiv(one, self.fma(series, power, one))


class Variable:
    """A value that changes while loops run."""

    def __init__(
        self, emitter: Emitter, slot: Value, kind: ir.Type | None = None
    ) -> None:
        self._emitter = emitter
        self._slot = slot
        self._kind = kind or emitter.vector

    def get(self) -> Value:
        """Its value here."""
        return self._emitter.builder.load(self._slot, typ=self._kind)

    def set(self, value: Value) -> None:
        """Change it."""
        self._emitter.builder.store(value, self._slot)

    def add_product(self, a: Value, b: Value) -> None:
        """Add a * b."""
        self.set(self._emitter.fma(a, b, self.get()))

    def add(self, value: Value) -> None:
        """Add a vector."""
        self.set(self._emitter.builder.fadd(value, self.get()))


# ln 2 as a sum: the first part is short enough for whole numbers times it to be exact,
# the second holds the digits that are left.
_LOG_2_FLOAT = (0.693359375, -2.12194440054690583e-4)
_LOG_2_DOUBLE = (0.693147180369123816, 1.90821492927058770e-10)
