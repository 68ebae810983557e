"""The GPU form of a network agrees with the plain one.

Without a CUDA device Triton's interpreter runs the kernels on CPU tensors, slowly.
"""

import os
import warnings

import ase
import pytest
import torch
from ase.build import bulk, molecule

# Triton looks at this when it is imported. Nothing else here uses Triton.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton", reason="install the extra 'test'")

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList, find_neighbors
from gnndesign.potentials.base import Card, EnergyModel
from gnndesign.potentials.equivariant import (
    EquivariantNetwork,
    EquivariantParameters,
    EquivariantPotential,
)
from gnndesign.potentials.kernels.gpu import GPUNetwork
from gnndesign.potentials.kernels.gpu_graphs import GraphCache, padded
from gnndesign.potentials.kernels.gpu_tile import Tile, channel_block
from gnndesign.potentials.kernels.lowering import lower
from gnndesign.potentials.kernels.radial_table import tabulate
from gnndesign.potentials.radial import PolynomialEnvelope, XPLOREnvelope

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def wide_tile(channels, rows, n_atoms):
    """Many edges at once: an interpreter's time is that of its operations."""
    del rows, n_atoms
    return Tile(edges=64, channels=channel_block(channels), warps=4)


def prepared(potential, dtype, tolerance=1e-6):
    lowered = lower(potential.network, potential.parameters)
    radials = [layer.radial for layer in lowered.layers]
    with warnings.catch_warnings():
        # torch's own, when torch.func.jvp is first used.
        warnings.simplefilter("ignore", DeprecationWarning)
        tables = tabulate(radials, lowered.breaks, tolerance)
    network = GPUNetwork(lowered, tables, DEVICE, dtype)
    if DEVICE.type == "cpu":
        network.tiling = wide_tile
    return network


def inputs(potential, structures):
    batch = AtomicBatch.from_atoms(structures, device=DEVICE)
    lookup = torch.zeros(120, dtype=torch.int64, device=DEVICE)
    for place, number in enumerate(potential.parameters.elements):
        lookup[number] = place
    edges = find_neighbors(batch, potential.cutoff)
    return lookup[batch.atomic_numbers], batch, edges


def errors(found, potential, batch, edges):
    """Largest difference of energies (eV), gradients (eV/Å), strain derivative (eV)."""
    host = AtomicBatch(
        positions=batch.positions.cpu(),
        cell=batch.cell.cpu(),
        pbc=batch.pbc.cpu(),
        atomic_numbers=batch.atomic_numbers.cpu(),
        system_index=batch.system_index.cpu(),
    )
    expected = EnergyModel.energy_and_slopes(
        potential, host, find_neighbors(host, potential.cutoff)
    )
    assert edges.n_edges > 0
    assert max(expected.positions.abs().max(), expected.strain.abs().max()) > 1e-3
    return [
        float((getattr(found, name).cpu() - getattr(expected, name)).abs().max())
        for name in ("atomic_energies", "positions", "strain")
    ]


def rattled(atoms, size=0.1, seed=0):
    atoms = atoms.copy()
    atoms.rattle(size, seed=seed)
    return atoms


SILICON = rattled(bulk("Si"))
SALT = rattled(bulk("NaCl", "rocksalt", 5.6))
WATER = rattled(molecule("H2O"), 0.03)


@pytest.fixture(scope="module")
def sevennet(sevennet_0_float64):
    return sevennet_0_float64


@pytest.fixture(scope="module")
def network(sevennet):
    return prepared(sevennet, torch.float32)


@pytest.mark.slow
def test_a_mixed_batch_is_as_accurate_as_the_plain_network_in_float32(
    network, sevennet
):
    species, batch, edges = inputs(sevennet, [WATER, SILICON])
    found = network.evaluate(species, batch, edges)
    assert found.positions.dtype == batch.positions.dtype
    energy, gradient, strain = errors(found, sevennet, batch, edges)
    assert energy < 2e-6
    assert gradient < 1e-5
    assert strain < 3e-5


@pytest.mark.slow
@pytest.mark.parametrize("atoms", [SILICON, SALT, WATER, rattled(bulk("Cu"))])
def test_small_cells_and_molecules_agree_with_the_plain_network(
    network, sevennet, atoms
):
    species, batch, edges = inputs(sevennet, [atoms])
    found = network.evaluate(species, batch, edges)
    energy, gradient, strain = errors(found, sevennet, batch, edges)
    assert energy < 2e-6
    assert gradient < 1e-5
    assert strain < 3e-5


