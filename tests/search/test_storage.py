"""Studies in files and on a server: shared, resumed, read, and who is alive."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import optuna
import psycopg
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState
from postgresql_server import postgresql_server as run_server

from gnndesign.errors import CheckpointError, MissingDependencyError, ParameterError
from gnndesign.studies import open_existing_study, open_study, undominated
from gnndesign.studies.locks import AdvisoryLocks, _key

LETTERS = {"x": CategoricalDistribution(["a", "b", "c"])}

ASKS_AND_WAITS = """
import sys, time
import optuna
from optuna.distributions import CategoricalDistribution
from gnndesign.studies import open_study

with open_study(sys.argv[1], "study", optuna.samplers.RandomSampler(), ["minimize"], {"a": 1}) as store:
    for _ in range(int(sys.argv[2])):
        with store.exclusively():
            choices = {"x": CategoricalDistribution(["a", "b", "c"])}
            (trial,) = store.begin([{"x": "a"}], choices, [{}])
        if sys.argv[3] == "tell":
            store.tell(trial.number, [1.0], {})
    print("asked", flush=True)
    if sys.argv[3] == "wait":
        time.sleep(600)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request, tmp_path):
    """Nothing yet in it."""
    if request.param == "sqlite":
        return str(tmp_path / "folder" / "study.db")
    return request.getfixturevalue("postgresql")


@pytest.fixture
def start():
    """Runs ASKS_AND_WAITS in another process."""
    running = []

    def run(storage, n_trials, then):
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", ASKS_AND_WAITS, storage, str(n_trials), then],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def opened(storage, **attributes):
    return open_study(
        storage, "study", optuna.samplers.RandomSampler(), ["minimize"], attributes
    )


def begun(store, letter="a", **attributes):
    with store.exclusively():
        (trial,) = store.begin([{"x": letter}], LETTERS, [attributes])
    return trial


def test_a_study_is_there_when_it_is_opened_again(storage):
    with opened(storage, about="perovskites") as store:
        store.tell(begun(store, "b", formula="B").number, [2.5], {"n": 1})
        store.tell(begun(store, "c").number, None, {"reason": "it broke"})
    with open_existing_study(storage, None) as store:
        assert store.study.study_name == "study"
        assert store.study.user_attrs == {"about": "perovskites"}
        first, second = store.study.get_trials()
        assert (first.params, first.value) == ({"x": "b"}, 2.5)
        assert first.user_attrs["formula"] == "B"
        assert first.user_attrs["n"] == 1
        assert first.datetime_complete >= first.datetime_start
        assert second.user_attrs["reason"] == "it broke"
        assert second.state is TrialState.FAIL
    with opened(storage, about="something else") as store:
        assert store.study.user_attrs == {"about": "perovskites"}


def test_both_spellings_of_the_url_name_one_database(postgresql):
    with opened(postgresql) as store:
        begun(store)
    plain = postgresql.replace("postgresql+psycopg://", "postgresql://")
    with open_existing_study(plain, "study") as store:
        assert len(store.study.get_trials()) == 1


def test_a_begun_trial_is_whole_and_running(storage):
    with opened(storage) as store:
        trial = begun(store, "c", formula="C")
        with open_existing_study(storage, None) as reader:
            (seen,) = reader.study.get_trials()
        assert seen.state is TrialState.RUNNING
        assert seen.params == trial.params == {"x": "c"}
        assert seen.user_attrs["formula"] == "C"
        assert seen.user_attrs["owner"]
        assert seen.datetime_start is not None


def test_reading_leaves_an_empty_database_empty(postgresql):
    with pytest.raises(CheckpointError, match="There is no study at"):
        open_existing_study(postgresql, None)
    with psycopg.connect(postgresql.replace("+psycopg", "")) as connection:
        query = "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'"
        assert connection.execute(query).fetchone() == (0,)


def test_trials_of_a_living_process_are_left_alone(storage, start):
    process = start(storage, 2, "wait")
    assert process.stdout.readline() == "asked\n"
    with opened(storage) as store:
        with store.exclusively():
            assert store.adopt_abandoned() is None
            assert store.take_back_abandoned() == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        with store.exclusively():
            adopted = wait_for(store.adopt_abandoned)
            assert adopted.number == 0
            assert store.take_back_abandoned() == [1]
        states = [trial.state for trial in store.study.get_trials()]
        assert states == [TrialState.RUNNING, TrialState.FAIL]
        # It is ours now.
        with opened(storage) as other, other.exclusively():
            assert other.adopt_abandoned() is None


def wait_for(something, seconds=20.0):
    """The server hears of a death a moment later."""
    end = time.monotonic() + seconds
    while (found := something()) is None:
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


def test_processes_that_begin_on_an_empty_database_do_not_trip(storage, start):
    several = [start(storage, 5, "tell") for _ in range(3)]
    for process in several:
        assert process.stdout.read() == "asked\n"
        assert process.wait() == 0
    with open_existing_study(storage, None) as store:
        trials = store.study.get_trials()
    assert [trial.number for trial in trials] == list(range(15))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}


def test_only_one_is_in_the_exclusive_part(storage):
    inside, most = [0], [0]

    def enter(_):
        with opened(storage) as store:
            for _ in range(5):
                with store.exclusively():
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    time.sleep(0.005)
                    inside[0] -= 1

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(enter, range(3)))
    assert most == [1]


