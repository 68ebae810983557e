"""Machine code for this processor, kept on disk.

The key of a piece of code is a hash of everything that it depends on. A file of the
cache that is damaged is made anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm
import llvmlite.ir as ir

from gnndesign.disk import cache_folder, replacing

_HASH = hashlib.sha256
_HASH_SIZE = 32


@cache
def _target() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
    )


@cache
def vector_bits() -> int:
    """Width of this processor's vector registers."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 512
    return 256 if features.get("avx2") else 128


class MachineCode:
    """Compiled functions.

    Args:
        key: everything the code depends on beside the processor and the compiler.
        write: writes the code, called only where the cache has none.
        on_compile: told before the compiler starts.
    """

    def __init__(
        self,
        key: Sequence[str],
        write: Callable[[], ir.Module],
        on_compile: Callable[[], None] = lambda: None,
    ) -> None:
        target = _target()
        path = _cache_path(key)
        code = _read(path)
        if code is None:
            on_compile()
            code = _compile(write(), target)
            _keep(path, code)
        empty = llvm.parse_assembly("")
        self._engine = llvm.create_mcjit_compiler(empty, target)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Address of the function `name`."""
        return self._engine.get_function_address(name)


def is_compiled(key: Sequence[str]) -> bool:
    """Whether the cache has the code of this key."""
    return _read(_cache_path(key)) is not None


def _cache_path(key: Sequence[str]) -> Path:
    digest = _HASH()
    features = llvm.get_host_cpu_features().flatten()
    compiler = f"{llvmlite.__version__} {llvm.llvm_version_info}"
    for part in (*key, compiler, llvm.get_host_cpu_name(), features):
        digest.update(part.encode() + b"\0")
    return cache_folder() / "kernels" / f"{digest.hexdigest()[:32]}.o"


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    expected, code = content[:_HASH_SIZE], content[_HASH_SIZE:]
    return code if _HASH(code).digest() == expected else None


def _keep(path: Path, code: bytes) -> None:
    # Without a cache that can be written the code is made anew in every process.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(_HASH(code).digest() + code)


def _compile(module: ir.Module, target: llvm.TargetMachine) -> bytes:
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    # The code is vectors already.
    options.loop_vectorization = options.slp_vectorization = False
    options.loop_unrolling = options.loop_interleaving = False
    builder = llvm.create_pass_builder(target, options)
    builder.getModulePassManager().run(parsed, builder)
    return target.emit_object(parsed)
