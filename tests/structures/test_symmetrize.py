"""Crystals that obey their symmetry exactly."""

import ase
import numpy as np
import pytest
from ase.build import bulk

from gnndesign.errors import ParameterError, StructureError
from gnndesign.structures.build import build_crystal
from gnndesign.structures.symmetrize import symmetrized, symmetry_operations
from gnndesign.structures.symmetry import space_group

CRYSTALS = {
    "diamond": bulk("Si"),
    "cubic copper": bulk("Cu", cubic=True),
    "rocksalt, 2 x 2 x 1": bulk("NaCl", "rocksalt", 5.64) * (2, 2, 1),
    "quartz": build_crystal("SiO2", "quartz (alpha)"),
    "rutile": build_crystal("TiO2", "rutile"),
    "baddeleyite": build_crystal("ZrO2", "baddeleyite"),
}


def disturbed(atoms, amount, seed=0):
    """Displaced by up to `amount` Å, and strained so that the cell changes as much."""
    rng = np.random.default_rng(seed)
    changed = atoms.copy()
    changed.positions += rng.uniform(-0.5, 0.5, (len(atoms), 3)) * amount
    longest = changed.cell.lengths().max()
    strain = np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3)) * amount / longest
    changed.set_cell(changed.cell.array @ strain, scale_atoms=True)
    return changed


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_disturbed_crystal_gets_its_space_group_back_exactly(name):
    perfect = CRYSTALS[name]
    start = disturbed(perfect, 2e-3)
    assert space_group(start, 1e-4).number < space_group(perfect, 1e-4).number
    result, moved = symmetrized(start, 1e-2)
    assert space_group(result, 1e-8) == space_group(perfect, 1e-4)
    assert 1e-4 < moved < 2e-3
    farthest = np.linalg.norm(result.positions - start.positions, axis=1).max()
    assert farthest < 1e-2


@pytest.mark.parametrize("name", CRYSTALS)
def test_operations_take_a_symmetrized_crystal_to_itself(name):
    result, _ = symmetrized(disturbed(CRYSTALS[name], 5e-3), 1e-2)
    operations = symmetry_operations(result)
    scaled = operations.scaled
    gone = np.einsum("gij,aj->gai", operations.rotations, scaled)
    gone += operations.translations[:, None] - scaled[operations.images]
    left = gone - np.round(gone)
    # A translation is known to no better than symprec, but is the same for all atoms.
    assert np.abs(left - left.mean(1, keepdims=True)).max() < 1e-12
    turns = operations.turns
    np.testing.assert_allclose(
        turns @ turns.mT, np.eye(3)[None] + 0 * turns, atol=1e-12
    )
    rebuilt = (scaled[operations.primitive] + operations.shifts) @ operations.cell
    np.testing.assert_allclose(rebuilt, result.positions, rtol=0, atol=1e-12)


def test_a_crystal_that_is_symmetric_stays_as_it_is():
    for name, crystal in CRYSTALS.items():
        once, _ = symmetrized(crystal)
        twice, moved = symmetrized(once)
        assert moved < 1e-13, name
        np.testing.assert_allclose(twice.positions, once.positions, atol=1e-12)


def test_the_cell_is_stretched_but_not_turned():
    start = disturbed(CRYSTALS["quartz"], 5e-3)
    result, _ = symmetrized(start, 1e-2)
    stretch = np.linalg.solve(start.cell.array, result.cell.array)
    np.testing.assert_allclose(stretch, stretch.T, atol=1e-12)
    assert np.abs(stretch - np.eye(3)).max() > 1e-5


def test_opposite_moments_are_no_images_of_each_other():
    iron = bulk("Fe", cubic=True)
    assert symmetry_operations(iron).primitive.tolist() == [0, 0]
    iron.set_initial_magnetic_moments([2.0, -2.0])
    operations = symmetry_operations(iron)
    assert operations.primitive.tolist() == [0, 1]
    assert (operations.images == [0, 1]).all()


def test_what_has_no_space_group_is_refused():
    with pytest.raises(StructureError, match="needs a crystal"):
        symmetrized(ase.Atoms("Ar"))
    with pytest.raises(ParameterError, match="symprec"):
        symmetrized(bulk("Si"), 0.0)
