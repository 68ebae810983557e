"""Distillation as a job: rounds, a student to use, cut anywhere, gone on with exactly."""

import json
import os
import re
import signal

import pytest
from ase.build import bulk

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.jobs.distillation import (
    committee_file,
    distillation_file,
    read_distillation,
)
from gnndesign.jobs.local import resume, submit, wait
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.jobs.states import JobState
from gnndesign.jobs.store import JobStore
from gnndesign.jobs.training import trained_file
from gnndesign.potentials.catalog import load_potential
from gnndesign.training.distill_plan import DistillationPlan

SHAPE = {
    "cutoff": 6.0,
    "n_centered": 1,
    "n_shifted": 6,
    "n_angular_centered": 0,
    "n_angular_shifted": 2,
    "innermost": 2.5,
    "zeta": [1, 2],
    "hidden": [8],
}
QUICK = {
    "temperature_K": 40.0,
    "temperatures_K": [20.0, 60.0],
    "force_error_meV_per_A": 1e-3,
    "rounds": 2,
    "n_dynamics": 8,
    "n_deformed": 6,
    "n_candidates": 8,
    "n_added": 4,
    "n_fresh": 2,
    "rattle": 0.1,
    "sampling": {"timestep_fs": 5.0, "equilibration_steps": 4, "steps_between": 4},
    "training": {"epochs": 3, "batch_size": 4, "learning_rate": 1e-2, "ema": 0.5},
    "more_epochs": 2,
    "timings": 0,
    "stability_ps": 0.0,
}


def spec_of(**options):
    plan = DistillationPlan(shape=SHAPE, options=QUICK | options)
    return JobSpec.create(
        JobKind.DISTILL,
        potential="lennard-jones",
        structures=[bulk("Ar", "fcc", 5.3, cubic=True)],
        parameters=plan.to_dict(),
        title="argon",
    )


@pytest.fixture
def say(until):
    """Waits until a job says something."""

    def wait_for(store, words):
        until(lambda: words in store.status().message or store.status().state.is_over)
        assert words in store.status().message, store.status()

    return wait_for


def test_a_distillation_leaves_a_student_its_rounds_speed_and_stability(warm_home):
    store = submit(spec_of(timings=1, stability_ps=0.05), warm_home)
    wait(store)
    status = store.status()
    assert status.state is JobState.FINISHED, status.message
    assert (status.done, status.total) == (2, 2)
    report = read_distillation(store)
    assert [one.number for one in report.history] == [1, 2]
    assert not report.reached
    assert report.bound_meV_per_A == 1e-3
    assert report.speed.ratio > 0
    assert report.stability.time_ps == pytest.approx(0.05)
    assert "above the bound of 0.001" in status.message
    student = load_potential(trained_file(store), "cpu")
    assert "distilled from Lennard-Jones 12-6" in student.card.title
    assert len(load_potential(committee_file(store), "cpu").members) == 2
    told = student.card.training["distillation"]
    assert told == report.history[-1].to_dict()


def test_a_bound_that_is_reached_ends_it_before_the_last_round(warm_home):
    store = submit(spec_of(force_error_meV_per_A=1e4, rounds=4), warm_home)
    wait(store)
    assert (store.status().done, store.status().total) == (1, 4)
    assert store.status().state is JobState.FINISHED
    assert read_distillation(store).reached
    assert "below the bound" in store.status().message


def test_a_distillation_that_is_stopped_and_killed_goes_on_exactly(home, until, say):
    # Long enough to be cut within a round.
    training = QUICK["training"] | {"epochs": 20}
    spec = spec_of(training=training, more_epochs=20)
    whole = submit(spec, home)
    wait(whole)
    cut = submit(spec, home)
    say(cut, "Round 1: student 1")
    cut.request_stop()
    wait(cut)
    assert cut.status().state is JobState.STOPPED
    assert read_distillation(cut) is None
    resume(cut)
    say(cut, "Round 2: student 2")
    (*_, worker) = re.findall(r"worker (\d+) serves", (home / "worker.log").read_text())
    os.kill(int(worker), signal.SIGKILL)
    # The student of the first round can be used by now.
    assert load_potential(trained_file(cut), "cpu").card.elements == (18,)
    until(lambda: cut.status().state.is_over)
    resume(cut)
    wait(cut)
    assert cut.status().state is JobState.FINISHED, cut.status().message
    assert distillation_file(cut).read_text() == distillation_file(whole).read_text()
    for file in (trained_file, committee_file):
        assert file(cut).read_bytes() == file(whole).read_bytes()
    resume(cut, total=3)
    wait(cut)
    assert len(read_distillation(cut).history) == 3


def test_a_plan_of_a_distillation_survives_json_and_refuses_what_is_none(tmp_path):
    plan = DistillationPlan(shape=SHAPE, options=QUICK)
    again = DistillationPlan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert again.distillation == plan.distillation
    assert again.distillation.training.epochs == 3
    assert again.student([bulk("Ar")]).parameters.zeta == (1, 2)
    for wrong, words in (
        ({"options": {"round": 3}}, "no such option"),
        ({"options": {"sampling": {"steps": 3}}}, "no such option"),
        ({"options": {"training": {"epoch": 3}}}, "no such option"),
        ({"options": {"n_members": 1}}, "two or more members"),
        ({"architecture": "naive"}, "a student that can be distilled"),
        ({"architecture": "nothing"}, "an architecture of"),
    ):
        with pytest.raises(ParameterError, match=words):
            DistillationPlan(**wrong)
    store = JobStore.create(spec_of(), tmp_path)
    assert read_distillation(store) is None
    distillation_file(store).write_text("[]")
    with pytest.raises(CheckpointError, match="Distil anew"):
        read_distillation(store)
