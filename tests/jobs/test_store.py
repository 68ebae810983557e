import dataclasses
import json
import math
import threading

import pytest

from gnndesign.errors import JobError
from gnndesign.jobs.states import JobState, JobStatus
from gnndesign.jobs.store import JobStore, jobs_folder, list_jobs


def test_a_new_job_is_complete_when_it_appears(home, relaxation):
    spec = relaxation()
    seen, over = [], threading.Event()

    def look():
        while not over.is_set():
            seen.extend(job.status().state for job in list_jobs(home))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        stores = [JobStore.create(spec, home) for _ in range(30)]
    finally:
        over.set()
        looking.join()
    assert set(seen) <= {JobState.QUEUED}
    assert [job.folder for job in list_jobs(home)] == [
        store.folder for store in reversed(stores)
    ]
    assert stores[0].spec.to_json() == spec.to_json()


def test_a_spec_that_cannot_be_written_leaves_nothing(home, relaxation):
    bad = dataclasses.replace(relaxation(), parameters={"max_force": math.nan})
    with pytest.raises(JobError, match="cannot be written"):
        JobStore.create(bad, home)
    assert not jobs_folder(home).exists()


def test_a_torn_last_line_of_the_metrics_waits_for_its_rest(home, relaxation):
    store = JobStore.create(relaxation(), home)
    path = store.folder / "metrics.jsonl"
    path.write_text('{"id": 0, "step": 0}\n{"id": 0, "st', "utf-8")
    rows, offset = store.metrics()
    assert rows == [{"id": 0, "step": 0}]
    with path.open("a", encoding="utf-8") as file:
        file.write('ep": 1}\n')
    assert store.metrics(offset)[0] == [{"id": 0, "step": 1}]


def test_a_running_job_whose_lock_is_free_was_interrupted(home, relaxation):
    store = JobStore.create(relaxation(), home)
    with store.lock():
        store.write_status(JobStatus(state=JobState.RUNNING, done=5, total=9))
        assert store.status().state is JobState.RUNNING
    status = store.status()
    assert status.state is JobState.INTERRUPTED
    assert (status.done, status.total) == (5, 9)


def test_many_who_look_at_once_agree_that_a_job_was_interrupted(home, relaxation):
    store = JobStore.create(relaxation(), home)
    with store.lock():
        store.write_status(JobStatus(state=JobState.RUNNING))
    seen = []

    def look():
        seen.extend(store.status().state for _ in range(200))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [JobState.INTERRUPTED] * 800


def test_looking_at_a_removed_job_does_not_bring_its_folder_back(home, relaxation):
    store = JobStore.create(relaxation(), home)
    store.request_stop()
    store.delete()
    with pytest.raises(JobError, match="cannot be read"):
        store.status()
    assert list(jobs_folder(home).iterdir()) == []


def test_only_a_job_that_is_over_can_be_deleted_or_put_back(home, relaxation):
    store = JobStore.create(relaxation(), home)
    for change in (store.delete, store.requeue):
        with pytest.raises(JobError, match=r"stop it first|is not over"):
            change()
    assert store.status().state is JobState.QUEUED


def test_a_stop_before_a_job_goes_on_keeps_its_progress(home, relaxation):
    store = JobStore.create(relaxation(), home)
    store.write_status(JobStatus(state=JobState.STOPPED, done=5, total=9))
    store.request_pause(pause=True)
    store.requeue()
    assert store.status().state is JobState.QUEUED
    assert not store.wishes().pause
    store.request_stop()
    status = store.status()
    assert (status.state, status.done, status.total) == (JobState.STOPPED, 5, 9)


def test_a_damaged_status_is_a_job_error(home, relaxation):
    store = JobStore.create(relaxation(), home)
    for text in ("", "{", "[]", json.dumps({"state": "asleep"}), "null"):
        (store.folder / "status.json").write_text(text, "utf-8")
        with pytest.raises(JobError, match="cannot be read"):
            store.status()


def test_what_is_no_job_is_not_listed(home, relaxation):
    store = JobStore.create(relaxation(), home)
    (jobs_folder(home) / "notes.txt").write_text("mine", "utf-8")
    (jobs_folder(home) / "empty").mkdir()
    assert [job.job_id for job in list_jobs(home)] == [store.job_id]


def test_more_steps_must_be_steps(home, relaxation):
    store = JobStore.create(relaxation(), home)
    with pytest.raises(JobError, match="at least one"):
        store.extend(0)
    assert store.wishes().total is None
    store.extend(12)
    assert store.wishes().total == 12