@pytest.mark.slow
def test_l3i5_agrees_with_the_plain_network(sevennet_l3i5_float64):
    network = prepared(sevennet_l3i5_float64, torch.float32)
    species, batch, edges = inputs(sevennet_l3i5_float64, [WATER, SILICON])
    found = network.evaluate(species, batch, edges)
    energy, gradient, strain = errors(found, sevennet_l3i5_float64, batch, edges)
    assert energy < 2e-6
    assert gradient < 1e-5
    assert strain < 3e-5


def random_potential(hidden, lmax, *, parity, envelope=None):
    parameters = EquivariantParameters(
        elements=(8, 14, 1),
        cutoff=3.0,
        hidden=hidden,
        lmax=lmax,
        parity=parity,
        n_radial=3,
        radial_hidden=(5,),
        readout_hidden=3,
        envelope=envelope or PolynomialEnvelope(p=6),
    )
    torch.manual_seed(1)
    network = EquivariantNetwork(parameters).double()
    card = Card(
        name="random",
        title="",
        licence="",
        level_of_theory="",
        training_data="",
        n_parameters=None,
        elements=parameters.elements,
        cutoff=3.0,
        checksum="",
        citation="",
    )
    return EquivariantPotential(network, parameters, card)


SHAPES = {
    "scalars alone": (("3x0e", "2x0e", "3x0e"), 1, False),
    "odd channels": (("3x0e", "5x0e+3x1e", "3x0e"), 1, False),
    "a last layer with vectors": (("3x0e", "5x0e+3x1e+2x2e", "4x0e+2x1e"), 2, False),
    "parity": (
        (
            "3x0e",
            "3x0e+3x1o+1x2e",
            "3x0e+2x1e+3x1o",
            "3x0e+2x0o+1x1o",
            "3x0e+1x1e",
        ),
        2,
        True,
    ),
    "lmax 3": (("3x0e", "3x0e+2x1e+2x2e+1x3e", "3x0e"), 3, False),
    "more than a block": (("2x0e", "130x0e+3x1e", "3x0e"), 1, False),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n == "parity")) for n in SHAPES],
)
def test_any_shape_agrees_with_the_plain_network_in_float64(name):
    hidden, lmax, parity = SHAPES[name]
    potential = random_potential(hidden, lmax, parity=parity)
    network = prepared(potential, torch.float64, tolerance=1e-8)
    species, batch, edges = inputs(potential, [WATER, rattled(bulk("Si", a=4.0))])
    found = network.evaluate(species, batch, edges)
    assert max(errors(found, potential, batch, edges)) < 1e-7


def test_derivatives_are_those_of_the_tabulated_energy():
    potential = random_potential(("3x0e", "4x0e+3x1e+2x2e", "3x0e"), 2, parity=False)
    network = prepared(potential, torch.float64)
    species, batch, edges = inputs(potential, [rattled(bulk("Si", a=4.0))])
    found = network.evaluate(species, batch, edges)
    step = 1e-5

    def energy(positions, cell):
        moved = batch.with_geometry(positions=positions, cell=cell)
        return network.evaluate(species, moved, edges).atomic_energies.sum()

    for atom, axis in ((0, 0), (1, 2)):
        shift = torch.zeros_like(batch.positions)
        shift[atom, axis] = step
        ends = [energy(batch.positions + s * shift, batch.cell) for s in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * step)
        assert abs(slope - found.positions[atom, axis]) < 1e-8 * (1 + abs(slope))
    strain = torch.zeros_like(batch.cell[0])
    strain[0, 1] = strain[1, 0] = step / 2
    ends = [
        energy(batch.positions + s * batch.positions @ strain, batch.cell @ matrix)
        for s in (1, -1)
        for matrix in [torch.eye(3, device=DEVICE).double() + s * strain]
    ]
    slope = (ends[0] - ends[1]) / (2 * step)
    assert abs(slope - found.strain[0, 0, 1]) < 1e-8 * (1 + abs(slope))


@pytest.fixture(scope="module")
def small():
    """A random network that is quick to interpret."""
    potential = random_potential(
        ("3x0e", "4x0e+3x1e", "3x0e"), 1, parity=False, envelope=XPLOREnvelope(onset=2)
    )
    return potential, prepared(potential, torch.float32)


