"""Crystals from formula and prototype."""

import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from gnndesign.errors import ParameterError, StructureError
from gnndesign.structures.build import build_crystal
from gnndesign.structures.library import list_prototypes
from gnndesign.structures.symmetry import conventional_cell, space_group

# a in Å at room temperature: Wyckoff, Crystal Structures, and CRC Handbook; of noble gases
# at 4 K: Kittel, Introduction to Solid State Physics, table 1.3.
MEASURED = [
    ("Cu", "fcc", 3.615),
    ("Al", "fcc", 4.050),
    ("W", "bcc", 3.165),
    ("Mg", "hcp", 3.209),
    ("Ar", "fcc", 5.311),
    ("Xe", "fcc", 6.13),
    ("Si", "diamond", 5.431),
    ("GaAs", "zincblende", 5.653),
    ("ZnO", "wurtzite", 3.250),
    ("NaCl", "rocksalt", 5.640),
    ("MgO", "rocksalt", 4.211),
    ("PbS", "rocksalt", 5.936),
    ("CsCl", "CsCl", 4.123),
    ("NiAl", "CsCl", 2.887),
    ("CaF2", "fluorite", 5.463),
    ("Li2O", "fluorite", 4.619),
    ("SrTiO3", "perovskite", 3.905),
    ("LaAlO3", "perovskite", 3.79),
    ("TiO2", "rutile", 4.594),
    ("MgAl2O4", "spinel", 8.083),
    ("Al2O3", "corundum", 4.759),
    ("Ni3Al", "L1_2", 3.572),
]


@pytest.mark.parametrize(("formula", "name", "a"), MEASURED)
def test_estimated_lattice_is_within_six_percent_of_the_measured(formula, name, a):
    atoms = build_crystal(formula, name)
    assert conventional_cell(atoms).cell.lengths()[0] == pytest.approx(a, rel=0.06)


def test_estimated_lattices_are_within_three_percent_on_average():
    errors = [
        abs(conventional_cell(build_crystal(f, n)).cell.lengths()[0] / a - 1.0)
        for f, n, a in MEASURED
    ]
    assert np.mean(errors) < 0.03


@pytest.mark.parametrize("formula", ["SrTiO3", "PbTiO3", "LaAlO3", "CsPbI3"])
def test_first_element_takes_the_large_site_of_the_perovskite(formula):
    atoms = build_crystal(formula, "perovskite")
    i, d = neighbor_list("id", atoms, 0.75 * atoms.cell.lengths()[0])
    first = "".join(c for c in formula[:2] if c.isalpha())
    neighbors = {s: np.sum(i == k) for k, s in enumerate(atoms.symbols)}
    assert max(neighbors, key=neighbors.get) in {first, formula[-2]}
    a_site = list(atoms.symbols).index(first)
    near = d[i == a_site].min()
    assert near == pytest.approx(atoms.cell.lengths()[0] / np.sqrt(2), rel=1e-6)


def test_order_of_anion_and_cation_in_the_formula_does_not_matter():
    first = build_crystal("NiAs", "NiAs")
    second = build_crystal("AsNi", "NiAs")
    assert list(first.symbols) == list(second.symbols)


def test_half_heusler_puts_the_second_element_in_the_tetrahedral_holes():
    atoms = build_crystal("TiNiSn", "half-heusler")
    i, j, d = neighbor_list("ijd", atoms, 0.75 * atoms.cell.lengths()[0])
    nickel = list(atoms.symbols).index("Ni")
    nearest = d[i == nickel].min()
    partners = {atoms.symbols[k] for k in j[(i == nickel) & (d < nearest + 0.01)]}
    assert partners == {"Ti", "Sn"}


def test_sites_can_be_said_outright():
    atoms = build_crystal(
        "SrTiO3", "perovskite", sites={"Ca": "Ti", "Ti": "Sr", "O": "O"}, lattice=4.0
    )
    plain = build_crystal("SrTiO3", "perovskite", lattice=4.0)
    assert list(plain.symbols) == ["Sr", "Ti", "O", "O", "O"]
    assert list(atoms.symbols) == ["Ti", "Sr", "O", "O", "O"]
    magnetite = build_crystal(
        "Fe3O4", "spinel", sites={"Mg": "Fe", "Al": "Fe", "O": "O"}, lattice=8.4
    )
    assert magnetite.get_chemical_formula() == "Fe6O8"
    with pytest.raises(StructureError, match="does not make"):
        build_crystal("SrTiO3", "perovskite", sites={"Ca": "Sr"})


def test_given_lattice_is_that_of_the_conventional_cell():
    atoms = build_crystal("NaCl", "rocksalt", lattice=5.64)
    assert len(atoms) == 2
    assert atoms.cell.volume == pytest.approx(5.64**3 / 4)
    full = (4.76, 4.76, 12.99, 90.0, 90.0, 120.0)
    corundum = build_crystal("Al2O3", "corundum", lattice=full)
    np.testing.assert_allclose(
        conventional_cell(corundum).cell.cellpar(), full, atol=1e-4
    )
    assert space_group(corundum).symbol == "R-3c"


def test_given_volume_is_kept():
    atoms = build_crystal("GaN", "wurtzite", volume_per_atom=11.5)
    assert atoms.cell.volume / len(atoms) == pytest.approx(11.5)


@pytest.mark.parametrize("formula", ["", "Xx2", "na3", "Fe0.5Ni0.5", "hello", "D2O"])
def test_what_is_no_formula_is_refused(formula):
    with pytest.raises(StructureError, match=r"formula|stoichiometry"):
        build_crystal(formula, "fcc")


def test_other_stoichiometry_is_refused_with_both_named():
    with pytest.raises(StructureError, match=r"ABC3.*is AB \(as NaCl\)"):
        build_crystal("SrTiO3", "rocksalt")


def test_impossible_lattices_are_refused():
    with pytest.raises(ParameterError, match="positive"):
        build_crystal("Cu", "fcc", lattice=-1.0)
    with pytest.raises(ParameterError, match="No cell"):
        build_crystal("Cu", "fcc", lattice=(3.0, 3.0, 3.0, 10.0, 10.0, 150.0))
    with pytest.raises(ParameterError, match="positive"):
        build_crystal("Cu", "fcc", volume_per_atom=float("nan"))
    with pytest.raises(ParameterError, match="not both"):
        build_crystal("Cu", "fcc", lattice=3.6, volume_per_atom=11.0)


@settings(max_examples=25, deadline=None)
@given(entry=st.sampled_from(list_prototypes()))
def test_formula_of_a_prototype_rebuilds_the_prototype(entry):
    built = build_crystal(entry.formula, entry)
    assert tuple(built.symbols) == entry.symbols
    _, _, distances = neighbor_list("ijd", built, 1.0)
    assert len(distances) == 0 or distances.min() > 0.6
