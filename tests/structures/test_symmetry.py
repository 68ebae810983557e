"""Symmetry of crystals whose symmetry everybody knows."""

import ase
import ase.build
import numpy as np
import pytest

from gnndesign.errors import ParameterError, StructureError
from gnndesign.structures.symmetry import (
    SpaceGroup,
    conventional_cell,
    primitive_cell,
    space_group,
)


def test_diamond_is_fd3m_with_two_or_eight_atoms():
    silicon = ase.build.bulk("Si")
    assert space_group(silicon) == SpaceGroup(number=227, symbol="Fd-3m")
    assert len(conventional_cell(silicon)) == 8
    assert len(primitive_cell(conventional_cell(silicon))) == 2


def test_primitive_cell_of_a_supercell_is_the_cell_again():
    crystal = ase.build.bulk("NaCl", "rocksalt", a=5.64).repeat((2, 1, 3))
    primitive = primitive_cell(crystal)
    assert sorted(primitive.symbols) == ["Cl", "Na"]
    assert primitive.cell.volume == pytest.approx(5.64**3 / 4)


def test_opposite_moments_break_the_translation():
    iron = ase.build.bulk("Fe", cubic=True)
    assert len(primitive_cell(iron)) == 1
    iron.set_initial_magnetic_moments([2.0, -2.0])
    primitive = primitive_cell(iron)
    assert len(primitive) == 2
    assert primitive.get_initial_magnetic_moments().sum() == pytest.approx(0.0)


def test_displaced_atom_is_seen_or_not_as_symprec_says():
    crystal = ase.build.bulk("Cu", cubic=True)
    crystal.positions[0, 0] += 0.02
    assert space_group(crystal).number < 225
    assert space_group(crystal, symprec=0.1).number == 225


@pytest.mark.parametrize("function", [space_group, primitive_cell, conventional_cell])
def test_molecules_and_slabs_have_no_space_group(function):
    with pytest.raises(StructureError, match="needs a crystal"):
        function(ase.build.molecule("H2O"))
    with pytest.raises(StructureError, match="needs a crystal"):
        function(ase.build.fcc111("Cu", (1, 1, 3), vacuum=5.0))


def test_nonsense_is_answered_with_a_sentence():
    with pytest.raises(ParameterError, match="symprec"):
        space_group(ase.build.bulk("Cu"), symprec=0.0)
    double = ase.Atoms("Cu2", cell=[3.0, 3.0, 3.0], pbc=True)
    with pytest.raises(StructureError, match="closer than symprec"):
        space_group(double)


def test_input_is_not_changed():
    crystal = ase.build.bulk("Cu").repeat(2)
    before = crystal.positions.copy()
    conventional_cell(crystal)
    np.testing.assert_array_equal(crystal.positions, before)
