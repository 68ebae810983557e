"""The relax and the dynamics panel: what they offer, and the jobs they make of it."""

from __future__ import annotations

import json
from dataclasses import fields

import ase
import ase.build
import numpy as np
import pytest
from ase.constraints import FixAtoms

from gnndesign.errors import StructureError
from gnndesign.simulation.dynamics import ENSEMBLES, dynamics_stepper
from gnndesign.simulation.observables import OBSERVABLES
from gnndesign.simulation.relaxation import METHODS, relaxation_stepper
from gnndesign.simulation.schedule import Ramp
from gnndesign_widgets.dynamics import (
    ENSEMBLE_TITLES,
    LEFT_TO_SCRIPTS,
    NUMBERS,
    DynamicsModel,
    DynamicsPanel,
)
from gnndesign_widgets.estimate import EstimateLine
from gnndesign_widgets.fixed_atoms import with_fixed_atoms
from gnndesign_widgets.observables import PLOTS, TITLES, ResultsReader
from gnndesign_widgets.relax import CELLS, RelaxModel, RelaxPanel
from gnndesign_widgets.simulation import FIXED_AXES
from gnndesign_widgets.stage import Stage

OF_THE_JOB = (
    *("steps", "record_every", "contents", "masses"),
    *("observe", "observe_after_fs"),
)


def stepper_of(model: DynamicsModel) -> object:
    """What the worker makes of a model's parameters."""
    parameters = json.loads(json.dumps(model.parameters()))
    for name in OF_THE_JOB:
        parameters.pop(name, None)
    return dynamics_stepper(parameters.pop("ensemble"), **parameters)


def test_every_ensemble_has_a_title_and_a_form_for_every_parameter(
    desk, argon_potential
):
    model = DynamicsModel(desk, argon_potential)
    panel = DynamicsPanel(model)
    assert set(ENSEMBLES) <= set(ENSEMBLE_TITLES)
    for name, kind in ENSEMBLES.items():
        model.ensemble = name
        offered = {
            n for n in panel.forms if panel.forms[n] in panel.of_ensemble.children
        }
        known = {field.name for field in fields(kind)}
        assert offered == known - set(LEFT_TO_SCRIPTS)


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_a_panel_nobody_touched_runs_the_ensemble_as_it_is(
    desk, argon_potential, ensemble
):
    model = DynamicsModel(desk, argon_potential)
    DynamicsPanel(model)
    model.ensemble = ensemble
    assert stepper_of(model) == ENSEMBLES[ensemble]()


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_numbers_reach_the_stepper(desk, argon_potential, ensemble):
    model = DynamicsModel(desk, argon_potential)
    panel = DynamicsPanel(model)
    model.ensemble = ensemble
    for name in set(NUMBERS) & set(model.ensemble_fields):
        panel.forms[name].value += 1
    stepper = stepper_of(model)
    for name in set(NUMBERS) & set(model.ensemble_fields):
        default = next(f.default for f in fields(stepper) if f.name == name)
        assert getattr(stepper, name) == default + 1


def test_a_ramp_goes_from_one_value_to_the_other_in_the_time_given(
    desk, argon_potential
):
    model = DynamicsModel(desk, argon_potential)
    panel = DynamicsPanel(model)
    form = panel.forms["temperature_K"]
    assert len(form.children) == 1
    form.ramps.value = True
    assert form.children == (form.row, form.end, form.over)
    form.start.value, form.end.value, form.over.value = 300, 1200, 2.5
    assert stepper_of(model).temperature_K == Ramp((0.0, 2500.0), (300.0, 1200.0))
    # At constant energy there is no bath that could follow it.
    model.ensemble = "nve"
    assert stepper_of(model).temperature_K == 300.0
    assert form.children == (form.row,)
    assert form.ramps not in form.row.children


def test_replicas_are_the_same_structure_with_other_random_numbers(
    desk, argon_potential
):
    model = DynamicsModel(desk, argon_potential)
    model.replicas = 3
    assert [len(atoms) for atoms in model.structures()] == [4, 4, 4]
    assert model.estimate().n_structures == 3


def test_deuterium_and_observables_reach_the_job(desk, argon_potential):
    model = DynamicsModel(desk, argon_potential)
    panel = DynamicsPanel(model)
    assert model.parameters()["observe"] == ["averages", "rdf", "msd"]
    assert "masses" not in model.parameters()
    boxes = next(c for c in panel.children if hasattr(c, "boxes")).boxes
    boxes["rdf"].value = False
    boxes["vacf"].value = True
    model.deuterium = True
    model.observe_after_ps = 2.0
    parameters = model.parameters()
    assert parameters["observe"] == ["averages", "msd", "vacf"]
    assert parameters["observe_after_fs"] == 2000.0
    assert parameters["masses"] == {"H": 2.014}
    model.observed = ("rdf",)
    assert [name for name, box in boxes.items() if box.value] == ["rdf"]
    model.observed = ()
    assert "observe" not in model.parameters()


def test_every_observable_has_a_title_and_is_drawn_somewhere():
    assert set(TITLES) == set(OBSERVABLES)
    assert set(PLOTS) | {"averages"} == set(OBSERVABLES)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", CELLS.values())
