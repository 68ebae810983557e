"""The properties panel: what is ticked is computed, told, drawn and exported."""

import csv
import html
from dataclasses import dataclass, replace
from types import SimpleNamespace

import ase.build
import ase.io
import pytest

from gnndesign.errors import JobError, ParameterError
from gnndesign.jobs.properties import (
    OutcomesWriter,
    outcomes_file,
    properties_parameters,
)
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.store import JobStore
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.properties.adsorption import Adsorption
from gnndesign.properties.base import Quantity
from gnndesign.properties.compute import compute
from gnndesign.properties.equation_of_state import EquationOfState
from gnndesign.properties.export import load_outcomes
from gnndesign.properties.outcomes import Outcome, PropertyStatus
from gnndesign.properties.work import Relaxing
from gnndesign_widgets import show
from gnndesign_widgets.figures import Figures
from gnndesign_widgets.outcomes import frames_of
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.properties import PropertiesModel
from gnndesign_widgets.properties_panel import PropertiesPanel
from gnndesign_widgets.property_form import PropertyForm
from gnndesign_widgets.show import OutcomesView, ResultView
from gnndesign_widgets.stage import Stage
from gnndesign_widgets.structure import StructureModel

EOS = "equation_of_state"


@pytest.fixture
def model(desk, argon_potential):
    made = PropertiesModel(desk, argon_potential)
    made.chosen = (EOS,)
    made.set_text(EOS, "n_points", "5")
    return made


@dataclass(frozen=True, kw_only=True)
class Swinging:
    """A result with something that moves."""

    notes: tuple[str, ...] = ("A <note>.",)

    def quantities(self):
        return (Quantity(name="Swing", value=0.5, unit="Å", key="swing"),)

    def frames(self):
        return [ase.Atoms("Ar", [[0, 0, 0.1 * k]]) for k in range(3)]


def swinging(structure=0):
    return Outcome(
        kind=EOS,
        structure=structure,
        formula="Ar",
        potential="lennard-jones",
        checksum="0",
        status=PropertyStatus.COMPUTED,
        result=Swinging(),
    )


def test_what_is_typed_into_the_form_is_what_is_computed(model):
    form = PropertyForm(model, EOS)
    assert form.inputs["n_points"].value == "5"
    form.inputs["form"].value = "vinet"
    form.inputs["relaxing"].value = False
    form.inputs["at_each.max_force"].value = "0.002"
    form.inputs["at_each.cell"].value = "none"
    form.inputs["at_each.fix_symmetry"].value = True
    wanted = EquationOfState(
        n_points=5,
        form="vinet",
        relaxing=None,
        at_each=Relaxing(cell=None, max_force=0.002, fix_symmetry=True),
    )
    assert model.properties() == [wanted]
    # A later form, of a page that was opened again, has what was typed.
    later = PropertyForm(model, EOS)
    assert later.inputs["at_each.max_force"].value == "0.002"
    assert later.inputs["relaxing"].value is False
    for name, text in (("form", "birch-murnaghan"), ("at_each.max_force", "0.01")):
        form.inputs[name].value = text
    assert "form" not in model.settings[EOS]
    assert form.inputs["strain"].tooltip.startswith("largest change of the volume")


def test_a_parameter_that_makes_no_sense_is_refused_where_it_is_typed(model):
    panel = PropertiesPanel(model)
    form = panel.parameters.children[0]
    form.inputs["strain"].value = "much"
    below = form.refusals["strain"]
    assert "strain as a number" in html.unescape(below.value)
    assert below.layout.display == ""
    panel.bar.run.click()
    assert "strain as a number" in html.unescape(panel.bar.message.value)
    for nonsense in ("-0.05", "nan", "1e9"):
        form.inputs["strain"].value = nonsense
        assert "Wanted strain from 0.005 to 0.3" in below.value
    # It is said once.
    assert "strain" not in form._message.value
    form.inputs["at_each.max_force"].value = "0"
    assert "at_each.max_force above 0" in form.refusals["at_each.max_force"].value
    assert "from 0.005" in below.value
    form.inputs["at_each.max_force"].value = "0.01"
    form.inputs["strain"].value = "0.05"
    assert below.layout.display == "none"
    assert form._message.value == "" == below.value
    assert form.inputs["strain"].tooltip.endswith("Wanted: from 0.005 to 0.3.")
    # What makes no sense together is said below all fields.
    form.inputs["at_each.cell"].value = "full"
    assert "which keep the volume" in html.unescape(form._message.value)
    form.inputs["at_each.cell"].value = "none"
    assert form._message.value == ""
    panel.boxes[EOS].value = False
    assert (model.chosen, panel.parameters.children) == ((), ())
    panel.bar.run.click()
    assert "Choose a property" in panel.bar.message.value
    panel.boxes[EOS].value = True
    assert panel.parameters.children == (form,)
    assert panel.parameters.selected_index is None


