"""Fine-tuning and distillation in the workbench: run, watched, used, found again."""

import html

import ase.build
import ase.io
import pytest
from training.conftest import argon_frames

from gnndesign.errors import JobError, ParameterError, UnsupportedElementError
from gnndesign.jobs.training import trained_file
from gnndesign.plots.teaching import error_text
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.files import save_potential
from gnndesign.training.fine_tune import FINE_TUNING
from gnndesign_widgets.distill import ROUNDS, DistillModel, students
from gnndesign_widgets.distill_panel import DistillPanel
from gnndesign_widgets.fine_tune import ERRORS, FineTuneModel
from gnndesign_widgets.fine_tune_panel import FineTunePanel
from gnndesign_widgets.learning import DISTILL, FINE_TUNE, NEW, LearningModel
from gnndesign_widgets.learning_panel import LearningPanel
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.trained import potential_label, trained_potentials
from gnndesign_widgets.training import TrainingModel
from gnndesign_widgets.training_reports import CURVES, PARITY

STUDENT = {
    "n_centered": "1",
    "n_shifted": "6",
    "n_angular_centered": "0",
    "n_angular_shifted": "2",
    "innermost": "2.5",
    "hidden": "8",
}
SHORT = {
    "sampling.timestep_fs": "5",
    "sampling.equilibration_steps": "4",
    "sampling.steps_between": "4",
    "n_candidates": "4",
    "n_fresh": "2",
    "timings": "1",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Data, and a potential to go on from."""
    folder = tmp_path_factory.mktemp("data")
    ase.io.write(folder / "argon.xyz", argon_frames(12), format="extxyz")
    start = new_potential("invariant", ["Ar", "Kr"], cutoff=5.0, n_channels=8)
    save_potential(start, folder / "old.safetensors")
    return folder


def tuning(files, potential=None):
    training = TrainingModel(PotentialModel())
    training.data, training.validation_share = str(files / "argon.xyz"), 0.25
    model = FineTuneModel(training, potential or PotentialModel())
    model.start_from = str(files / "old.safetensors")
    model.epochs, model.replay_ratio = 2, 0.5
    return model


def distilling(desk, potential):
    model = DistillModel(desk, potential)
    model.shape.texts, model.cutoff = STUDENT, 6.0
    model.temperature_K, model.temperatures_K = 40.0, "20, 60"
    model.n_dynamics = model.n_deformed = 6
    model.n_added, model.rounds, model.force_error = 4, 2, 1e-3
    model.epochs, model.more_epochs, model.stability_ps = 2, 1, 0.0
    model.more.texts = SHORT
    return model


def shown(panel, name):
    return html.unescape(getattr(panel, name).value)


def test_what_is_set_is_what_is_fine_tuned(files):
    model = tuning(files)
    model.replay, model.refit_shift, model.seed = model.training.data, False, 5
    model.learning_rate = 1e-4
    model.more.texts = {"frozen": "interactions.0", "loss.kind": "mae"}
    model.training.split_by = "group"
    plan = model.plan()
    assert (plan.start, plan.replay) == (model.start_from, model.training.data)
    assert (plan.replay_ratio, plan.refit_shift, plan.epochs) == (0.5, False, 2)
    assert (plan.plan.split_by, plan.plan.validation_share) == ("group", 0.25)
    training = plan.plan.training
    assert (training.learning_rate, training.frozen) == (1e-4, ("interactions.0",))
    assert (training.seed, plan.plan.seed) == (5, 5)
    assert training.loss.kind == "mae"
    # What is not typed is as for a fine-tuning, and shown so.
    inputs = FineTunePanel(model).more.form.inputs
    assert inputs["ema"].value == str(FINE_TUNING.ema)
    model.more.texts = {}
    assert inputs["frozen"].value == "embedding"
    inputs["frozen"].value = ""
    assert model.plan().plan.options["frozen"] == ()


def test_a_file_beside_the_notebook_is_known_to_a_worker_elsewhere(files, monkeypatch):
    monkeypatch.chdir(files)
    model = tuning(files)
    for typed in ("old.safetensors", "./old.safetensors"):
        model.start_from = typed
        assert model.plan().start == str(files / "old.safetensors")
    model.start_from = "sevennet-0"
    assert model.plan().start == "sevennet-0"


def test_what_cannot_be_fine_tuned_is_refused_with_the_reason(files):
    model = tuning(files)
    panel = FineTunePanel(model)
    for trait, value, words in (
        ("start_from", "nobody", "Wanted one of"),
        ("replay", "nowhere.xyz", "nowhere.xyz is not there"),
        ("replay_ratio", -1.0, "replay_ratio >= 0"),
        ("learning_rate", -1.0, "learning_rate"),
    ):
        before = getattr(model, trait)
        model.set_trait(trait, value)
        with pytest.raises(ParameterError, match=words):
            model.start()
        if trait != "replay_ratio":  # The form does not let it in.
            panel.bar.run.click()
            assert words in shown(panel.bar, "message")
        model.set_trait(trait, before)
    assert model.job.job_id == ""
    with pytest.raises(JobError, match="no trained potential"):
        model.use_potential()


@pytest.mark.usefixtures("home")
def test_a_fine_tuning_shows_errors_before_and_after_and_is_used(files, wait_for_job):
    potential = PotentialModel()
    model = tuning(files, potential)
    panel = FineTunePanel(model)
    panel.bar.run.click()
    assert panel.bar.message.value == ""
    wait_for_job(model.job)
    assert list(model.figures.builds) == [ERRORS, CURVES, PARITY]
    assert model.figures.shown == ERRORS
    report = model.report
    for errors in (report.new_before, report.new_after, report.replay_after):
        assert error_text(errors.forces_mae_meV_per_A) in shown(panel, "errors")
    assert "Replay, after" in shown(panel, "errors")
    texts = [bar.text for bar in model.figures.builds[ERRORS]().data]
    assert error_text(report.new_after.energy_mae_meV) in texts[2]

    said = model.use_potential()
    assert "Invariant message passing, of epoch" in said
    assert potential.name == str(trained_file(model.job.store))
    assert potential.name in trained_potentials()
    assert "fine-tune" in potential_label(potential.name)
    panel.list_potentials()
    assert potential.name in panel.start_from.options

    # What a restarted kernel does.
    later = tuning(files)
    later.job.attach_latest()
    assert (later.report, later.history) == (model.report, model.history)


def test_what_is_set_is_what_is_distilled(desk, argon_potential):
    model = distilling(desk, argon_potential)
    model.temperatures_K, model.n_members, model.seed = "20; 60", 3, 9
    with pytest.raises(ParameterError, match="separated by commas"):
        model.plan()
    model.temperatures_K = "20, 60.5,"
    plan = model.plan()
    assert DistillPanel(model).more.form.inputs["training.ema"].value == "0.99"
    model.more.set_text("training.ema", "0.5")
    found = model.plan().distillation
    assert found.training.ema == 0.5
    assert found.temperatures_K == (20.0, 60.5)
    assert (found.temperature_K, found.force_error_meV_per_A) == (40.0, 1e-3)
    assert (found.rounds, found.n_members, found.seed) == (2, 3, 9)
    assert (found.training.epochs, found.more_epochs) == (2, 1)
    assert found.sampling.timestep_fs == 5.0
    student = plan.student(desk.chosen_atoms())
    assert (student.cutoff, student.parameters.hidden) == (6.0, (8,))


@pytest.mark.parametrize("name", [name for _, name in students()])
def test_the_student_that_is_offered_first_can_be_made(name, desk, argon_potential):
    model = DistillModel(desk, argon_potential)
    model.architecture = name
    student = model.plan().student(desk.chosen_atoms())
    assert student.card.elements == (18,)


def test_what_cannot_be_distilled_is_refused_with_the_reason(desk, argon_potential):
    model = distilling(desk, argon_potential)
    panel = DistillPanel(model)
    assert "Lennard-Jones 12-6, dynamics of argon. Of 4 atoms" in shown(
        panel, "teacher"
    )
    desk.edit("repeated", lambda atoms: atoms.repeat(2))
    assert shown(panel, "teacher").endswith("dynamics of argon, repeated.</div>")
    for trait, value, words in (("n_members", 1, "two or more members"),):
        before = getattr(model, trait)
        setattr(model, trait, value)
        panel.bar.run.click()
        assert words in shown(panel.bar, "message")
        setattr(model, trait, before)
    argon_potential.name = "sevennet-0"
    desk.add([("polonium", ase.build.bulk("Po", "sc", a=3.3))])
    with pytest.raises(UnsupportedElementError, match="Po"):
        model.start()
    with pytest.raises(JobError, match="first round"):
        model.use_potential()


@pytest.mark.usefixtures("home")
def test_a_distillation_shows_its_rounds_and_its_student_is_used(
    desk, argon_potential, wait_for_job
):
    model = distilling(desk, argon_potential)
    panel = DistillPanel(model)
    panel.bar.run.click()
    assert panel.bar.message.value == ""
    wait_for_job(model.job)
    said = shown(panel, "rounds")
    last = model.report.history[-1]
    assert error_text(last.on_teachers_dynamics.forces_rmse_meV_per_A) in said
    assert "above the bound of 0.001" in said
    assert f"{model.report.speed.ratio:.3g} times as fast" in said
    assert len(model.figures.builds[ROUNDS]().data[0].x) == 2

    assert "distilled from Lennard-Jones" in model.use_potential()
    assert argon_potential.name == str(trained_file(model.job.store))
    assert load_potential(argon_potential.name, "cpu").card.elements == (18,)
    assert argon_potential.name in trained_potentials()

    # What a restarted kernel does.
    later = LearningModel(desk, argon_potential)
    later.attach_latest()
    assert later.way == DISTILL
    assert later.distilling.report.to_dict() == model.report.to_dict()
    assert later.figures is later.distilling.figures


def test_the_panel_shows_what_is_chosen_alone(desk, argon_potential):
    model = LearningModel(desk, argon_potential)
    panel = LearningPanel(model)
    panels = {NEW: panel.training, FINE_TUNE: panel.tuning, DISTILL: panel.distilling}
    for way, shown in panels.items():
        panel.way.value = way
        assert model.way == way
        data = [] if way == DISTILL else [panel.data]
        assert list(panel.children) == [panel.way, *data, shown]
    panel.data.data.value = "silicon.xyz"
    assert model.tuning.training.data == "silicon.xyz"