def test_every_choice_of_the_relax_panel_is_one_the_engine_knows(
    desk, argon_potential, method, cell
):
    panel = RelaxPanel(RelaxModel(desk, argon_potential))
    panel.rows["method"].value = method
    panel.rows["cell"].value = cell
    for axes in FIXED_AXES.values():
        panel.rows["fixed_axes"].value = axes
        parameters = json.loads(json.dumps(panel.model.parameters()))
        assert parameters.pop("steps") == 500
        freedom = relaxation_stepper(**parameters).cell
        assert (freedom is not None) == (cell != "none")
        assert freedom is None or freedom.fixed_axes == axes
    hidden = panel.rows["pressure_GPa"].layout.display == "none"
    assert hidden == (cell == "none")


def test_fixed_atoms_are_named_by_index_range_element_and_tag():
    slab = ase.build.fcc111("Cu", (1, 1, 3), vacuum=5.0)
    slab.symbols[2] = "Ni"
    slab.set_tags([2, 1, 0])
    for text, expected in (
        ("", []),
        ("1", [1]),
        ("0-1", [0, 1]),
        ("0 - 1, Ni", [0, 1, 2]),
        ("tag 2, tag 0", [0, 2]),
        ("Cu", [0, 1]),
    ):
        fixed = with_fixed_atoms(slab, text)
        found = sorted({i for c in fixed.constraints for i in c.get_indices()})
        assert found == expected
    assert not slab.constraints
    # What the structure fixes itself stays.
    slab.set_constraint(FixAtoms([2]))
    fixed = with_fixed_atoms(slab, "0")
    assert {i for c in fixed.constraints for i in c.get_indices()} == {0, 2}


@pytest.mark.parametrize("text", ["3", "Fe", "tag 9", "everything", "1-", "-1", "2-1"])
def test_fixed_atoms_that_are_not_there_are_refused(text):
    slab = ase.build.fcc111("Cu", (1, 1, 3), vacuum=5.0)
    with pytest.raises(StructureError, match="Fixed atoms"):
        with_fixed_atoms(slab, text)


def test_the_estimate_follows_the_parameters_and_says_why_there_is_none(
    desk, argon_potential, wait_for
):
    model = DynamicsModel(desk, argon_potential)
    line = EstimateLine(model)
    wait_for(lambda: "4 atoms" in line.value)
    before = line.value
    model.steps = 123_000
    wait_for(lambda: "123,000 steps" in line.value)
    assert line.value != before
    model.replicas = 5
    wait_for(lambda: "5 structures with 20 atoms" in line.value)
    desk.add([("double", desk.atoms * (2, 1, 1))])
    wait_for(lambda: "5 structures with 40 atoms" in line.value)
    model.fixed_atoms = "99"
    wait_for(lambda: "No estimate: Fixed atoms" in line.value)


@pytest.mark.usefixtures("home")
def test_why_each_structure_ended_is_said(
    desk, argon_potential, wait_for, wait_for_job
):
    argon = desk.atoms
    overlap = argon.copy()
    overlap.positions[1] = overlap.positions[0] + 0.1
    dimer = ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 4]])
    desk.add([("good", argon), ("overlap", overlap), ("dimer", dimer)])
    model = RelaxModel(desk, argon_potential)
    model.cell = "isotropic"
    panel = RelaxPanel(model)
    panel.bar.run.click()
    wait_for_job(model.job)
    for word in ("Ar4: converged after", "Ar4: diverged", "Ar2: refused"):
        assert word in panel.endings.value
    # The dimer has no cell to relax, and no last frame.
    assert "cell" in panel.endings.value.split("refused")[1]
    n_before = len(desk.entries)
    model.take_result()
    assert len(desk.entries) < n_before + 3
    model.steps, model.max_force = 1, 1e-6
    desk.choose([0])
    model.start()
    wait_for(lambda: "step limit" in panel.endings.value)


@pytest.mark.usefixtures("home")
def test_what_was_observed_is_on_the_stage_while_it_runs_and_after_a_restart(
    desk, argon_potential, wait_for, wait_for_job
):
    model = DynamicsModel(desk, argon_potential)
    model.temperature_K, model.steps = 40.0, 1_000_000
    model.observed = ("averages", "rdf", "msd", "vacf")
    stage = Stage(desk)
    drawn = []
    stage.plot.draw = lambda build: drawn.append(build())
    model.job.observe(lambda _: stage.show_simulation(model), "job_id")
    model.job.observe(lambda _: stage.refresh_simulation(model), "revision")
    model.start()
    wait_for(lambda: any(_has_trace(figure, "scatter") for figure in drawn))
    assert [name for _, name in stage.choice.options] == ["", "rdf", "msd", "vacf"]
    for name in PLOTS:
        drawn.clear()
        stage.choice.value = name
        wait_for(lambda: any(f.layout.uirevision == name for f in drawn))  # noqa: B023
    model.job.request_stop()
    wait_for_job(model.job, "stopped")
    told = model.job.metrics.last()["step"] + 1

    later = DynamicsModel(desk, argon_potential)
    later.job.attach_latest()
    reader = ResultsReader(later.job.store)
    reader.refresh(at_once=True)
    assert reader.of(0).averages.temperature_K.n_samples == told
    model.job.resume(told + 50)
    wait_for_job(model.job)
    reader.refresh(at_once=True)
    assert reader.of(0).averages.temperature_K.n_samples == told + 51
    stage.choice.value = ""
    titles = [text.text for text in drawn[-1].layout.annotations]
    mean = reader.of(0).averages.temperature_K.mean
    assert any(text.startswith("Temperature (K): ") for text in titles)
    assert np.isfinite(mean)


def _has_trace(figure, kind):
    return any(trace.type == kind for trace in figure.data)
