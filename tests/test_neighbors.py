"""A Verlet list never misses a pair, and rarely searches."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from random_structures import random_structure

from gnndesign import neighbors as module
from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import VerletList, find_neighbors
from gnndesign.pair_order import in_order

CUTOFF = 3.0


def rows_of(edges):
    parts = (edges.centers[:, None], edges.neighbors[:, None], edges.shifts)
    return torch.cat(parts, 1)


def pairs_of(edges):
    return set(map(tuple, rows_of(edges).tolist()))


def check_is_as_found_at_once(listed):
    """The same pairs in the same order as one search in the reference geometry."""
    at_once = find_neighbors(listed.reference, listed.cutoff + listed.skin)
    assert torch.equal(rows_of(listed.edges), rows_of(at_once))


@pytest.fixture
def searches(monkeypatch):
    """The batches that were searched."""
    searched = []

    def counting(batch, cutoff):
        searched.append(batch)
        return find_neighbors(batch, cutoff)

    monkeypatch.setattr(module, "find_neighbors", counting)
    return searched


def moved(atoms, rng, distance, strain):
    """Positions and cell changed; vectors along open axes stay."""
    atoms = atoms.copy()
    deformation = np.eye(3) + strain * rng.uniform(-1, 1, (3, 3))
    if (atoms.cell.lengths() > 0).all():
        atoms.set_cell(atoms.cell.array @ deformation)
        atoms.positions = atoms.positions @ deformation
    atoms.positions += distance * rng.uniform(-1, 1, atoms.positions.shape)
    return atoms


def check_random_motion(seeds):
    n_kept = n_in_part = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        structures = [random_structure(rng) for _ in range(rng.integers(1, 5))]
        # Some at rest, some fast, some in a changing cell.
        distances = rng.choice([0.0, 0.02, 0.1], len(structures))
        strains = rng.choice([0.0, 0.003, 0.1], len(structures))
        listed = VerletList.build(AtomicBatch.from_atoms(structures), CUTOFF, 0.5)
        for _ in range(6):
            structures = [
                moved(atoms, rng, distance, strain)
                for atoms, distance, strain in zip(
                    structures, distances, strains, strict=True
                )
            ]
            batch = AtomicBatch.from_atoms(structures)
            before, listed = listed, listed.update(batch)
            current = listed.current_edges(batch)
            assert pairs_of(current) == pairs_of(find_neighbors(batch, CUTOFF))
            n_kept += listed is before
            renewed = (listed.reference.cell == batch.cell).all(-1).all(-1)
            n_in_part += listed is not before and not renewed.all()
        check_is_as_found_at_once(listed)
    return n_kept, n_in_part


def test_a_verlet_list_in_random_motion_never_misses_a_pair():
    n_kept, n_in_part = check_random_motion(range(60))
    assert n_kept > 60
    assert n_in_part > 10


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_a_thousand_verlet_lists_in_random_motion_never_miss_a_pair(part):
    check_random_motion(range(1000 + 200 * part, 1200 + 200 * part))


@pytest.mark.parametrize("n_systems", [1, 3])
def test_the_list_is_searched_only_when_an_atom_has_moved_half_the_skin(
    searches, n_systems
):
    structures = [bulk("Ar", "fcc", 5.2, cubic=True) for _ in range(n_systems)]
    listed = VerletList.build(AtomicBatch.from_atoms(structures), 6.0, skin=0.5)
    structures[-1].positions[2] += [0.24, 0, 0]
    assert listed.update(AtomicBatch.from_atoms(structures)) is listed
    structures[-1].positions[2] += [0, 0.06, 0]
    assert listed.update(AtomicBatch.from_atoms(structures)) is listed
    assert len(searches) == 1
    structures[-1].positions[2] += [0, 0.02, 0]
    assert listed.update(AtomicBatch.from_atoms(structures)) is not listed
    assert len(searches) == 2


def test_only_structures_that_moved_are_searched_anew(searches):
    structures = [bulk("Si", cubic=True) for _ in range(64)]
    listed = VerletList.build(AtomicBatch.from_atoms(structures), 5.0, skin=0.5)
    structures[7].positions[3] += [0.3, 0, 0]  # more than half the skin
    structures[50].positions[0] += [0.2, 0, 0]  # soon due
    structures[51].positions[0] += [0.1, 0, 0]
    batch = AtomicBatch.from_atoms(structures)
    renewed = listed.update(batch)
    assert [part.n_systems for part in searches] == [64, 2]
    np.testing.assert_allclose(
        renewed.slack(batch)[[0, 7, 50, 51]], [0.5, 0.5, 0.5, 0.3]
    )
    check_is_as_found_at_once(renewed)
    assert renewed.update(batch) is renewed


def test_slack_is_the_skin_less_what_atoms_moved_and_the_cell_shrank():
    atoms = bulk("Ar", "fcc", 5.2, cubic=True)
    listed = VerletList.build(AtomicBatch.from_atoms([atoms] * 3), 6.0, skin=0.5)
    shifted, shrunk = atoms.copy(), atoms.copy()
    shifted.positions[1] += [0.06, -0.08, 0]
    shrunk.set_cell(0.99 * atoms.cell.array, scale_atoms=True)
    slack = listed.slack(AtomicBatch.from_atoms([atoms, shifted, shrunk]))
    np.testing.assert_allclose(slack, [0.5, 0.3, 0.99 * 6.5 - 6.0])


def test_a_slab_without_a_third_vector_may_be_stretched():
    slab = ase.Atoms("Ar", cell=[3.2, 3.2, 0], pbc=[True, True, False])
    listed = VerletList.build(AtomicBatch.from_atoms(slab), CUTOFF, skin=0.1)
    slab.set_cell([2.9, 2.9, 0])
    batch = AtomicBatch.from_atoms(slab)
    edges = listed.update(batch).current_edges(batch)
    assert edges.shifts[:, :2].abs().sum(1).tolist() == [1] * 4


def test_a_strain_that_moves_distant_atoms_far_does_not_rebuild_the_list():
    atoms = bulk("Ar", "fcc", 5.2, cubic=True) * (6, 1, 1)
    listed = VerletList.build(AtomicBatch.from_atoms(atoms), 6.0, skin=0.5)
    atoms.set_cell(atoms.cell.array * 1.02, scale_atoms=True)
    farther = AtomicBatch.from_atoms(atoms)
    assert (farther.positions - listed.reference.positions).norm(dim=1).max() > 0.25
    assert listed.update(farther) is listed
    atoms.set_cell(atoms.cell.array * 0.9, scale_atoms=True)
    assert listed.update(AtomicBatch.from_atoms(atoms)) is not listed


FOUR = [bulk("Ar", "fcc", 5.2), molecule("H2O"), bulk("Si"), ase.Atoms("He")]


def test_selected_lists_equal_rebuilt_ones():
    batch = AtomicBatch.from_atoms(FOUR)
    listed = VerletList.build(batch, 4.0, skin=0.5)
    for mask in ([1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]):
        systems = torch.tensor(mask, dtype=torch.bool)
        selected = listed.select(systems)
        kept = batch.select(systems)
        assert torch.equal(selected.reference.positions, kept.positions)
        check_is_as_found_at_once(selected)
        assert selected.update(kept) is selected


def test_lists_side_by_side_equal_one_of_all_structures(searches):
    parts = [FOUR[:1], FOUR[1:3], FOUR[3:]]
    lists = [VerletList.build(AtomicBatch.from_atoms(p), 4.0, 0.5) for p in parts]
    searches.clear()
    joined = VerletList.concatenate(lists)
    assert not searches
    whole = VerletList.build(AtomicBatch.from_atoms(FOUR), 4.0, 0.5)
    assert joined.edges.n_edges == 50
    assert torch.equal(rows_of(joined.edges), rows_of(whole.edges))
    for name in ("positions", "cell", "pbc", "atomic_numbers", "system_index"):
        expected = getattr(whole.reference, name)
        assert torch.equal(getattr(joined.reference, name), expected)
    assert joined.update(whole.reference) is joined


def test_lists_of_different_reach_cannot_lie_side_by_side():
    batch = AtomicBatch.from_atoms(FOUR)
    lists = [VerletList.build(batch, 4.0, skin) for skin in (0.5, 0.6)]
    with pytest.raises(ParameterError, match="one cutoff and skin"):
        VerletList.concatenate(lists)


@pytest.mark.parametrize("farthest", [3, 10**7])
def test_pairs_are_by_center_then_neighbor_then_shift(farthest):
    # With atoms far outside of their cells, one 64-bit number cannot say where.
    rng = np.random.default_rng(0)
    rows = np.unique(rng.integers(0, 9, (300, 5)), axis=0)
    rows[:, 2:] = (rows[:, 2:] - 4) * farthest
    shuffled = torch.from_numpy(rng.permutation(rows))
    found = in_order(shuffled[:, 0], shuffled[:, 1], shuffled[:, 2:])
    again = torch.cat([found[0][:, None], found[1][:, None], found[2]], 1)
    assert torch.equal(again, torch.from_numpy(rows))


@pytest.mark.parametrize("n_copies", [1, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_squared_distances_are_those_of_the_vectors(dtype, n_copies):
    # More pairs than are looked at together, in one structure and in several.
    crystal = bulk("Si", cubic=True) * (5, 5, 5)
    crystal.rattle(0.1, seed=0)
    structures = [crystal, *FOUR][:n_copies]
    batch = AtomicBatch.from_atoms(structures, dtype=dtype)
    edges = find_neighbors(batch, 4.0)
    assert edges.n_edges > 10_000
    squared = edges.squared_distances(batch)
    assert squared.dtype == dtype
    torch.testing.assert_close(squared, edges.vectors(batch).square().sum(1))
    nearer = edges.within(batch, 2.6)
    assert pairs_of(nearer) == pairs_of(find_neighbors(batch, 2.6))
    assert nearer.cutoff == 2.6


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


@pytest.mark.gpu
def test_a_verlet_list_on_a_gpu_knows_the_slack_of_the_host():
    rng = np.random.default_rng(0)
    after = [moved(atoms, rng, 0.05, 0.01) for atoms in FOUR]
    slack = []
    for device in ("cpu", "cuda"):
        listed = VerletList.build(AtomicBatch.from_atoms(FOUR, device=device), 4.0, 0.5)
        slack.append(listed.slack(AtomicBatch.from_atoms(after, device=device)))
    np.testing.assert_allclose(*slack, rtol=1e-9)
