import os
from pathlib import Path

import ase
import pytest

from gnndesign.properties import near_hull_table
from gnndesign.properties.materials_project import (
    known_compound,
    n_compounds_with,
    stable_compositions,
    stable_compounds,
    table_in_use,
)

WHOLE = (
    Path(os.environ.get("GNNDESIGN_DATA", "/nowhere"))
    / "mp_formation"
    / "mp_ef_ed_85014.csv.xz"
)


@pytest.fixture
def shipped(monkeypatch):
    """As where nobody has the whole table."""
    monkeypatch.delenv("GNNDESIGN_DATA", raising=False)


def test_a_table_survives_being_shipped_and_nothing_unstable_becomes_stable():
    before = {
        (("Ca", 1), ("O", 3), ("Ti", 1)): (-3.5501, -0.0904),
        (("Ca", 3), ("O", 7), ("Ti", 2)): (-3.4, 0.0001),
        (("Ca", 1), ("O", 1)): (-3.2, -0.0004),
        (("C", 1), ("O", 2)): (-1.5, 0.012),
        (("O", 3), ("Sr", 1), ("Ti", 1)): (-3.5, 0.05),
        (("Ca", 1), ("Ti", 1)): (0.4, 0.4),
    }
    after = near_hull_table.decode(near_hull_table.encode(before))
    assert after == {
        (("Ca", 1), ("O", 3), ("Ti", 1)): (-3.55, -0.09),
        (("Ca", 3), ("O", 7), ("Ti", 2)): (-3.4, 0.001),
        (("Ca", 1), ("O", 1)): (-3.2, 0.0),
        (("C", 1), ("O", 2)): (-1.5, 0.012),
        (("O", 3), ("Sr", 1), ("Ti", 1)): (-3.5, 0.05),
    }


@pytest.mark.skipif(not WHOLE.is_file(), reason="GNNDESIGN_DATA has no mp_formation")
def test_the_shipped_table_is_the_stable_part_of_the_whole_one(monkeypatch):
    assert table_in_use().is_complete
    assert table_in_use().n_compositions == 85_014
    elements = frozenset(("Ba", "Ca", "Mg", "La", "Ti", "Nb", "Al", "O", "F"))
    whole = stable_compounds(elements)
    monkeypatch.delenv("GNNDESIGN_DATA")
    assert stable_compounds(elements) == whole
    assert len(whole) > 50
    # FePbO3, 0.181 eV/atom above the hull (Bartel et al.).
    assert known_compound(ase.Atoms("FePbO3")) is None


@pytest.mark.usefixtures("shipped")
def test_what_is_stable_is_known_without_the_whole_table():
    # In the table of Bartel et al.: NaCl forms with -2.105 eV/atom.
    salt = known_compound(ase.Atoms("Na4Cl4"))
    assert salt.formation_energy_per_atom == pytest.approx(-2.105, abs=0.001)
    assert salt.decomposition_energy_per_atom < -0.5
    assert {"TiO2", "Sr2TiO4", "SrTiO3", "SrO"} <= set(
        stable_compounds(frozenset(("Sr", "Ti", "O")))
    )
    assert {"Al": 2, "O": 3} in stable_compositions(frozenset(("Al", "O")))
    table = table_in_use()
    assert not table.is_complete
    assert table.n_compositions == 58_229
    # Not "new": it may be in the Materials Project, and not stable.
    assert table.what_is_missing.startswith("not known to be stable")


def test_noble_gases_and_late_actinides_have_few_compounds():
    assert n_compounds_with("Xe") == n_compounds_with("Am") == 0
    assert 0 < n_compounds_with("Pu") < 300 < n_compounds_with("Be")
    assert n_compounds_with("O") > 20_000
