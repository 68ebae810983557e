"""`gnndesign export`: the function, from a terminal."""

import shlex
import signal
import subprocess
import sys
import time

import ase
import ase.io
import numpy as np
import pytest

from gnndesign.cli import build_parser, main
from gnndesign.structures.frame_formats import WRITERS


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of a run with ten frames."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "argon_md"
    folder.mkdir()
    frames = []
    for step in range(10):
        atoms = ase.Atoms("Ar2", [[0, 0, 0.1 * step], [0, 4, 0]], cell=[9] * 3, pbc=1)
        atoms.info = {"step": step}
        frames.append(atoms)
    ase.io.write(folder / "00000.traj", frames)
    return folder


def test_the_example_in_the_help_is_a_command_that_parses(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["export", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    example = text.split("example:\n  gnndesign ")[1].splitlines()[0]
    options = build_parser().parse_args(shlex.split(example))
    assert (options.start, options.every) == (1000, 10)
    assert "nothing has been written" in text
    for name in WRITERS:
        parsed = ["export", "a.traj", "-o", "b", "--format", name]
        assert build_parser().parse_args(parsed).format == name


def test_a_range_of_a_run_is_written(run, capsys):
    arguments = ["export", str(run), "-o", "part.xyz"]
    assert main([*arguments, "--start", "2", "--stop", "9", "--every", "3"]) == 0
    assert "wrote 3 frames to 'part.xyz'" in capsys.readouterr().err
    found = ase.io.read("part.xyz", ":")
    assert [atoms.info["step"] for atoms in found] == [2, 5, 8]
    assert np.isclose(found[1].positions[0, 2], 0.5)


def test_bad_input_is_one_sentence(run, capsys):
    for arguments, said in (
        ([str(run), "-o", "a.doc"], "wanted a name ending in"),
        (["nothing", "-o", "a.xyz"], "no 'nothing'"),
        ([str(run), "-o", "a.xyz", "--start", "99"], "none from 99"),
        ([str(run), "-o", "a.xyz", "--structure", "3"], "say which one"),
    ):
        assert main(["export", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line


def test_ctrl_c_leaves_no_file(run, tmp_path):
    atoms = ase.io.read(run / "00000.traj") * (6, 6, 6)
    long = tmp_path / "long.traj"
    with ase.io.Trajectory(long, "w") as frames:
        for _ in range(1000):
            frames.write(atoms)
    command = [sys.executable, "-m", "gnndesign", "export", str(long), "-o", "long.cif"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as export:  # noqa: S603
        while not list(tmp_path.glob(".long.*")):
            time.sleep(0.02)
        export.send_signal(signal.SIGINT)
        _, said = export.communicate()
    assert export.returncode == 130
    assert "was not written" in said
    assert not list(tmp_path.glob("*long.*cif"))