RESULTS = ("atomic_energies", "positions", "strain")


def same_bits(one, other):
    return all(torch.equal(getattr(one, k), getattr(other, k)) for k in RESULTS)


def assert_same(one, other):
    for key in RESULTS:
        found, wanted = getattr(one, key), getattr(other, key)
        torch.testing.assert_close(found, wanted, rtol=0.0, atol=1e-6)


def test_padding_changes_nothing(small):
    potential, network = small
    species, batch, edges = inputs(potential, [WATER, rattled(bulk("Si", a=4.0))])
    plain = network._evaluate_in(
        network._allocate(batch.n_atoms, edges.n_edges), species, batch, edges
    )
    space = network._allocate(batch.n_atoms + 3, edges.n_edges + 9)
    for buffer in (space.records, space.slots, space.messages, *space.joints):
        buffer.fill_(torch.nan)
    space.mirrors.fill_(10**6)
    space.receivers.fill_(10**6)
    found = network._evaluate_in(space, species, batch, edges)
    # Libraries choose other sums for matrices of other sizes, on some processors.
    assert_same(found.slopes, plain.slopes)
    # A workspace may have held something larger before.
    fewer = inputs(potential, [WATER])
    reused = network._evaluate_in(space, *fewer)
    assert_same(reused.slopes, network.launch(*fewer).slopes)


def test_the_same_input_gives_the_same_bits_and_is_left_alone(small):
    potential, network = small
    species, batch, edges = inputs(potential, [SILICON])
    positions = batch.positions.clone()
    first = network.evaluate(species, batch, edges)
    again = network.evaluate(species, batch, edges)
    assert same_bits(first, again)
    assert torch.equal(batch.positions, positions)
    # Answers are copies: what comes later does not change them.
    kept = first.positions.clone()
    network.evaluate(*inputs(potential, [WATER]))
    assert torch.equal(first.positions, kept)


def test_inference_mode_and_gradients_of_the_input_do_not_matter(small):
    potential, network = small
    species, batch, edges = inputs(potential, [WATER])
    expected = network.evaluate(species, batch, edges)
    with torch.inference_mode():
        inside = inputs(potential, [WATER])
        found = network.evaluate(*inside)
    assert same_bits(found, expected)
    assert same_bits(network.evaluate(*inside), expected)
    batch.positions.requires_grad_()
    found = network.evaluate(species, batch, edges)
    assert same_bits(found, expected)
    assert not found.positions.requires_grad


def test_pairs_beyond_the_cutoff_contribute_nothing(small):
    potential, network = small
    species, batch, edges = inputs(potential, [rattled(bulk("Si", a=4.0))])
    longer = find_neighbors(batch, potential.cutoff + 1.0)
    assert longer.n_edges > edges.n_edges
    found = network.evaluate(species, batch, longer)
    expected = network.evaluate(species, batch, edges)
    torch.testing.assert_close(
        found.positions, expected.positions, rtol=1e-5, atol=1e-5
    )


def test_a_distance_below_the_table_is_refused(small):
    potential, network = small
    close = ase.Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.45]])
    assert network.evaluate(*inputs(potential, [WATER, close])) is None
    close.positions[1, 2] = 0.55
    assert network.evaluate(*inputs(potential, [WATER, close])) is not None
    species, batch, edges = inputs(potential, [WATER])
    batch.positions[0, 0] = torch.nan
    assert network.evaluate(species, batch, edges) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lonely_atoms_have_energies_and_no_forces(small, dtype):
    potential, network = small
    lonely = [ase.Atoms("O"), ase.Atoms("Si", cell=[50] * 3, pbc=True)]
    batch = AtomicBatch.from_atoms(lonely, device=DEVICE, dtype=dtype)
    edges = find_neighbors(batch, potential.cutoff)
    assert edges.n_edges == 0
    found = network.evaluate(torch.tensor([0, 1], device=DEVICE), batch, edges)
    assert found.atomic_energies.dtype == dtype
    assert found.atomic_energies.isfinite().all()
    assert not found.positions.any()
    assert not found.strain.any()


