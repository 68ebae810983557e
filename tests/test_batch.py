"""A batch is its structures, side by side and unchanged."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ShapeError, StructureError


@pytest.fixture
def structures():
    slab = bulk("Cu", cubic=True)
    slab.pbc = [True, True, False]
    return [bulk("NaCl", "rocksalt", 5.6), molecule("CH4"), slab]


def test_structures_come_back_as_they_went_in(structures):
    back = AtomicBatch.from_atoms(structures).to_atoms()
    for before, after in zip(structures, back, strict=True):
        assert before == after


def test_one_structure_needs_no_list(structures):
    assert AtomicBatch.from_atoms(structures[0]).n_systems == 1


def test_counts_and_volumes_are_those_of_the_structures(structures):
    batch = AtomicBatch.from_atoms(structures)
    assert batch.atoms_per_system.tolist() == [2, 5, 4]
    assert batch.n_atoms == 11
    volumes = [abs(np.linalg.det(atoms.cell.array)) for atoms in structures]
    assert batch.volume.tolist() == pytest.approx(volumes)
    assert batch.system_index.tolist() == [0] * 2 + [1] * 5 + [2] * 4


def test_sums_and_maxima_stay_within_a_structure(structures):
    batch = AtomicBatch.from_atoms(structures)
    values = torch.arange(11.0)
    assert batch.sum_over_atoms(values).tolist() == [1.0, 20.0, 34.0]
    assert batch.max_over_atoms(-values).tolist() == [0.0, -2.0, -7.0]
    vectors = values[:, None].expand(11, 3)
    assert batch.sum_over_atoms(vectors)[:, 2].tolist() == [1.0, 20.0, 34.0]
    with pytest.raises(ShapeError, match="each of 11 atoms, got shape \\(4,\\)"):
        batch.sum_over_atoms(torch.ones(4))


@pytest.mark.parametrize("mask", [[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 1]])
def test_selecting_equals_building_from_the_selected(structures, mask):
    selected = AtomicBatch.from_atoms(structures).select(
        torch.tensor(mask, dtype=torch.bool)
    )
    rebuilt = AtomicBatch.from_atoms(
        [atoms for atoms, kept in zip(structures, mask, strict=True) if kept]
    )
    for name in ("positions", "cell", "pbc", "atomic_numbers", "system_index"):
        assert torch.equal(getattr(selected, name), getattr(rebuilt, name)), name


def test_a_batch_does_not_share_memory_with_its_structures(structures):
    batch = AtomicBatch.from_atoms(structures[:1])
    before = structures[0].positions.copy()
    batch.positions.add_(1.0)
    batch.cell.add_(1.0)
    np.testing.assert_array_equal(structures[0].positions, before)
    batch.to_atoms()[0].positions += 5.0
    np.testing.assert_allclose(batch.positions.numpy(), before + 1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_positions_that_are_not_finite_are_refused_by_name(bad):
    water = molecule("H2O")
    water.positions[1, 2] = bad
    with pytest.raises(StructureError, match=r"Structure 1 \(H2O\): position 1 is .*"):
        AtomicBatch.from_atoms([molecule("CH4"), water])


def test_structures_that_cannot_be_used_are_refused():
    with pytest.raises(StructureError, match="at least one structure"):
        AtomicBatch.from_atoms([])
    with pytest.raises(StructureError, match=r"\(empty\) has no atoms"):
        AtomicBatch.from_atoms(ase.Atoms())
    with pytest.raises(StructureError, match="switch off pbc"):
        AtomicBatch.from_atoms(ase.Atoms("H", pbc=True))
    with pytest.raises(StructureError, match="cell 0 is"):
        AtomicBatch.from_atoms(ase.Atoms("H", cell=[np.nan, 3, 3], pbc=True))
    flat = ase.Atoms("H", cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]], pbc=True)
    with pytest.raises(StructureError, match="lie in a plane"):
        AtomicBatch.from_atoms(flat)


def test_slabs_and_wires_need_as_many_directions_as_they_repeat_along():
    flat = [[4, 0, 0], [0, 4, 0], [4, 4, 0]]
    AtomicBatch.from_atoms(ase.Atoms("Ar", cell=flat, pbc=[True, True, False]))
    AtomicBatch.from_atoms(ase.Atoms("Ar", cell=[4, 0, 0], pbc=[True, False, False]))
    line = ase.Atoms("Ar", cell=[[4, 0, 0], [8, 0, 0], [0, 0, 4]], pbc=[1, 1, 0])
    with pytest.raises(StructureError, match="on a line"):
        AtomicBatch.from_atoms(line)
    short = ase.Atoms("Ar", cell=[0.1, 4, 0], pbc=[True, True, False])
    with pytest.raises(StructureError, match="switch off pbc"):
        AtomicBatch.from_atoms(short)


def test_more_atoms_than_a_cell_can_hold_are_refused():
    points = np.random.default_rng(0).random((200, 3))
    crowd = ase.Atoms(["H"] * 200, scaled_positions=points, cell=[2, 2, 2], pbc=True)
    with pytest.raises(StructureError, match=r"span 8 Å\^3 for 200 atoms"):
        AtomicBatch.from_atoms(crowd)


def test_an_atom_of_no_element_does_not_hide_what_is_wrong():
    with pytest.raises(StructureError, match=r"\(elements that do not exist\): pos"):
        AtomicBatch.from_atoms(ase.Atoms(numbers=[150], positions=[[np.nan, 0, 0]]))
