"""A Pareto search: real trade-offs, points that load, failures and resumed trainings."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training.conftest import argon_frames

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.training.batches import TrainingSet
from gnndesign.training.dataset import Dataset
from gnndesign.training.evaluation import evaluate
from gnndesign.training.model_cost import measure_cost
from gnndesign.training.options import Training
from gnndesign.training.pareto import iterate_loss_weights, search_loss_weights
from gnndesign.training.pareto_results import ParetoResult
from gnndesign.training.pareto_space import ParetoSpace, Range
from gnndesign.training.plan import TrainingPlan

SHORT = Training(epochs=2, batch_size=4, learning_rate=1e-2, warmup_epochs=0.5, ema=0.9)


def small(shape):
    options = {"cutoff": 5.0, "hidden": (6,), **shape}
    return new_potential("behler-parrinello", ["Ar"], seed=1, **options)


@pytest.fixture(scope="module")
def searched(argon, tmp_path_factory):
    storage = tmp_path_factory.mktemp("pareto") / "study.db"
    seen = []
    result = search_loss_weights(
        small,
        *argon,
        storage=storage,
        training=SHORT,
        n_trials=6,
        on_trial=seen.append,
    )
    return storage, result, seen


def test_every_trial_is_a_potential_with_the_errors_it_claims(searched, argon):
    _, result, seen = searched
    assert [trial.number for trial in seen] == list(range(6))
    assert result.trials == tuple(seen)
    for trial in result.trials:
        potential = load_potential(trial.file, "cpu")
        assert evaluate(potential, argon[1]).errors == trial.errors
        assert sum(trial.weights.values()) == pytest.approx(1.0)
        loss = potential.card.training["options"]["loss"]
        assert {name: loss[name] for name in trial.weights} == trial.weights


def test_the_front_are_the_trials_that_no_other_beats(searched):
    _, result, _ = searched
    assert result.objectives[2] == "stress_mae_GPa"
    values = {
        t.number: np.array([t.value(name) for name in result.objectives])
        for t in result.trials
    }
    front = [trial.number for trial in result.front]
    assert front
    for number, mine in values.items():
        beaten = any(
            (other <= mine).all() and (other < mine).any() for other in values.values()
        )
        assert (number in front) != beaten
    energies = [trial.value("energy_mae_meV") for trial in result.front]
    assert energies == sorted(energies)


def test_a_study_is_read_without_running_it_and_is_extended(searched, argon):
    storage, result, _ = searched
    read = ParetoResult.load(storage)
    assert read.trials == result.trials
    steps = list(
        iterate_loss_weights(small, *argon, storage=storage, training=SHORT, n_trials=7)
    )
    assert {step.number for step in steps} == {6, None}
    assert steps[-1].result.trials[:6] == result.trials
    assert len(steps[-1].result.trials) == 7
    assert not list(storage.parent.glob("*.trials/*.pt")), "no checkpoint is left"


def test_a_study_of_something_else_is_refused(searched, argon):
    storage, _, _ = searched
    longer = Training(epochs=3)
    with pytest.raises(CheckpointError, match="another training"):
        search_loss_weights(small, *argon, storage=storage, training=longer)


def test_more_weight_on_the_forces_lowers_their_error(argon, tmp_path):
    errors = {}
    for name, ends in {"forces": (1e-4, 2e-4), "energy": (1e4, 2e4)}.items():
        result = search_loss_weights(
            small,
            *argon,
            storage=tmp_path / f"{name}.db",
            training=Training(epochs=12, batch_size=4, learning_rate=1e-2, ema=0.9),
            space=ParetoSpace(energy=ends, stress=None),
            n_trials=1,
        )
        errors[name] = result.trials[0].errors
    forces = {name: one.forces_mae_meV_per_A for name, one in errors.items()}
    assert forces["forces"] < 0.8 * forces["energy"]


def test_a_larger_network_moves_more_data_and_cost_is_an_objective(argon, tmp_path):
    plan = TrainingPlan(data="unused", architecture="behler-parrinello", seed=1)
    space = ParetoSpace(
        stress=None, shape={"hidden": ((4,), (40, 40)), "cutoff": Range(low=4, high=6)}
    )
    result = search_loss_weights(
        plan, *argon, storage=tmp_path / "a.db", training=SHORT, space=space, n_trials=4
    )
    assert result.objectives[-1] == "traffic_kB"
    for trial in result.trials:
        made = load_potential(trial.file, "cpu")
        assert made.parameters.hidden == trial.shape["hidden"]
        assert made.cutoff == trial.shape["cutoff"]
    traffic = [
        measure_cost(p, TrainingSet(argon[1], p)).traffic_kB
        for p in (small({}), small({}), small({"hidden": (60, 60)}))
    ]
    assert traffic[0] == traffic[1] < traffic[2]


def test_a_training_that_fails_does_not_end_the_others(argon, tmp_path):
    def sometimes(shape):
        if shape["hidden"] == (5,):
            raise ParameterError("no network has this shape")
        return small(shape)

    space = ParetoSpace(shape={"hidden": ((4,), (5,))})
    result = search_loss_weights(
        sometimes,
        *argon,
        storage=tmp_path / "a.db",
        training=SHORT,
        space=space,
        n_trials=6,
    )
    failed = [trial for trial in result.trials if trial.status == "failed"]
    assert failed
    assert all(trial.shape["hidden"] == (5,) for trial in failed)
    assert failed[0].message == "ParameterError: no network has this shape"
    assert failed[0].file is None
    assert len(result.finished) + len(failed) == 6
    assert result.front


def test_what_no_trial_could_do_is_refused_at_once(argon, tmp_path):
    data, validation = argon
    with pytest.raises(ParameterError, match="cannot be made with"):
        iterate_loss_weights(
            small,
            data,
            validation,
            storage=tmp_path / "a.db",
            space=ParetoSpace(shape={"wings": (1, 2)}),
        )
    plan = TrainingPlan(data="unused", start="sevennet-0")
    with pytest.raises(ParameterError, match="The shape of 'sevennet-0' is given"):
        iterate_loss_weights(
            plan,
            data,
            validation,
            storage=tmp_path / "a.db",
            space=ParetoSpace(shape={"channels": (1, 2)}),
        )
    with pytest.raises(ParameterError, match="the lower first"):
        ParetoSpace(energy=(1.0, 0.1))
    assert not (tmp_path / "a.db").exists()


def test_a_stopped_training_goes_on_as_if_never_stopped(argon, tmp_path):
    whole = search_loss_weights(
        small, *argon, storage=tmp_path / "whole.db", training=SHORT, n_trials=3
    )
    calls = iter(range(1000))
    first = search_loss_weights(
        small,
        *argon,
        storage=tmp_path / "cut.db",
        training=SHORT,
        n_trials=3,
        should_stop=lambda: next(calls) == 12,
    )
    assert [trial.status for trial in first.trials] == ["finished", "unfinished"]
    assert "1 under way or stopped" in first.message
    second = search_loss_weights(
        small, *argon, storage=tmp_path / "cut.db", training=SHORT, n_trials=3
    )
    assert outcomes(second) == outcomes(whole)


def outcomes(result):
    """All but the times."""
    return [(t.number, t.weights, t.errors, t.status) for t in result.trials]


KILLED = """
import os, signal, sys
import torch

torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from training.test_pareto import two_trainings

for step in two_trainings(sys.argv[2]):
    if step.number == 1 and step.moment is not None and step.moment.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def two_trainings(storage):
    data, validation = Dataset.from_atoms(argon_frames(12)).split([8, 4])
    return iterate_loss_weights(
        small, data, validation, storage=storage, training=SHORT, n_trials=2
    )


def test_a_killed_search_goes_on_with_the_training_under_way(tmp_path):
    files = (Path(__file__).parent.parent, tmp_path / "cut.db")
    child = subprocess.run(  # noqa: S603
        [sys.executable, "-c", KILLED, *map(str, files)], check=False, timeout=300
    )
    assert child.returncode == -signal.SIGKILL
    read = ParetoResult.load(tmp_path / "cut.db")
    assert [trial.status for trial in read.trials] == ["finished", "unfinished"]
    resumed = list(two_trainings(tmp_path / "cut.db"))
    epochs = {step.moment.epoch for step in resumed if step.moment is not None}
    assert epochs == {2}, "what has ended is not trained twice"
    whole = list(two_trainings(tmp_path / "whole.db"))
    assert outcomes(resumed[-1].result) == outcomes(whole[-1].result)
