"""Several processes ask one study at once."""

import itertools
import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.studies import open_existing_study

SCRIPT = """
import json, sys
from gnndesign.search.sampler import CandidateSampler, Strategy, distributions
from gnndesign.search.space import space_from_dict
from gnndesign.studies import open_study

path, space, strategy, n_rounds = sys.argv[1:]
space = space_from_dict(json.loads(space))
sampler = CandidateSampler(space, strategy=Strategy(strategy), seed=1)
with open_study(path, "search", sampler, ["minimize"], {"made": "by a test"}) as store:
    print("ready", flush=True)
    for _ in range(int(n_rounds)):
        sys.stdin.readline()
        with store.exclusively():
            wanted = sampler.propose(store.study, 16)
            asked = store.begin(wanted, distributions(space), [{}] * 16)
        for trial in asked[:8]:
            store.tell(trial.number, [float(space.pool.index_of(trial.params) % 13)], {})
        print("told", flush=True)
"""


@pytest.mark.parametrize("strategy", ["random", "gaussian_process"])
def test_two_processes_with_half_of_their_trials_in_flight_never_ask_for_the_same(
    tmp_path, strategy
):
    space = PrototypeSpace(
        prototype="perovskite",
        sites={
            "A": ("Na", "K", "Rb", "Ca", "Sr", "Ba", "La", "Y"),
            "B": ("Ti", "Zr", "Hf", "Nb", "Ta", "Al", "Ga"),
            "X": ("O", "F"),
        },
        charge_neutral=False,
    )
    n_rounds = 3
    # Chance alone would meet again: 96 of so many are asked for.
    assert len(space) == 112
    path = tmp_path / "study.db"
    command = [sys.executable, "-c", SCRIPT, str(path), json.dumps(space.to_dict())]
    processes = [
        subprocess.Popen(  # noqa: S603
            [*command, strategy, str(n_rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for _ in range(n_rounds):
            for process in processes:
                process.stdin.write("go\n")
                process.stdin.flush()
            for process in processes:
                assert process.stdout.readline() == "told\n"
        assert [process.wait(60) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
    with open_existing_study(path, "search") as store:
        trials = store.study.get_trials(deepcopy=False)
    counts = Counter(tuple(trial.params.values()) for trial in trials)
    assert len(trials) == 2 * n_rounds * 16
    assert max(counts.values()) == 1
    # Each round both asked.
    owners = [trial.user_attrs["owner"] for trial in trials]
    assert len(set(owners)) == 2
    assert sum(a != b for a, b in itertools.pairwise(owners)) >= n_rounds
