"""Molecules from SMILES."""

import numpy as np
import pytest

from gnndesign.errors import ParameterError, StructureError
from gnndesign.structures.molecules import from_smiles


def test_ethanol_has_its_hydrogen_and_sensible_bonds():
    atoms = from_smiles("CCO")
    assert atoms.get_chemical_formula() == "C2H6O"
    assert atoms.get_distance(0, 1) == pytest.approx(1.52, abs=0.03)
    assert atoms.get_distance(1, 2) == pytest.approx(1.42, abs=0.03)
    np.testing.assert_allclose(atoms.positions.mean(axis=0), 0.0, atol=1e-9)
    assert not atoms.pbc.any()


def test_benzene_is_flat_and_regular():
    ring = from_smiles("c1ccccc1")[:6]
    lengths = [ring.get_distance(k, (k + 1) % 6) for k in range(6)]
    np.testing.assert_allclose(lengths, np.mean(lengths), atol=2e-3)
    centered = ring.positions - ring.positions.mean(axis=0)
    assert np.linalg.svd(centered)[1][2] < 1e-2


def test_seed_decides_the_geometry():
    first, again, other = (from_smiles("CCCCO", seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.positions, again.positions)
    assert not np.allclose(first.positions, other.positions)


def test_charge_and_radical_reach_the_atoms():
    assert from_smiles("[OH-]").get_initial_charges().sum() == pytest.approx(-1.0)
    assert from_smiles("[CH3]").get_initial_magnetic_moments().sum() == pytest.approx(1)


def test_deuterium_is_heavy():
    assert from_smiles("[2H]O[2H]").get_masses().max() > 15.0
    assert from_smiles("[2H]O[2H]").get_masses().min() > 2.0


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C1CC(", "near character 5"),
        ("C(C)(C)(C)(C)C", "valence"),
        ("hello", "Wanted one molecule"),
        ("", "names no atoms"),
        ("C.C", "several molecules"),
    ],
)
def test_bad_smiles_is_refused_with_the_reason_and_silently(smiles, reason, capfd):
    with pytest.raises(StructureError, match=reason):
        from_smiles(smiles)
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


def test_negative_seed_is_refused():
    with pytest.raises(ParameterError, match="at least 0"):
        from_smiles("C", seed=-1)
