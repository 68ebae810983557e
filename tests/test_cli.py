import csv
import re
import shlex
import signal
import subprocess
import sys
import time

import ase.build
import ase.io
import numpy as np
import pytest

from gnndesign.cli import build_parser, main
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.states import JobState
from gnndesign.jobs.store import JobStore
from gnndesign.potentials.catalog import load_potential
from gnndesign.search import study
from gnndesign.search.results import SearchResult
from gnndesign.search.study import load_search
from gnndesign.simulation.cell import CellMode
from gnndesign.simulation.dynamics import ENSEMBLES, molecular_dynamics
from gnndesign.simulation.relaxation import relax
from gnndesign.structures.files import load_structure

COMMANDS = ["relax", "md", "train", "fine-tune", "distill", "search", "info", "jobs"]
ARGON = ["--potential", "lennard-jones", "--device", "cpu"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where a person stands who types the commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GNNDESIGN_HOME", str(tmp_path / "home"))
    atoms = ase.build.bulk("Ar", "fcc", 5.3, cubic=True)
    atoms.rattle(0.1, seed=7)
    ase.io.write("argon.cif", atoms)
    return tmp_path


def fails(arguments, capsys):
    """The one sentence with which a command refuses."""
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith("gnndesign: ")
    return line


def table(text):
    """Rows of a table as dicts by the names in its header."""
    header, *rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


def start(*arguments, **streams):
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "gnndesign", *arguments], **streams
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_in_the_help_is_a_command_that_parses(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    example = re.search(r"example:\n  gnndesign (.*)", text)
    options = build_parser().parse_args(shlex.split(example[1]))
    assert options.run.__module__ == f"gnndesign.cli.{command.replace('-', '_')}"
    assert "exit codes:\n  0    done\n" in text
    assert re.search(r"^  2    bad usage", text, re.MULTILINE)


def test_choices_are_those_of_the_library():
    parser = build_parser()
    for mode in CellMode:
        name = mode.name.lower()
        assert parser.parse_args(["relax", "x", "--cell", name]).cell == name
    for ensemble in ENSEMBLES:
        assert parser.parse_args(["md", "x", "--ensemble", ensemble])


def test_help_through_the_module_answers():
    done = subprocess.run(
        [sys.executable, "-m", "gnndesign", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(command in done.stdout for command in COMMANDS)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["relaxx"], "relaxx"),
        (["relax"], "FILE"),
        (["relax", "a.cif", "--cell", "half"], "half"),
        (["relax", "a.cif", "--max-steps", "few"], "few"),
    ],
)
def test_bad_usage_is_one_sentence(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gnndesign")
    assert said in line
    assert line.endswith("--help.")


def test_relax_writes_what_the_function_gives(folder, capsys):
    given = (folder / "argon.cif").read_bytes()
    assert main(["relax", "argon.cif", *ARGON, "--cell", "full"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    potential = load_potential("lennard-jones", "cpu")
    expected = relax(load_structure("argon.cif"), potential, cell="full")
    (row,) = table(output.out)
    assert row["energy (eV)"] == f"{expected.energy:.6f}"
    assert row["steps"] == str(expected.steps)
    assert row["status"] == "converged"
    assert row["written"] == "argon_relaxed.cif"
    written = load_structure("argon_relaxed.cif")
    np.testing.assert_allclose(
        written.cell.cellpar(), expected.atoms.cell.cellpar(), atol=1e-7
    )
    assert (folder / "argon.cif").read_bytes() == given


def test_relax_of_several_files_goes_into_a_folder(folder, capsys):
    atoms = load_structure("argon.cif")
    ase.io.write("POSCAR", atoms, format="vasp")
    dimer = ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 3.9]])
    ase.io.write("dimer.xyz", dimer)
    files = ["argon.cif", "POSCAR", "dimer.xyz"]
    assert (
        main(["relax", *files, *ARGON, "-o", "out/new", "--max-force", "0.0005"]) == 0
    )
    rows = table(capsys.readouterr().out)
    assert [row["formula"] for row in rows] == ["Ar4", "Ar4", "Ar2"]
    assert [row["volume (Å³)"] for row in rows] == ["148.877", "148.877", "-"]
    names = sorted(path.name for path in (folder / "out/new").iterdir())
    assert names == ["POSCAR_relaxed", "argon_relaxed.cif", "dimer_relaxed.xyz"]
    relaxed = load_structure("out/new/dimer_relaxed.xyz")
    assert relaxed.get_distance(0, 1) == pytest.approx(3.4 * 2 ** (1 / 6), abs=0.01)


def test_relax_that_does_not_converge_is_told_by_the_exit_code(capsys):
    assert main(["relax", "argon.cif", *ARGON, "--max-steps", "1"]) == 1
    (row,) = table(capsys.readouterr().out)
    assert (row["status"], row["steps"]) == ("step limit", "1")


