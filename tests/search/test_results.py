import csv
import json

import numpy as np
import pytest
from search_results import (
    FORMATION,
    MODULUS,
    made_result,
    made_trial,
    perovskite_search,
)

from gnndesign.errors import ParameterError
from gnndesign.search import export
from gnndesign.search.trials import TrialStatus
from gnndesign.structures.convert import atoms_from_dict
from gnndesign.structures.files import load_structure


@pytest.fixture
def several():
    return made_result(
        [
            made_trial(0, {"formation_energy": -1.0}),
            made_trial(1, {"formation_energy": -5.0}, constraints={"hull": 0.2}),
            made_trial(
                2, {"formation_energy": -3.0}, constraints={"hull": -0.1}, a="Ba"
            ),
            made_trial(3, {}, status=TrialStatus.DIVERGED),
            made_trial(
                4, {"formation_energy": -2.0}, constraints={"hull": 0.0}, a="Ca"
            ),
            made_trial(5, {"formation_energy": -8.0}, status=TrialStatus.PRUNED),
        ],
        provenance={
            "potential": {"name": "toy", "checksum": "abc"},
            "reference_energies_eV_per_atom": {"Sr": -1.0},
            "seed": 3,
        },
    )


def test_the_best_keep_the_constraints(several):
    assert [trial.number for trial in several.best()] == [2, 4, 0]
    assert [trial.number for trial in several.best(1)] == [2]
    assert {trial.number for trial in several.infeasible} == {1, 5}
    with pytest.raises(ParameterError, match="at least one"):
        several.best(0)


def test_the_front_is_that_of_the_feasible():
    result = perovskite_search(objectives=(FORMATION, MODULUS))
    costs = {
        t.number: np.array([t.values["formation_energy"], -t.values["bulk_modulus"]])
        for t in result.trials
        if t.values and t.is_feasible
    }
    expected = {
        number
        for number, p in costs.items()
        if not any((q <= p).all() and (q < p).any() for q in costs.values())
    }
    assert {trial.number for trial in result.best(None)} == expected
    # It would be another one with those that miss a constraint.
    assert len(result.evaluated) > len(result.feasible)


def test_a_trial_without_all_values_is_not_evaluated():
    half = made_trial(0, {"formation_energy": -1.0})
    result = made_result([half], objectives=(FORMATION, MODULUS))
    assert result.evaluated == result.best() == ()
    assert result.trial(0) is half
    with pytest.raises(ParameterError, match="no finished trial 7"):
        result.trial(7)


def test_exports_structures_a_table_and_how_they_were_found(several, tmp_path):
    table = several.export_best(tmp_path / "out", n=2)
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert [float(row["formation_energy_eV_per_atom"]) for row in rows] == [-3.0, -2.0]
    assert load_structure(table.parent / rows[0]["cif"]).get_chemical_formula() == (
        "BaO3Ti"
    )
    # BaTiO3 is in the Materials Project, and its hexagonal form is stable.
    assert "known" in rows[0]["trust_flags"]
    content = json.loads((table.parent / "best.json").read_text(encoding="utf-8"))
    assert content["provenance"]["potential"]["checksum"] == "abc"
    assert content["provenance"]["seed"] == 3
    assert content["space"]["prototype"] == "perovskite"
    assert content["objectives"][0]["unit"] == "eV/atom"
    assert content["constraints"][0]["high"] == 0.05
    assert {"gnndesign", "torch", "python"} <= set(content["versions_that_wrote"])
    assert content["written"].endswith("+00:00")
    assert "Materials Project" in content["references"][0]
    first = content["best"][0]
    assert (first["rank"], first["trial"], first["cif"]) == (1, 2, rows[0]["cif"])
    assert first["trust_flags"][0]["sentence"]
    atoms = atoms_from_dict(first["atoms"])
    assert atoms.positions == pytest.approx(several.trial(2).atoms.positions)


def test_units_are_in_the_names_once(tmp_path):
    trial = made_trial(
        0,
        {"formation_energy": -1.0, "density": 5.0, "lowest_frequency_THz": 2.0},
        constraints={"energy_above_hull": -0.02},
    )
    columns = [
        FORMATION,
        type(FORMATION)(name="density", unit="g/cm³", direction="minimize"),
        type(FORMATION)(name="lowest_frequency_THz", unit="THz", direction="maximize"),
    ]
    path = made_result([trial], columns).to_csv(tmp_path / "all.csv")
    names = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert {
        "formation_energy_eV_per_atom",
        "density_g_per_cm3",
        "lowest_frequency_THz",
        "energy_above_hull_eV_per_atom_missed_by",
        "choice_A",
    } <= set(names)
    assert all(name.isascii() for name in names)


def test_the_table_is_written_last(several, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(export, "_write", fail)
    with pytest.raises(OSError, match="disk full"):
        several.export_best(tmp_path)
    assert (tmp_path / "best.json").exists()
    assert not (tmp_path / "best.csv").exists()


def test_a_molecule_is_exported_without_a_cell(tmp_path):
    import ase

    water = ase.Atoms("OH2", positions=[[0, 0, 0], [0, 0.76, 0.59], [0, -0.76, 0.59]])
    trial = made_trial(
        0, {"formation_energy": -1.0}, atoms=water, formula="[H]O[H]", choices={}
    )
    table = made_result([trial]).export_best(tmp_path)
    assert (table.parent / "01__H_O_H_.xyz").exists()


def test_nothing_is_not_exported(tmp_path):
    missed = made_trial(0, {"formation_energy": -1.0}, constraints={"hull": 0.1})
    with pytest.raises(ParameterError, match="nothing to export"):
        made_result([missed]).export_best(tmp_path)
