"""Edits: what changes, what stays, and that the input never does."""

import ase
import ase.build
import numpy as np
import pytest
from ase.constraints import FixAtoms, FixBondLength
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gnndesign.errors import ParameterError, StructureError
from gnndesign.structures.edit import (
    add_vacuum,
    delete,
    displace,
    make_vacancy,
    rattle,
    slab,
    strain,
    substitute,
    supercell,
    wrap,
)


def crystal() -> ase.Atoms:
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.set_initial_magnetic_moments(np.arange(8.0))
    atoms.set_constraint(FixAtoms([1, 6]))
    return atoms


def fixed(atoms: ase.Atoms) -> list[int]:
    return sorted(i for c in atoms.constraints for i in c.get_indices().tolist())


@pytest.mark.parametrize(
    "edit",
    [
        lambda a: supercell(a, (2, 1, 1)),
        lambda a: add_vacuum(a, 10.0),
        lambda a: slab(a, (1, 1, 0), layers=2, vacuum=8.0),
        lambda a: substitute(a, "Na", "K", fraction=0.5),
        lambda a: make_vacancy(a, 3),
        lambda a: delete(a, "Cl"),
        lambda a: strain(a, 0.02),
        lambda a: rattle(a, 0.1),
        lambda a: displace(a, [0], [0.0, 0.0, 0.1]),
        wrap,
    ],
)
def test_no_edit_changes_its_input(edit):
    atoms = crystal()
    result = edit(atoms)
    assert result is not atoms
    reference = crystal()
    for key, array in reference.arrays.items():
        np.testing.assert_array_equal(atoms.arrays[key], array)
    np.testing.assert_array_equal(atoms.cell.array, reference.cell.array)
    assert fixed(atoms) == fixed(reference)


def test_supercell_repeats_atoms_moments_and_fixed_atoms():
    result = supercell(crystal(), (2, 1, 3))
    assert len(result) == 48
    assert len(fixed(result)) == 12
    fixed_moments = result.get_initial_magnetic_moments()[fixed(result)]
    assert set(fixed_moments.tolist()) == {1.0, 6.0}
    assert result.cell.volume == pytest.approx(6 * 5.64**3)


