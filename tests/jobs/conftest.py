import json
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ase.build
import ase.io
import psutil
import pytest
import torch

from gnndesign.errors import JobError
from gnndesign.jobs.local import stop_worker, worker_is_alive
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.states import JobState
from gnndesign.jobs.store import list_jobs
from gnndesign.search.study import load_search
from gnndesign.search.trials import TrialStatus
from gnndesign.simulation.checkpoint import load_state
from gnndesign.simulation.observables import Observables, load_results


def _worker_pids(home):
    log = home / "worker.log"
    text = log.read_text("utf-8") if log.is_file() else ""
    return [int(pid) for pid in re.findall(r"worker (\d+) serves", text)]


def _stop_jobs(home):
    for job in list_jobs(home):
        # A test may have damaged it.
        with suppress(JobError):
            if not job.status().state.is_over:
                job.request_stop()


def _end_workers(home):
    """Stop what runs in a home folder, kill what does not listen, remove the folder."""
    _stop_jobs(home)
    try:
        stop_worker(home)
    except JobError:
        for pid in _worker_pids(home):
            if psutil.pid_exists(pid) and str(home) in psutil.Process(pid).cmdline():
                psutil.Process(pid).kill()
    # A worker that was only starting ends when its folder is gone.
    shutil.rmtree(home, ignore_errors=True)


@dataclass
class _Left:
    """What a job has left so far; frames as numbers, bit by bit."""

    rows: list[dict[str, Any]]
    frames: dict[str, list[tuple[Any, ...]]]
    observed: bytes
    trials: dict[int, tuple[Any, ...]]


def _frame_of(atoms):
    return (
        atoms.info["step"],
        atoms.positions.tobytes(),
        atoms.cell.array.tobytes(),
        atoms.get_momenta().tobytes(),
        atoms.get_forces().tobytes(),
        atoms.get_potential_energy(),
    )


def _read_all(store):
    """Every file, each by the reader that a user has for it."""
    assert store.spec.potential
    assert store.status().state in JobState
    left = _Left(rows=store.metrics()[0], frames={}, observed=b"", trials={})
    for path in sorted(store.folder.rglob("[!.]*")):
        match path.name, path.suffix:
            case _, ".traj":
                frames = ase.io.read(path, ":")
                left.frames[path.stem] = list(map(_frame_of, frames))
                assert len(frames) > 0
            case "checkpoint.npz", _:
                load_state(path, torch.device("cpu"))
            case "observables.npz", _:
                Observables.load(path)
            case "results.npz", _:
                load_results(path)
                left.observed = path.read_bytes()
            case "study.db", _:
                found = load_search(path).trials
                left.trials = {
                    trial.number: (trial.status, trial.formula, dict(trial.values))
                    for trial in found
                    if trial.status is not TrialStatus.INTERRUPTED
                }
            case _, ".json":
                json.loads(path.read_text("utf-8"))
            case _, ".lock" | ".locks" | ".db-wal" | ".db-shm":
                pass
            case "log" | "lock" | "trajectory" | "metrics.jsonl", _:
                pass
            case _:
                raise AssertionError(f"Nobody can read {path.name}.")
    return left


@pytest.fixture(scope="session")
def read_all():
    """Reads every file of a job, each by the reader that a user has for it."""
    return _read_all


@pytest.fixture
def home(tmp_path):
    """A home folder of a test's own."""
    yield tmp_path / "home"
    _end_workers(tmp_path / "home")


@pytest.fixture(scope="session")
def _warm_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("warm") / "home"
    yield home
    _end_workers(home)


@pytest.fixture
def warm_home(_warm_home):
    """A home folder whose worker serves many tests."""
    yield _warm_home
    _stop_jobs(_warm_home)


@pytest.fixture(scope="module")
def kill_home(tmp_path_factory):
    """A home folder whose workers are killed."""
    home = tmp_path_factory.mktemp("kill") / "home"
    yield home
    _end_workers(home)


def _serves(process, home):
    with suppress(psutil.NoSuchProcess):
        return str(home) in process.cmdline()
    return False


@pytest.fixture(scope="session")
def kill_worker():
    """Kills every worker of a home folder, the one at work at once."""

    def kill(home):
        with suppress(psutil.NoSuchProcess, IndexError):
            at_work = psutil.Process(_worker_pids(home)[-1])
            if _serves(at_work, home):
                at_work.kill()
        deadline = time.monotonic() + 20.0
        while left := [p for p in psutil.process_iter() if _serves(p, home)]:
            assert time.monotonic() < deadline, "a worker does not die"
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.005)
        # Its files close when the last of its threads has ended.
        while worker_is_alive(home):
            assert time.monotonic() < deadline, "a worker does not die"

    return kill


@pytest.fixture(scope="session")
def worker_pids():
    """Gives the process ids of all workers that ever served a home folder."""
    return _worker_pids


@pytest.fixture(scope="session")
def until():
    """Waits until something is true."""

    def wait(condition, timeout_s=40.0):
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.01)
        return value

    return wait


@pytest.fixture
def argon():
    """Makes rattled cubes of fcc argon, 4 n^3 atoms."""

    def make(n=1, lattice=5.3):
        atoms = ase.build.bulk("Ar", "fcc", lattice, cubic=True) * (n, n, n)
        atoms.rattle(0.1, seed=7)
        return atoms

    return make


@pytest.fixture
def relaxation(argon):
    """Makes specs of relaxations with the Lennard-Jones potential."""

    def make(*structures, **parameters):
        return JobSpec.create(
            "relax",
            potential="lennard-jones",
            structures=structures or [argon()],
            parameters={"steps": 200, "max_force": 0.005, "cell": None} | parameters,
            device="cpu",
        )

    return make


@pytest.fixture
def dynamics(argon):
    """Makes specs of Langevin dynamics with the Lennard-Jones potential."""

    def make(*structures, **parameters):
        defaults = {
            "ensemble": "langevin",
            "temperature_K": 40.0,
            "timestep_fs": 2.0,
            "steps": 100,
            "record_every": 1,
            "seed": 3,
        }
        return JobSpec.create(
            "dynamics",
            potential="lennard-jones",
            structures=structures or [argon()],
            parameters=defaults | parameters,
            device="cpu",
        )

    return make
