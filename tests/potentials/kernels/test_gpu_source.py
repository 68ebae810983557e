"""The text of the GPU kernels: right harmonics, shared functions, a cache that heals."""

import ast
import sys

import pytest
import torch

from gnndesign.potentials.algebra import SCALAR, Irrep, spherical_harmonics
from gnndesign.potentials.irreps import Gate
from gnndesign.potentials.kernels.gpu_harmonic_source import harmonic_lines
from gnndesign.potentials.kernels.gpu_layout import LayerLayout, Layout
from gnndesign.potentials.kernels.gpu_module import load_source
from gnndesign.potentials.kernels.gpu_source import write_source
from gnndesign.potentials.kernels.gpu_text import weighted_sum
from gnndesign.potentials.kernels.gpu_tile import Tile, n_blocks
from gnndesign.potentials.kernels.lowering import lower

LMAX = 4


def written_harmonics(unit_vectors):
    """What the written lines compute: harmonics, and D by order, component and axis."""
    names = dict(zip(("u_0", "u_1", "u_2"), unit_vectors.T, strict=True))
    exec("\n".join(harmonic_lines(LMAX)), {}, names)  # noqa: S102
    return names


@pytest.fixture
def vectors():
    generator = torch.Generator().manual_seed(0)
    return torch.randn((20, 3), dtype=torch.float64, generator=generator)


def test_written_harmonics_are_those_of_the_network(vectors):
    names = written_harmonics(vectors / vectors.norm(dim=1, keepdim=True))
    expected = spherical_harmonics(LMAX, vectors)
    for l in range(1, LMAX + 1):
        for m in range(2 * l + 1):
            torch.testing.assert_close(
                names[f"y{l}_{m}"], expected[:, l * l + m], rtol=0, atol=1e-13
            )


def test_written_gradients_are_those_of_the_harmonics(vectors):
    lengths = vectors.norm(dim=1, keepdim=True)
    unit = vectors / lengths
    names = written_harmonics(unit)
    for l in range(1, LMAX + 1):
        for m in range(2 * l + 1):
            slope = torch.func.jacrev(
                lambda v, k=l * l + m: spherical_harmonics(LMAX, v)[:, k].sum()
            )(vectors)
            columns = [
                names.get(f"d{l}_{m}_{b}", 0.0) * torch.ones(len(unit)).double()
                for b in range(3)
            ]
            free = l * torch.stack(columns, 1)
            along = (free * unit).sum(1, keepdim=True)
            torch.testing.assert_close(
                (free - along * unit) / lengths, slope, rtol=0, atol=1e-12
            )


def test_a_weighted_sum_leaves_out_what_has_no_weight():
    assert weighted_sum({"a": 0.5, "b": -1.0, "c": 0.0}) == "0.5 * a - b"
    assert weighted_sum({"a": -2.0, "b": 1.0}) == "-2.0 * a + b"
    assert weighted_sum({"a": 0.0}) == "0.0"


def test_blocks_of_a_buffer_fill_it_without_overlap():
    layout = Layout(widths={SCALAR: 3, Irrep(1, -1): 2, Irrep(1, 1): 1})
    buffer = torch.zeros(7 * layout.size)
    for ir, width in layout.widths.items():
        block = layout.block(buffer, ir, 7)
        assert block.shape == (7 * ir.dim, width)
        block += 1
    assert torch.equal(buffer, torch.ones_like(buffer))


def test_layers_of_the_same_shape_share_their_kernels(sevennet_0):
    lowered = lower(sevennet_0.network, sevennet_0.parameters)
    layouts = [LayerLayout.of(layer) for layer in lowered.layers]
    source = write_source(lowered, layouts)
    assert source == write_source(lowered, layouts)
    assert source.convolutions[1] == source.convolutions[2] == source.convolutions[3]
    functions = {
        node.name
        for node in ast.parse(source.text).body
        if isinstance(node, ast.FunctionDef)
    }
    used = {
        name
        for kernels in source.convolutions
        for kernel in kernels
        for name in (kernel.forward, kernel.backward)
    } | {name for gate in source.gates for name in (gate.forward, gate.backward)}
    assert functions == used
    # First, middle and last convolutions; a first, a middle and a last gate.
    assert len(functions) == 2 * (1 + 3 + 3) + 2 * 3


def test_a_gate_takes_its_scalars_in_the_order_of_the_irreps():
    gate = Gate({SCALAR: 4, Irrep(1, -1): 3, Irrep(2, 1): 2})
    assert dict(gate.before) == {SCALAR: 9, Irrep(1, -1): 3, Irrep(2, 1): 2}


@pytest.mark.parametrize("channels", [1, 3, 32, 128, 200])
@pytest.mark.parametrize("rows", [5, 40, 90])
@pytest.mark.parametrize("n_atoms", [8, 100_000])
def test_tiles_cover_all_channels_with_powers_of_two(channels, rows, n_atoms):
    tile = Tile.choose(channels, rows, n_atoms)
    for number in (tile.edges, tile.channels, tile.warps):
        assert number.bit_count() == 1
    assert tile.channels * n_blocks(channels) >= channels
    assert tile.channels * (n_blocks(channels) - 1) < channels
    # Numbers that a thread holds; 255 registers are all it has.
    assert rows * tile.edges * tile.channels <= 128 * 32 * tile.warps


@pytest.mark.parametrize("damage", [b"", b"answer = 41\n", b"\xff\xfe not python"])
def test_a_damaged_cache_file_is_written_anew(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("GNNDESIGN_CACHE", str(tmp_path))
    modules = dict(sys.modules)
    monkeypatch.setattr(sys, "modules", modules)
    text = f"answer = 42  # {len(damage)}\n"
    module = load_source(text)
    (path,) = (tmp_path / "kernels").glob("*.py")
    assert module.answer == 42
    path.write_bytes(damage)
    modules.pop(module.__name__)
    assert load_source(text).answer == 42
    assert path.read_text("utf-8") == text