def test_pressure_makes_it_smaller(capsys):
    volumes = []
    for pressure in ("0", "2"):
        options = ["--cell", "full", "--pressure", pressure, "-o", "pressed.vasp"]
        assert main(["relax", "argon.cif", *ARGON, *options]) == 0
        volumes.append(float(table(capsys.readouterr().out)[0]["volume (Å³)"]))
    assert volumes[1] < 0.9 * volumes[0]
    assert load_structure("pressed.vasp").cell.volume == pytest.approx(
        volumes[1], abs=1e-3
    )


def test_inputs_are_never_overwritten(folder, capsys):
    line = fails(["relax", "argon.cif", *ARGON, "-o", "./argon.cif"], capsys)
    assert "is an input and is not overwritten" in line
    (folder / "link.cif").symlink_to("argon.cif")
    line = fails(["relax", "argon.cif", *ARGON, "-o", "link.cif"], capsys)
    assert "is an input" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["relax", "absent.cif"], "'absent.cif': No such file"),
        (
            ["relax", "argon.cif", "--potential", "sevnet-0"],
            "Did you mean 'sevennet-0'",
        ),
        (["relax", "argon.cif", *ARGON, "--max-force", "-1"], "max_force"),
        (["relax", "argon.cif", *ARGON, "-o", "x.docx"], "x.docx"),
        (["relax", "argon.cif", *ARGON, "-o", "no/such/x.cif"], "no/such"),
        (["relax", "argon.cif", "--device", "cuda:99"], "cuda:99"),
        (["relax", "argon.cif", "sub/argon.cif", *ARGON, "-o", "o/"], "the same name"),
        (["md", "argon.cif", *ARGON, "--timestep", "0"], "timestep_fs"),
        (["md", "argon.cif", *ARGON, "-o", "sub"], "is there already"),
        (["info", "nothing"], "neither a file here nor a potential"),
        (["jobs", "--stop", "2001"], "0 of 0 jobs"),
    ],
)
def test_bad_input_is_one_sentence(arguments, said, folder, capsys):
    (folder / "sub").mkdir()
    (folder / "sub/argon.cif").write_bytes((folder / "argon.cif").read_bytes())
    assert said in fails(arguments, capsys)


def test_md_leaves_frames_scalars_and_the_last_structure(folder, capsys):
    options = ["--temperature", "30", "--timestep", "2", "--steps", "25", "--seed", "4"]
    assert main(["md", "argon.cif", *ARGON, *options, "--every", "10"]) == 0
    (row,) = table(capsys.readouterr().out)
    assert (row["steps"], row["time (ps)"]) == ("25", "0.0500")
    expected = molecular_dynamics(
        load_structure("argon.cif"),
        load_potential("lennard-jones", "cpu"),
        temperature_K=30.0,
        timestep_fs=2.0,
        steps=25,
        seed=4,
        record_every=10,
    )
    with (folder / "argon_md/history.csv").open(encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    assert [int(entry["step"]) for entry in history] == [0, 10, 20, 25]
    energies = [float(entry["energy_eV"]) for entry in history]
    assert energies == expected.history.energy.tolist()
    frames = ase.io.read("argon_md/00000.traj", ":")
    np.testing.assert_array_equal(frames[-1].positions, expected.atoms.positions)
    last = load_structure("argon_md/argon_last.extxyz")
    np.testing.assert_allclose(
        last.get_momenta(), expected.atoms.get_momenta(), atol=1e-6
    )
    # A second run must not mix its frames with those of the first.
    assert "is there already" in fails(["md", "argon.cif", *ARGON], capsys)


def test_progress_is_shown_where_asked_for_and_only_on_stderr(capsys):
    assert main(["relax", "argon.cif", *ARGON, "--progress", "--max-steps", "1"]) == 1
    output = capsys.readouterr()
    assert "1/1" in output.err
    assert "eV/Å" in output.err
    assert len(table(output.out)) == 1


def test_search_finds_exports_and_goes_on(capsys):
    search = ["search", "--prototype", "rocksalt", "--site", "X=O", *ARGON]
    search += ["--site", "A=Mg,Ca,Sr", "--objective", "lattice_constant=7.4"]
    search += ["--storage", "study.db", "--export", "best"]
    assert main([*search, "--n-trials", "2", "--batch-size", "1"]) == 0
    assert len(table(capsys.readouterr().out)) == 2
    assert main([*search, "--n-trials", "3"]) == 0
    output = capsys.readouterr()
    rows = table(output.out)
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    deviations = [float(row["lattice_constant_deviation (Å)"]) for row in rows]
    assert deviations == sorted(deviations)
    best = load_search("study.db").best(1)[0]
    assert rows[0]["formula"] == best.formula
    assert load_structure(f"best/01_{best.formula}.cif").cell.rank == 3
    assert "3 of 3 candidates evaluated" in output.err
    again = [*search, "--storage", "other.db", "--warm-start", "study.db"]
    assert main([*again, "--n-trials", "1", "--strategy", "random_forest"]) == 0
    assert len(table(capsys.readouterr().out)) == 1


def test_a_search_that_finds_nothing_says_so(folder, capsys, monkeypatch):
    nothing = SearchResult(
        study_name="search",
        space={},
        objectives=(),
        constraints=(),
        potential="lennard-jones",
        n_candidates=1,
        trials=(),
        message="0 of 1 candidates evaluated.",
    )
    monkeypatch.setattr(study, "search_compositions", lambda *_, **__: nothing)
    search = ["search", "--prototype", "rocksalt", "--site", "A=Mg", "--site", "X=O"]
    assert main([*search, *ARGON, "--export", "best"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "0 of 1" in output.err
    assert not (folder / "best").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "got elements for none"),
        (["--site", "A"], "LABEL=ELEMENT"),
        (["--site", "A=Mg", "--site", "A=Ca"], "once for each site"),
        (["--site", "A=Mg", "--site", "X=Qq"], "Qq"),
        (["--site", "A=Mg", "--site", "X=O", "--objective", "beauty"], "beauty"),
        (
            ["--site", "A=Mg", "--site", "X=O", "--objective", "density=heavy"],
            "Wanted a number",
        ),
    ],
)
def test_a_search_for_nonsense_is_refused(options, said, capsys):
    assert said in fails(["search", "--prototype", "rocksalt", *options], capsys)


