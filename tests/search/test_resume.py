import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from gnndesign.errors import CheckpointError
from gnndesign.properties.work import Relaxing
from gnndesign.search.measures import Density, FormationEnergy, LatticeConstant
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.study import iterate_search, load_search, search_compositions
from gnndesign.search.trials import TrialStatus

SCRIPT = """
import importlib.util, json, sys
from gnndesign.search.measures import LatticeConstant
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.space import space_from_dict
from gnndesign.search.study import search_compositions

spec = importlib.util.spec_from_file_location("toy_potential", sys.argv[1])
toy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toy)
search_compositions(
    space_from_dict(json.loads(sys.argv[2])),
    LatticeConstant().near(4.1),
    toy.ToyPotential(delay_s=float(sys.argv[3])),
    int(sys.argv[4]),
    sys.argv[5],
    batch_size=4,
    on_progress=lambda progress: print(progress.n_done, flush=True),
)
"""


@pytest.fixture
def lattice():
    return LatticeConstant().near(4.1)


@pytest.fixture
def start_search(toy_path, tmp_path):
    """Runs a search in another process; kills what is left of them."""
    running = []

    def start(space, path, *, delay_s, n_trials):
        arguments = [
            str(toy_path),
            json.dumps(space.to_dict()),
            str(delay_s),
            str(n_trials),
            str(path),
        ]
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", SCRIPT, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "GNNDESIGN_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def n_running(path):
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT COUNT(*) FROM trials WHERE state = 'RUNNING'"
        return connection.execute(query).fetchone()[0]


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_killed_search_goes_on_where_it_was(
    space, toy, lattice, tmp_path, start_search
):
    path = tmp_path / "study.db"
    process = start_search(space, path, delay_s=0.05, n_trials=16)
    # After the first are through, while others are on their way.
    first = int(process.stdout.readline())
    wait_until(lambda: n_running(path) == 4)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert n_running(path) == 4
    assert first <= len(load_search(path).evaluated) < 12

    result = search_compositions(space, lattice, toy(), 16, path, batch_size=4)
    # The trials that were left are gone on with, none is lost or made twice.
    # At most the one that was being asked for when the process was killed.
    interrupted = [t for t in result.trials if t.status is TrialStatus.INTERRUPTED]
    assert len(interrupted) <= 1
    assert len(result.evaluated) == 16
    assert len({trial.formula for trial in result.evaluated}) == 16
    assert n_running(path) == 0
    whole = search_compositions(space, lattice, toy(), 16, batch_size=4)
    assert [t.formula for t in result.evaluated] == [t.formula for t in whole.trials]
    # Nothing is left of the process that was killed.
    assert [lock.name for lock in tmp_path.glob("study.db.locks/*")] == ["ask.lock"]


def test_a_study_can_be_read_from_the_moment_its_file_appears(
    small_space, toy, lattice, tmp_path
):
    path = tmp_path / "study.db"
    (tmp_path / ".study.0123abcd.db-journal").write_bytes(b"left by a killed process")
    seen, over = [], threading.Event()

    def look():
        while not over.is_set():
            if path.exists():
                seen.append(len(load_search(path).trials))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        search_compositions(small_space, lattice, toy(), 4, path, batch_size=2)
    finally:
        over.set()
        looking.join()
    assert seen[0] == 0
    assert not list(tmp_path.glob(".study.*"))


def test_a_living_process_keeps_its_trials(space, toy, lattice, tmp_path, start_search):
    path = tmp_path / "study.db"
    process = start_search(space, path, delay_s=0.05, n_trials=12)
    assert int(process.stdout.readline()) > 0
    wait_until(lambda: n_running(path) == 4)
    search_compositions(space, lattice, toy(), 12, path, batch_size=4)
    process.stdout.read()
    assert process.wait() == 0
    result = load_search(path)
    # Both worked on the one study: nothing twice, nothing taken away, none too many.
    assert [trial.status for trial in result.trials] == [TrialStatus.CONVERGED] * 12
    assert len({trial.formula for trial in result.trials}) == 12


@pytest.mark.slow
def test_two_processes_that_start_at_once_share_a_study(space, tmp_path, start_search):
    path = tmp_path / "study.db"
    both = [start_search(space, path, delay_s=0.002, n_trials=14) for _ in range(2)]
    for process in both:
        process.stdout.read()
        assert process.wait() == 0
    result = load_search(path)
    assert len(result.evaluated) == 14
    assert len({trial.formula for trial in result.evaluated}) == 14


