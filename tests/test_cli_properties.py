"""`gnndesign properties`: the function, from a terminal."""

import csv
import shlex
from pathlib import Path

import ase.build
import ase.io
import pytest

from gnndesign.cli import build_parser, main
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.properties.catalog import PROPERTIES
from gnndesign.properties.compute import compute
from gnndesign.properties.equation_of_state import EquationOfState
from gnndesign.properties.export import load_outcomes
from gnndesign.properties.work import Relaxing

START = ["properties", "--potential", "lennard-jones", "--device", "cpu"]
EOS = ["--property", "equation_of_state", "--set", "n_points=5"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where a person stands who types the commands."""
    monkeypatch.chdir(tmp_path)
    ase.io.write("argon.cif", ase.build.bulk("Ar", cubic=True))
    ase.io.write("two.xyz", [ase.build.bulk("Ar"), ase.build.bulk("Ar", "hcp", a=3.8)])
    ase.io.write("water.xyz", ase.build.molecule("H2O"))
    return tmp_path


def test_the_example_in_the_help_is_a_command_that_parses(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["properties", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    examples = text.split("example:\n")[1].split("\n\n")[0].splitlines()
    first, second = (
        build_parser().parse_args(shlex.split(line.strip().removeprefix("gnndesign ")))
        for line in examples
    )
    assert (first.kinds, first.settings) == (["equation_of_state"], ["n_points=9"])
    assert second.list


def test_properties_of_all_structures_of_all_files(capsys):
    setting = ["--set", "relaxing.max_force=0.002"]
    arguments = [*START, "argon.cif", "two.xyz", *EOS, *setting, "-o", "out.csv"]
    assert main(arguments) == 0
    output = capsys.readouterr()
    header, *rows = output.out.splitlines()
    assert header.split("  ")[0] == "structure"
    assert "error of" not in header
    assert len(rows) == 3 * 4
    wanted = compute(
        EquationOfState(n_points=5, relaxing=Relaxing(max_force=0.002)),
        ase.io.read("argon.cif"),
        LennardJones(),
    )
    line = rows[0].split()
    assert line[:3] == ["argon.cif", "Ar4", "equation_of_state"]
    assert line[-3:] == [f"{wanted.bulk_modulus_GPa:.5g}", "GPa", "computed"]
    assert rows[4].startswith("two.xyz[0]")
    with Path("out.csv").open(encoding="utf-8") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert names == ["argon.cif", "two.xyz[0]", "two.xyz[1]"]


def test_one_that_fails_says_why_and_the_others_are_there(capsys):
    assert main([*START, "water.xyz", "argon.cif", *EOS, "-o", "out.json"]) == 1
    output = capsys.readouterr()
    assert "water.xyz, equation_of_state: H2O is not periodic" in output.err
    assert "failed" in output.out.splitlines()[1]
    found = load_outcomes(Path("out.json"))
    assert [str(each.status) for each in found] == ["failed", "computed"]


def test_bad_input_is_one_sentence(capsys):
    for arguments, said in (
        ([*EOS], "Wanted one or more files"),
        (["argon.cif"], f"Wanted --property, one or more of {PROPERTIES[0]}"),
        (["argon.cif", "--property", "eos"], "Wanted a property in"),
        (["argon.cif", *EOS, "--set", "strain"], "--set NAME=VALUE"),
        (["argon.cif", *EOS, "--set", "stain=1"], "Did you mean 'strain'"),
        (["argon.cif", *EOS, "--set", "strain=much"], "strain as a number"),
        (
            ["argon.cif", *EOS, "--set", "equation_of_state.form=poly"],
            "birch-murnaghan",
        ),
        (["argon.cif", *EOS, "-o", "out.txt"], ".csv"),
        (["argon.cif", *EOS, "-o", "no/out.csv"], "folder"),
        (["nothing.cif", *EOS], "nothing.cif"),
    ):
        assert main([*START, *arguments]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        (line,) = output.err.splitlines()
        assert said in line


def test_what_there_is_is_listed(capsys):
    assert main(["properties", "--list"]) == 0
    output = capsys.readouterr().out
    assert all(kind in output for kind in PROPERTIES)
    assert main(["properties", "--list", *EOS[:2]]) == 0
    output = capsys.readouterr().out
    (line,) = [row for row in output.splitlines() if " at_each.cell " in row]
    assert "constant_volume" in line
    assert "isotropic, constant_volume, full, none" in line
