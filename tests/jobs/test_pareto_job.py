"""A Pareto search as a job: its front is made of potentials that can be loaded."""

import ase.io
from training.conftest import argon_frames

from gnndesign.jobs.local import resume, submit, wait
from gnndesign.jobs.pareto import pareto_parameters
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.states import JobState
from gnndesign.potentials.catalog import load_potential
from gnndesign.training.evaluation import evaluate
from gnndesign.training.pareto_results import ParetoResult
from gnndesign.training.pareto_space import ParetoSpace
from gnndesign.training.plan import TrainingPlan


def test_a_pareto_search_runs_as_a_job_and_is_extended(tmp_path, home):
    path = tmp_path / "argon.xyz"
    ase.io.write(path, argon_frames(12), format="extxyz")
    plan = TrainingPlan(
        data=str(path),
        validation_share=0.3,
        architecture="invariant",
        shape={"cutoff": 6.0, "n_channels": 8},
        options={"epochs": 2, "batch_size": 2},
    )
    space = ParetoSpace(shape={"n_rounds": (1, 2)})
    parameters = pareto_parameters(plan, space, n_trials=2, seed=3)
    store = submit(JobSpec.create("pareto", parameters=parameters), home)
    wait(store)
    assert store.status().state is JobState.FINISHED, store.status().message
    resume(store, total=3)
    wait(store)
    result = ParetoResult.load(store.study_file)
    assert len(result.finished) == 3
    _, validation = plan.load_data()
    for trial in result.front:
        potential = load_potential(trial.file, "cpu")
        errors = evaluate(potential, validation).errors
        assert errors.forces_mae_meV_per_A == trial.errors.forces_mae_meV_per_A
