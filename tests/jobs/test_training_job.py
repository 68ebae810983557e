"""Training as a job: it runs, is stopped, killed and gone on with, exactly."""

import os
import re
import signal
import time

import ase.io
import pytest
from training.conftest import argon_frames

from gnndesign.errors import ParameterError
from gnndesign.jobs.local import resume, submit, wait
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.jobs.states import JobState
from gnndesign.jobs.training import read_epochs, read_parity, trained_file
from gnndesign.potentials.catalog import load_potential
from gnndesign.training.evaluation import evaluate
from gnndesign.training.plan import TrainingPlan

SHAPE = {"cutoff": 6.0, "n_channels": 8}


@pytest.fixture(scope="module")
def data_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "argon.xyz"
    ase.io.write(path, argon_frames(20), format="extxyz")
    return path


def spec_of(data_file, **options):
    options = {"epochs": 4, "learning_rate": 5e-3, "batch_size": 2} | options
    plan = TrainingPlan(
        data=str(data_file),
        validation_share=0.2,
        architecture="invariant",
        shape=SHAPE,
        options=options,
    )
    return JobSpec.create(JobKind.TRAIN, parameters=plan.to_dict(), title="argon")


def without_clock(reports):
    return [
        (r.epoch, r.loss, r.validation, r.score, r.learning_rate, r.is_best)
        for r in reports
    ]


def test_a_training_leaves_a_potential_its_reports_and_parity(data_file, home):
    store = submit(spec_of(data_file), home)
    wait(store)
    status = store.status()
    assert status.state is JobState.FINISHED, status.message
    assert (status.done, status.total) == (4, 4)
    reports = read_epochs(store)
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    potential = load_potential(trained_file(store), "cpu")
    best = min(reports, key=lambda report: report.score)
    _, validation = TrainingPlan.from_dict(store.spec.parameters).load_data()
    assert evaluate(potential, validation).errors == best.validation
    assert read_parity(store).errors == best.validation
    assert f"{best.validation.forces_mae_meV_per_A:.3g} meV/Å" in status.message


def test_a_training_that_is_stopped_or_killed_goes_on_exactly(data_file, home):
    whole = submit(spec_of(data_file, epochs=8), home)
    wait(whole)
    cut = submit(spec_of(data_file, epochs=8), home)
    after_epochs(cut, 2)
    cut.request_stop()
    wait(cut)
    assert cut.status().state is JobState.STOPPED
    resume(cut)
    after_epochs(cut, 4)
    (*_, worker) = re.findall(r"worker (\d+) serves", (home / "worker.log").read_text())
    os.kill(int(worker), signal.SIGKILL)
    load_potential(trained_file(cut), "cpu")
    resume_when_interrupted(cut)
    wait(cut)
    assert cut.status().state is JobState.FINISHED
    assert without_clock(read_epochs(cut)) == without_clock(read_epochs(whole))
    assert trained_file(cut).read_bytes() == trained_file(whole).read_bytes()


def test_a_training_is_extended(data_file, home):
    store = submit(spec_of(data_file, epochs=2, decay="none"), home)
    wait(store)
    resume(store, total=3)
    wait(store)
    assert [report.epoch for report in read_epochs(store)] == [1, 2, 3]


def test_what_cannot_be_trained_says_why(data_file, home):
    plan = TrainingPlan(data=str(data_file), start="lennard-jones")
    store = submit(JobSpec.create("train", parameters=plan.to_dict()), home)
    wait(store)
    assert store.status().state is JobState.FAILED
    assert "a potential that can be trained" in store.status().message
    with pytest.raises(ParameterError, match="either an architecture"):
        TrainingPlan(data=str(data_file))
    with pytest.raises(ParameterError, match="no such option"):
        TrainingPlan(data="a.xyz", architecture="soap", options={"epoch": 3})


def after_epochs(store, n):
    deadline = time.monotonic() + 60
    while len(read_epochs(store)) < n:
        assert time.monotonic() < deadline, store.status()
        time.sleep(0.01)


def resume_when_interrupted(store):
    deadline = time.monotonic() + 30
    while not store.status().state.is_over:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    resume(store)
