"""Every kernel compiles for an H100, which takes Triton's compiler and no GPU."""

import os
import subprocess
import sys

import pytest

# In a process of its own, because other tests switch Triton to its interpreter.
SCRIPT = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.kernels import gpu_kernels
from gnndesign.potentials.kernels.gpu_layout import LayerLayout
from gnndesign.potentials.kernels.gpu_module import load_source
from gnndesign.potentials.kernels.gpu_source import write_source
from gnndesign.potentials.kernels.gpu_tile import OPTIONS, Tile
from gnndesign.potentials.kernels.lowering import lower

POINTERS = {
    "row_starts": "*i32", "receivers": "*i32", "intervals": "*i32", "mirrors": "*i32",
    "below": "*i32", "segment_intervals": "*i32", "system_index": "*i64",
    "centers": "*i64", "neighbors": "*i64", "shifts": "*i64", "system_starts": "*i64",
    "positions": "*fp64", "cells": "*fp64", "segment_starts": "*fp64",
    "segment_widths": "*fp64", "gradients": "*fp64", "virials": "*fp64",
    "strains": "*fp64", "n_atoms": "i32", "n_edges": "i32",
}


def check(function, warps=4, **constants):
    names = function.arg_names
    signature = {
        name: "constexpr" if name in constants else POINTERS.get(name, "*fp32")
        for name in names
    }
    source = ASTSource(
        fn=function,
        signature=signature,
        constexprs={(names.index(name),): value for name, value in constants.items()},
    )
    options = {"num_warps": warps, **OPTIONS}
    kernel = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    assert len(kernel.asm["cubin"]) > 0
    print(function.__name__, flush=True)


potential = load_potential("sevennet-0", "cpu")
lowered = lower(potential.network, potential.parameters)
layouts = [LayerLayout.of(layer) for layer in lowered.layers]
source = write_source(lowered, layouts)
module = load_source(source.text)
for kernels in source.convolutions[1]:
    tile = Tile.choose(kernels.channels, kernels.forward_rows, 100_000)
    shape = {"EDGES": tile.edges, "CHANNELS": tile.channels}
    check(getattr(module, kernels.forward), tile.warps, **shape)
    tile = Tile.choose(kernels.channels, kernels.backward_rows, 100_000)
    shape = {"EDGES": tile.edges, "CHANNELS": tile.channels, "N_SLOTS": 3, "SLOT": 0}
    check(getattr(module, kernels.backward), tile.warps, **shape)
check(getattr(module, source.gates[1].forward))
check(getattr(module, source.gates[1].backward))
check(gpu_kernels.edge_records, N_SEGMENTS=5, BLOCK=128)
check(gpu_kernels.edge_mirrors, BLOCK=128)
check(gpu_kernels.atom_gradients, 1, N_SLOTS=3, SLOTS=4, BLOCK=32)
check(gpu_kernels.system_strains, BLOCK=256)
"""


@pytest.mark.slow
def test_every_kernel_compiles_for_an_h100(tmp_path):
    pytest.importorskip("triton", reason="install the extra 'test'")
    environment = {
        **os.environ,
        "TRITON_INTERPRET": "0",
        "TRITON_CACHE_DIR": str(tmp_path / "triton"),
        "GNNDESIGN_CACHE": str(tmp_path),
    }
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Three sender irreps there and back, two gates, four of every network.
    assert len(done.stdout.split()) == 12
