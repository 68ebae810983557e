"""The training panel: from a file of labels to a potential that the next job takes."""

import html

import ase.io
import numpy as np
import pytest
from training.conftest import argon_frames

from gnndesign.errors import JobError, ParameterError
from gnndesign.jobs.spec import JobKind
from gnndesign.jobs.training import trained_file
from gnndesign.potentials.architectures import ARCHITECTURES
from gnndesign.potentials.catalog import load_potential
from gnndesign.training.loss import Loss
from gnndesign.training.options import Training
from gnndesign.training.plan import training_of
from gnndesign_widgets.data_section import DataSection
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.network_shape import starts
from gnndesign_widgets.potential import PotentialModel, PotentialPanel
from gnndesign_widgets.training import FRONT, LABELS, TrainingModel
from gnndesign_widgets.training_panel import TrainingPanel
from gnndesign_widgets.training_reports import CURVES, PARITY

SMALL = {"n_channels": "8", "n_rounds": "1"}


@pytest.fixture(scope="module")
def data_file(tmp_path_factory):
    frames = argon_frames(12)
    copy = frames[3].copy()
    copy.positions += 1.0
    frames.append(copy)
    path = tmp_path_factory.mktemp("data") / "argon.xyz"
    ase.io.write(path, frames, format="extxyz")
    return path


def small(model, data_file):
    model.data = str(data_file)
    model.architecture = "invariant"
    model.shape.texts, model.cutoff = SMALL, 6.0
    model.epochs, model.validation_share = 3, 0.3
    return model


def shown(part, name):
    found = getattr(part, name)
    return html.unescape(getattr(found, "value", found))


@pytest.mark.parametrize("name", [name for _, name in starts()])
def test_the_shape_that_is_offered_first_is_one_of_that_architecture(name):
    model = TrainingModel(PotentialModel())
    model.architecture = name
    assert model.shape.fields
    assert all(each.doc for each in model.shape.fields)
    assert model.shape_options() == {"cutoff": 5.0}
    model.check_shape()
    assert dict(starts())[ARCHITECTURES[name].title] == name


def test_the_fields_are_those_of_the_architecture():
    model = TrainingModel(PotentialModel())
    panel = TrainingPanel(model)
    assert set(panel.shape.form.inputs) == {"n_rounds", "n_channels", "n_radial"}
    panel.shape.form.inputs["n_channels"].value = "8"
    assert model.shape_options() == {"n_channels": 8, "cutoff": 5.0}
    model.architecture = "equivariant"
    assert model.shape_options() == {"cutoff": 5.0}
    inputs = panel.shape.form.inputs
    inputs["radial_hidden"].value = "16, 16"
    inputs["parity"].value = False
    inputs["self_connection"].value = "linear"
    assert model.shape_options() == {
        "cutoff": 5.0,
        "radial_hidden": (16, 16),
        "parity": False,
        "self_connection": "linear",
    }
    inputs["lmax"].value = "two"
    assert "Wanted lmax as a whole number" in shown(
        panel.shape.form.refusals["lmax"], "value"
    )
    inputs["lmax"].value = "99"
    assert "lmax of 0 to" in shown(panel.shape.form, "_message")
    inputs["lmax"].value = "1"
    assert panel.shape.form._message.value == ""
    assert model.shape_options()["lmax"] == 1


def test_weights_of_the_loss_may_change_while_it_learns():
    model = TrainingModel(PotentialModel())
    panel = TrainingPanel(model)
    panel.loss.form.inputs["energy"].value = "0.01, 1"
    panel.loss.form.inputs["kind"].value = "huber"
    panel.more.form.inputs["gradient_clip"].value = "none"
    training = training_of(model.training_options(), Training())
    assert training.loss == Loss(energy=(0.01, 1), kind="huber")
    assert training.gradient_clip is None
    panel.loss.form.inputs["energy"].value = "-1"
    assert "weight of energy as a number >= 0" in shown(panel.loss.form, "_message")


def test_what_is_set_is_what_is_trained(data_file):
    model = small(TrainingModel(PotentialModel()), data_file)
    model.loss.texts = {"energy": "3", "stress": "0", "kind": "huber"}
    model.augment_rotations, model.symmetry_penalty = True, 0.5
    model.patience, model.split_by = 4, "group"
    model.more.texts = {"decay": "none", "ema": "0.5"}
    plan = model.plan()
    assert plan.shape == {"n_channels": 8, "n_rounds": 1, "cutoff": 6.0}
    training = plan.training
    assert training.loss.weights(0.0) == (3.0, 1.0, 0.0)
    assert (training.loss.kind, training.decay, training.ema) == ("huber", "none", 0.5)
    assert training.augment_rotations
    assert (training.symmetry_penalty, training.patience) == (0.5, 4)
    assert training.calibrate
    assert (plan.split_by, plan.validation_share) == ("group", 0.3)
    model.patience = 0
    assert model.plan().training.patience is None


def test_what_cannot_be_trained_is_refused_with_the_reason(data_file):
    model = small(TrainingModel(PotentialModel()), data_file)
    panel = TrainingPanel(model)
    for trait, value, words in (
        ("data", "nowhere.xyz", "nowhere.xyz is not there"),
        ("learning_rate", -1.0, "learning_rate"),
    ):
        before = getattr(model, trait)
        setattr(model, trait, value)
        panel.bar.run.click()
        assert words in shown(panel.bar, "message")
        with pytest.raises(ParameterError):
            model.plan()
        setattr(model, trait, before)
    for options, name, text, words in (
        (model.shape, "n_channels", "many", "n_channels as a whole number"),
        (model.shape, "n_chanels", "8", "Did you mean 'n_channels'?"),
        (model.more, "speed", "9", "Wanted a parameter of this form"),
        (model.more, "ema", "2", "0 <= ema < 1"),
    ):
        before = options.texts
        options.set_text(name, text)
        panel.bar.run.click()
        assert words in shown(panel.bar, "message")
        options.texts = before
    assert model.job.job_id == ""
    with pytest.raises(JobError, match="no trained potential"):
        model.use_potential()


