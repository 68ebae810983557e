"""The fused network on the CPU is the plain one, whatever its shape and its input.

Where two results are compared to the last bit the sums are in the same order. What
remains against the plain network is the table of the radial weights, so that in float64
most networks here have a finer one than in use.
"""

import threading
from dataclasses import fields, replace
from functools import cache, partial

import ase
import jaxtyping
import numpy as np
import psutil
import pytest
import torch
from ase.build import bulk, molecule
from small_networks import own_potential, perovskite

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.kernels import cpu_weights
from gnndesign.potentials.kernels.cpu import CPUNetwork
from gnndesign.potentials.kernels.lowering import lower
from gnndesign.potentials.kernels.radial_table import tabulate
from gnndesign.potentials.radial import PolynomialEnvelope, XPLOREnvelope

XPLOR = XPLOREnvelope(onset=3.3)
SHAPES = {
    "scalars alone": {"hidden": ("3x0e", "5x0e"), "lmax": 0, "parity": False},
    "one channel": {
        "hidden": ("1x0e", "1x0e+1x1e", "1x0e"),
        "lmax": 1,
        "parity": False,
        "envelope": XPLOR,
    },
    "17 channels": {
        "hidden": ("17x0e", "17x0e+5x1e+3x2e", "5x0e"),
        "lmax": 2,
        "parity": False,
        "envelope": XPLOR,
    },
    "lmax 3": {
        "hidden": ("3x0e", "5x0e+1x1e+3x3e", "5x0e"),
        "lmax": 3,
        "parity": False,
    },
    "40 channels, four layers": {
        "hidden": ("40x0e",) * 5,
        "lmax": 0,
        "parity": False,
    },
    "parity": {
        "hidden": ("5x0e", "3x0e+3x1o", "3x0e+1x1e+1x1o", "3x0e+2x0o", "3x0e"),
        "lmax": 1,
        "parity": True,
        "envelope": PolynomialEnvelope(p=4),
    },
    "vectors at the end": {
        "hidden": ("3x0e", "3x0e+2x1e"),
        "lmax": 1,
        "parity": False,
    },
}
RUN_OF_THE_MILL = "17 channels"
FINE = 1e-8
"""Error of a slope in the table; in use it is 1e-6."""
TOLERANCE = {torch.float64: 2e-7, torch.float32: 3e-5}
"""Of the largest number in a result."""
RESULTS = ("atomic_energies", "positions", "strain")


@cache
def potential_of(name, dtype):
    potential = own_potential(self_connection="linear", **SHAPES[name])
    network = potential.network.to(dtype)
    with torch.no_grad():
        network.scale.copy_(torch.tensor([0.7, 1.5, 1.1]))
        network.shift.copy_(torch.tensor([-2.0, 0.3, 1.9]))
        for interaction in network.interactions:
            interaction.convolution.denominator.fill_(4.3)
    return potential


