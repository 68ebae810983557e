"""`kill -9` at any moment: a job goes on, nothing finished is lost, all can be read."""

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass

import ase.build
import ase.io
import numpy as np
import pytest

from gnndesign.jobs import local
from gnndesign.jobs.local import resume, stop_worker, submit, wait
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.states import JobState
from gnndesign.jobs.store import JobStore
from gnndesign.properties.plain import to_plain
from gnndesign.properties.work import Relaxing
from gnndesign.search.measures import LatticeConstant
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.simulation.dynamics import ENSEMBLES
from gnndesign.simulation.observables import OBSERVABLES
from gnndesign.simulation.relaxation import METHODS

N_EACH = 10
"""Relaxations, runs of molecular dynamics, and searches."""

# As the worker of every job, but with checkpoints so often that relaxations of a second
# are resumed from one too.
WORKER = """
from gnndesign.jobs import tasks, worker
tasks.CHECKPOINT_EVERY_S = 0.1
raise SystemExit(worker.main())
"""


@pytest.fixture(autouse=True)
def _many_checkpoints(monkeypatch):
    def start_worker(home):
        command = [sys.executable, "-c", WORKER, str(home)]
        subprocess.run(  # noqa: S603
            [sys.executable, "-c", local._LAUNCH, *command], check=True
        )

    monkeypatch.setattr(local, "start_worker", start_worker)


# What is killed: batches of several structures that end at different steps.


def crystals(potential, seed):
    if potential == "sevennet-0":
        made = [ase.build.bulk(symbol, cubic=True) for symbol in ("Si", "Cu", "Al")]
    else:
        made = [ase.build.bulk("Ar", a=a, cubic=True) for a in (5.2, 5.4, 5.3, 5.6)]
    for number, atoms in enumerate(made):
        atoms.rattle(0.03 * (1 + number), seed=seed + number)
    return made


def make_spec(kind, seed):
    potential = "sevennet-0" if seed % 3 == 2 else "lennard-jones"
    if kind == "relax":
        cells = ("full", "isotropic", "constant_volume", None)
        bound = 1e-4 if potential == "sevennet-0" else 1e-7
        parameters = {
            "method": list(METHODS)[seed % len(METHODS)],
            "steps": 300,
            "max_force": bound,
            "cell": cells[seed % 4],
        }
    elif kind == "dynamics":
        parameters = {
            "ensemble": list(ENSEMBLES)[seed % len(ENSEMBLES)],
            "temperature_K": 30.0,
            "timestep_fs": 1.0,
            "steps": 300,
            "record_every": 1 + seed % 3,
            "observe": list(OBSERVABLES),
            "seed": seed,
        }
    else:
        space = PrototypeSpace(
            prototype="rocksalt",
            sites={"A": ("Mg", "Ca", "Sr", "Ba"), "X": ("O", "S", "Se")},
        )
        parameters = {
            "space": space.to_dict(),
            "objectives": [LatticeConstant().near(5.5).to_dict()],
            "n_trials": 11,
            "batch_size": 1 + seed % 3,
            "relaxing": to_plain(Relaxing(max_force=0.05, max_steps=40)),
            "strategy": ("gaussian_process", "tpe", "random")[seed % 3],
            "seed": seed,
        }
    return JobSpec.create(
        kind,
        potential=potential,
        structures=() if kind == "search" else crystals(potential, seed),
        parameters=parameters,
        device="cpu",
    )


# When it is killed.


@dataclass
class Victim:
    """A job, the same one uninterrupted, and random numbers."""

    store: JobStore
    whole: JobStore
    random: np.random.Generator

    def pause(self, most_s):
        time.sleep(most_s * self.random.random())

    def wait_for(self, condition):
        """Without a pause, so that what is under way still is when this returns."""
        deadline = time.monotonic() + 120.0
        while not any(condition() for _ in range(200)):
            if self.store.status().state.is_over:
                return
            assert time.monotonic() < deadline, "waited in vain"

    def wait_for_part(self, weight, low=0.0, high=0.9):
        """Until it has come as far as a random part of the uninterrupted one."""
        part = (low + (high - low) * self.random.random()) * weight(self.whole)
        self.wait_for(lambda: weight(self.store) >= part)

    def wait_for_change(self, value):
        before = value(self.store)
        self.wait_for(lambda: value(self.store) != before)


def frames_size(store):
    files = store.trajectory_folder.glob("[!.]*.traj")
    return sum(path.stat().st_size for path in files)


