import dataclasses
import threading
import time

import pytest

from gnndesign.jobs.control import Control, Progress
from gnndesign.jobs.states import JobState, JobStatus
from gnndesign.jobs.store import JobStore


@pytest.fixture
def store(home, relaxation):
    return JobStore.create(relaxation(), home)


def test_a_step_that_does_not_end_is_abandoned_within_a_second(store):
    abandoned, saved = threading.Event(), []
    control = Control(store, on_deadline=abandoned.set)
    control.save = lambda: saved.append(time.monotonic())
    with store.lock(), control:
        control.write(JobStatus(state=JobState.RUNNING))
        control.progress(Progress(done=3, total=9, message="Three."), "cpu")
        start = time.monotonic()
        store.request_stop()
        assert abandoned.wait(5.0)
        assert time.monotonic() - start < 1.0
        status = store.status()
        assert (status.state, status.done) == (JobState.STOPPED, 3)
        assert status.message == "Stopped. Three."
        assert len(saved) == 1
        # What the step says when it ends after all comes too late.
        control.progress(Progress(done=4, total=9, message="Four."), "cpu")
        control.end(JobState.FINISHED, "Done.")
    assert store.status() == status


def test_a_stop_that_is_answered_in_time_abandons_nothing(store):
    abandoned = threading.Event()
    control = Control(store, on_deadline=abandoned.set)
    with control:
        store.request_stop()
        deadline = time.monotonic() + 5.0
        while not control.should_stop():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        control.end(JobState.STOPPED, "Stopped.")
    time.sleep(0.8)
    assert not abandoned.is_set()


def test_a_disk_that_takes_no_checkpoint_does_not_keep_a_job_alive(store):
    abandoned = threading.Event()
    control = Control(store, on_deadline=abandoned.set)

    def save():
        raise OSError(28, "No space left on device")

    control.save = save
    with control:
        store.request_stop()
        assert abandoned.wait(5.0)
    assert "No space left" in store.status().message


def test_a_paused_job_waits_and_a_stop_ends_the_waiting(store):
    control = Control(store, on_deadline=lambda: None)
    store.request_pause(pause=True)
    answers = []
    with store.lock(), control:
        control.write(JobStatus(state=JobState.RUNNING))
        asking = threading.Thread(target=lambda: answers.append(control.should_stop()))
        asking.start()
        asking.join(0.3)
        assert asking.is_alive()
        assert store.status().state is JobState.PAUSED
        store.request_stop()
        asking.join(5.0)
    assert answers == [True]


def test_an_unreadable_wish_is_no_wish(store):
    (store.folder / "extend").write_text("many", "utf-8")
    control = Control(store, on_deadline=lambda: None)
    control.hear()
    assert control.total is None
    assert not control.stopping


def test_statuses_are_not_written_at_every_step(store, monkeypatch):
    written = []
    monkeypatch.setattr(store, "write_status", written.append)
    control = Control(store, on_deadline=lambda: None)
    start = time.monotonic()
    n = 0
    while time.monotonic() - start < 0.5:
        n += 1
        control.progress(Progress(done=n, total=9, message=""), "cpu")
    assert n > 100
    assert 2 <= len(written) <= 4
    last = dataclasses.asdict(written[-1])
    assert last["state"] is JobState.RUNNING