def test_structures_come_from_the_desk_or_from_files(model, desk, tmp_path):
    desk.add([("a", ase.build.bulk("Ar")), ("b", ase.build.bulk("Ar") * 2)])
    assert [name for name, _ in model.structures()] == ["a"]
    model.source = "chosen"
    assert [name for name, _ in model.structures()] == ["a", "b"]
    ase.io.write(tmp_path / "one.cif", ase.build.bulk("Ar"))
    ase.io.write(tmp_path / "two.xyz", [ase.build.bulk("Ar"), ase.build.bulk("Cu")])
    panel = PropertiesPanel(model)
    assert panel.files.layout.display == "none"
    model.source = "files"
    assert panel.files.layout.display == ""
    model.files = f"{tmp_path}/*.cif, {tmp_path}/two.xyz"
    found = model.structures()
    assert [name for name, _ in found] == ["one.cif", "two.xyz[0]", "two.xyz[1]"]
    assert found[2][1].symbols[0] == "Cu"
    for text, words in (("", "Wanted files"), (f"{tmp_path}/*.db", "There is no file")):
        model.files = text
        with pytest.raises(ParameterError, match=words):
            model.structures()


CRYSTAL, WATER = ase.build.bulk("Ar", a=5.4), ase.build.molecule("H2O")


@pytest.mark.usefixtures("home")
def test_a_job_is_run_followed_stopped_and_gone_on_with(
    model, desk, wait_for, wait_for_job
):
    large = ase.build.bulk("Ar", cubic=True) * 3
    large.rattle(0.1, seed=3)
    desk.add([("crystal", CRYSTAL), ("large", large)])
    model.source = "chosen"
    model.set_text(EOS, "n_points", "61")
    model.set_text(EOS, "at_each.max_force", "1e-6")
    panel = PropertiesPanel(model)
    panel.bar.run.click()
    assert panel.bar.message.value == ""
    wait_for(lambda: len(panel.table.rows) == 1)
    panel.bar.stop.click()
    wait_for_job(model.job, "stopped")
    assert [row[0] for row in panel.table.rows] == ["crystal"]
    panel.bar.resume.click()
    wait_for_job(model.job)
    assert len(panel.table.rows) == 2
    wanted = compute(model.properties()[0], CRYSTAL, LennardJones())
    said = f"Bulk modulus {wanted.bulk_modulus_GPa:.5g} GPa"
    assert panel.table.rows[0] == ["crystal", "Equation of state", said, "computed"]


@pytest.fixture
def finished(home, model, desk, lennard_jones):
    """The model of a job whose outcomes are there: a crystal, and water."""
    desk.add([("crystal", CRYSTAL), ("water", WATER)])
    properties = [EquationOfState(n_points=5)]
    spec = JobSpec.create(
        "properties",
        potential="lennard-jones",
        structures=[CRYSTAL, WATER],
        parameters=properties_parameters(properties, ["crystal", "water"]),
    )
    store = JobStore.create(spec, home)
    found = compute(properties, [CRYSTAL, WATER], lennard_jones)
    OutcomesWriter(store).take({(k, 0): each for k, each in enumerate(found)})
    model.job.attach_latest()
    return model


def test_the_one_that_is_chosen_is_told_and_drawn(finished, desk):
    panel = PropertiesPanel(finished)
    stage = Stage(desk)
    finished.figures.observe(lambda _: stage.refresh_figures(finished.figures))
    stage.show_figures(finished.figures)
    result = finished.outcomes[0, 0].result
    # The first that came out is shown of its own accord.
    assert finished.picked == (0, 0)
    assert panel.table.picked == 0
    assert "Å³/atom" in panel.details.value
    assert "crystal: Equation of state" in stage.title.value
    figure = finished.figures.builds["Equation of state"]()
    assert "Volume (Å³/atom)" in figure.layout.xaxis.title.text
    shown = stage.viewer.view._frames[0]
    assert shown.get_volume() == result.atoms.get_volume() != CRYSTAL.get_volume()
    assert "Took crystal: Equation of state" in finished.take_structure()
    assert desk.atoms.get_volume() == result.atoms.get_volume()

    panel.table.picked = 1
    assert finished.picked == (1, 0)
    assert panel.table.rows[1][::3] == ["water", "failed"]
    assert "not periodic" in panel.table.rows[1][2]
    assert "not periodic" in html.unescape(panel.details.value)
    assert finished.figures.builds == {}
    assert len(stage.viewer.view._frames[0]) == 3


