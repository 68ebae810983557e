"""The models behind the panels, and the panels' answers, without a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import ase
import ase.build
import numpy as np
import pytest

from gnndesign.errors import GNNDesignError, StructureError, UnsupportedElementError
from gnndesign.jobs.spec import JobKind
from gnndesign.plots.teaching import error_text
from gnndesign.properties.measured_errors import validations_of
from gnndesign_widgets.controls import RunBar
from gnndesign_widgets.dynamics import DynamicsModel
from gnndesign_widgets.jobs import JobModel
from gnndesign_widgets.potential import PotentialModel, PotentialPanel
from gnndesign_widgets.relax import RelaxModel, RelaxPanel
from gnndesign_widgets.structure import StructureModel, StructurePanel


def _file(name: str, content: str) -> dict[str, object]:
    """As FileUpload hands it over."""
    return {
        "name": name,
        "type": "",
        "size": len(content),
        "content": memoryview(content.encode()),
        "last_modified": datetime.now(UTC),
    }


def test_an_edit_can_be_taken_back(desk: StructureModel):
    before = desk.atoms
    desk.edit("2x1x1", lambda atoms: atoms * (2, 1, 1))
    assert len(desk.atoms) == 8
    assert len(desk.entries) == 1
    desk.undo()
    assert desk.atoms is before
    with pytest.raises(StructureError, match="no edit"):
        desk.undo()


def test_new_structures_are_chosen_and_the_desk_can_be_cleared(desk: StructureModel):
    desk.add([("water", ase.build.molecule("H2O")), ("iron", ase.build.bulk("Fe"))])
    assert desk.chosen == (1, 2)
    assert desk.current.name == "water"
    assert [len(atoms) for atoms in desk.chosen_atoms()] == [3, 1]
    desk.choose([0, 1, 2])
    desk.remove()
    assert desk.atoms is None
    with pytest.raises(StructureError, match="load or build"):
        desk.chosen_atoms()


def test_a_bad_upload_says_why_and_a_good_one_lands_on_the_desk(desk: StructureModel):
    panel = StructurePanel(desk)
    content = '2\nLattice="4 0 0 0 4 0 0 0 4"\nNa 0 0 0\nCl 2 2 2\n'
    panel.upload.value = (_file("bad.cif", "no!"), _file("salt.xyz", content))
    assert "bad.cif" in panel.message.value
    assert "Loaded salt.xyz." in panel.message.value
    assert desk.current.name == "salt.xyz"
    assert "NaCl" in panel.facts.value


@pytest.mark.parametrize("place", range(4))
def test_every_build_form_builds_what_it_offers_first(place: int):
    model = StructureModel()
    StructurePanel(model)
    from gnndesign_widgets.structure_forms import build_forms

    name, atoms = build_forms()[place].make()
    assert name
    assert len(atoms) > 0


@pytest.mark.parametrize("place", range(7))
def test_every_edit_form_changes_a_crystal_or_says_what_is_missing(place: int):
    from gnndesign_widgets.structure_forms import edit_forms

    form = edit_forms()[place]
    crystal = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    if form.title == "Substitute":
        with pytest.raises(GNNDesignError):
            form.change(crystal)
        return
    changed = form.change(crystal)
    assert form.describe()
    if form.title == "Strain":
        np.testing.assert_allclose(changed.cell.array, crystal.cell.array)
    else:
        same = len(changed) == len(crystal) and np.allclose(
            changed.cell.array, crystal.cell.array
        )
        assert not same or not np.allclose(changed.positions, crystal.positions)


def test_the_card_is_shown_and_the_device_named():
    model = PotentialModel()
    panel = PotentialPanel(model)
    assert "SevenNet-0" in panel.card.value
    assert "MIT" in panel.card.value
    assert model.resolved_device in panel.message.value
    (measured,) = (
        found
        for found in validations_of(model.name, model.card.checksum)
        if found.reference_set == "delta"
    )
    (errors,) = (
        each
        for each in measured.errors
        if each.key == "bulk_modulus_GPa" and not each.group
    )
    row = (error_text(errors.mean_absolute), error_text(errors.median_absolute), "GPa")
    cells = [">Bulk modulus<", *(f">{cell}<" for cell in row)]
    assert re.search(".*?".join(cells), panel.card.value)
    model.name = "chgnet"
    assert "CHGNet" in panel.card.value


@pytest.mark.usefixtures("home")
def test_an_unknown_element_is_refused_before_anything_runs():
    desk = StructureModel()
    desk.add([("polonium", ase.build.bulk("Po", "sc", a=3.36))])
    model = RelaxModel(desk, PotentialModel())
    with pytest.raises(UnsupportedElementError, match="not Po"):
        model.start()
    assert model.job.jobs() == []
    panel = RelaxPanel(model)
    panel.bar.run.click()
    assert "not Po" in panel.bar.message.value


@pytest.mark.usefixtures("home")
def test_a_relaxation_is_followed_to_its_end_and_its_result_taken(
    desk: StructureModel,
    argon_potential: PotentialModel,
    wait_for_job: Callable[..., None],
):
    model = RelaxModel(desk, argon_potential)
    bar = RelaxPanel(model).bar
    bar.run.click()
    wait_for_job(model.job)
    assert not bar.run.disabled
    assert bar.progress.value == bar.progress.max
    history = model.job.metrics.history()
    assert history.max_force[-1] <= 0.01 < history.max_force[0]
    frames = model.job.store.trajectory()
    assert len(frames) == len(history.step)
    frames.close()
    model.take_result()
    assert desk.current.name == "Ar4 relaxed"
    assert desk.atoms.calc is None


@pytest.mark.usefixtures("home")
def test_another_model_attaches_to_a_running_job_with_its_whole_history(
    desk: StructureModel,
    argon_potential: PotentialModel,
    wait_for: Callable[..., None],
    wait_for_job: Callable[..., None],
):
    model = DynamicsModel(desk, argon_potential)
    model.steps = 1_000_000
    model.start()
    wait_for(lambda: model.job.done > 20)

    # What a restarted kernel does.
    later = JobModel(JobKind.DYNAMICS)
    later.attach_latest()
    assert later.job_id == model.job.job_id
    assert later.active
    history = later.metrics.history()
    assert history.step[0] == 0
    np.testing.assert_array_equal(np.diff(history.step), 1)

    bar = RunBar(later, start=lambda: None, again=lambda: 10)
    bar.pause.click()
    wait_for_job(later, "paused")
    assert bar.pause.description == "Continue"
    bar.pause.click()
    wait_for_job(later, "running")
    bar.stop.click()
    wait_for_job(later, "stopped", within_s=3)
    wait_for_job(model.job, "stopped", within_s=3)
