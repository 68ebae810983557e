import json

import numpy as np

from gnndesign.jobs.metrics import MetricsReader
from gnndesign.jobs.store import JobStore
from gnndesign.simulation.results import SCALARS


def write(store, system, step, value, status="RUNNING"):
    row = {"id": system, "step": step, "time_fs": 2.0 * step, "status": status}
    row |= dict.fromkeys(SCALARS, value) | {"volume": None, "message": ""}
    with (store.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def test_a_history_grows_and_a_moment_that_comes_again_replaces_itself(
    home, relaxation
):
    store = JobStore.create(relaxation(), home)
    reader = MetricsReader(store)
    assert not reader.refresh()
    assert reader.last() is None
    assert len(reader.history().step) == 0
    for step in (0, 1, 2):
        write(store, 0, step, step / 4)
    write(store, 1, 0, 9.0)
    assert reader.refresh()
    early = reader.history()
    write(store, 0, 3, 0.75)
    write(store, 0, 3, 0.8, status="CONVERGED")
    write(store, 0, 1, 0.3)
    assert reader.refresh()
    history = reader.history()
    assert history.step.tolist() == [0, 1, 2, 3]
    assert history.time_fs.tolist() == [0.0, 2.0, 4.0, 6.0]
    assert history.energy.tolist() == [0.0, 0.3, 0.5, 0.8]
    assert np.isnan(history.volume).all()
    assert early.energy.tolist() == [0.0, 0.25, 0.5]
    assert reader.last()["status"] == "CONVERGED"
    assert reader.history(1).energy.tolist() == [9.0]