def test_outcomes_are_exported(finished, tmp_path):
    panel = PropertiesPanel(finished)
    panel.name.value = str(tmp_path / "found")
    panel._export("csv")
    assert "found.csv" in panel.message.value
    rows = list(csv.DictReader((tmp_path / "found.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["crystal", "water"]
    panel._export("json")
    (first, _) = load_outcomes(tmp_path / "found.json")
    modulus = finished.outcomes[0, 0].result.bulk_modulus_GPa
    assert first.result.bulk_modulus_GPa == modulus
    panel.name.value = str(tmp_path / "no" / "found")
    panel._export("csv")
    assert "folder that is there" in panel.message.value


def test_a_restarted_kernel_finds_the_outcomes(finished):
    later = PropertiesModel(StructureModel(), PotentialModel())
    panel = PropertiesPanel(later)
    assert panel.table.rows == []
    with pytest.raises(JobError, match="nothing to export"):
        later.export("a.csv")
    with pytest.raises(JobError, match="Choose a row"):
        later.take_structure()
    later.job.attach_latest()
    assert later.job.job_id == finished.job.job_id
    assert [row[0] for row in panel.table.rows] == ["crystal", "water"]
    assert list(later.figures.builds) == ["Equation of state"]
    later.job.attach(None)
    assert (panel.table.rows, panel.details.value, later.figures.builds) == ([], "", {})


def test_a_job_that_is_opened_again_refills_the_form(home, model):
    used = [
        EquationOfState(n_points=9, relaxing=None, at_each=Relaxing(cell=None)),
        Adsorption(molecule=WATER, distance=2.5),
    ]
    spec = JobSpec.create(
        "properties",
        potential="lennard-jones",
        structures=[CRYSTAL],
        parameters=properties_parameters(used),
    )
    JobStore.create(spec, home)
    panel = PropertiesPanel(model)
    form = panel.parameters.children[0]
    form.inputs["strain"].value = "0.2"
    model.job.attach_latest()
    # In the form that was there, and in one that is new.
    assert form.inputs["n_points"].value == "9"
    assert form.inputs["strain"].value == "0.06"
    assert form.inputs["relaxing"].value is False
    assert form.inputs["at_each.cell"].value == "none"
    assert panel.boxes["adsorption"].value
    other = panel.parameters.children[1]
    assert other.inputs["distance"].value == "2.5"
    assert other.inputs["molecule"].value.endswith("adsorption.molecule.traj")
    assert model.properties() == used
    assert form._message.value == other._message.value == ""


def test_parameters_of_another_version_say_so(home, model):
    parameters = properties_parameters([EquationOfState(n_points=9)])
    parameters["properties"][0]["parameters"]["points"] = 3
    spec = JobSpec.create(
        "properties",
        potential="lennard-jones",
        structures=[CRYSTAL],
        parameters=parameters,
    )
    JobStore.create(spec, home)
    panel = PropertiesPanel(model)
    model.job.attach_latest()
    assert "does not show the parameters" in panel.message.value
    assert panel.parameters.children[0].inputs["n_points"].value == "5"


def test_outcomes_of_another_version_say_so(finished):
    file = outcomes_file(finished.job.store)
    file.write_text(file.read_text().replace("EquationOfStateResult", "Nothing"))
    later = PropertiesModel(StructureModel(), PotentialModel())
    panel = PropertiesPanel(later)
    later.job.attach_latest()
    assert later.outcomes == {}
    assert "of this version" in panel.message.value


def test_what_moves_is_played_on_the_stage(desk):
    figures = Figures(title="A mode")
    stage = Stage(desk)
    stage.show_figures(figures)
    figures.frames = tuple(Swinging().frames())
    stage.refresh_figures(figures)
    assert stage.viewer.view.max_frame == 2
    figures.frames, figures.atoms = (), ase.build.bulk("Ar")
    stage.refresh_figures(figures)
    assert stage.viewer.view.max_frame == 0


def test_the_images_of_a_path_are_played_too():
    images = tuple(Swinging().frames())
    assert frames_of(SimpleNamespace(images=images)) == images
    assert frames_of(SimpleNamespace()) == frames_of(None) == ()


def test_any_result_is_shown_in_one_call(lennard_jones):
    argon = ase.build.bulk("Ar")
    result = compute(EquationOfState(n_points=5), argon, lennard_jones)
    view = show(result)
    assert isinstance(view, ResultView)
    assert f"{result.bulk_modulus_GPa:.5g} GPa" in view.numbers.value
    assert len(view.plot._build().data) == 2
    assert len(view.viewer.view._frames[0]) == 1

    moving = show(Swinging())
    assert "A &lt;note&gt;." in moving.numbers.value
    assert moving.viewer.view.max_frame == 2
    assert not moving.plot._build().data

    failed = replace(
        swinging(1), status=PropertyStatus.FAILED, message="No <way>.", result=None
    )
    view = show([swinging(), failed])
    assert isinstance(view, OutcomesView)
    assert view.table.rows[0][2:] == ["Swing 0.5 Å", "computed"]
    assert view.view.viewer.view.max_frame == 2
    view.table.picked = 1
    assert view.view.numbers.value == "<div>No &lt;way&gt;.</div>"
    assert isinstance(show(failed), OutcomesView)
    with pytest.raises(ParameterError, match="got none"):
        show([])
