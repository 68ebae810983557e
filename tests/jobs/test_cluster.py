"""Calls on Dask's workers: made once each, wherever, whoever dies."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor, Future, wait

import dask
import pytest
from cluster_calls import die_unless_others_did, fail, overlap, process_id

from gnndesign.errors import JobError, MissingDependencyError, ParameterError
from gnndesign.jobs.cluster import ClusterSettings, _alone, _pass_on, connect
from gnndesign.jobs.devices import take_device


@pytest.fixture(scope="module")
def cluster():
    with connect("local:3") as executor:
        executor.wait_for_workers(3)
        yield executor


def test_workers_are_other_processes(cluster):
    assert isinstance(cluster, Executor)
    assert cluster.n_workers == 3
    calls = [cluster.submit(process_id, 0.2) for _ in range(9)]
    found = {call.result(timeout=60) for call in calls}
    assert len(found) == 3
    assert os.getpid() not in found
    assert list(cluster.map(abs, [-1, 2])) == [1, 2]


def test_there_may_be_two_clusters_on_a_machine(cluster):
    with connect("local:1") as other:
        assert other.submit(abs, -1).result(timeout=60) == 1
    assert cluster.submit(abs, -2).result(timeout=60) == 2


def test_the_same_call_twice_is_made_twice(cluster, tmp_path):
    calls = [cluster.submit(overlap, tmp_path, 0.0) for _ in range(2)]
    assert [call.result(timeout=60) for call in calls] == [1, 1]
    ids = [cluster.submit(time.monotonic_ns).result(timeout=60) for _ in range(2)]
    assert ids[0] != ids[1]


def test_what_a_call_raises_is_raised(cluster):
    with pytest.raises(ValueError, match="no such thing"):
        cluster.submit(fail, "no such thing").result(timeout=60)


def test_a_cancelled_call_is_not_made(cluster, tmp_path):
    busy = [cluster.submit(process_id, 1.0) for _ in range(3)]
    never = cluster.submit(die_unless_others_did, tmp_path, 1)
    assert never.cancel()
    wait(busy, timeout=60)
    assert cluster.submit(abs, -3).result(timeout=60) == 3
    assert not list(tmp_path.iterdir())


def test_a_call_whose_worker_dies_is_made_by_another(cluster, tmp_path):
    call = cluster.submit(die_unless_others_did, tmp_path, 2)
    others = [cluster.submit(process_id, 0.1) for _ in range(6)]
    assert call.result(timeout=100) == 2
    assert all(other.result(timeout=60) for other in others)


def test_a_result_that_dies_with_its_worker_is_computed_again(cluster):
    going = cluster._client.submit(_alone, process_id, (1.0,), {}, pure=False)
    worker = going.result(timeout=60)
    os.kill(worker, signal.SIGKILL)
    end = time.monotonic() + 60
    while going.status != "lost":
        assert time.monotonic() < end
        time.sleep(0.01)
    promised = Future()
    _pass_on(promised, going)
    assert promised.result(timeout=60) != worker


def test_a_call_that_kills_every_worker_is_given_up(cluster, tmp_path):
    call = cluster.submit(die_unless_others_did, tmp_path, 100)
    error = call.exception(timeout=100)
    assert "worker" in str(error)
    assert not isinstance(error, BrokenExecutor)
    assert len(list(tmp_path.iterdir())) == 4
    assert cluster.submit(abs, -3).result(timeout=60) == 3


def test_a_running_scheduler_is_used_and_left_running(cluster):
    address = cluster._client.scheduler.address
    with connect(address) as executor:
        assert executor.submit(abs, -1).result(timeout=60) == 1
    with pytest.raises(RuntimeError, match="closed"):
        executor.submit(abs, -1)
    assert cluster.submit(abs, -2).result(timeout=60) == 2


def test_a_worker_with_two_threads_makes_one_call_at_a_time(tmp_path):
    from distributed import LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, dashboard_address=":0"
        ) as running,
        connect(running.scheduler_address) as executor,
    ):
        calls = [executor.submit(overlap, tmp_path, 0.1) for _ in range(4)]
        assert [call.result(timeout=60) for call in calls] == [1] * 4


def test_a_cluster_that_is_gone_breaks_its_calls():
    command = [sys.executable, "-m", "dask", "scheduler"]
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    process = subprocess.Popen(  # noqa: S603
        [*command, *options], stderr=subprocess.PIPE, text=True
    )
    try:
        address = next(
            line.split()[-1] for line in process.stderr if "Scheduler at:" in line
        )
        with connect(address) as executor:
            call = executor.submit(abs, -1)  # there is no worker
            process.kill()
            assert isinstance(call.exception(timeout=100), BrokenExecutor)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_settings_are_read_from_a_command_line():
    parse = ClusterSettings.parse
    assert parse("tcp://here:8786") == ClusterSettings(address="tcp://here:8786")
    assert parse("local:3") == ClusterSettings(address="local", n_workers=3)
    assert parse("ssh:one,two").hosts == ("one", "two")
    assert parse("slurm:8,queue=gpu,walltime=00:10:00") == ClusterSettings(
        address="slurm", n_workers=8, queue="gpu", walltime="00:10:00"
    )
    for wrong in (
        *("", "tcp", "tcp:", "http://here", "local:", "local:x", "local:0", "local:-1"),
        *("local:3,queue=gpu", "slurm:2,color=red", "ssh", "ssh:", "pbs:3"),
    ):
        with pytest.raises(ParameterError):
            parse(wrong)


def test_what_cannot_be_reached_or_is_missing_is_said(monkeypatch):
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(JobError, match="at 'tcp://"),
    ):
        connect("tcp://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError, match=r"gnndesign\[cluster\]"):
        connect("local:1")


def test_each_worker_of_a_machine_takes_another_gpu(monkeypatch, tmp_path):
    taken = []
    for expected in ("2", "GPU-5"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5")
        taken.append(take_device(tmp_path))
        assert os.environ["CUDA_VISIBLE_DEVICES"] == expected
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5")
    assert take_device(tmp_path) is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,GPU-5"
    taken.pop(0).release()
    taken.append(take_device(tmp_path))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert take_device(tmp_path) is None
    for lock in taken:
        lock.release()
