"""Neighbor pairs are ASE's, and a Verlet list never misses one."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.neighborlist import primitive_neighbor_list
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnndesign.batch import AtomicBatch
from gnndesign.neighbor_search import search
from gnndesign.neighbors import NeighborList, VerletList, find_neighbors

CUTOFF = 3.0


def pairs_of(edges, batch):
    """Every directed pair of a batch, in the numbering of its own structure."""
    starts = torch.cumsum(batch.atoms_per_system, 0) - batch.atoms_per_system
    system = batch.system_index[edges.centers]
    assert torch.equal(system, batch.system_index[edges.neighbors])
    return {
        (s, i - int(starts[s]), j - int(starts[s]), *shift)
        for s, i, j, shift in zip(
            system.tolist(),
            edges.centers.tolist(),
            edges.neighbors.tolist(),
            edges.shifts.tolist(),
            strict=True,
        )
    }


def ase_pairs(structures, cutoff):
    pairs = set()
    for system, atoms in enumerate(structures):
        i, j, shifts = primitive_neighbor_list(
            "ijS", atoms.pbc, atoms.cell.complete(), atoms.positions, cutoff
        )
        pairs |= {
            (system, *row)
            for row in np.column_stack([i, j, shifts]).astype(int).tolist()
        }
    return pairs


@st.composite
def structures(draw):
    """Skewed cells, smaller or larger than the cutoff, any periodicity, molecules."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n_atoms = draw(st.integers(1, 6))
    size = draw(st.sampled_from([2.0, 3.5, 7.0]))
    pbc = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    cell = size * (np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3)))
    if draw(st.booleans()):
        cell[~np.array(pbc)] = 0.0
    # Atoms also outside the cell.
    positions = rng.uniform(-0.5, 1.5, (n_atoms, 3)) * size
    return ase.Atoms(f"Ar{n_atoms}", positions=positions, cell=cell, pbc=pbc)


several = st.lists(structures(), min_size=1, max_size=3)
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@given(several)
@quick
def test_pairs_are_those_of_ase(structures):
    batch = AtomicBatch.from_atoms(structures)
    edges = find_neighbors(batch, CUTOFF)
    assert edges.n_edges == len(pairs_of(edges, batch))
    assert pairs_of(edges, batch) == ase_pairs(structures, CUTOFF)
    assert torch.equal(edges.centers, edges.centers.sort().values)


def search_on_device(batch, cutoff, targets_at_once=1 << 18):
    """The search that a GPU does, on the CPU."""
    centers, neighbors, shifts = search(
        batch.positions,
        batch.cell,
        batch.pbc,
        batch.system_index,
        cutoff,
        targets_at_once,
    )
    return NeighborList(
        centers=centers, neighbors=neighbors, shifts=shifts, cutoff=cutoff
    )


@given(several, st.sampled_from([1, 40, 1 << 18]))
@quick
def test_the_search_on_a_device_finds_the_pairs_of_the_host(
    structures, targets_at_once
):
    batch = AtomicBatch.from_atoms(structures)
    edges = search_on_device(batch, CUTOFF, targets_at_once)
    assert edges.n_edges == len(pairs_of(edges, batch))
    assert pairs_of(edges, batch) == pairs_of(find_neighbors(batch, CUTOFF), batch)
    assert torch.equal(edges.centers, edges.centers.sort().values)


@pytest.mark.parametrize("skew", [0.0, 3.0, 12.0])
@pytest.mark.parametrize("size", [1.1, 6.0, 20.0])
def test_the_search_on_a_device_copes_with_skewed_and_thin_cells(skew, size):
    rng = np.random.default_rng(1)
    # As many as fit at the density of a solid; the last vector leans over.
    n_atoms = max(1, int(0.05 * size**3))
    cell = [[size, 0, 0], [0.3 * skew, size, 0], [-skew, skew, size]]
    positions = rng.uniform(-1, 2, (n_atoms, 3)) @ np.array(cell)
    atoms = ase.Atoms(f"Ar{n_atoms}", positions=positions, cell=cell, pbc=True)
    batch = AtomicBatch.from_atoms([atoms, molecule("C6H6")])
    edges = search_on_device(batch, CUTOFF)
    assert edges.n_edges > 50
    assert pairs_of(edges, batch) == pairs_of(find_neighbors(batch, CUTOFF), batch)


def test_the_search_on_a_device_finds_nothing_where_nothing_is():
    apart = AtomicBatch.from_atoms([ase.Atoms("He"), ase.Atoms("He")])
    assert search_on_device(apart, 100.0).n_edges == 0
    empty = apart.select(torch.zeros(2, dtype=torch.bool))
    assert search_on_device(empty, 100.0).n_edges == 0
    assert find_neighbors(empty, 100.0).n_edges == 0
    far = ase.Atoms("He2", positions=[[0, 0, 0], [9e5, 9e5, -9e5]])
    assert search_on_device(AtomicBatch.from_atoms(far), 0.5).n_edges == 0


@pytest.mark.gpu
def test_a_batch_on_a_gpu_is_searched_there():
    structures = [bulk("Si", cubic=True) * (4, 4, 4), molecule("C6H6"), bulk("Cu")]
    batch = AtomicBatch.from_atoms(structures, device="cuda")
    edges = find_neighbors(batch, 5.0)
    assert edges.centers.is_cuda
    host = AtomicBatch.from_atoms(structures)
    assert pairs_of(edges, batch) == pairs_of(find_neighbors(host, 5.0), host)