def test_supercell_matrix_turns_the_primitive_into_the_cubic_cell():
    primitive = ase.build.bulk("Cu", a=3.615)
    primitive.set_constraint(FixAtoms([0]))
    result = supercell(primitive, [[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    np.testing.assert_allclose(result.cell.cellpar(), [3.615] * 3 + [90.0] * 3)
    assert len(result) == 4
    assert fixed(result) == [0, 1, 2, 3]


def test_impossible_supercells_are_refused():
    with pytest.raises(ParameterError, match="whole numbers"):
        supercell(crystal(), np.array([1.5, 1.0, 1.0]))
    with pytest.raises(ParameterError, match="no volume"):
        supercell(crystal(), (2, 0, 1))
    with pytest.raises(StructureError, match="lattice vector"):
        supercell(ase.build.molecule("H2O"), (2, 1, 1))
    constrained = crystal()
    constrained.set_constraint(FixBondLength(0, 1))
    with pytest.raises(StructureError, match="FixBondLength"):
        supercell(constrained, (2, 1, 1))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_vacuum_is_the_distance_between_images(axis):
    atoms = ase.build.bulk("Cu", "hcp", a=2.5, c=4.1).repeat((2, 2, 2))
    result = add_vacuum(atoms, 12.0, axis=axis)
    vectors = result.cell.array
    normal = vectors[axis] / np.linalg.norm(vectors[axis])
    height = result.positions @ normal
    assert np.linalg.norm(vectors[axis]) - np.ptp(height) == pytest.approx(12.0)
    others = [k for k in range(3) if k != axis]
    np.testing.assert_allclose(vectors[others] @ normal, 0.0, atol=1e-9)
    assert result.pbc.tolist() == [k != axis for k in range(3)]


def test_layer_across_the_boundary_is_united_before_vacuum_is_added():
    atoms = ase.Atoms("C2", cell=[3.0, 3.0, 20.0], pbc=True)
    atoms.positions = [[0.0, 0.0, 0.3], [1.5, 1.5, 19.7]]
    result = add_vacuum(atoms, 10.0)
    assert result.cell.lengths()[2] == pytest.approx(10.6)
    assert result.get_distance(0, 1) == pytest.approx(np.hypot(np.sqrt(4.5), 0.6))


def test_molecule_gets_a_box():
    result = add_vacuum(ase.build.molecule("H2O"), 10.0)
    assert result.cell.rank == 3
    assert (result.get_scaled_positions() > 0.3).all()


@pytest.mark.parametrize(
    ("miller", "area", "spacing"),
    [
        ((1, 0, 0), 3.6**2 / 2, 3.6 / 2),
        ((1, 1, 0), 3.6**2 / np.sqrt(2), 3.6 / np.sqrt(8)),
        ((1, 1, 1), 3.6**2 * np.sqrt(3) / 4, 3.6 / np.sqrt(3)),
    ],
)
def test_copper_faces_have_the_area_and_spacing_of_the_textbook(miller, area, spacing):
    result = slab(ase.build.bulk("Cu", a=3.6), miller, layers=5, vacuum=12.0)
    assert len(result) == 5
    a, b, c = result.cell.array
    assert np.linalg.norm(np.cross(a, b)) == pytest.approx(area)
    heights = np.sort(result.positions[:, 2])
    np.testing.assert_allclose(np.diff(heights), spacing, atol=1e-6)
    assert c[2] - np.ptp(heights) == pytest.approx(12.0)
    assert result.pbc.tolist() == [True, True, False]


def test_slab_of_rocksalt_keeps_its_stoichiometry():
    result = slab(crystal_without_moments(), (1, 0, 0), layers=3, vacuum=10.0)
    counts = result.symbols.formula.count()
    assert counts["Na"] == counts["Cl"]


def crystal_without_moments() -> ase.Atoms:
    return ase.build.bulk("NaCl", "rocksalt", a=5.64)


def test_impossible_slabs_are_refused():
    copper = ase.build.bulk("Cu")
    with pytest.raises(ParameterError, match="not all zero"):
        slab(copper, (0, 0, 0), layers=2, vacuum=5.0)
    with pytest.raises(ParameterError, match="layers"):
        slab(copper, (1, 0, 0), layers=0, vacuum=5.0)
    with pytest.raises(StructureError, match="bulk crystal"):
        slab(ase.build.molecule("H2O"), (1, 0, 0), layers=2, vacuum=5.0)


def test_substitution_replaces_as_many_as_asked_and_repeatably():
    atoms = supercell(crystal(), (2, 2, 2))
    first = substitute(atoms, "Na", "K", fraction=0.25, seed=4)
    again = substitute(atoms, "Na", "K", count=8, seed=4)
    other = substitute(atoms, "Na", "K", count=8, seed=5)
    assert first.symbols.formula.count() == {"Na": 24, "K": 8, "Cl": 32}
    assert list(first.symbols) == list(again.symbols)
    assert list(first.symbols) != list(other.symbols)
    assert (first.get_initial_magnetic_moments()[first.symbols == "K"] == 0.0).all()


def test_substituted_atom_has_the_mass_of_its_new_element():
    atoms = crystal()
    atoms.set_masses(atoms.get_masses())
    result = substitute(atoms, 0, "K")
    assert result.get_masses()[0] == pytest.approx(39.098, abs=1e-3)
    assert substitute(atoms, [-1], "Br").symbols[7] == "Br"


def test_bad_substitutions_are_refused():
    with pytest.raises(ParameterError, match="no element symbol"):
        substitute(crystal(), "Na", "Qq")
    with pytest.raises(StructureError, match="no Fe atoms"):
        substitute(crystal(), "Fe", "Ni")
    with pytest.raises(StructureError, match="no atom 8"):
        substitute(crystal(), [8], "Ni")
    with pytest.raises(ParameterError, match="from 0 to 4"):
        substitute(crystal(), "Na", "K", count=5)
    with pytest.raises(ParameterError, match="fraction"):
        substitute(crystal(), "Na", "K", fraction=1.5)
    with pytest.raises(ParameterError, match="not both"):
        substitute(crystal(), "Na", "K", count=1, fraction=0.5)


def test_fixed_atoms_stay_fixed_when_others_are_removed():
    result = make_vacancy(crystal(), [0, 2])
    assert len(result) == 6
    moments = result.get_initial_magnetic_moments()[fixed(result)]
    assert moments.tolist() == [1.0, 6.0]


def test_last_atom_cannot_be_removed():
    with pytest.raises(StructureError, match="every atom"):
        delete(ase.Atoms("H"), 0)


def test_uniform_strain_scales_the_volume():
    result = strain(crystal(), 0.01)
    assert result.cell.volume == pytest.approx(5.64**3 * 1.01**3)
    np.testing.assert_allclose(
        result.get_scaled_positions(), crystal().get_scaled_positions(), atol=1e-12
    )


def test_engineering_shear_is_twice_the_tensor_component():
    result = strain(crystal(), [0.0, 0.0, 0.0, 0.02, 0.0, 0.0])
    np.testing.assert_allclose(result.cell.array[2], [0.0, 0.01 * 5.64, 5.64])
    np.testing.assert_allclose(result.cell.array[1], [0.0, 5.64, 0.01 * 5.64])


@settings(max_examples=30, deadline=None)
@given(voigt=arrays(float, 6, elements=st.floats(-0.05, 0.05)))
def test_strain_can_be_taken_back(voigt):
    xx, yy, zz, yz, xz, xy = voigt
    e = np.array([[xx, xy / 2, xz / 2], [xy / 2, yy, yz / 2], [xz / 2, yz / 2, zz]])
    there = strain(crystal(), voigt)
    back = strain(there, np.linalg.inv(np.eye(3) + e) - np.eye(3))
    np.testing.assert_allclose(back.positions, crystal().positions, atol=1e-10)
    np.testing.assert_allclose(there.positions, crystal().positions @ (np.eye(3) + e))


def test_impossible_strains_are_refused():
    with pytest.raises(ParameterError, match="inside out"):
        strain(crystal(), -1.5)
    with pytest.raises(ParameterError, match="Voigt"):
        strain(crystal(), [0.1, 0.2])
    with pytest.raises(StructureError, match="needs a cell"):
        strain(ase.build.molecule("H2O"), 0.01)


def test_rattle_has_the_asked_width_and_leaves_fixed_atoms():
    atoms = ase.build.bulk("Cu").repeat(10)
    atoms.set_constraint(FixAtoms([5]))
    moved = rattle(atoms, 0.1, seed=2).positions - atoms.positions
    assert moved.std() == pytest.approx(0.1, rel=0.05)
    assert (moved[5] == 0.0).all()
    again = rattle(atoms, 0.1, seed=2).positions - atoms.positions
    np.testing.assert_array_equal(moved, again)
    with pytest.raises(ParameterError, match="stdev"):
        rattle(atoms, -0.1)


def test_displacing_by_hand_moves_fixed_atoms_too():
    result = displace(crystal(), [1], [0.0, 0.0, 0.5])
    moved = result.positions - crystal().positions
    np.testing.assert_allclose(moved[1], [0.0, 0.0, 0.5])
    assert np.count_nonzero(moved) == 1
    with pytest.raises(ParameterError, match="vector"):
        displace(crystal(), [1], [0.0, 0.5])


def test_wrapping_brings_atoms_home_without_moving_the_crystal():
    atoms = crystal()
    away = displace(atoms, [3], 2 * atoms.cell.array[0] - atoms.cell.array[2])
    np.testing.assert_allclose(
        wrap(away).positions[3], wrap(atoms).positions[3], atol=1e-9
    )
