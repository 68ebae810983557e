"""A search on a cluster: workers are killed, the study is as if they were not."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest
from postgresql_server import UnavailableError
from slurm_server import slurm_server
from toy_potential import ToyPotential

from gnndesign.jobs.cluster import connect
from gnndesign.search.measures import LatticeConstant
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.study import load_search, search_compositions
from gnndesign.search.trials import TrialStatus

N_TRIALS = 40
N_KILLED = 2


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GNNDESIGN_HOME", str(tmp_path / "home"))


@pytest.fixture
def space():
    return PrototypeSpace(
        prototype="rocksalt",
        sites={
            "A": (
                "Mg",
                "Ca",
                "Sr",
                "Ba",
                "Mn",
                "Fe",
                "Co",
                "Ni",
                "Zn",
                "Cd",
                "Sn",
                "Pb",
            ),
            "X": ("O", "S", "Se", "Te"),
        },
    )


def evaluated(result):
    """What was found of each candidate, by its formula."""
    assert {trial.status for trial in result.trials} == {TrialStatus.CONVERGED}
    found = {trial.formula: trial.values for trial in result.trials}
    assert len(found) == len(result.trials) == N_TRIALS
    return found


def check_that_nothing_was_lost(space, storage, executor, kill_one):
    """Search once with workers that are killed on the way, and once without any."""
    killed = set()

    def disturb(progress):
        """Called after every few candidates."""
        if len(killed) < N_KILLED and progress.n_done >= 4:
            killed.update(kill_one(killed))

    lattice = LatticeConstant().near(5.0)
    settings = {"batch_size": 12, "group_size": 2, "strategy": "random"}
    slow = ToyPotential(delay_s=0.005)
    disturbed = search_compositions(
        space,
        lattice,
        slow,
        N_TRIALS,
        storage,
        executor=executor,
        on_progress=disturb,
        **settings,
    )
    assert len(killed) == N_KILLED
    whole = search_compositions(space, lattice, ToyPotential(), N_TRIALS, **settings)
    found, expected = evaluated(disturbed), evaluated(whole)
    assert found.keys() == expected.keys()
    for formula, values in expected.items():
        assert found[formula] == pytest.approx(values)
    assert evaluated(load_search(storage)) == found


def test_killed_workers_lose_no_candidate_and_none_is_counted_twice(space, postgresql):
    with connect("local:3") as executor:
        executor.wait_for_workers(3)

        def kill_one(killed):
            """Of those that are at work."""
            client = executor._client
            busy = {address for address, keys in client.processing().items() if keys}
            pids = client.run(os.getpid, workers=list(busy), on_error="ignore")
            for pid in sorted(set(pids.values()) - killed)[:1]:
                os.kill(pid, signal.SIGKILL)
                yield pid

        check_that_nothing_was_lost(space, postgresql, executor, kill_one)


@pytest.mark.slow
def test_jobs_of_slurm_that_are_cancelled_lose_no_candidate(
    space, postgresql, tmp_path, monkeypatch
):
    with ExitStack() as stack:
        try:
            configuration = stack.enter_context(slurm_server())
        except UnavailableError as error:
            pytest.skip(str(error))
        monkeypatch.setenv("SLURM_CONF", str(configuration))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        monkeypatch.chdir(tmp_path)
        executor = stack.enter_context(connect("slurm:3,queue=main,memory=1GB"))
        executor.wait_for_workers(3)

        def kill_one(killed):
            """One that is running, with its worker."""
            listed = run("squeue", "-h", "-t", "running", "-o", "%i").split()
            for number in sorted(set(listed) - killed)[:1]:
                run("scancel", "--signal=KILL", "--full", number)
                yield number

        assert len(run("squeue", "-h", "-t", "running", "-o", "%i").split()) == 3
        check_that_nothing_was_lost(space, postgresql, executor, kill_one)


def run(*command):
    return subprocess.run(  # noqa: S603
        command, check=True, capture_output=True, text=True
    ).stdout
