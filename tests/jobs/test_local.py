"""Jobs in a real worker process, one that serves most of these tests."""

import dataclasses
import shutil
import time
from datetime import datetime

import numpy as np
import pytest

from gnndesign.errors import JobError
from gnndesign.jobs import local
from gnndesign.jobs.local import resume, stop_worker, submit, wait, worker_is_alive
from gnndesign.jobs.states import JobState
from gnndesign.potentials.catalog import load_potential
from gnndesign.simulation.relaxation import relax

FOREVER = 1_000_000


def steps_of(store):
    return [row["step"] for row in store.metrics()[0]]


def frame_steps(store):
    frames = store.trajectory()
    steps = [frame.info["step"] for frame in frames]
    frames.close()
    return steps


def is_at_work(store):
    return lambda: len(steps_of(store)) > 3


def test_a_job_gives_what_a_script_gets(warm_home, argon, relaxation):
    store = submit(relaxation(), warm_home)
    wait(store)
    status = store.status()
    assert (status.state, status.device) == (JobState.FINISHED, "cpu")
    (final,) = store.final_structures()
    expected = relax(argon(), load_potential("lennard-jones", "cpu"), max_force=0.005)
    assert expected.converged
    assert status.done == expected.steps
    np.testing.assert_array_equal(final.positions, expected.atoms.positions)
    assert final.get_potential_energy() == expected.energy
    rows = store.metrics()[0]
    assert [row["energy"] for row in rows] == expected.history.energy.tolist()
    assert rows[-1]["status"] == "CONVERGED"


def test_the_same_worker_runs_the_next_job(warm_home, relaxation, worker_pids):
    for _ in range(2):
        store = submit(relaxation(), warm_home)
        wait(store)
        assert store.status().state is JobState.FINISHED
    assert len(worker_pids(warm_home)) == 1


def test_a_stop_acts_within_a_second_and_the_job_goes_on_from_there(
    warm_home, dynamics, until
):
    # A frame in 100000 steps: the stop must be heard between frames.
    store = submit(dynamics(steps=FOREVER, record_every=100_000), warm_home)
    until(lambda: store.status().message.endswith("K."))
    time.sleep(0.3)
    start = time.monotonic()
    store.request_stop()
    wait(store)
    assert time.monotonic() - start < 1.0
    status = store.status()
    assert status.state is JobState.STOPPED
    assert 0 < status.done < FOREVER
    resume(store, total=status.done + 10)
    wait(store)
    assert store.status().state is JobState.FINISHED
    assert frame_steps(store) == [0, status.done, status.done + 10]


def test_a_paused_job_waits_and_goes_on(warm_home, dynamics, until):
    store = submit(dynamics(steps=FOREVER), warm_home)
    until(is_at_work(store))
    store.request_pause(pause=True)
    until(lambda: store.status().state is JobState.PAUSED, 2.0)
    before = steps_of(store)
    time.sleep(0.3)
    assert steps_of(store) == before
    store.request_pause(pause=False)
    until(lambda: store.status().state is JobState.RUNNING, 2.0)
    until(lambda: len(steps_of(store)) > len(before))
    store.request_stop()
    wait(store)
    assert sorted(set(steps_of(store))) == list(range(steps_of(store)[-1] + 1))


def test_steps_can_be_added_while_it_runs_and_after_the_end(warm_home, dynamics, until):
    store = submit(dynamics(steps=FOREVER), warm_home)
    until(is_at_work(store))
    store.request_pause(pause=True)
    until(lambda: store.status().state is JobState.PAUSED, 2.0)
    shorter = steps_of(store)[-1] + 20
    store.extend(shorter)
    store.request_pause(pause=False)
    wait(store)
    assert (store.status().state, store.status().done) == (JobState.FINISHED, shorter)
    resume(store, total=shorter + 5)
    wait(store)
    status = store.status()
    assert (status.done, status.total) == (shorter + 5, shorter + 5)
    assert frame_steps(store) == list(range(shorter + 6))


