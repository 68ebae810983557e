"""Both searches find the pairs of ASE, whatever the cell."""

import time

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.neighborlist import primitive_neighbor_list
from random_structures import random_structure

from gnndesign.batch import AtomicBatch
from gnndesign.neighbor_search import search_on_device, search_on_host
from gnndesign.neighbors import find_neighbors

ROUNDING = 1e-9
"""Å; pairs this near to the cutoff may be found or not."""


def host(batch, cutoff):
    geometry = (batch.positions, batch.cell, batch.pbc, batch.system_index)
    return search_on_host(*(part.numpy() for part in geometry), cutoff)


def device(batch, cutoff, targets_at_once=1 << 18):
    """The search that a GPU does, on the CPU."""
    geometry = (batch.positions, batch.cell, batch.pbc, batch.system_index)
    found = search_on_device(*geometry, cutoff, targets_at_once)
    return [part.numpy() for part in found]


def ase_pairs(structures, cutoff):
    """Rows of center, neighbor, shift and distance, atoms numbered through."""
    rows, start = [np.zeros((0, 6))], 0
    for atoms in structures:
        i, j, shifts, d = primitive_neighbor_list(
            "ijSd", atoms.pbc, atoms.cell.complete(), atoms.positions, cutoff
        )
        rows.append(np.column_stack([i + start, j + start, shifts, d]))
        start += len(atoms)
    return np.concatenate(rows)


def check_pairs(found, structures, cutoff):
    centers, neighbors, shifts = found
    assert (np.diff(centers) >= 0).all()
    got = list(map(tuple, np.column_stack([centers, neighbors, shifts]).tolist()))
    assert len(got) == len(set(got))
    # A little beyond, to know which pairs are at the cutoff.
    reference = ase_pairs(structures, cutoff + ROUNDING)
    pairs = list(map(tuple, reference[:, :5].astype(int).tolist()))
    certain = reference[:, 5] < cutoff - ROUNDING
    missing = {p for p, c in zip(pairs, certain, strict=True) if c} - set(got)
    assert not missing
    assert set(got) <= set(pairs)
    return len(got)


def check_random_structures(seeds):
    n_pairs = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        structures = [random_structure(rng) for _ in range(rng.integers(1, 4))]
        cutoff = float(rng.choice([0.7, 3.1, 4.4]))
        batch = AtomicBatch.from_atoms(structures)
        n_pairs += check_pairs(host(batch, cutoff), structures, cutoff)
        chunk = int(rng.choice([100, 1 << 18]))
        check_pairs(device(batch, cutoff, chunk), structures, cutoff)
    return n_pairs


def test_pairs_in_a_few_hundred_random_cells_are_those_of_ase():
    assert check_random_structures(range(150)) > 8_000


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_pairs_in_thousands_of_random_cells_are_those_of_ase(part):
    assert check_random_structures(range(1000 + 300 * part, 1300 + 300 * part)) > 16_000


def test_one_center_at_a_time_is_searched_as_all_at_once():
    structures = [random_structure(np.random.default_rng(seed)) for seed in range(5)]
    batch = AtomicBatch.from_atoms(structures)
    for one, all_ in zip(device(batch, 3.0, 1), device(batch, 3.0), strict=True):
        np.testing.assert_array_equal(one, all_)


def test_pairs_of_a_structure_do_not_depend_on_the_rest_of_the_batch():
    structures = [random_structure(np.random.default_rng(seed)) for seed in range(40)]
    together = host(AtomicBatch.from_atoms(structures), 3.1)
    start, rows = 0, 0
    for atoms in structures:
        i, j, shifts = host(AtomicBatch.from_atoms(atoms), 3.1)
        part = slice(rows, rows + len(i))
        np.testing.assert_array_equal(together[0][part], i + start)
        np.testing.assert_array_equal(together[1][part], j + start)
        np.testing.assert_array_equal(together[2][part], shifts)
        start, rows = start + len(atoms), rows + len(i)
    assert rows == len(together[0])


@pytest.mark.parametrize("search", [host, device])
def test_vectors_along_open_axes_may_lie_in_the_plane_of_the_others(search):
    cells = [
        [[3, 0, 0], [0, 3, 0], third] for third in ([0, 0, 0], [3, 3, 0], [0, 3, 0])
    ]
    slabs = [ase.Atoms("Ar", cell=c, pbc=[True, True, False]) for c in cells]
    centers, _, shifts = search(AtomicBatch.from_atoms(slabs), 3.1)
    assert np.bincount(centers).tolist() == [4, 4, 4]
    assert not shifts[:, 2].any()


@pytest.mark.parametrize("pbc", [(0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 1, 1)])
def test_a_few_atoms_far_apart_are_searched_at_once(pbc):
    rng = np.random.default_rng(0)
    atoms = ase.Atoms(
        "Ar9", positions=200 * rng.random((9, 3)), cell=[200] * 3, pbc=pbc
    )
    atoms.positions[8] = atoms.positions[7] + [0.5, 0.6, 0.7]
    start = time.process_time()
    assert check_pairs(host(AtomicBatch.from_atoms(atoms), 5.3), [atoms], 5.3) == 2
    # A cell list that visits every bin takes 3 s along one periodic axis.
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("skew", [0.0, 3.0, 12.0])
@pytest.mark.parametrize("size", [1.1, 6.0, 20.0])
def test_a_cell_that_leans_far_over_has_the_same_pairs_by_both_searches(size, skew):
    rng = np.random.default_rng(1)
    # As many as fit at the density of a solid.
    n_atoms = max(1, int(0.05 * size**3))
    cell = [[size, 0, 0], [0.3 * skew, size, 0], [-skew, skew, size]]
    positions = rng.uniform(-1, 2, (n_atoms, 3)) @ np.array(cell)
    atoms = ase.Atoms(f"Ar{n_atoms}", positions=positions, cell=cell, pbc=True)
    batch = AtomicBatch.from_atoms([atoms, molecule("C6H6")])
    rows = [
        set(map(tuple, np.column_stack(search(batch, 3.0)).tolist()))
        for search in (host, device)
    ]
    assert len(rows[0]) > 50
    assert rows[0] == rows[1]


@pytest.mark.parametrize("search", [host, device])
def test_nothing_is_found_where_nothing_is(search):
    apart = AtomicBatch.from_atoms([ase.Atoms("He"), ase.Atoms("He")])
    empty = apart.select(torch.zeros(2, dtype=torch.bool))
    far = ase.Atoms("He2", positions=[[0, 0, 0], [9e5, 9e5, -9e5]])
    for batch, cutoff in (
        (apart, 100.0),
        (empty, 100.0),
        (AtomicBatch.from_atoms(far), 0.5),
    ):
        centers, neighbors, shifts = search(batch, cutoff)
        assert len(centers) == len(neighbors) == 0
        assert shifts.shape == (0, 3)


@pytest.mark.gpu
def test_a_batch_on_a_gpu_is_searched_there():
    structures = [bulk("Si", cubic=True) * (4, 4, 4), molecule("C6H6"), bulk("Cu")]
    edges = find_neighbors(AtomicBatch.from_atoms(structures, device="cuda"), 5.0)
    assert edges.centers.is_cuda
    parts = (edges.centers, edges.neighbors, edges.shifts)
    check_pairs([part.cpu().numpy() for part in parts], structures, 5.0)