def test_studies_of_one_server_do_not_wait_for_each_other(postgresql):
    def named(name):
        sampler = optuna.samplers.RandomSampler()
        return open_study(postgresql, name, sampler, ["minimize"], {})

    with named("one") as one, named("other") as other:
        entered = threading.Event()

        def enter():
            with other.exclusively():
                entered.set()

        with one.exclusively():
            thread = threading.Thread(target=enter)
            thread.start()
            assert entered.wait(20.0)
            thread.join()


def test_a_trial_that_was_taken_away_is_not_told_twice(storage):
    with opened(storage) as slow, opened(storage) as other:
        trial = begun(slow)
        other.tell(trial.number, None, {"reason": "interrupted"})
        assert not slow.tell(trial.number, [1.0], {"outcome": "late"})
        (seen,) = other.study.get_trials()
        assert seen.state is TrialState.FAIL
        assert "outcome" not in seen.user_attrs


def test_constraints_are_optunas(storage):
    with opened(storage) as store:
        missed, kept = begun(store, "a"), begun(store, "b")
        pruned = TrialState.PRUNED
        bound = {"price": 2.0}
        store.tell(missed.number, None, {}, constraints=bound, state=pruned)
        store.tell(kept.number, [5.0], {}, constraints={"price": -1.0})
        first, second = store.study.get_trials()
        assert (first.state, first.constraints) == (pruned, {"price": 2.0})
        assert second.constraints == {"price": -1.0}
        assert store.study.best_trial.number == kept.number


def test_several_trials_begin_together_in_their_order(storage):
    with opened(storage) as store, store.exclusively():
        attributes = [{"place": place} for place in range(3)]
        trials = store.begin([{"x": x} for x in "cab"], LETTERS, attributes)
        assert [trial.number for trial in trials] == [0, 1, 2]
        assert [trial.params["x"] for trial in trials] == ["c", "a", "b"]
        assert [trial.user_attrs["place"] for trial in trials] == [0, 1, 2]
        assert store.begin([], LETTERS, []) == []


def test_a_lost_connection_is_made_again_with_its_locks(postgresql):
    def end_connections():
        with psycopg.connect(postgresql.replace("+psycopg", "")) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                "application_name = 'gnndesign' AND datname = current_database()"
            )

    with opened(postgresql) as store:
        trial = begun(store)
        end_connections()
        with store.exclusively():
            assert store.take_back_abandoned() == []
        assert store.tell(trial.number, [1.0], {})
        end_connections()
        assert begun(store).number == 1
        with opened(postgresql) as other, other.exclusively():
            assert other.take_back_abandoned() == []


def test_the_server_shows_the_keys_that_were_locked(postgresql):
    # Also those of which one half, or both, have their highest bit set.
    names = [str(number) for number in range(64)]
    assert len({(_key(n) < 0, _key(n) & 0x80000000) for n in names}) == 4
    url = postgresql.replace("postgresql+psycopg", "postgresql")
    with opened(url) as store:
        locks = AdvisoryLocks(store._locks._connect, "study")
        for name in names[::2]:
            locks.claim(name)
        assert locks.living(names) == set(names[::2])
        locks.close()
        assert locks.living(names) == set()
        locks.close()


def test_what_is_wrong_with_a_server_is_said_without_the_password():
    unreachable = "postgresql://me:topsecret@127.0.0.1:1/studies"
    with pytest.raises(CheckpointError, match="Is the server running") as caught:
        opened(unreachable)
    assert "me:***@127.0.0.1:1/studies" in str(caught.value)
    assert "topsecret" not in str(caught.value)
    with pytest.raises(CheckpointError, match="Is the server running"):
        open_existing_study(unreachable, None)
    for unknown in (
        "mysql://me:topsecret@here/studies",
        "postgresql+x://me:topsecret@h",
    ):
        with pytest.raises(ParameterError, match="postgresql://USER@HOST") as caught:
            opened(unknown)
        assert "topsecret" not in str(caught.value)
    with pytest.raises(ParameterError, match="cannot be read") as caught:
        opened("postgresql://me:topsecret@here:port/studies")
    assert "topsecret" not in str(caught.value)


def test_a_wrong_password_or_database_is_named(postgresql_server):
    del postgresql_server  # skips where there is none
    with run_server("scram-sha-256") as url:
        with pytest.raises(CheckpointError, match="the right password") as caught:
            opened(url.replace("test@", "test:wr0ng-one@"))
        assert "wr0ng" not in str(caught.value)
        right = url.replace("test@", "test:secret@")
        with opened(right) as store:
            begun(store)
        missing = right.replace("/postgres", "/elsewhere")
        with pytest.raises(CheckpointError, match="Create it first"):
            opened(missing)


def test_a_missing_driver_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDependencyError, match=r"gnndesign\[postgresql\]"):
        opened("postgresql://me@127.0.0.1:1/studies")


def test_undominated_rows_are_those_of_brute_force():
    random = np.random.default_rng(0)
    for n, n_objectives in ((0, 2), (1, 1), (60, 1), (80, 2), (80, 3)):
        # Few different numbers: many rows are equal, or equal in part.
        costs = random.integers(0, 6, (n, n_objectives)).astype(float)
        expected = [
            not any((o <= c).all() and (o < c).any() for o in costs) for c in costs
        ]
        assert undominated(costs).tolist() == expected
