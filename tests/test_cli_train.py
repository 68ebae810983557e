"""`gnndesign train`, as a person types it."""

import ase.io
import pytest
from training.conftest import argon_frames

from gnndesign.cli import main
from gnndesign.potentials.catalog import load_potential

SMALL = ["--architecture", "invariant", "--shape", "cutoff=6.0", "--shape"]


@pytest.fixture(scope="module")
def data_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "argon.xyz"
    ase.io.write(path, argon_frames(16), format="extxyz")
    return str(path)


def test_a_potential_is_trained_tested_and_written(data_file, tmp_path, capsys):
    out = tmp_path / "argon.safetensors"
    small = [*SMALL, "n_channels=8", "--epochs", "2", "--test", data_file]
    assert main(["train", data_file, *small, "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert "energy (meV/atom)" in said.out
    assert "all 2 epochs are through" in said.err
    potential = load_potential(out, "cpu")
    assert potential.architecture == "invariant"
    assert potential.parameters.n_channels == 8
    fine = tmp_path / "fine.safetensors"
    again = ["train", data_file, "--start", str(out), "--epochs", "1", "-o", str(fine)]
    assert main(again) == 0
    assert "fine-tuned" in load_potential(fine, "cpu").card.title


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([*SMALL, "n_channels"], "NAME=VALUE"),
        ([*SMALL, "n_chanels=8"], "n_chanels"),
        (["--start", "lennard-jones"], "a potential that can be trained"),
        (["--start", "sevennet-0", "--shape", "cutoff=3"], "--architecture alone"),
        (["--architecture", "invariant", "-o", "a.pt"], "with .safetensors"),
        (["--architecture", "invariant", "--epochs", "0"], "epochs >= 1"),
        (["--architecture", "invariant", "--validation", "no.xyz"], "no.xyz"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_done_is_said(arguments, reason, data_file, capsys, tmp_path):
    out = [] if "-o" in arguments else ["-o", str(tmp_path / "a.safetensors")]
    assert main(["train", data_file, *arguments, *out]) == 2
    assert reason in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
