"""Machine code for this processor."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import llvmlite
import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from gnndesign.potentials.kernels.background import give_up_if_ending
from gnndesign.potentials.kernels.kept import is_kept, kept

_SUFFIX = ".o"


class MachineCode:
    """Compiled functions.

    Args:
        key: everything the code depends on beside the processor and the compiler.
        write: writes the code, module by module; called only where the cache has none.

    Raises:
        GivenUpError: the program ends meanwhile.
    """

    def __init__(
        self, key: Sequence[str], write: Callable[[], Iterable[ir.Module | str]]
    ) -> None:
        content = kept(_whole_key(key), _SUFFIX, lambda: _compile(write()))
        # The engine owns the target that it is given.
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            for name in file.files:
                code = llvm.ObjectFileRef.from_data(file[name].tobytes())
                self._engine.add_object_file(code)
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


def _compile(modules: Iterable[ir.Module | str]) -> bytes:
    target = _target()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    # The code is vectors already.
    options.loop_vectorization = options.slp_vectorization = False
    options.loop_unrolling = options.loop_interleaving = False
    objects: list[np.ndarray] = []
    for module in modules:
        give_up_if_ending()
        parsed = llvm.parse_assembly(str(module))
        parsed.verify()
        builder = llvm.create_pass_builder(target, options)
        builder.getModulePassManager().run(parsed, builder)
        objects.append(np.frombuffer(target.emit_object(parsed), np.uint8))
    stream = io.BytesIO()
    np.savez(stream, *objects)
    return stream.getvalue()