def test_a_failed_job_says_why_and_the_worker_lives_on(
    warm_home, argon, relaxation, worker_pids
):
    overlapping = argon()
    overlapping.positions[1] = overlapping.positions[0] + 0.01
    others = dataclasses.replace(relaxation(), potential_checksum="f" * 64)
    pids = worker_pids(warm_home)
    for spec, said in [
        (relaxation(overlapping), "atom 0 (Ar) and atom 1 (Ar)"),
        (others, "ffffffffffff"),
    ]:
        store = submit(spec, warm_home)
        wait(store)
        assert store.status().state is JobState.FAILED
        assert said in store.status().message
        log = store.log_file.read_text("utf-8")
        assert log.startswith("Traceback")
        assert store.status().message in log
    good = submit(relaxation(), warm_home)
    wait(good)
    assert good.status().state is JobState.FINISHED
    assert worker_pids(warm_home)[-1:] == (pids[-1:] or worker_pids(warm_home)[-1:])


def test_a_queued_job_can_be_stopped_behind_a_running_one(
    warm_home, dynamics, relaxation, until
):
    running = submit(dynamics(steps=FOREVER), warm_home)
    until(is_at_work(running))
    queued = submit(relaxation(), warm_home)
    last = submit(relaxation(), warm_home)
    assert queued.status().state is JobState.QUEUED
    queued.request_stop()
    assert queued.status().state is JobState.STOPPED
    running.request_stop()
    wait(last)
    assert last.status().state is JobState.FINISHED
    assert queued.status().message == "Stopped before it began."
    assert not queued.trajectory_folder.exists()


def test_another_home_has_a_worker_of_its_own_and_never_two(
    home, warm_home, relaxation, worker_pids, until
):
    warm = submit(relaxation(), warm_home)
    own = submit(relaxation(), home)
    # As two kernels do that submit at the same moment.
    local.start_worker(home)
    wait(own)
    wait(warm)
    assert set(worker_pids(home)).isdisjoint(worker_pids(warm_home))
    log = home / "worker.log"
    until(lambda: "another worker serves" in log.read_text("utf-8"))
    assert len(worker_pids(home)) == 1
    stop_worker(home)
    assert not worker_is_alive(home)
    assert worker_is_alive(warm_home)


def test_a_worker_that_cannot_start_is_reported(
    home, relaxation, tmp_path, monkeypatch
):
    (tmp_path / "torch.py").write_text("raise ImportError('torch is broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(local, "START_WITHIN_S", 0.5)
    store = submit(relaxation(), home)
    with pytest.raises(JobError, match=r"no worker came up.*worker\.log says why"):
        wait(store)
    deadline = time.monotonic() + 20.0
    while "torch is broken" not in (home / "worker.log").read_text("utf-8"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_waiting_has_an_end(home, relaxation, monkeypatch):
    monkeypatch.setattr(local, "start_worker", lambda _: None)
    store = submit(relaxation(), home)
    with pytest.raises(JobError, match=r"is not over after 0\.2 s"):
        wait(store, timeout_s=0.2)


def test_who_submits_takes_back_that_the_worker_is_to_end(
    home, relaxation, monkeypatch
):
    started = []
    monkeypatch.setattr(local, "start_worker", started.append)
    home.mkdir()
    stop_worker(home)
    assert (home / "worker.stop").exists()
    submit(relaxation(), home)
    assert not (home / "worker.stop").exists()
    assert started == [home]


def test_stopping_a_worker_that_never_was_does_nothing(tmp_path):
    stop_worker(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_running_job_whose_folder_is_removed_ends(
    warm_home, dynamics, relaxation, until, worker_pids
):
    # Nothing is written for a long time, so no failing write can end it.
    store = submit(dynamics(steps=FOREVER, record_every=100_000), warm_home)
    until(lambda: store.status().message.endswith("K."))
    shutil.rmtree(store.folder)
    following = submit(relaxation(), warm_home)
    wait(following, timeout_s=20.0)
    assert following.status().state is JobState.FINISHED
    assert len(worker_pids(warm_home)) == 1


def test_a_stop_acts_within_a_second_also_where_a_step_takes_longer(
    warm_home, argon, dynamics, relaxation, until
):
    store = submit(dynamics(argon(20), steps=FOREVER), warm_home)
    until(lambda: store.status().state is JobState.RUNNING)
    until(lambda: "K." in store.status().message or store.status().state.is_over)
    asked = datetime.now().astimezone()
    store.request_stop()
    wait(store)
    status = store.status()
    assert status.state is JobState.STOPPED
    took = datetime.fromisoformat(status.updated) - asked
    assert took.total_seconds() < 1.0
    # Its worker may be gone with the step; then a new one takes the next job.
    following = submit(relaxation(), warm_home)
    wait(following)
    assert following.status().state is JobState.FINISHED