def test_info_tells_what_a_file_holds(capsys):
    ase.io.write("rocksalt.cif", ase.build.bulk("NaCl", "rocksalt", 5.64, cubic=True))
    assert main(["info", "rocksalt.cif", "lennard-jones"]) == 0
    text = capsys.readouterr().out
    assert "Fm-3m (225)" in text
    assert "Na4Cl4" in text
    # 4 (22.990 + 35.45) amu in (5.64 Å)^3.
    assert "2.164 g/cm³" in text
    assert "σ = 3.4 Å" in text


def test_info_without_names_lists_what_is_installed(capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    for name in ("python", "torch", "cpu", "sevennet-0", "lennard-jones"):
        assert re.search(rf"^{name} ", text, re.MULTILINE)


def test_jobs_are_listed_and_stopped(folder, capsys):
    spec = JobSpec.create(
        "relax",
        potential="lennard-jones",
        structures=[load_structure("argon.cif")],
        parameters={"steps": 5},
    )
    store = JobStore.create(spec, folder / "home")
    assert main(["jobs"]) == 0
    (row,) = table(capsys.readouterr().out)
    assert (row["job"], row["state"]) == (store.job_id, "queued")
    assert row["title"] == "relax Ar4"
    assert main(["jobs", "--stop", store.job_id[-4:]]) == 0
    assert table(capsys.readouterr().out)[0]["state"] == "stopped"
    assert store.status().state is JobState.STOPPED


@pytest.mark.parametrize("command", ["relax", "md"])
def test_ctrl_c_saves_what_there_is(command, folder):
    ase.io.write("big.cif", load_structure("argon.cif") * (2, 2, 2))
    endless = {
        "relax": ["--max-steps", "1000000", "--max-force", "1e-300"],
        "md": ["--steps", "1000000", "--every", "1", "--temperature", "30"],
    }
    bar, said = folder / "stderr", folder / "stdout"
    with bar.open("w") as stderr, said.open("w") as stdout:
        process = start(
            *[command, "big.cif", *ARGON, *endless[command], "--progress"],
            stdout=stdout,
            stderr=stderr,
        )
        try:
            # The bar says more than 0 steps once it is at work.
            deadline = time.monotonic() + 60.0
            while not re.search(r"[1-9]\d*/1000000", bar.read_text("utf-8")):
                assert process.poll() is None, bar.read_text("utf-8")
                assert time.monotonic() < deadline, bar.read_text("utf-8")
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            code = process.wait(20.0)
        finally:
            process.kill()
            process.wait()
    assert code == 130
    assert "Traceback" not in bar.read_text("utf-8")
    (row,) = table(said.read_text("utf-8"))
    assert row["status"] == "stopped"
    written = {"relax": "big_relaxed.cif", "md": "big_md/big_last.extxyz"}[command]
    assert len(load_structure(written)) == 32
    if command == "md":
        frames = ase.io.read("big_md/00000.traj", ":")
        steps = [frame.info["step"] for frame in frames]
        assert steps == list(range(int(row["steps"]) + 1))


def test_a_reader_that_has_enough_is_no_error(folder):
    with (folder / "stderr").open("w") as stderr:
        process = start("info", "argon.cif", stdout=subprocess.PIPE, stderr=stderr)
        process.stdout.close()
        assert process.wait(60.0) == 0
    assert (folder / "stderr").read_text("utf-8") == ""