@given(several)
@quick
def test_edge_vectors_are_shorter_than_the_cutoff_and_go_both_ways(structures):
    batch = AtomicBatch.from_atoms(structures)
    edges = find_neighbors(batch, CUTOFF)
    assert (edges.vectors(batch).norm(dim=-1) <= CUTOFF).all()
    forth = pairs_of(edges, batch)
    back = {(s, j, i, -a, -b, -c) for s, i, j, a, b, c in forth}
    assert forth == back


def test_first_neighbors_of_simple_cubic_lie_along_its_axes():
    batch = AtomicBatch.from_atoms(ase.Atoms("Po", cell=[3.0] * 3, pbc=True))
    edges = find_neighbors(batch, 3.1)
    vectors = {tuple(vector) for vector in edges.vectors(batch).round().tolist()}
    axes = 3.0 * np.vstack([np.eye(3), -np.eye(3)])
    assert vectors == {tuple(axis) for axis in axes.tolist()}


def test_rows_of_the_cell_are_its_lattice_vectors():
    atoms = ase.Atoms("Ar", cell=[[3, 0, 0], [1, 3, 0], [0, 0.5, 9]], pbc=True)
    batch = AtomicBatch.from_atoms(atoms)
    edges = find_neighbors(batch, 3.3)
    upper = (edges.shifts == torch.tensor([0, 1, 0])).all(1)
    assert edges.vectors(batch)[upper].tolist() == [[1.0, 3.0, 0.0]]


def test_an_atom_alone_has_no_neighbors():
    batch = AtomicBatch.from_atoms([ase.Atoms("He"), ase.Atoms("He")])
    assert find_neighbors(batch, 100.0).n_edges == 0


@given(
    several, st.integers(0, 2**32 - 1), st.floats(0.0, 0.6), st.sampled_from([0, 0.1])
)
@quick
def test_a_verlet_list_never_misses_a_pair(structures, seed, distance, strain):
    rng = np.random.default_rng(seed)
    start = AtomicBatch.from_atoms(structures)
    listed = VerletList.build(start, CUTOFF, skin=0.5)
    for _ in range(3):
        moved = [atoms.copy() for atoms in structures]
        for atoms in moved:
            deformation = np.eye(3) + strain * rng.uniform(-1, 1, (3, 3))
            atoms.set_cell(atoms.cell.array @ deformation)
            atoms.positions = atoms.positions @ deformation
            atoms.positions += distance * rng.uniform(-1, 1, atoms.positions.shape)
        batch = AtomicBatch.from_atoms(moved)
        listed = listed.update(batch)
        found = pairs_of(listed.current_edges(batch), batch)
        assert found == ase_pairs(moved, CUTOFF)


def test_a_slab_without_a_third_vector_may_be_stretched():
    slab = ase.Atoms("Ar", cell=[3.2, 3.2, 0], pbc=[True, True, False])
    listed = VerletList.build(AtomicBatch.from_atoms(slab), CUTOFF, skin=0.1)
    slab.set_cell([2.9, 2.9, 0])
    batch = AtomicBatch.from_atoms(slab)
    edges = listed.update(batch).current_edges(batch)
    assert pairs_of(edges, batch) == ase_pairs([slab], CUTOFF)
    assert edges.n_edges == 4


def test_small_motion_does_not_rebuild_the_list():
    atoms = bulk("Ar", "fcc", 5.2, cubic=True)
    listed = VerletList.build(AtomicBatch.from_atoms(atoms), 6.0, skin=0.5)
    atoms.positions[0] += [0.2, 0, 0]
    assert listed.update(AtomicBatch.from_atoms(atoms)) is listed
    atoms.positions[0] += [0.1, 0, 0]
    assert listed.update(AtomicBatch.from_atoms(atoms)) is not listed


def test_a_strain_that_moves_distant_atoms_far_does_not_rebuild_the_list():
    atoms = bulk("Ar", "fcc", 5.2, cubic=True) * (6, 1, 1)
    listed = VerletList.build(AtomicBatch.from_atoms(atoms), 6.0, skin=0.5)
    atoms.set_cell(atoms.cell.array * 1.02, scale_atoms=True)
    moved = AtomicBatch.from_atoms(atoms)
    assert (moved.positions - listed.reference.positions).norm(dim=1).max() > 0.25
    assert listed.update(moved) is listed
    atoms.set_cell(atoms.cell.array * 0.9, scale_atoms=True)
    assert listed.update(AtomicBatch.from_atoms(atoms)) is not listed


def test_selected_lists_equal_rebuilt_ones():
    structures = [bulk("Ar", "fcc", 5.2), molecule("H2O"), bulk("Si"), ase.Atoms("He")]
    batch = AtomicBatch.from_atoms(structures)
    listed = VerletList.build(batch, 4.0, skin=0.5)
    for mask in ([1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]):
        systems = torch.tensor(mask, dtype=torch.bool)
        selected = listed.select(systems)
        kept = batch.select(systems)
        assert torch.equal(selected.reference.positions, kept.positions)
        if not any(mask):
            assert selected.edges.n_edges == 0
            continue
        rebuilt = find_neighbors(kept, 4.5)
        for name in ("centers", "neighbors", "shifts"):
            assert torch.equal(getattr(selected.edges, name), getattr(rebuilt, name))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_flow_through_edge_vectors(dtype):
    batch = AtomicBatch.from_atoms(bulk("Si"), dtype=dtype)
    edges = find_neighbors(batch, 2.5)
    cell = batch.cell.clone().requires_grad_()
    positions = batch.positions.clone().requires_grad_()
    length = edges.vectors(batch.with_geometry(positions=positions, cell=cell)).norm(
        dim=-1
    )
    length.sum().backward()
    assert cell.grad.abs().max() > 0.1
    assert positions.grad.shape == (2, 3)
