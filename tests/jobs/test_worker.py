"""The worker's own decisions, in this process."""

import dataclasses
import shutil
import sys
import threading

import pytest

from gnndesign.jobs import worker as worker_module
from gnndesign.jobs.control import Progress
from gnndesign.jobs.local import worker_lock
from gnndesign.jobs.states import JobState
from gnndesign.jobs.store import JobStore
from gnndesign.jobs.worker import Worker, main
from gnndesign.potentials.lennard_jones import LennardJones


@pytest.fixture
def worker(home):
    home.mkdir()
    return Worker(home)


def run_next(worker):
    store = worker.next_job()
    worker.run(store)
    return store


def test_the_oldest_job_goes_first_and_a_stopped_one_never(worker, relaxation):
    first, second, third = (
        JobStore.create(relaxation(), worker.home) for _ in range(3)
    )
    first.request_stop()
    assert run_next(worker).folder == second.folder
    assert worker.next_job().folder == third.folder
    assert first.status().message == "Stopped before it began."
    assert not first.trajectory_folder.exists()


def test_a_job_stopped_after_it_was_seen_is_not_begun(worker, relaxation):
    store = JobStore.create(relaxation(), worker.home)
    seen = worker.next_job()
    store.request_stop()
    worker.run(seen)
    assert store.status().state is JobState.STOPPED
    assert not store.trajectory_folder.exists()


def test_other_weights_than_the_job_was_made_for_fail_it(worker, relaxation):
    spec = dataclasses.replace(relaxation(), potential_checksum="0" * 64)
    bad = JobStore.create(spec, worker.home)
    good = JobStore.create(relaxation(), worker.home)
    run_next(worker)
    run_next(worker)
    status = bad.status()
    assert status.state is JobState.FAILED
    assert "was made for lennard-jones with weights 000000000000" in status.message
    assert "JobError" in bad.log_file.read_text("utf-8")
    assert good.status().state is JobState.FINISHED


def test_an_element_the_potential_does_not_know_fails_the_job(
    worker, relaxation, monkeypatch
):
    ignorant = LennardJones()
    ignorant.card = dataclasses.replace(ignorant.card, elements=(2, 10))
    monkeypatch.setattr(worker_module, "load_potential", lambda *_: ignorant)
    bad = JobStore.create(relaxation(), worker.home)
    run_next(worker)
    status = bad.status()
    assert status.state is JobState.FAILED
    assert "Ar" in status.message
    assert "Traceback" in bad.log_file.read_text("utf-8")


def test_a_job_can_be_put_right_and_resumed_after_it_failed(
    worker, relaxation, monkeypatch
):
    def broken(*_):
        raise MemoryError

    store = JobStore.create(relaxation(), worker.home)
    with monkeypatch.context() as patch:
        patch.setattr(worker_module, "load_potential", broken)
        run_next(worker)
    assert store.status().state is JobState.FAILED
    assert store.status().message == "MemoryError"
    store.requeue()
    run_next(worker)
    assert store.status().state is JobState.FINISHED


def test_a_worker_survives_the_removal_of_the_folder_it_writes(
    worker, relaxation, monkeypatch
):
    removed = JobStore.create(relaxation(), worker.home)

    def task(store, *_):
        yield Progress(done=1, total=9, message="One.")
        shutil.rmtree(store.folder)
        yield Progress(done=2, total=9, message="Two.")

    with monkeypatch.context() as patch:
        patch.setattr(worker_module, "run_simulation", task)
        run_next(worker)
    assert not (removed.folder / "status.json").exists()
    assert worker.next_job() is None
    JobStore.create(relaxation(), worker.home)
    assert run_next(worker).status().state is JobState.FINISHED


def test_a_job_that_cannot_be_written_to_does_not_hold_up_the_queue(
    worker, relaxation, monkeypatch
):
    stuck, other = (JobStore.create(relaxation(), worker.home) for _ in range(2))
    write_status = JobStore.write_status

    def refuse(self, status):
        if self.folder == stuck.folder:
            raise PermissionError(13, "Permission denied")
        write_status(self, status)

    monkeypatch.setattr(JobStore, "write_status", refuse)
    run_next(worker)
    assert run_next(worker).folder == other.folder
    assert other.status().state is JobState.FINISHED


def test_a_worker_without_its_home_folder_ends(worker, home):
    with worker_lock(home):
        serving = threading.Thread(target=worker.serve)
        serving.start()
        serving.join(0.4)
        assert serving.is_alive()
        shutil.rmtree(home)
        serving.join(5.0)
        assert not serving.is_alive()


def test_an_idle_worker_sees_a_job_that_is_put_back(worker, relaxation, monkeypatch):
    store = JobStore.create(relaxation(), worker.home)
    store.request_stop()
    # The clock of the disk has moved on since.
    monkeypatch.setattr(worker_module, "_CLOCK_TICK_NS", 0)
    assert worker.next_job() is None
    monkeypatch.setattr(worker_module, "list_jobs", lambda _: pytest.fail("looked"))
    assert worker.next_job() is None
    monkeypatch.undo()
    store.requeue()
    assert worker.next_job().folder == store.folder


def test_a_job_queued_while_a_worker_is_about_to_end_is_run(
    home, relaxation, monkeypatch
):
    home.mkdir()
    served = []

    def serve(worker):
        served.append(worker)
        if len(served) == 1:
            # Idle for long enough; whoever submits now still sees the lock held.
            JobStore.create(relaxation(), home)
            return
        run_next(worker)

    monkeypatch.setattr(Worker, "serve", serve)
    monkeypatch.setattr(sys, "argv", ["worker", str(home)])
    assert main() == 0
    assert len(served) == 2
    assert Worker(home).next_job() is None
