"""The shipped library holds what its labels say."""

import numpy as np
import pytest
from ase.data import chemical_symbols

from gnndesign.errors import StructureError
from gnndesign.structures.library import (
    elemental_ground_state,
    elemental_polymorphs,
    list_molecules,
    list_prototypes,
    molecule,
    prototype,
)
from gnndesign.structures.symmetry import conventional_cell, space_group


def test_ground_state_has_the_lowest_energy_of_all_polymorphs():
    for symbol in ("Fe", "C", "Si", "O"):
        energies = [a.info["energy_per_atom"] for a in elemental_polymorphs(symbol)]
        assert energies == sorted(energies)
        assert elemental_ground_state(symbol).info["energy_per_atom"] == energies[0]


def test_no_elemental_crystal_is_a_molecule_in_an_empty_box():
    for symbol in chemical_symbols[1:95]:
        if symbol in {"At", "Fr", "Po", "Ra", "Rn", "Yb"}:
            with pytest.raises(StructureError, match="No elemental structure"):
                elemental_ground_state(symbol)
            continue
        atoms = elemental_ground_state(symbol)
        assert set(atoms.symbols) == {symbol}
        assert 4.0 < atoms.cell.volume / len(atoms) < 130.0


def test_iron_is_bcc_and_copper_fcc():
    assert space_group(elemental_ground_state("Fe")).symbol == "Im-3m"
    assert space_group(elemental_ground_state("cu")).symbol == "Fm-3m"


def test_every_prototype_has_the_atoms_of_its_pearson_symbol():
    assert len(list_prototypes()) == 287
    for entry in list_prototypes():
        number = int(entry.pearson[2:])
        if entry.pearson[1] == "R":  # counted in the rhombohedral cell
            assert len(entry.symbols) == number
        else:
            assert len(conventional_cell(entry.to_atoms())) == number


def test_nearly_every_prototype_has_the_space_group_of_its_label():
    other = [
        entry.aflow
        for entry in list_prototypes()
        if space_group(entry.to_atoms()).number != int(entry.aflow.split("_")[2])
    ]
    # V2Au as published is Cmcm within 0.01 Å; modderite is Pna2_1 or, at 0.01 Å, Pnma.
    assert set(other) <= {"A2B_oC12_38_de_ab", "AB_oP8_33_a_a"}


@pytest.mark.parametrize(
    ("name", "formula", "symbol"),
    [
        ("rocksalt", "NaCl", "Fm-3m"),
        ("Rock Salt", "NaCl", "Fm-3m"),
        ("B1", "NaCl", "Fm-3m"),
        ("AB_cF8_225_a_b", "NaCl", "Fm-3m"),
        ("perovskite", "CaTiO3", "Pm-3m"),
        ("zincblende", "ZnS", "F-43m"),
        ("wurtzite", "ZnS", "P6_3mc"),
        ("fluorite", "CaF2", "Fm-3m"),
        ("diamond", "C", "Fd-3m"),
        ("fcc", "Cu", "Fm-3m"),
        ("bcc", "W", "Im-3m"),
        ("hcp", "Mg", "P6_3/mmc"),
        ("rutile", "TiO2", "P4_2/mnm"),
        ("spinel", "MgAl2O4", "Fd-3m"),
        ("CsCl", "CsCl", "Pm-3m"),
        ("half-heusler", "MgAgAs", "F-43m"),
    ],
)
def test_common_names_find_their_prototype(name, formula, symbol):
    found = prototype(name)
    assert found.formula == formula
    assert space_group(found.to_atoms()).symbol == symbol


def test_misspelled_prototype_is_answered_with_close_names():
    with pytest.raises(StructureError, match="Did you mean 'perovskite'"):
        prototype("pervoskite")


def test_name_of_several_prototypes_is_answered_with_their_labels():
    with pytest.raises(StructureError, match=r"A11 \(Ga\)"):
        prototype("alpha")


def test_water_is_bent_and_has_no_cell():
    water = molecule("H2O")
    assert water.get_angle(1, 0, 2) == pytest.approx(104.0, abs=1.0)
    assert water.cell.rank == 0
    assert len(list_molecules()) == 162
    assert list(list_molecules()) == sorted(list_molecules())


def test_oxygen_molecule_is_a_triplet():
    assert np.sum(molecule("o2").get_initial_magnetic_moments()) == pytest.approx(2.0)


def test_unknown_molecule_and_element_are_answered():
    with pytest.raises(StructureError, match="from_smiles"):
        molecule("caffeine")
    with pytest.raises(StructureError, match="element symbol"):
        elemental_ground_state("Qq")


def test_each_caller_gets_a_structure_of_his_own():
    first = elemental_ground_state("Si")
    first.positions += 1.0
    assert not np.allclose(first.positions, elemental_ground_state("Si").positions)
