"""A search on a cluster: workers are killed, the study is as if they were not."""

import os
import signal

import pytest
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


def test_killed_workers_lose_no_candidate_and_none_is_counted_twice(space, postgresql):
    killed = []

    def kill_one(progress):
        """Of those that are at work; called after every few candidates."""
        if len(killed) == N_KILLED or progress.n_done < 4:
            return
        client = executor._client
        busy = {address for address, keys in client.processing().items() if keys}
        pids = client.run(os.getpid, workers=list(busy), on_error="ignore")
        fresh = set(pids.values()) - set(killed)
        if fresh:
            killed.append(min(fresh))
            os.kill(killed[-1], signal.SIGKILL)

    settings = {
        "batch_size": 12,
        "group_size": 2,
        "strategy": "random",
    }
    lattice = LatticeConstant().near(5.0)
    with connect("local:3") as executor:
        executor.wait_for_workers(3)
        disturbed = search_compositions(
            space,
            lattice,
            ToyPotential(delay_s=0.005),
            N_TRIALS,
            postgresql,
            executor=executor,
            on_progress=kill_one,
            **settings,
        )
    assert len(set(killed)) == N_KILLED
    whole = search_compositions(space, lattice, ToyPotential(), N_TRIALS, **settings)
    found, expected = evaluated(disturbed), evaluated(whole)
    assert found.keys() == expected.keys()
    for formula, values in expected.items():
        assert found[formula] == pytest.approx(values)
    assert evaluated(load_search(postgresql)) == found
