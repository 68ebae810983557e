"""What is left after the death of a worker, and that nothing is lost by it."""

import os
import signal
import time
from contextlib import suppress

import numpy as np
import pytest

from gnndesign.jobs import tasks
from gnndesign.jobs.control import Control
from gnndesign.jobs.local import resume, stop_worker, submit, wait
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.states import JobState
from gnndesign.jobs.store import JobStore, remove_half_folders
from gnndesign.jobs.tasks import run_simulation
from gnndesign.jobs.worker import Worker
from gnndesign.potentials.catalog import load_potential
from gnndesign.search.measures import LatticeConstant
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.study import load_search, search_compositions
from gnndesign.simulation.dynamics import molecular_dynamics
from gnndesign.simulation.trajectory import TrajectoryFile


def test_a_killed_run_goes_on_as_if_nothing_had_been(
    home, argon, dynamics, until, tmp_path, worker_pids
):
    store = submit(dynamics(argon(2), steps=100_000, record_every=2), home)
    until(store.checkpoint.is_file)
    n_then = len(store.metrics()[0])
    until(lambda: len(store.metrics()[0]) > n_then + 5)
    os.kill(worker_pids(home)[0], signal.SIGKILL)
    until(lambda: store.status().state is JobState.INTERRUPTED, 5.0)
    written = store.metrics()[0][-1]["step"]
    steps = written + 20

    resume(store, total=steps)
    wait(store)
    status = store.status()
    assert (status.state, status.done) == (JobState.FINISHED, steps)
    assert len(worker_pids(home)) == 2

    parameters = {k: v for k, v in store.spec.parameters.items() if k != "steps"}
    expected = molecular_dynamics(
        argon(2),
        load_potential("lennard-jones", "cpu"),
        **parameters,
        steps=steps,
        trajectory=tmp_path / "uninterrupted",
    )
    rows = store.metrics()[0]
    assert [row["step"] for row in rows] == list(range(0, steps + 1, 2))
    for name in ("energy", "kinetic_energy", "max_force", "pressure_GPa"):
        expected_values = getattr(expected.history, name).tolist()
        assert [row[name] for row in rows] == expected_values
    frames = store.trajectory()
    others = TrajectoryFile(tmp_path / "uninterrupted" / "00000.traj")
    assert len(frames) == len(others) == len(rows)
    for frame, other in zip(frames, others, strict=True):
        np.testing.assert_array_equal(frame.positions, other.positions)
        np.testing.assert_array_equal(frame.get_momenta(), other.get_momenta())
        assert frame.get_potential_energy() == other.get_potential_energy()
    frames.close()
    others.close()
    stop_worker(home)


@pytest.fixture
def oxides():
    return PrototypeSpace(
        prototype="rocksalt", sites={"A": ("Mg", "Ca", "Sr", "Ba"), "X": ("O",)}
    )


def test_a_stopped_search_goes_on_and_finds_what_one_in_a_script_finds(
    warm_home, oxides, until, tmp_path
):
    objective = LatticeConstant().near(7.4)
    parameters = {"batch_size": 1, "seed": 5}
    spec = JobSpec.create(
        "search",
        potential="lennard-jones",
        parameters={
            "space": oxides.to_dict(),
            "objectives": [objective.to_dict()],
            "n_trials": 3,
            **parameters,
        },
        device="cpu",
    )
    store = submit(spec, warm_home)
    until(lambda: store.status().done >= 1)
    store.request_stop()
    wait(store)
    stopped = store.status()
    assert stopped.state in (JobState.STOPPED, JobState.FINISHED)
    resume(store, total=4)
    wait(store)
    status = store.status()
    assert (status.state, status.done, status.total) == (JobState.FINISHED, 4, 4)
    found = load_search(store.study_file)
    expected = search_compositions(
        oxides,
        objective,
        load_potential("lennard-jones", "cpu"),
        4,
        tmp_path / "script.db",
        **parameters,
    )
    assert {t.formula: t.values for t in found.evaluated} == {
        t.formula: t.values for t in expected.evaluated
    }
    assert len(found.evaluated) == 4


class Death(BaseException):
    """What a worker does not survive."""


def run_here(store):
    potential = load_potential("lennard-jones", "cpu")
    control = Control(store, on_deadline=lambda: None)
    return list(run_simulation(store, store.spec, potential, control))


def test_a_death_behind_any_checkpoint_loses_nothing(
    home, argon, dynamics, monkeypatch, read_all
):
    overlapping, hot = argon(), argon()
    overlapping.positions[1] = overlapping.positions[0] + 0.01
    hot.set_momenta(30.0 * hot.positions)
    spec = dynamics(overlapping, argon(), hot, argon(lattice=5.4), steps=4)
    monkeypatch.setattr(tasks, "CHECKPOINT_EVERY_S", -1.0)
    whole = JobStore.create(spec, home)
    run_here(whole)
    expected = read_all(whole)
    ends = [(r["id"], r["step"]) for r in expected.rows if r["status"] != "RUNNING"]
    # One never begins, one does not survive the first step, two go on.
    assert ends == [(0, 0), (2, 0), (1, 4), (3, 4)]

    save, deaths = tasks.save_state, 0
    for survived in range(50):
        store, calls = JobStore.create(spec, home), iter(range(50))

        def save_and_die(path, state, calls=calls, survived=survived):
            save(path, state)
            if next(calls) == survived:
                raise Death

        with monkeypatch.context() as patch, suppress(Death):
            patch.setattr(tasks, "save_state", save_and_die)
            run_here(store)
            break
        deaths += 1
        run_here(store)
        assert read_all(store) == expected
    assert deaths >= 5


def test_what_killed_workers_were_writing_is_removed(home, relaxation):
    store = JobStore.create(relaxation(), home)
    of_checkpoint = store.folder / ".checkpoint.0123abcd.npz"
    old = store.folder / ".status.0123abcd.json"
    fresh = store.folder / ".status.abcd0123.json"
    folder = store.folder.with_name(".20260101-000000-000000-relax-0123")
    foreign = store.folder.with_name(".notes")
    folder.mkdir()
    foreign.mkdir()
    for path in (of_checkpoint, old, fresh):
        path.touch()
    long_ago = time.time() - 86400.0
    for path in (old, folder, foreign):
        os.utime(path, (long_ago, long_ago))
    remove_half_folders(home)
    Worker(home).run(store)
    assert store.status().state is JobState.FINISHED
    left = [path.exists() for path in (of_checkpoint, old, fresh, folder, foreign)]
    # A fresh status may be somebody's who writes it now.
    assert left == [False, False, True, False, True]


def test_a_job_whose_worker_died_before_it_began_can_be_resumed(home, relaxation):
    store = JobStore.create(relaxation(), home)
    resume(store)
    wait(store)
    assert store.status().state is JobState.FINISHED
