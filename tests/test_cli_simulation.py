"""`gnndesign relax` and `gnndesign md`: what of the engine their options reach."""

import csv
import json

import ase.build
import ase.io
import numpy as np
import pytest

from gnndesign.cli import build_parser, main
from gnndesign.simulation.dynamics import ENSEMBLES
from gnndesign.simulation.observables import OBSERVABLES
from gnndesign.simulation.relaxation import DEFAULT_METHOD, METHODS, relax
from gnndesign.structures.files import load_structure
from gnndesign.structures.symmetry import space_group

ARGON = ["argon.cif", "--potential", "lennard-jones", "--device", "cpu"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GNNDESIGN_HOME", str(tmp_path / "home"))
    atoms = ase.build.bulk("Ar", "fcc", 5.3, cubic=True)
    atoms.rattle(0.1, seed=7)
    ase.io.write("argon.cif", atoms)
    return tmp_path


def history(name):
    with open(name, encoding="utf-8") as file:  # noqa: PTH123
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


def test_the_choices_are_those_of_the_library():
    parser = build_parser()
    for method in METHODS:
        assert parser.parse_args(["relax", "x", "--method", method])
    assert parser.parse_args(["relax", "x"]).method == DEFAULT_METHOD
    for ensemble in ENSEMBLES:
        assert parser.parse_args(["md", "x", "--ensemble", ensemble])


@pytest.mark.parametrize("method", METHODS)
def test_the_method_is_the_one_asked_for(method, capsys, lennard_jones):
    assert main(["relax", *ARGON, "--method", method, "-o", "out.extxyz"]) == 0
    capsys.readouterr()
    # The potential of the command line is the same, hence every digit.
    expected = relax(load_structure("argon.cif"), lennard_jones, method=method)
    np.testing.assert_allclose(
        load_structure("out.extxyz").positions, expected.atoms.positions, atol=1e-7
    )


def test_axes_that_are_fixed_stay_and_the_space_group_is_kept(capsys):
    atoms = ase.build.bulk("Ar", "fcc", 5.0, cubic=True)
    atoms.set_cell(atoms.cell.array * [[1.0], [1.0], [1.03]], scale_atoms=True)
    ase.io.write("stretched.cif", atoms)
    before = space_group(atoms)
    arguments = ["relax", "stretched.cif", *ARGON[1:], "--cell", "full"]
    options = ["--fixed-axes", "c", "--fix-symmetry", "--fix-center"]
    assert main([*arguments, *options, "-o", "out.extxyz"]) == 0
    capsys.readouterr()
    after = load_structure("out.extxyz")
    np.testing.assert_allclose(after.cell[2], atoms.cell[2], atol=1e-8)
    assert after.cell.lengths()[0] > 5.05
    assert space_group(after) == before


def test_the_temperature_is_led_to_where_it_shall_go(capsys):
    options = ["--ensemble", "bussi", "--temperature", "1", "--ramp-to", "60"]
    options += ["--steps", "300", "--timestep", "2", "--every", "10"]
    assert main(["md", *ARGON, *options]) == 0
    capsys.readouterr()
    temperature = history("argon_md/history.csv")["temperature_K"]
    assert temperature[-10:].mean() > 5 * temperature[:5].mean()


def test_compact_frames_have_no_forces(capsys):
    options = ["--contents", "compact", "--steps", "4", "--every", "2"]
    assert main(["md", *ARGON, *options]) == 0
    capsys.readouterr()
    frames = ase.io.read("argon_md/00000.traj", ":")
    assert len(frames) == 3
    assert all("forces" not in frame.calc.results for frame in frames)


def test_what_is_observed_is_written_as_json(capsys):
    options = ["--observe", "averages,rdf,msd", "--steps", "100", "--every", "5"]
    assert main(["md", *ARGON, *options, "--temperature", "40"]) == 0
    capsys.readouterr()
    with open("argon_md/observables.json", encoding="utf-8") as file:  # noqa: PTH123
        found = json.load(file)
    assert set(found) == set(OBSERVABLES)
    assert found["vacf"] is None
    mean = found["averages"]["temperature_K"]["mean"]
    told = history("argon_md/history.csv")["temperature_K"]
    assert mean == pytest.approx(told.mean())
    assert found["averages"]["temperature_K"]["n_samples"] == 21
    assert np.shape(found["rdf"]["g"])[1] == len(found["rdf"]["r"])
    assert found["msd"]["species"] == ["Ar"]


def test_an_unknown_observable_is_refused_before_anything_runs(capsys, folder):
    assert main(["md", *ARGON, "--observe", "rdf,spectrum"]) == 2
    assert "'spectrum'" in capsys.readouterr().err
    assert not (folder / "argon_md").exists()


@pytest.mark.parametrize("ensemble", ["npt_mtk", "npt_cell_rescaling"])
def test_pressure_makes_the_cell_smaller(capsys, ensemble):
    options = ["--ensemble", ensemble, "--pressure", "0.5", "--temperature", "20"]
    options += ["--pressure-ramp-to", "2.0", "--steps", "400", "--timestep", "2"]
    assert main(["md", *ARGON, *options]) == 0
    capsys.readouterr()
    volume = history("argon_md/history.csv")["volume_A3"]
    # The compressibility that cell rescaling assumes is a hard crystal's.
    ratio = {"npt_mtk": 0.97, "npt_cell_rescaling": 0.995}[ensemble]
    assert volume[-1] < ratio * volume[0]
