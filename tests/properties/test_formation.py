import json
import lzma

import ase
import numpy as np
import pytest
from ase.build import bulk, molecule
from toy_potential import ToyPotential

from gnndesign.errors import CheckpointError, ConvergenceError, StructureError
from gnndesign.properties.compute import compute
from gnndesign.properties.formation import Cohesion, Formation
from gnndesign.properties.materials_project import known_compound, stable_compounds
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.work import Relaxing
from gnndesign.structures.library import elemental_ground_state


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of two compounds, in place of the Materials Project's."""
    folder = tmp_path / "data" / "mp_formation"
    folder.mkdir(parents=True)
    rows = (
        "formula,Ef_eV_per_atom,crabnet_split,Ed_eV_per_atom\n"
        "Mg1O1,-3.0,train,-0.9\nMg1O2,-2.0,test,0.1\nCa5Mg1O6,-3.1,test,-0.01\n"
    )
    path = folder / "mp_ef_ed_85014.csv.xz"
    path.write_bytes(lzma.compress(rows.encode()))
    monkeypatch.setenv("GNNDESIGN_DATA", str(tmp_path / "data"))
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test meets energies that another has kept."""
    monkeypatch.setenv("GNNDESIGN_CACHE", str(tmp_path / "cache"))


def test_an_element_forms_from_itself_with_no_energy():
    result = compute(Formation(), elemental_ground_state("Cu"), ToyPotential())
    assert result.formation_energy_per_atom == pytest.approx(0, abs=1e-4)
    assert result.difference_to_dft_per_atom is None


def test_formation_energy_is_what_is_left_of_the_elements(monkeypatch):
    monkeypatch.delenv("GNNDESIGN_DATA", raising=False)
    rocksalt = bulk("MgO", "rocksalt", a=4.2)
    toy = ToyPotential()
    result = compute(Formation(relaxing=None), rocksalt, toy)
    energy = float(toy.compute(rocksalt).energy[0])
    mu = result.reference_energies
    assert energy == pytest.approx(
        2 * result.formation_energy_per_atom + mu["Mg"] + mu["O"]
    )
    assert result.checksum == "checksum of toy"
    # The shipped table has stable compounds alone; this one is further up.
    above = compute(Formation(relaxing=None), bulk("MgAr", "rocksalt", a=4.2), toy)
    assert above.difference_to_dft_per_atom is None
    assert above.notes == ()


@pytest.mark.usefixtures("table")
def test_the_table_of_the_materials_project_stands_beside():
    result = compute(Formation(), bulk("MgO", "rocksalt", a=4.2), ToyPotential())
    assert result.dft_formation_energy_per_atom == -3.0
    assert result.difference_to_dft_per_atom == pytest.approx(
        result.formation_energy_per_atom + 3.0
    )
    assert "corrections" in result.notes[0]
    assert [q.key for q in result.quantities()][1] == "difference_to_dft_per_atom"
    assert stable_compounds(frozenset(("Mg", "O", "Ca"))) == ("Ca5MgO6", "MgO")
    assert stable_compounds(frozenset(("Mg", "O"))) == ("MgO",)
    assert known_compound(ase.Atoms("Mg2O4")).decomposition_energy_per_atom == 0.1
    assert known_compound(ase.Atoms("Mg3O")) is None


def test_a_damaged_table_is_named(table):
    table.write_bytes(lzma.compress(b"formula,Ef\nMgO,1"))
    # Read once a process: another folder is another table.
    with pytest.raises(CheckpointError, match="not the table"):
        known_compound(ase.Atoms("MgO"))


def test_cohesive_energy_of_argon_is_that_of_its_pairs(lennard_jones):
    result = compute(Cohesion(), bulk("Ar"), lennard_jones)
    # An isolated atom of a pair potential has no energy.
    assert result.atom_energies == {"Ar": 0.0}
    assert result.cohesive_energy_per_atom == pytest.approx(-result.energy_per_atom)
    # 8.61 ε for all shells of fcc (Kittel, ch. 3); the cutoff takes a few percent.
    assert result.cohesive_energy_per_atom == pytest.approx(8.61 * 0.01034, rel=0.12)
    assert "outside the training domain" in result.notes[0]
    dimer = ase.Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 3.9]])
    tight = Relaxing(cell=None, max_force=1e-4)
    bound = compute(Cohesion(relaxing=tight), dimer, lennard_jones)
    assert bound.cohesive_energy_per_atom == pytest.approx(0.01034 / 2, rel=1e-3)


def test_what_has_no_formation_energy_is_refused(lennard_jones):
    with pytest.raises(StructureError, match="Wanted a crystal"):
        compute(Formation(), molecule("H2O"), lennard_jones)
    short = Formation(relaxing=Relaxing(max_steps=1, max_force=1e-7))
    with pytest.raises(ConvergenceError):
        compute(short, bulk("Ar", a=5.6), lennard_jones)


def test_many_structures_give_the_same_as_one_by_one():
    crystals = [bulk("MgO", "rocksalt", a=4.2), bulk("CaO", "rocksalt", a=4.8)]
    potential = ToyPotential()
    together = compute(Formation(), crystals, potential)
    for crystal, outcome in zip(crystals, together, strict=True):
        alone = compute(Formation(), crystal, potential)
        assert outcome.result.formation_energy_per_atom == pytest.approx(
            alone.formation_energy_per_atom, abs=1e-4
        )


@pytest.mark.usefixtures("table")
def test_results_survive_json():
    for wanted in (Formation(), Cohesion()):
        result = compute(wanted, bulk("MgO", "rocksalt", a=4.2), ToyPotential())
        back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
        assert back.quantities() == result.quantities()
        assert from_plain(json.loads(json.dumps(to_plain(wanted)))) == wanted


def test_salt_of_sevennet_forms_with_the_energy_of_pbe(sevennet_0, monkeypatch):
    monkeypatch.undo()
    result = compute(Formation(), bulk("NaCl", "rocksalt", a=5.6), sevennet_0)
    # -2.105 eV/atom in the table of Bartel et al., with 0.614 eV of correction for each
    # Cl (Materials Project): PBE alone has -1.80.
    assert result.formation_energy_per_atom == pytest.approx(-1.8, abs=0.08)
    assert np.isfinite(result.energy_per_atom)