@cache
def fused(name, dtype, *, fine=True, **options):
    potential = potential_of(name, dtype)
    lowered = lower(potential.network, potential.parameters)
    if not fine or dtype == torch.float32:
        return CPUNetwork(lowered, dtype, **options)
    # The cache must not take the one table for the other.
    lowered = replace(lowered, digest=f"{lowered.digest} {FINE}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu_weights, "tabulate", partial(tabulate, tolerance=FINE))
        return CPUNetwork(lowered, dtype, **options)


@pytest.fixture(params=TOLERANCE, ids=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture
def potential(dtype):
    return potential_of(RUN_OF_THE_MILL, dtype)


@pytest.fixture
def network(dtype):
    return fused(RUN_OF_THE_MILL, dtype)


def inputs(potential, structures, *, dtype=torch.float64, reach=0.0):
    batch = AtomicBatch.from_atoms(structures, dtype=dtype)
    edges = find_neighbors(batch, potential.cutoff + reach)
    return potential.species(batch), batch, edges


def rattled(atoms, size=0.1, seed=3):
    atoms = atoms.copy()
    atoms.rattle(size, seed=seed)
    return atoms


def small_cell():
    """Two atoms in a cell that is smaller than the cutoff, each its own neighbor."""
    return rattled(bulk("TiO", "rocksalt", 4.2))


def skewed_cell():
    """The same lattice, described by vectors far from the reduced ones."""
    atoms = small_cell()
    transform = np.array([[1, 0, 0], [3, 1, 0], [-4, 2, 1]])
    atoms.set_cell(transform @ atoms.cell.array)
    return atoms


def compressed():
    """As many neighbors as there can be: some 150 an atom."""
    return rattled(bulk("Sr", "fcc", 2.9, cubic=True), 0.05)


def slab():
    atoms = perovskite() * (2, 1, 1)
    atoms.center(vacuum=6.0, axis=2)
    atoms.pbc = [True, True, False]
    return atoms


def water_like():
    atoms = rattled(molecule("H2O"), 0.05)
    atoms.symbols[:] = ["O", "Sr", "Ti"]
    return atoms


STRUCTURES = {
    "crystal": perovskite,
    "small cell": small_cell,
    "skewed cell": skewed_cell,
    "compressed": compressed,
    "molecule": water_like,
    "slab": slab,
    "lonely atom": lambda: ase.Atoms("Ti"),
    "lonely atom in a cell": lambda: ase.Atoms("O", cell=[30] * 3, pbc=True),
}


def mixture():
    """Everything at once; atoms without neighbors first, in between and last."""
    lonely = ase.Atoms("Ti")
    return [lonely, *(make() for make in STRUCTURES.values()), lonely]


def difference(found, expected):
    """The largest, relative to the largest number of each result."""
    worst = 0.0
    for name in RESULTS:
        a, b = getattr(found, name), getattr(expected, name)
        assert a.shape == b.shape
        assert a.isfinite().all()
        worst = max(worst, float((a - b).abs().max() / b.abs().max().clamp(min=1e-3)))
    return worst


def same_bits(one, other):
    return all(torch.equal(getattr(one, k), getattr(other, k)) for k in RESULTS)


@pytest.mark.parametrize(
    "shape",
    [*(s for s in SHAPES if s != "vectors at the end"), "vectors at the end"],
)
def test_every_shape_agrees_with_the_plain_network(shape):
    potential = potential_of(shape, torch.float64)
    species, batch, edges = inputs(potential, mixture())
    expected = potential.plain_slopes(batch, edges)
    found = fused(shape, torch.float64).evaluate(species, batch, edges)
    assert expected.positions.abs().max() > 1e-2
    assert difference(found, expected) < TOLERANCE[torch.float64]


@pytest.mark.parametrize("shape", ["scalars alone", "one channel"])
def test_the_table_in_use_costs_1e_5_of_the_largest_force_at_most(shape):
    potential = potential_of(shape, torch.float64)
    species, batch, edges = inputs(potential, mixture())
    expected = potential.plain_slopes(batch, edges)
    found = fused(shape, torch.float64, fine=False).evaluate(species, batch, edges)
    assert TOLERANCE[torch.float64] / 10 < difference(found, expected) < 1e-5


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_agrees_with_the_plain_network(
    structure, dtype, potential, network
):
    atoms = STRUCTURES[structure]()
    species, batch, edges = inputs(potential, atoms)
    exact = potential_of(RUN_OF_THE_MILL, torch.float64).plain_slopes(batch, edges)
    found = network.evaluate(species, batch, edges)
    assert difference(found, exact) < TOLERANCE[dtype]


def test_a_skewed_description_of_a_lattice_changes_nothing(network, potential, dtype):
    small = network.evaluate(*inputs(potential, small_cell()))
    skewed = network.evaluate(*inputs(potential, skewed_cell()))
    assert difference(skewed, small) < 1e-11 if dtype == torch.float64 else 1e-5


def energy(network, species, batch, edges):
    return float(network.evaluate(species, batch, edges).atomic_energies.sum())


@pytest.mark.parametrize("structure", ["small cell", "crystal", "molecule"])
def test_forces_are_the_gradient_of_its_own_energy(structure):
    potential = potential_of(RUN_OF_THE_MILL, torch.float64)
    network = fused(RUN_OF_THE_MILL, torch.float64)
    species, batch, edges = inputs(potential, STRUCTURES[structure](), reach=0.01)
    found = network.evaluate(species, batch, edges).positions
    step = 1e-4
    for atom in range(batch.n_atoms):
        for axis in range(3):
            ends = []
            for sign in (1, -1):
                moved = batch.positions.clone()
                moved[atom, axis] += sign * step
                there = batch.with_geometry(positions=moved, cell=batch.cell)
                ends.append(energy(network, species, there, edges))
            slope = (ends[0] - ends[1]) / (2 * step)
            assert abs(slope - float(found[atom, axis])) < 1e-6


@pytest.mark.parametrize("structure", ["small cell", "skewed cell", "slab"])
def test_strain_derivatives_are_those_of_its_own_energy(structure):
    potential = potential_of(RUN_OF_THE_MILL, torch.float64)
    network = fused(RUN_OF_THE_MILL, torch.float64)
    species, batch, edges = inputs(potential, STRUCTURES[structure](), reach=0.01)
    found = network.evaluate(species, batch, edges).strain[0]
    assert torch.equal(found, found.mT)
    step = 2e-5
    for a, b in [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2)]:
        ends = []
        for sign in (1, -1):
            deformation = torch.eye(3, dtype=torch.float64)
            deformation[a, b] += sign * step / 2
            deformation[b, a] += sign * step / 2
            there = batch.with_geometry(
                positions=batch.positions @ deformation, cell=batch.cell @ deformation
            )
            ends.append(energy(network, species, there, edges))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert abs(slope - float(found[a, b])) < 1e-6 * max(1.0, abs(slope))


def test_a_batch_is_its_structures_bit_for_bit(network, potential):
    structures = mixture()
    together = network.evaluate(*inputs(potential, structures))
    start = 0
    for number, atoms in enumerate(structures):
        alone = network.evaluate(*inputs(potential, atoms))
        stop = start + len(atoms)
        assert torch.equal(together.atomic_energies[start:stop], alone.atomic_energies)
        assert torch.equal(together.positions[start:stop], alone.positions)
        assert torch.equal(together.strain[number], alone.strain[0])
        start = stop


def test_the_order_of_the_atoms_does_not_matter(network, potential, dtype):
    atoms = perovskite()
    order = [3, 0, 4, 2, 1]
    found = network.evaluate(*inputs(potential, atoms[order]))
    expected = network.evaluate(*inputs(potential, atoms))
    limit = 1e-12 if dtype == torch.float64 else 1e-5
    largest = float(expected.positions.abs().max())
    change = found.positions - expected.positions[order]
    assert float(change.abs().max()) < limit * largest


def test_a_lonely_atom_has_its_energy_and_feels_nothing(network, potential):
    species, batch, edges = inputs(potential, [ase.Atoms("O"), ase.Atoms("Sr")])
    assert edges.n_edges == 0
    found = network.evaluate(species, batch, edges)
    expected = potential.plain_slopes(batch, edges)
    torch.testing.assert_close(
        found.atomic_energies, expected.atomic_energies, rtol=1e-6, atol=1e-6
    )
    assert not found.positions.any()
    assert not found.strain.any()


@pytest.mark.parametrize("edge_bytes", [1, 3000, 20_000])
def test_edges_in_portions_give_the_same_bits(network, potential, dtype, edge_bytes):
    arguments = inputs(potential, mixture())
    portioned = fused(RUN_OF_THE_MILL, dtype, edge_bytes=edge_bytes)
    found = portioned.evaluate(*arguments)
    assert len(portioned._chunks) > 2
    assert same_bits(found, network.evaluate(*arguments))
    assert len(network._chunks) == 1


def test_threads_do_not_change_a_bit(network, potential):
    arguments = inputs(potential, [*mixture(), perovskite() * (3, 3, 2)])
    one = network.evaluate(*arguments)
    assert torch.get_num_threads() == 1
    try:
        for n_threads in (2, 3):
            torch.set_num_threads(n_threads)
            for _ in range(3):
                assert same_bits(network.evaluate(*arguments), one)
    finally:
        torch.set_num_threads(1)


def test_the_same_input_gives_the_same_bits_whatever_came_between(network, potential):
    arguments = inputs(potential, perovskite())
    first = network.evaluate(*arguments)
    copies = {name: getattr(first, name).clone() for name in RESULTS}
    for other in (mixture(), ase.Atoms("O2", [[0, 0, 0], [0, 0, 0.3]]), slab()):
        network.evaluate(*inputs(potential, other))
        assert same_bits(network.evaluate(*arguments), first)
    # What was handed out is a copy.
    assert all(torch.equal(getattr(first, k), v) for k, v in copies.items())


def test_pairs_beyond_the_cutoff_contribute_nothing(network, potential, dtype):
    structures = [perovskite(), water_like(), slab()]
    exact = network.evaluate(*inputs(potential, structures))
    more = inputs(potential, structures, reach=1.0)
    assert more[2].n_edges > inputs(potential, structures)[2].n_edges
    limit = 1e-12 if dtype == torch.float64 else 1e-5
    assert difference(network.evaluate(*more), exact) < limit


def test_a_distance_below_the_table_is_refused(network, potential):
    close = ase.Atoms("O2", positions=[[0, 0, 0], [0, 0, 0.499]])
    assert network.evaluate(*inputs(potential, [close])) is None
    assert network.evaluate(*inputs(potential, [perovskite(), close])) is None
    close.positions[1, 2] = 0.501
    assert network.evaluate(*inputs(potential, [perovskite(), close])) is not None


def test_positions_that_are_no_numbers_are_refused(network, potential):
    species, batch, edges = inputs(potential, [perovskite(), water_like()])
    for atom in (0, batch.n_atoms - 1):
        positions = batch.positions.clone()
        positions[atom, 1] = torch.nan
        moved = batch.with_geometry(positions=positions, cell=batch.cell)
        assert network.evaluate(species, moved, edges) is None
    assert network.evaluate(species, batch, edges) is not None


def test_nothing_is_left_behind_by_a_refusal(network, potential):
    arguments = inputs(potential, mixture())
    expected = network.evaluate(*arguments)
    species, batch, edges = arguments
    hidden = batch.with_geometry(positions=batch.positions * torch.nan, cell=batch.cell)
    assert network.evaluate(species, hidden, edges) is None
    assert same_bits(network.evaluate(*arguments), expected)


def test_the_input_is_left_alone(network, potential):
    species, batch, edges = inputs(potential, mixture())
    tensors = [species]
    for item in (batch, edges):
        values = [getattr(item, field.name) for field in fields(item)]
        tensors += [value for value in values if isinstance(value, torch.Tensor)]
    copies = [tensor.clone() for tensor in tensors]
    network.evaluate(species, batch, edges)
    assert len(tensors) == 9
    assert all(torch.equal(a, b) for a, b in zip(tensors, copies, strict=True))


def test_a_batch_of_float32_is_answered_in_float32(network, potential):
    structures = mixture()
    exact = network.evaluate(*inputs(potential, structures))
    found = network.evaluate(*inputs(potential, structures, dtype=torch.float32))
    assert all(getattr(found, name).dtype == torch.float32 for name in RESULTS)
    assert difference(found, exact) < 1e-4


def test_positions_that_are_strided_or_want_gradients_are_read_right(
    network, potential
):
    species, batch, edges = inputs(potential, perovskite())
    expected = network.evaluate(species, batch, edges)
    strided = batch.with_geometry(
        positions=batch.positions.T.contiguous().T.requires_grad_(),
        cell=batch.cell.mT.contiguous().mT,
    )
    found = network.evaluate(species, strided, edges)
    assert same_bits(found, expected)
    assert not found.positions.requires_grad


def test_two_python_threads_at_the_same_time_are_both_right(network, potential):
    cases = [inputs(potential, atoms) for atoms in (mixture(), perovskite())]
    expected = [network.evaluate(*case) for case in cases]
    wrong = []

    def work(number):
        found = [network.evaluate(*cases[number]) for _ in range(40)]
        wrong.extend(one for one in found if not same_bits(one, expected[number]))

    workers = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_memory_does_not_grow_over_calls_of_changing_size(monkeypatch):
    # The tests' type checker takes most of the time.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    potential = potential_of("scalars alone", torch.float64)
    lowered = lower(potential.network, potential.parameters)
    network = CPUNetwork(lowered, torch.float64)
    cases, corners = [], np.argwhere(np.ones((2, 2, 4)))
    for n_atoms in range(1, 17):
        rng = np.random.default_rng(n_atoms)
        atoms = ase.Atoms(
            "O" * n_atoms,
            positions=4.0 * rng.permutation(corners)[:n_atoms],
            cell=[8, 8, 16],
        )
        atoms.pbc = bool(n_atoms % 2)
        cases.append(inputs(potential, atoms))

    def held():
        return sum(array.nbytes for array in network._buffers.arrays.values())

    largest = max(cases, key=lambda case: case[2].n_edges)
    network.evaluate(*largest)
    alone = held()
    for case in cases:
        network.evaluate(*case)
    before = held()
    # A quarter is room to grow into.
    assert before <= 1.3 * alone
    process = psutil.Process()
    resident = process.memory_info().rss
    order = np.random.default_rng(0).integers(len(cases), size=2000)
    for number in order:
        network.evaluate(*cases[number])
    assert held() == before
    assert process.memory_info().rss - resident < 8e6