def test_many_atoms_of_two_structures_equal_the_structures_alone(small):
    potential, network = small
    # More edges than one program of the geometry kernel takes, rows of unequal length.
    large = rattled(bulk("Si", a=4.0) * (2, 2, 3), 0.2)
    several = [large, WATER, rattled(bulk("Si", a=4.0))]
    species, batch, edges = inputs(potential, several)
    assert edges.n_edges > 256
    together = network.evaluate(species, batch, edges)
    assert max(errors(together, potential, batch, edges)) < 1e-4
    start = 0
    for number, atoms in enumerate(several):
        alone = network.evaluate(*inputs(potential, [atoms]))
        stop = start + len(atoms)
        torch.testing.assert_close(
            together.positions[start:stop], alone.positions, rtol=0, atol=1e-5
        )
        torch.testing.assert_close(
            together.strain[number], alone.strain[0], rtol=0, atol=1e-5
        )
        start = stop


def test_memory_is_linear_in_atoms_and_edges(small):
    _, network = small

    def held(n_atoms, n_edges):
        space = network._allocate(n_atoms, n_edges)
        tensors = [value for value in vars(space).values() if torch.is_tensor(value)]
        return sum(t.nbytes for t in [*tensors, *space.joints])

    per_atom = (held(300, 7) - held(100, 7)) / 200
    per_edge = (held(5, 300) - held(5, 100)) / 200
    assert per_atom == network.bytes_per_atom
    assert per_edge == network.bytes_per_edge


@pytest.mark.parametrize("n", [1, 7, 8, 9, 100, 4096, 5000])
def test_padded_sizes_are_few_and_at_most_a_quarter_too_large(n):
    assert n <= padded(n, 1) <= max(4, 1.25 * n)
    assert padded(padded(n, 1), 1) == padded(n, 1)
    assert padded(n, 64) >= 64
    sizes = {padded(k, 8) for k in range(1, 4097)}
    assert len(sizes) < 45


def test_workspaces_are_kept_until_they_hold_too_many_atoms(small):
    _, network = small
    cache = GraphCache(network._allocate, network._run, most_atoms=130)
    first = cache.workspace(10, 300)
    assert cache.workspace(9, 500) is first
    assert first.n_atoms >= 10
    assert first.n_edges >= 500
    second = cache.workspace(100, 300)
    assert cache.workspace(10, 300) is first
    cache.workspace(20, 300)  # Makes room: what was used longest ago goes.
    assert cache.workspace(10, 300) is first
    assert cache.workspace(100, 300) is not second
    assert cache.workspace(1000, 300).n_atoms >= 1000


def test_a_graph_is_not_captured_for_a_size_that_comes_once(small):
    _, network = small
    cache = GraphCache(network._allocate, network._run)
    space = cache.workspace(10, 300)
    assert not cache.replay(space)
    assert not cache.replay(network._allocate(10, 512))
    assert cache.n_graphs == 0
    assert not cache.is_broken


@pytest.mark.gpu
def test_a_graph_gives_what_kernels_one_by_one_give(small):
    potential, network = small
    cases = [inputs(potential, s) for s in ([WATER], [SILICON, WATER], [WATER])]
    for species, batch, edges in cases * 3:
        replayed = network.launch(species, batch, edges).slopes
        space = network._allocate(batch.n_atoms, edges.n_edges)
        direct = network._evaluate_in(space, species, batch, edges).slopes
        torch.testing.assert_close(replayed.positions, direct.positions)
        torch.testing.assert_close(replayed.strain, direct.strain)
    assert not network._graphs.is_broken
    assert network._graphs.n_graphs > 0


def test_a_pair_at_the_cutoff_may_be_listed_one_way_only(small):
    potential, network = small
    # Rounding can do that; weights vanish there.
    chain = ase.Atoms("OSiH", positions=[[0, 0, 0], [0, 0, 1], [0, 0, 3 - 1e-6]])
    species, batch, edges = inputs(potential, [chain])
    kept = (edges.centers != 0) | (edges.neighbors != 2)
    assert edges.n_edges - int(kept.sum()) == 1
    partial = NeighborList(
        centers=edges.centers[kept],
        neighbors=edges.neighbors[kept],
        shifts=edges.shifts[kept],
        cutoff=edges.cutoff,
    )
    found = network.evaluate(species, batch, partial)
    expected = network.evaluate(species, batch, edges)
    assert expected.positions.abs().max() > 1e-2
    torch.testing.assert_close(found.positions, expected.positions, rtol=0, atol=1e-6)
