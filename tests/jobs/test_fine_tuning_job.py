"""Fine-tuning as a job: errors before and after, cut anywhere, gone on with exactly."""

import json
import os
import re
import signal
from dataclasses import replace

import ase.io
import pytest
from training.conftest import argon_frames

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.jobs.fine_tuning import fine_tuning_file, read_fine_tuning
from gnndesign.jobs.local import resume, submit, wait
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.jobs.states import JobState
from gnndesign.jobs.store import JobStore
from gnndesign.jobs.training import read_epochs, read_parity, trained_file
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.files import save_potential
from gnndesign.training.dataset import Dataset
from gnndesign.training.evaluation import evaluate
from gnndesign.training.fine_tune_plan import FineTuningPlan
from gnndesign.training.options import Training
from gnndesign.training.plan import TrainingPlan
from gnndesign.training.results import train


@pytest.fixture(scope="module")
def data_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "argon.xyz"
    ase.io.write(path, argon_frames(12), format="extxyz")
    return path


@pytest.fixture(scope="module")
def start_file(tmp_path_factory):
    """A potential that has learned argon at another level of theory, half an eV off."""
    start = new_potential(
        "invariant", ["Ar", "Kr"], seed=1, cutoff=5.0, n_channels=8, n_rounds=1
    )
    frames = argon_frames(10, seed=3)
    for atoms in frames:
        atoms.info["energy"] += 0.5 * len(atoms)
    data = Dataset.from_atoms(frames, source="old")
    how = Training(epochs=4, batch_size=2, learning_rate=1e-2, ema=0.5)
    learned = train(start, *data.split([8, 2], seed=1), how).potential
    path = tmp_path_factory.mktemp("start") / "old.safetensors"
    save_potential(learned, path)
    return path


def plan_of(data_file, start_file, **options):
    options = {"epochs": 3, "learning_rate": 5e-3, "ema": 0.5} | options
    return FineTuningPlan(
        plan=TrainingPlan(
            data=str(data_file),
            validation_share=0.25,
            start=str(start_file),
            options=options,
        ),
        replay_ratio=0.5,
    )


def spec_of(plan):
    return JobSpec.create(
        JobKind.FINE_TUNE,
        potential=plan.start,
        parameters=plan.to_dict(),
        title="argon",
    )


def test_a_fine_tuning_leaves_a_potential_and_errors_before_and_after(
    data_file, start_file, warm_home
):
    plan = plan_of(data_file, start_file)
    store = submit(spec_of(plan), warm_home)
    wait(store)
    status = store.status()
    assert status.state is JobState.FINISHED, status.message
    assert (status.done, status.total) == (3, 3)
    report = read_fine_tuning(store)
    before, after = (
        load_potential(p, "cpu") for p in (start_file, trained_file(store))
    )
    _, validation = plan.plan.load_data()
    assert report.new_before == evaluate(before, validation).errors
    assert report.new_after == evaluate(after, validation).errors
    assert report.new_before.energy_mae_meV > 400.0
    assert report.offset[18] == pytest.approx(-0.5, abs=0.05)
    assert report.new_after.energy_mae_meV < 20.0
    # It labelled the replay crystals itself, and what it has learned costs something.
    assert report.replay_before.forces_mae_meV_per_A == pytest.approx(0.0, abs=1e-2)
    assert report.replay_after.forces_mae_meV_per_A > 0.1
    assert after.card.title.endswith("fine-tuned")
    assert [epoch.epoch for epoch in read_epochs(store)] == [1, 2, 3]
    assert read_parity(store).errors.n_structures == 2 * len(validation)


def test_a_fine_tuning_that_is_stopped_and_killed_goes_on_exactly(
    data_file, start_file, home, until
):
    plan = plan_of(data_file, start_file, epochs=20, decay="none")
    whole = submit(spec_of(plan), home)
    wait(whole)
    cut = submit(spec_of(plan), home)
    until(lambda: len(read_epochs(cut)) >= 1)
    cut.request_stop()
    wait(cut)
    assert cut.status().state is JobState.STOPPED
    assert read_fine_tuning(cut).new_after is not None
    resume(cut)
    until(lambda: len(read_epochs(cut)) >= 4)
    (*_, worker) = re.findall(r"worker (\d+) serves", (home / "worker.log").read_text())
    os.kill(int(worker), signal.SIGKILL)
    until(lambda: cut.status().state.is_over)
    resume(cut)
    wait(cut)
    assert cut.status().state is JobState.FINISHED, cut.status().message
    assert read_fine_tuning(cut) == read_fine_tuning(whole)
    assert trained_file(cut).read_bytes() == trained_file(whole).read_bytes()


def test_a_potential_that_was_changed_since_is_not_fine_tuned(
    data_file, start_file, warm_home, tmp_path
):
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(start_file.read_bytes())
    spec = spec_of(plan_of(data_file, mine))
    other = load_potential(start_file, "cpu")
    other.card = replace(other.card, title="Another")
    save_potential(other, mine)
    store = submit(spec, warm_home)
    wait(store)
    assert store.status().state is JobState.FAILED
    assert "Install the same release" in store.status().message


def test_what_cannot_be_fine_tuned_says_why(data_file, warm_home):
    plan = plan_of(data_file, "lennard-jones")
    store = submit(spec_of(plan), warm_home)
    wait(store)
    assert store.status().state is JobState.FAILED
    assert "a potential that can be trained" in store.status().message
    with pytest.raises(ParameterError, match="a potential to fine-tune"):
        FineTuningPlan(plan=TrainingPlan(data="a.xyz", architecture="soap"))
    with pytest.raises(ParameterError, match="replay_ratio >= 0"):
        replace(plan, replay_ratio=-1.0)


def test_a_plan_survives_json_and_has_the_defaults_of_fine_tuning(
    data_file, start_file
):
    plan = plan_of(data_file, start_file, epochs=7, loss={"forces": 5.0})
    again = FineTuningPlan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert again == plan
    training = again.prepare(load_potential(start_file, "cpu")).trainer.training
    assert (training.epochs, training.loss.forces) == (7, 5.0)
    assert (training.batch_size, training.calibrate) == (2, False)


def test_errors_that_were_damaged_are_refused(data_file, start_file, tmp_path):
    store = JobStore.create(spec_of(plan_of(data_file, start_file)), tmp_path)
    assert read_fine_tuning(store) is None
    fine_tuning_file(store).write_text('{"errors": {"new": 3}}')
    with pytest.raises(CheckpointError, match="Fine-tune anew"):
        read_fine_tuning(store)