def test_the_negative_control_takes_its_molecule_from_the_data(data_file):
    model = small(TrainingModel(PotentialModel()), data_file)
    model.architecture = "naive"
    plan = model.plan()
    potential = plan.begin(plan.load_data()[0])
    assert potential.parameters.atomic_numbers == (18,) * 4


def test_a_look_at_the_data_tells_ranges_copies_and_outliers(data_file, wait_for):
    model = TrainingModel(PotentialModel())
    section = DataSection(model)
    model.data = str(data_file)
    section.look_at()
    assert "Reading argon.xyz" in shown(section, "looking")
    wait_for(lambda: not model._background.is_busy)
    said = shown(section, "look")
    assert "13, 4 to 8 atoms each" in said
    assert "Ar: " in said
    assert "eV/Å" in said
    assert "1 structures are copies of others" in said
    assert "structures 3, 12" in said
    assert "No outliers" in said
    figure = model.figures.builds[LABELS]()
    assert model.figures.shown == LABELS
    assert "GPa" in figure.layout.xaxis3.title.text

    absurd = data_file.with_name("absurd.xyz")
    frames = argon_frames(12)
    frames[5].info["energy"] += 40.0
    ase.io.write(absurd, frames, format="extxyz")
    model.data = str(absurd)
    model.look_at_data()
    wait_for(lambda: "structure 5: energy per atom" in shown(section, "look"))


def test_data_that_makes_no_sense_says_so(tmp_path, wait_for):
    file = tmp_path / "bad.xyz"
    file.write_text("2\nno lattice at all\nAr 0 0\n")
    model = TrainingModel(PotentialModel())
    section = DataSection(model)
    model.data = str(file)
    model.look_at_data()
    wait_for(lambda: "bad.xyz" in shown(section, "looking") and model.looking[0] != "R")
    assert model.look is None
    assert section.look.value == ""


@pytest.mark.usefixtures("home")
def test_a_training_is_followed_and_its_potential_used(data_file, wait_for_job):
    potential = PotentialModel()
    card = PotentialPanel(potential)
    model = small(TrainingModel(potential), data_file)
    panel = TrainingPanel(model)
    panel.bar.run.click()
    assert panel.bar.message.value == ""
    wait_for_job(model.job)
    assert len(model.history) == 3
    assert list(model.figures.builds) == [CURVES, PARITY]
    assert model.figures.shown == CURVES
    curve = model.figures.builds[CURVES]().data[0]
    np.testing.assert_allclose(curve.y, [report.loss for report in model.history])
    assert "MAE" in model.figures.builds[PARITY]().layout.annotations[0].text
    assert "meV/atom" in panel.best.value
    assert "structures/s" in panel.best.value
    assert model.job.store.spec.title == "invariant on argon.xyz"

    said = model.use_potential()
    assert f"of epoch {model.best.epoch}" in said
    path = str(trained_file(model.job.store))
    assert potential.name == card.name.value == path
    assert "Invariant message passing" in card.card.value
    assert load_potential(potential.name, "cpu").card.elements == (18,)
    # And back, by hand.
    card.name.value = "lennard-jones"
    assert potential.name == "lennard-jones"
    assert path in [value for _, value in card.name.options]

    # What a restarted kernel does.
    later = TrainingModel(PotentialModel())
    later.job.attach_latest()
    assert later.job.job_id == model.job.job_id
    assert later.history == model.history
    assert list(later.figures.builds) == [CURVES, PARITY]


@pytest.mark.usefixtures("home")
def test_a_training_is_stopped_and_goes_on(data_file, wait_for, wait_for_job):
    model = small(TrainingModel(PotentialModel()), data_file)
    model.epochs = 100_000
    model.start()
    wait_for(lambda: len(model.history) > 2)
    model.job.request_stop()
    wait_for_job(model.job, "stopped")
    done = model.job.done
    later = JobModel(JobKind.TRAIN)
    later.attach_latest()
    later.resume(done + 3)
    wait_for_job(later)
    assert later.done == done + 3


@pytest.mark.usefixtures("home")
def test_a_file_that_is_no_potential_is_refused_and_the_old_one_stays(tmp_path):
    model = PotentialModel()
    panel = PotentialPanel(model)
    panel.file.value = str(tmp_path / "none.safetensors")
    assert "none.safetensors" in shown(panel, "message")
    assert model.name == panel.name.value == "sevennet-0"


@pytest.mark.usefixtures("home")
def test_a_point_of_the_pareto_front_becomes_the_potential(data_file, wait_for_job):
    potential = PotentialModel()
    model = small(TrainingModel(potential), data_file)
    model.epochs, model.n_trials = 1, 2
    panel = TrainingPanel(model)
    model.start_pareto()
    wait_for_job(model.pareto_job)
    front = model.pareto.front
    assert front
    assert f"{front[0].errors.forces_mae_meV_per_A:.3g}" in shown(panel, "front")
    figure = model.figures.builds[FRONT]()
    points = [tuple(p) for t in figure.data for p in (t.customdata or ())]
    assert (front[0].number, str(front[0].file)) in points
    model.figures.clicks[FRONT](points[0])
    assert f"Trial {points[0][0]}" in shown(panel, "picked")
    assert potential.name == points[0][1]
