"""What the emitter writes computes what it says: tiny functions, compiled and called."""

import ctypes
import itertools
import math

import numpy as np
import pytest
import torch
from llvmlite import ir

from gnndesign.potentials.kernels.emitter import DOUBLE, INDEX, POINTER, Emitter
from gnndesign.potentials.kernels.machine_code import MachineCode

_NUMBERS = itertools.count()

TYPES = {np.float32: ir.FloatType(), np.float64: DOUBLE}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GNNDESIGN_CACHE", str(tmp_path))


def run(body, *arrays, lanes=4):
    """Call the function with this body on the addresses of arrays."""
    real = TYPES[arrays[0].dtype.type]

    def write():
        module = ir.Module("test")
        kind = ir.FunctionType(ir.VoidType(), [POINTER] * len(arrays))
        function = ir.Function(module, kind, "function")
        emitter = Emitter(function, lanes, real)
        body(emitter, *function.args)
        emitter.finish()
        return [module]

    code = MachineCode([str(next(_NUMBERS))], write)
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arrays))
    call(code.address("function"))(*[array.ctypes.data for array in arrays])


@pytest.fixture(params=TYPES, ids=["float32", "float64"])
def real(request):
    return request.param


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_lanes_are_summed_and_put_side_by_side(real, lanes):
    rng = np.random.default_rng(1)
    for count in {1, 2, lanes - 1, lanes}:
        source = rng.normal(size=(count, lanes)).astype(real)
        target = np.full(lanes, np.nan, real)

        def body(emitter, a, b, count=count):
            rows = [
                emitter.load_vector(a, emitter.index(k * lanes)) for k in range(count)
            ]
            emitter.store_vector(emitter.sum_lanes(rows), b, emitter.index(0))

        run(body, source, target, lanes=lanes)
        np.testing.assert_allclose(
            target[:count], source.sum(1), rtol=0, atol=20 * np.finfo(real).eps
        )
        assert not target[count:].any()


def sigmoids(arguments):
    arguments = np.ascontiguousarray(arguments)
    found = np.full_like(arguments, np.nan)

    def body(emitter, a, b):
        stop = emitter.index(arguments.size)
        with emitter.loop(emitter.index(0), stop, emitter.lanes) as k:
            emitter.store_vector(emitter.sigmoid(emitter.load_vector(a, k)), b, k)

    run(body, arguments, found)
    return found


def test_sigmoid_is_right_to_the_last_digits(real):
    x = np.linspace(-80, 80, 20000).astype(real)
    expected = torch.sigmoid(torch.from_numpy(x).double()).numpy()
    # torch's own float64 is right to a digit or two.
    error = np.abs(sigmoids(x).astype(np.float64) / expected - 1)
    near = np.abs(x) < 16
    assert error[near].max() < 4 * np.finfo(real).eps
    # Where it is nearly zero, its distance from zero.
    assert error.max() < max(4 * np.finfo(real).eps, 4e-15)


def test_sigmoid_of_anything_finite_is_finite(real):
    largest = np.finfo(real).max
    x = np.array(
        [0, -0.0, 1e-30, -1e-30, 90, -90, 710, -710, 1e4, -1e4, largest, -largest],
        dtype=real,
    )
    found = sigmoids(x)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[:4], 0.5)
    np.testing.assert_array_equal(found[8::2], 1.0)
    assert (found[9::2] >= 0).all()
    assert (found[9::2] < 1e-37).all()


def test_sigmoid_of_what_is_not_a_number_is_not_a_number(real):
    assert np.isnan(sigmoids(np.array([np.nan] * 4, real))).all()


@pytest.mark.parametrize(
    ("start", "stop", "step"), [(0, 7, 1), (3, 20, 4), (5, 5, 1), (9, 2, 1)]
)
def test_loops_are_those_of_range(start, stop, step):
    visits = np.zeros(32)

    def body(emitter, a):
        with emitter.loop(emitter.index(start), emitter.index(stop), step) as k:
            once_more = emitter.builder.fadd(
                emitter.load(a, k, DOUBLE), ir.Constant(DOUBLE, 1.0)
            )
            emitter.builder.store(once_more, emitter.at(a, k, DOUBLE))

    run(body, visits)
    assert np.flatnonzero(visits).tolist() == list(range(start, stop, step))
    assert visits.max(initial=0) <= 1


def test_variables_change_within_nested_loops(real):
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 6, 4)).astype(real)
    products = np.zeros(4, real)
    # Element 1 counts, as an index.
    counted = np.zeros(1, np.int64)

    def body(emitter, first, second, found, count):
        total, times = emitter.variable(), emitter.variable(INDEX)
        total.set(emitter.splat(0.0))
        times.set(emitter.index(0))
        with (
            emitter.loop(emitter.index(0), emitter.index(6)) as row,
            emitter.loop(emitter.index(0), emitter.index(3)),
        ):
            place = emitter.builder.mul(row, emitter.index(4))
            total.add_product(
                emitter.load_vector(first, place), emitter.load_vector(second, place)
            )
            total.add(emitter.splat(1.0))
            times.set(emitter.builder.add(times.get(), emitter.index(1)))
        emitter.store_vector(total.get(), found, emitter.index(0))
        emitter.builder.store(times.get(), count)

    run(body, a, b, products, counted)
    np.testing.assert_allclose(products, 3 * (a * b).sum(0) + 18, rtol=1e-5)
    assert counted[0] == 18


def test_numbers_are_splat_broadcast_and_rooted(real):
    source = np.array([2.0, 9.0, 0.0, 4.0], real)
    target = np.zeros((4, 4), real)

    def body(emitter, a, b):
        values = [
            emitter.broadcast(a, emitter.index(1)),
            emitter.sqrt(emitter.load_vector(a, emitter.index(0))),
            emitter.splat(0.25),
            emitter.fma(emitter.splat(3.0), emitter.splat(2.0), emitter.splat(-1.0)),
        ]
        for row, value in enumerate(values):
            emitter.store_vector(value, b, emitter.index(4 * row))

    run(body, source, target)
    expected = [[9.0] * 4, [math.sqrt(2), 3, 0, 2], [0.25] * 4, [5.0] * 4]
    np.testing.assert_array_equal(target, np.array(expected, real))


def test_vectors_may_begin_anywhere(real):
    source, target = np.arange(16).astype(real), np.zeros(16, real)

    def body(emitter, a, b):
        for place in (1, 7, 11):
            value = emitter.load_vector(a, emitter.index(place))
            emitter.store_vector(value, b, emitter.index(place))

    run(body, source, target)
    assert np.flatnonzero(target).tolist() == [1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14]
    assert set(target) == {0, *np.flatnonzero(target)}