def n_finished(store):
    if not store.study_file.is_file():
        return 0
    with closing(sqlite3.connect(store.study_file)) as study:
        query = "SELECT COUNT(*) FROM trials WHERE state != 'RUNNING'"
        return study.execute(query).fetchone()[0]


def last_commit(store):
    log = store.folder / "study.db-wal"
    try:
        return log.stat().st_mtime_ns
    except FileNotFoundError:  # SQLite takes it away as it likes.
        return 0


def as_it_starts(victim):
    victim.pause(4.0)


def at_its_first_file(victim):
    folder = victim.store.folder
    victim.wait_for(lambda: any(folder.glob("trajectory")) or any(folder.glob(".st*")))


def between_frames(victim):
    victim.wait_for_part(frames_size)
    victim.pause(0.02)


def in_a_frame(victim):
    victim.wait_for_part(frames_size)
    victim.wait_for_change(frames_size)


def in_a_checkpoint(victim):
    victim.wait_for(lambda: any(victim.store.folder.glob(".checkpoint.*")))


def behind_a_checkpoint(victim):
    victim.wait_for(victim.store.checkpoint.is_file)
    victim.pause(0.5)


def behind_the_last_frame(victim):
    victim.wait_for_part(frames_size, low=1.0, high=1.0)


def between_trials(victim):
    victim.wait_for_part(n_finished)
    victim.pause(0.1)


def in_a_commit(victim):
    victim.wait_for_part(n_finished)
    victim.wait_for_change(last_commit)


def behind_the_last_trial(victim):
    victim.wait_for_part(n_finished, low=1.0, high=1.0)


MOMENTS = {
    "search": (
        between_trials,
        in_a_commit,
        at_its_first_file,
        as_it_starts,
        in_a_commit,
        behind_the_last_trial,
    ),
    "relax": (
        behind_a_checkpoint,
        in_a_frame,
        in_a_checkpoint,
        between_frames,
        as_it_starts,
        behind_the_last_frame,
        at_its_first_file,
    ),
}
MOMENTS["dynamics"] = MOMENTS["relax"]


@contextmanager
def read_meanwhile(read_all, store):
    """Somebody reads everything, again and again, while it grows."""
    errors, over = [], threading.Event()

    def read():
        while not over.wait(0.3):
            try:
                read_all(store)
            except Exception as error:  # noqa: BLE001 - it is raised below
                errors.append(error)

    reading = threading.Thread(target=read)
    reading.start()
    try:
        yield
    finally:
        over.set()
        reading.join()
    for error in errors:
        raise error


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(N_EACH))
@pytest.mark.parametrize("kind", ["relax", "dynamics", "search"])
def test_a_killed_job_ends_as_if_nothing_had_been(
    kind, seed, kill_home, kill_worker, read_all
):
    random = np.random.default_rng([*map(ord, kind), seed])
    moments = MOMENTS[kind]
    spec = make_spec(kind, seed)
    whole = submit(spec, kill_home)
    wait(whole)
    expected = read_all(whole)
    if moments[seed % len(moments)] is as_it_starts:
        stop_worker(kill_home)
    store = submit(spec, kill_home)
    lefts = []
    for number in range(2 if seed % 3 == 0 else 1):
        moment = moments[(seed + number) % len(moments)]
        victim = Victim(store, whole, random)
        with read_meanwhile(read_all, store):
            if moment is not as_it_starts:
                victim.wait_for(lambda: store.status().state is JobState.RUNNING)
            moment(victim)
            kill_worker(kill_home)
        lefts.append(read_all(store))
        resume(store)
    with read_meanwhile(read_all, store):
        wait(store)

    status, wanted = store.status(), whole.status()
    assert status.state is JobState.FINISHED
    assert (status.done, status.total) == (wanted.done, wanted.total)
    assert not list(store.folder.rglob(".*.npz"))
    assert not list(store.folder.rglob(".*.traj"))
    found = read_all(store)
    assert found.rows == expected.rows
    assert found.frames == expected.frames
    assert found.observed == expected.observed
    batch_size = spec.parameters.get("batch_size", 1)
    for left in lefts:
        # What was finished has neither gone nor been done again.
        assert left.rows == expected.rows[: len(left.rows)]
        assert left.trials.items() <= found.trials.items()
    if all(len(left.trials) % batch_size == 0 for left in lefts):
        assert formulas(found) == formulas(expected)
    assert len(set(formulas(found))) == len(found.trials) == len(expected.trials)


def formulas(left):
    """Of the candidates that were evaluated, in the order of their trials."""
    return [formula for _, formula, _ in left.trials.values()]
