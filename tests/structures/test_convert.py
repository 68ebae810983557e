"""Conversions: nothing is lost, or it is said."""

import json

import ase
import ase.build
import numpy as np
import pytest
from ase.constraints import FixAtoms, FixBondLength
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pymatgen.core import Lattice, Molecule, Structure

from gnndesign.errors import StructureError
from gnndesign.structures.convert import (
    atoms_from_dict,
    atoms_to_dict,
    from_pymatgen,
    to_pymatgen,
)

numbers = st.floats(-1e6, 1e6, allow_nan=False)


@settings(max_examples=30, deadline=None)
@given(positions=arrays(float, (3, 3), elements=numbers), cell=arrays(float, (3, 3)))
def test_json_keeps_every_bit_of_every_float(positions, cell):
    cell = np.nan_to_num(cell, posinf=1.0, neginf=1.0)
    atoms = ase.Atoms("H2O", positions=positions, cell=cell, pbc=[True, False, True])
    again = atoms_from_dict(json.loads(json.dumps(atoms_to_dict(atoms))))
    assert (again.positions == atoms.positions).all()
    assert (again.cell.array == atoms.cell.array).all()
    assert (again.pbc == atoms.pbc).all()


def test_json_keeps_tags_momenta_moments_charges_masses_and_fixed_atoms():
    atoms = ase.build.molecule("O2")
    atoms.set_tags([1, 2])
    atoms.set_momenta([[0.1, 0.2, 0.3], [0.0, 0.0, 1.0]])
    atoms.set_initial_charges([0.5, -0.5])
    atoms.set_masses([16.0, 18.0])
    atoms.set_constraint(FixAtoms([1]))
    atoms.info = {"name": "oxygen", "nested": {"a": [1, 2]}, "object": object()}
    again = atoms_from_dict(json.loads(json.dumps(atoms_to_dict(atoms))))
    for key in ("tags", "momenta", "initial_magmoms", "initial_charges", "masses"):
        np.testing.assert_array_equal(again.arrays[key], atoms.arrays[key])
    assert list(again.constraints[0].get_indices()) == [1]
    assert again.info == {"name": "oxygen", "nested": {"a": [1, 2]}}


def test_other_constraints_cannot_be_stored():
    atoms = ase.build.molecule("H2O")
    atoms.set_constraint(FixBondLength(0, 1))
    with pytest.raises(StructureError, match="FixBondLength"):
        atoms_to_dict(atoms)
    with pytest.raises(StructureError, match="FixBondLength"):
        to_pymatgen(atoms)


def test_what_is_no_structure_is_refused():
    with pytest.raises(StructureError, match="positions"):
        atoms_from_dict({"numbers": [1]})
    with pytest.raises(StructureError, match="Wanted a structure"):
        atoms_from_dict({"numbers": [1, 1], "positions": [0.0], "cell": 1, "pbc": 0})
    broken = ase.Atoms("H", positions=[[0.0, np.nan, 0.0]])
    with pytest.raises(StructureError, match="not finite"):
        atoms_to_dict(broken)


def test_crystal_goes_to_pymatgen_and_back():
    atoms = ase.build.bulk("NiO", "rocksalt", a=4.18)
    atoms.set_initial_magnetic_moments([2.0, 0.0])
    atoms.set_constraint(FixAtoms([0]))
    atoms.pbc = [True, True, False]
    structure = to_pymatgen(atoms)
    assert structure.lattice.pbc == (True, True, False)
    again = from_pymatgen(structure)
    np.testing.assert_allclose(again.positions, atoms.positions, atol=1e-12)
    assert (again.pbc == atoms.pbc).all()
    np.testing.assert_array_equal(again.get_initial_magnetic_moments(), [2.0, 0.0])
    assert list(again.constraints[0].get_indices()) == [0]


def test_molecule_goes_to_pymatgen_and_back_without_a_cell():
    atoms = ase.build.molecule("CH3CH2OH")
    molecule = to_pymatgen(atoms)
    assert isinstance(molecule, Molecule)
    again = from_pymatgen(molecule)
    assert not again.pbc.any()
    assert again.cell.rank == 0
    np.testing.assert_allclose(again.positions, atoms.positions)


def test_shared_and_half_empty_sites_are_refused():
    shared = Structure(Lattice.cubic(3.0), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    with pytest.raises(StructureError, match=r"0\.5 Fe / 0\.5 Ni"):
        from_pymatgen(shared)


def test_deuterium_becomes_heavy_hydrogen():
    atoms = from_pymatgen(Structure(Lattice.cubic(3.0), ["D"], [[0, 0, 0]]))
    assert atoms.get_chemical_symbols() == ["H"]
    assert atoms.get_masses()[0] == pytest.approx(2.014, abs=1e-3)


def test_conversion_leaves_its_input_alone():
    atoms = ase.build.bulk("Cu")
    atoms.info["note"] = "mine"
    to_pymatgen(atoms)
    assert atoms.info == {"note": "mine"}
