"""Machine code is compiled once, kept, and compiled again where the cache is damaged."""

import ctypes

import pytest
from llvmlite import ir

from gnndesign.potentials.kernels.machine_code import (
    MachineCode,
    is_compiled,
    vector_bits,
)

INTEGER = ir.IntType(64)


class Writer:
    """Writes a function that returns a number, and counts."""

    def __init__(self, number, name="answer"):
        self.number, self.name, self.calls = number, name, 0

    def __call__(self):
        self.calls += 1
        module = ir.Module("test")
        function = ir.Function(module, ir.FunctionType(INTEGER, []), self.name)
        builder = ir.IRBuilder(function.append_basic_block())
        builder.ret(ir.Constant(INTEGER, self.number))
        return [module]


def answer(code, name="answer"):
    return ctypes.CFUNCTYPE(ctypes.c_int64)(code.address(name))()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("GNNDESIGN_CACHE", str(folder))
    return folder


def test_code_is_compiled_once_and_then_read():
    write = Writer(42)
    assert not is_compiled(["key"])
    assert answer(MachineCode(["key"], write)) == 42
    assert is_compiled(["key"])
    assert answer(MachineCode(["key"], write)) == 42
    assert write.calls == 1


def test_equal_names_of_different_keys_do_not_meet():
    codes = [MachineCode([str(number)], Writer(number)) for number in range(3)]
    assert [answer(code) for code in codes] == [0, 1, 2]


@pytest.mark.parametrize("size", [0, 20, 400])
def test_a_damaged_file_is_compiled_anew(cache, size):
    write = Writer(7)
    MachineCode(["key"], write)
    (path,) = cache.rglob("*.o")
    whole = path.read_bytes()
    assert len(whole) > 400
    path.write_bytes(whole[:size])
    assert not is_compiled(["key"])
    assert answer(MachineCode(["key"], write)) == 7
    assert write.calls == 2
    assert path.read_bytes() == whole


def test_code_of_another_processor_or_compiler_is_not_used(monkeypatch):
    write = Writer(7)
    MachineCode(["key"], write)
    module = "gnndesign.potentials.kernels.machine_code"
    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.llvm.get_host_cpu_name", lambda: "another")
        assert not is_compiled(["key"])
    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.llvmlite.__version__", "0.0")
        assert not is_compiled(["key"])
    assert is_compiled(["key"])


def test_code_that_is_wrong_is_refused_and_not_kept(cache):
    def write():
        module = ir.Module("test")
        # A block without an end.
        ir.Function(module, ir.FunctionType(INTEGER, []), "bad").append_basic_block()
        return [*Writer(1)(), module]

    with pytest.raises(RuntimeError):
        MachineCode(["key"], write)
    assert not is_compiled(["key"])
    assert list(cache.rglob("*.o")) == []


def test_functions_of_several_modules_have_an_address_each():
    def write():
        return [*Writer(1, "one")(), *Writer(2, "two")()]

    for _ in range(2):
        code = MachineCode(["key"], write)
        assert (answer(code, "one"), answer(code, "two")) == (1, 2)


def test_vectors_are_of_a_known_width():
    assert vector_bits() in (128, 256, 512)
