"""A task runs once on every thread, whoever owns the threads."""

import ctypes
import threading

import pytest
import torch

from gnndesign.potentials.kernels import threads
from gnndesign.potentials.kernels.threads import run_on_all_threads, run_on_one_thread

TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
PATIENCE = 20.0


class Meeting:
    """A C function whose calls wait for each other, so that each needs a thread."""

    def __init__(self, n_threads):
        self.visits = []
        barrier = threading.Barrier(n_threads)

        def task(argument):
            barrier.wait(PATIENCE)
            self.visits.append((threading.get_ident(), argument))

        self.function = TASK(task)
        self.address = ctypes.cast(self.function, ctypes.c_void_p).value


@pytest.fixture(params=[2, 3])
def n_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def check(meeting, n_threads):
    assert len({thread for thread, _ in meeting.visits}) == n_threads
    assert [argument for _, argument in meeting.visits] == [1234] * n_threads


@pytest.mark.skipif(
    threads._openmp_entry() is None, reason="torch has no GNU OpenMP of its own here"
)
def test_torchs_openmp_runs_a_task_on_every_thread(n_threads):
    for _ in range(3):
        meeting = Meeting(n_threads)
        threads._openmp_entry()(meeting.address, 1234, n_threads, 0)
        check(meeting, n_threads)
        assert threading.get_ident() in dict(meeting.visits)


def test_pythons_threads_run_a_task_on_every_thread(n_threads):
    for _ in range(3):
        meeting = Meeting(n_threads)
        threads._run_on_python_threads(meeting.address, 1234, n_threads)
        check(meeting, n_threads)


def test_all_threads_are_torchs_number(n_threads):
    meeting = Meeting(n_threads)
    run_on_all_threads(meeting.address, 1234)
    check(meeting, n_threads)


def test_without_openmp_python_takes_over(n_threads, monkeypatch):
    monkeypatch.setattr(threads, "_openmp_entry", lambda: None)
    threads._runner.cache_clear()
    try:
        meeting = Meeting(n_threads)
        run_on_all_threads(meeting.address, 1234)
        check(meeting, n_threads)
        names = {thread.name for thread in threading.enumerate()}
        assert any(name.startswith("gnndesign") for name in names)
    finally:
        threads._runner.cache_clear()


def test_one_thread_is_the_callers():
    assert torch.get_num_threads() == 1
    for run in (run_on_all_threads, run_on_one_thread):
        meeting = Meeting(1)
        run(meeting.address, 1234)
        assert meeting.visits == [(threading.get_ident(), 1234)]