def test_resuming_proposes_what_an_uninterrupted_search_would(
    space, toy, lattice, tmp_path
):
    # Of those that learn from results only if these come in the same order.
    how = {"batch_size": 4, "strategy": "random"}
    whole = search_compositions(space, lattice, toy(), 16, **how)
    path = tmp_path / "study.db"
    search_compositions(space, lattice, toy(), 8, path, **how)
    resumed = search_compositions(space, lattice, toy(), 16, path, **how)
    assert [t.formula for t in resumed.trials] == [t.formula for t in whole.trials]


def test_a_finished_study_is_only_read(small_space, toy, lattice, tmp_path):
    path = tmp_path / "study.db"
    first = search_compositions(small_space, lattice, toy(), 4, path)
    potential = toy()
    again = search_compositions(small_space, lattice, potential, 4, path)
    assert potential.calls == 0
    assert [t.values for t in again.trials] == [t.values for t in first.trials]


def test_what_is_loaded_is_what_was_found(small_space, toy, lattice, tmp_path):
    path = tmp_path / "study.db"
    found = search_compositions(small_space, lattice, toy(), 4, f"sqlite:///{path}")
    loaded = load_search(f"sqlite:///{path}")
    assert loaded.objectives == found.objectives
    assert loaded.n_candidates == 6
    assert loaded.potential == "toy"
    for one, other in zip(found.trials, loaded.trials, strict=True):
        assert one.values == other.values
        assert one.energy == other.energy
        assert one.choices == other.choices
        assert (one.atoms.positions == other.atoms.positions).all()
        assert (one.atoms.cell.array == other.atoms.cell.array).all()


def test_another_search_does_not_mix_with_a_stored_one(
    small_space, space, toy, lattice, tmp_path
):
    path = tmp_path / "study.db"
    search_compositions(small_space, lattice, toy(), 2, path)

    def refused(about):
        return pytest.raises(CheckpointError, match=f"begun with another {about}")

    with refused("space"):
        search_compositions(space, lattice, toy(), 4, path)
    with refused("objectives"):
        search_compositions(small_space, LatticeConstant().near(5.0), toy(), 4, path)
    with refused("objectives"):
        search_compositions(small_space, [lattice, FormationEnergy()], toy(), 4, path)
    with refused("potential"):
        search_compositions(small_space, lattice, toy(name="other"), 4, path)
    with refused("constraints"):
        search_compositions(
            small_space, lattice, toy(), 4, path, constraints=[Density().at_most(9.0)]
        )
    with refused("relaxing"):
        search_compositions(
            small_space, lattice, toy(), 4, path, relaxing=Relaxing(max_force=0.01)
        )
    # The order in which elements are listed does change the proposals.
    reordered = PrototypeSpace(
        prototype="perovskite",
        sites={"A": ("Ba", "Sr"), "B": ("Ti", "Zr", "Hf"), "X": ("O",)},
    )
    with refused("space"):
        search_compositions(reordered, lattice, toy(), 4, path)
    # A study of another name in the same file is free.
    other = search_compositions(space, lattice, toy(), 3, path, study_name="wider")
    assert len(other.trials) == 3
    with pytest.raises(CheckpointError, match="search, wider"):
        load_search(path)
    assert len(load_search(path, "search").trials) == 2


def test_the_database_has_a_write_ahead_log_and_can_be_read_meanwhile(
    space, toy, lattice, tmp_path
):
    path = tmp_path / "study.db"
    steps = iterate_search(space, lattice, toy(), 12, path, batch_size=4)
    n_first = next(steps).n_done
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert len(load_search(path).trials) == n_first
    n_second = next(steps).n_done
    assert len(load_search(path).trials) == n_second
    steps.close()


def test_no_lock_is_left_behind(small_space, toy, lattice, tmp_path):
    path = tmp_path / "study.db"
    search_compositions(small_space, lattice, toy(), 2, path)
    left = {p.name for p in (tmp_path / "study.db.locks").iterdir()}
    assert left <= {"ask.lock"}


def test_reference_energies_stay_those_of_the_study(small_space, toy, tmp_path):
    path = tmp_path / "study.db"
    first = search_compositions(small_space, FormationEnergy(), toy(), 2, path)
    for file in (tmp_path / "home" / "references").glob("*.json"):
        file.unlink()
    second = search_compositions(small_space, FormationEnergy(), toy(), 4, path)
    assert not list((tmp_path / "home" / "references").glob("*.json"))
    assert [t.values for t in second.trials[:2]] == [t.values for t in first.trials]
