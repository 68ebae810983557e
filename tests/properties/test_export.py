import csv
import io
import json
import math
from dataclasses import replace

import pytest
from ase.build import bulk, molecule

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.properties.base import Quantity
from gnndesign.properties.compute import compute
from gnndesign.properties.equation_of_state import EquationOfState
from gnndesign.properties.export import (
    load_outcomes,
    outcomes_csv,
    outcomes_json,
    save_outcomes,
)
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.table import number_text, quantity_text

NAMES = ("argon, fcc", "water")
TWO = (EquationOfState(n_points=5), EquationOfState(n_points=7, form="vinet"))


@pytest.fixture(scope="module")
def outcomes(lennard_jones):
    return compute(TWO, [bulk("Ar"), molecule("H2O")], lennard_jones)


def test_csv_has_a_row_a_structure_and_a_column_a_quantity(outcomes):
    rows = list(csv.DictReader(io.StringIO(outcomes_csv(outcomes, NAMES))))
    assert [row["name"] for row in rows] == list(NAMES)
    assert [row["formula"] for row in rows] == ["Ar", "H2O"]
    first = rows[0]
    assert first["potential"] == "lennard-jones"
    assert first["checksum"] == outcomes[0].checksum
    modulus = float(first["Equation of state: Bulk modulus (GPa)"])
    assert modulus == outcomes[0].result.bulk_modulus_GPa
    second = float(first["Equation of state 2: Bulk modulus (GPa)"])
    assert second == outcomes[1].result.bulk_modulus_GPa
    assert first["Equation of state: status"] == "computed"
    assert first["Equation of state: message"] == ""
    assert rows[1]["Equation of state: Bulk modulus (GPa)"] == ""
    assert rows[1]["Equation of state 2: status"] == "failed"
    assert "not periodic" in rows[1]["Equation of state 2: message"]


def test_json_has_everything_and_numbers_for_other_programs(outcomes, tmp_path):
    path = tmp_path / "found.json"
    save_outcomes(outcomes, path, names=NAMES, properties=TWO)
    found = load_outcomes(path)
    assert [to_plain(each) for each in found] == [to_plain(each) for each in outcomes]
    data = json.loads(path.read_text())
    assert from_plain(data["properties"]) == TWO
    first = data["outcomes"][0]
    assert first["quantities"][0] == {
        "key": "bulk_modulus_GPa",
        "name": "Bulk modulus",
        "value": outcomes[0].result.bulk_modulus_GPa,
        "unit": "GPa",
    }
    assert (first["name"], data["outcomes"][3]["status"]) == ("argon, fcc", "failed")


def test_a_number_that_is_none_is_empty(outcomes):
    result = replace(outcomes[0].result, bulk_modulus_GPa=math.nan)
    one = [replace(outcomes[0], result=result)]
    (row,) = csv.DictReader(io.StringIO(outcomes_csv(one)))
    assert row["Equation of state: Bulk modulus (GPa)"] == row["name"] == ""
    data = json.loads(outcomes_json(one))
    assert data["outcomes"][0]["quantities"][0]["value"] is None


def test_other_files_are_refused(outcomes, tmp_path):
    with pytest.raises(ParameterError, match=r"\.csv .* or \.json"):
        save_outcomes(outcomes, tmp_path / "found.xlsx")
    path = tmp_path / "no.json"
    for text in ("{", "[]", '{"format": 1}', '{"format": 99, "outcomes": []}'):
        path.write_text(text)
        with pytest.raises(CheckpointError):
            load_outcomes(path)


def test_a_quantity_is_told_with_its_unit():
    modulus = Quantity(name="Bulk modulus", value=98.20345, unit="GPa", key="b")
    assert quantity_text(modulus) == "Bulk modulus 98.203 GPa"
    assert number_text(math.nan) == "-"
    assert number_text(-5.42537) == "-5.4254"
