"""`gnndesign fine-tune` and `gnndesign distill`, as a person types them."""

import ase.build
import ase.io
import pytest
from training.conftest import argon_frames

from gnndesign.cli import build_parser, main
from gnndesign.cli.distill import plan_of as distillation_of
from gnndesign.cli.fine_tune import plan_of as fine_tuning_of
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.files import save_potential
from gnndesign.training.dataset_files import load_dataset
from gnndesign.training.distill_options import Distillation
from gnndesign.training.evaluation import evaluate
from gnndesign.training.fine_tune import FINE_TUNING
from gnndesign.training.plan import training_of

CPU = ["--device", "cpu", "--no-progress"]
STUDENT = {
    "cutoff": "6.0",
    "n_centered": "1",
    "n_shifted": "6",
    "n_angular_centered": "0",
    "n_angular_shifted": "2",
    "innermost": "2.5",
    "hidden": "[8]",
}
SHAPE = [part for pair in STUDENT.items() for part in ("--shape", "=".join(pair))]
QUICK = [
    *("--potential", "lennard-jones", "--temperature", "40", "--learn-at", "20,60"),
    *("--rounds", "1", "--frames", "8", "--deformed", "4", "--fresh", "2"),
    *("--epochs", "2", "--timings", "0", "--stability-ps", "0", *CPU, *SHAPE),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, a potential to go on from, and a structure."""
    path = tmp_path_factory.mktemp("teach")
    ase.io.write(path / "argon.xyz", argon_frames(12), format="extxyz")
    start = new_potential("invariant", ["Ar", "Kr"], cutoff=5.0, n_channels=8)
    save_potential(start, path / "old.safetensors")
    ase.io.write(path / "argon.cif", ase.build.bulk("Ar", cubic=True, a=5.3))
    return path


def table(text):
    """Rows of a table by their title, which ends where two spaces stand."""
    rows = [line.split("  ", 1) for line in text.splitlines()[1:]]
    return {title: numbers.split() for title, numbers in rows}


def test_a_potential_is_fine_tuned_and_its_errors_told(folder, tmp_path, capsys):
    out, old, data = (
        tmp_path / "a.safetensors",
        folder / "old.safetensors",
        folder / "argon.xyz",
    )
    few = ["--epochs", "2", "--replay-ratio", "0.5", "--validation-share", "0.25"]
    given = [str(data), "--potential", str(old), "--test", str(data)]
    assert main(["fine-tune", *given, *few, *CPU, "-o", str(out)]) == 0
    said = capsys.readouterr()
    found = table(said.out)
    tuned = load_potential(out, "cpu")
    for title, potential in (
        ("test, before", load_potential(old, "cpu")),
        ("test, after", tuned),
    ):
        errors = evaluate(potential, load_dataset(data)).errors
        assert found[title][1] == f"{errors.energy_mae_meV:.3g}"
        assert found[title][2] == f"{errors.forces_mae_meV_per_A:.3g}"
    told = tuned.card.training["fine_tuning"]
    after = told["errors"]["replay_after"]["forces_mae_meV_per_A"]
    assert found["replay, after"][2] == f"{after:.3g}"
    assert told["offset_eV"]
    assert f"Wrote {out}" in said.err
    assert main(["info", str(out)]) == 0
    assert tuned.card.checksum in capsys.readouterr().out


def test_the_defaults_on_the_command_line_are_those_of_the_library():
    plan = fine_tuning_of(build_parser().parse_args(["fine-tune", "a.xyz"]))
    assert training_of(plan.plan.options, FINE_TUNING) == FINE_TUNING
    assert (plan.start, plan.replay_ratio, plan.refit_shift) == (
        "sevennet-0",
        2.0,
        True,
    )
    plan = distillation_of(build_parser().parse_args(["distill", "a.cif"]))
    assert plan.distillation == Distillation()
    assert plan.architecture == "behler-parrinello"


def test_a_student_is_distilled_and_a_bound_that_is_missed_is_told(
    folder, tmp_path, capsys
):
    out = tmp_path / "fast.safetensors"
    kept = ["--folder", str(tmp_path / "kept"), "-o", str(out)]
    several = tmp_path / "all.safetensors"
    given = ["distill", str(folder / "argon.cif"), *QUICK, *kept]
    given += ["--committee", str(several)]
    assert main([*given, "--bound", "0.001"]) == 1
    said = capsys.readouterr()
    assert "above the bound of 0.001" in said.err
    student = load_potential(out, "cpu")
    assert "distilled from Lennard-Jones" in student.card.title
    told = student.card.training["distillation"]["on_own_dynamics"]
    committee = load_potential(several, "cpu")
    assert len(committee.members) == 2
    assert committee.disagreement(ase.io.read(folder / "argon.cif")).n_members == 2
    header, row = said.out.splitlines()
    assert header.split()[:2] == ["round", "frames"]
    assert row.split()[2] == f"{told['forces_rmse_meV_per_A']:.3g}"
    # The rounds that are through are in the folder; only the bound is another one.
    assert main([*given, "--bound", "10000"]) == 0
    again = capsys.readouterr()
    assert again.out == said.out
    assert "below the bound" in again.err
    assert main([*given, "--seed", "1"]) == 2
    assert "another distillation" in capsys.readouterr().err


def test_a_long_run_and_the_speed_are_told(folder, tmp_path, capsys):
    ends = ["--timings", "1", "--stability-ps", "0.02"]
    out = ["-o", str(tmp_path / "a.safetensors")]
    assert main(["distill", str(folder / "argon.cif"), *QUICK, *ends, *out]) in (0, 1)
    said = capsys.readouterr().err
    assert "times as fast" in said
    assert "0.02 ps at" in said


@pytest.mark.parametrize(
    ("command", "arguments", "reason"),
    [
        ("fine-tune", ["--potential", "lennard-jones"], "that can be trained"),
        ("fine-tune", ["--potential", "nobody"], "Wanted one of"),
        ("fine-tune", ["--replay", "no.xyz"], "no.xyz"),
        ("fine-tune", ["--test", "no.xyz"], "no.xyz"),
        ("fine-tune", ["--replay-ratio", "-1"], "replay_ratio >= 0"),
        ("fine-tune", ["--epochs", "0"], "epochs >= 1"),
        ("fine-tune", ["-o", "a.pt"], "with .safetensors"),
        ("fine-tune", ["-o", "nowhere/a.safetensors"], "a folder that is there"),
        ("distill", ["--learn-at", "300;600"], "--learn-at K,K"),
        ("distill", ["--shape", "hidden"], "NAME=VALUE"),
        ("distill", ["--shape", "hiden=[8]"], "hiden"),
        ("distill", ["--members", "1"], "two or more members"),
        ("distill", ["--potential", "nobody"], "Wanted one of"),
        ("distill", ["-o", "a.pt"], "with .safetensors"),
        ("distill", ["--committee", "a.pt"], "with .safetensors"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_cannot_be_done_is_said(
    command, arguments, reason, folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    given = {
        "fine-tune": [
            str(folder / "argon.xyz"),
            "--potential",
            str(folder / "old.safetensors"),
        ],
        "distill": [str(folder / "argon.cif"), "--potential", "lennard-jones"],
    }
    assert main([command, *given[command], *arguments, *CPU]) == 2
    assert reason in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
