"""Machine code for this processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir

from gnndesign.potentials.kernels.kept import is_kept, kept

_SUFFIX = ".o"


class MachineCode:
    """Compiled functions.

    Args:
        key: everything the code depends on beside the processor and the compiler.
        write: writes the code, called only where the cache has none.
    """

    def __init__(self, key: Sequence[str], write: Callable[[], ir.Module]) -> None:
        code = kept(_whole_key(key), _SUFFIX, lambda: _compile(write(), _target()))
        # The engine owns the target that it is given.
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Address of the function `name`."""
        return self._engine.get_function_address(name)


def is_compiled(key: Sequence[str]) -> bool:
    """Whether the code of this key need not be compiled any more."""
    return is_kept(_whole_key(key), _SUFFIX)


@cache
def vector_bits() -> int:
    """Width of this processor's vector registers."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 512
    return 256 if features.get("avx2") else 128


def _target() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
    )


def _whole_key(key: Sequence[str]) -> list[str]:
    compiler = f"{llvmlite.__version__} {llvm.llvm_version_info}"
    features = llvm.get_host_cpu_features().flatten()
    return [*key, compiler, llvm.get_host_cpu_name(), features]


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
