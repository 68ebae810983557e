"""The search panel: what is wanted, the job, and what it finds."""

import csv
import html
import json

import pytest
from search_results import DENSITY, FORMATION, made_result, made_trial

from gnndesign.errors import JobError, ParameterError, UnsupportedElementError
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.store import JobStore
from gnndesign.properties.work import Relaxing
from gnndesign.search.measures import Density, FormationEnergy, LatticeConstant
from gnndesign.search.notation import measure, measure_to_text
from gnndesign.search.objectives import Constraint, Stage
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.study import RELAXING
from gnndesign_widgets.goal_rows import GoalRow
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.search import SearchModel
from gnndesign_widgets.search_estimate import Pace, estimate_search
from gnndesign_widgets.search_goals import (
    BOUNDS,
    GOALS,
    MEASURE_NAMES,
    Wish,
    wish_of_constraint,
    wish_of_objective,
)
from gnndesign_widgets.search_panel import SearchPanel
from gnndesign_widgets.search_stage import best_columns, leading
from gnndesign_widgets.stage import Stage as StageView
from gnndesign_widgets.structure import StructureModel

DENSEST = Wish(measure="density", how="maximize")
WIDE = Wish(measure="lattice_constant", how="between", number=2.0, high=9.0)


@pytest.fixture
def model(home, argon_potential):
    del home
    made = SearchModel(StructureModel(), argon_potential)
    made.space.prototype = "fcc"
    made.space.sites = {"A": "Ne, Ar, Kr, Xe"}
    made.space.filters = {}
    made.objectives, made.constraints = (DENSEST,), (WIDE,)
    made.batch_size = 4
    return made


@pytest.mark.parametrize("name", MEASURE_NAMES)
@pytest.mark.parametrize("how", [*GOALS, *BOUNDS])
def test_a_row_that_is_read_back_is_the_same(name, how):
    two = how in ("window", "between")
    number = 0.0 if how in ("minimize", "maximize") else 1.5
    wish = Wish(measure=name, how=how, number=number, high=2.5 if two else 0.0)
    if how in GOALS:
        data = json.loads(json.dumps(wish.objective().to_dict()))
        assert wish_of_objective(data) == wish
    else:
        data = json.loads(json.dumps(wish.constraint().to_dict()))
        assert wish_of_constraint(data) == wish


@pytest.mark.parametrize(
    "text",
    [
        *MEASURE_NAMES,
        *("formation_energy_as_built", "lattice_constant_c"),
        "elasticity.youngs_modulus_GPa",
        "bulk_modulus(normal_strains=-0.02, 0.02; relaxing.max_force=0.001; degree=2)",
        "phonons.min_frequency_THz(supercell=[2, 2, 2]; relaxing=no)",
    ],
)
def test_a_measure_has_a_text(text):
    assert measure_to_text(measure(text)) == text


def test_a_job_whose_measure_has_parameters_shows_them_in_its_row(home, model):
    text = "bulk_modulus(relaxing=no; degree=2)"
    spec = JobSpec.create(
        "search",
        potential="lennard-jones",
        parameters={
            "space": model.space.space().to_dict(),
            "objectives": [measure(text).maximized().to_dict()],
            "constraints": [measure(text).at_least(1.0).to_dict()],
            "n_trials": 3,
        },
    )
    JobStore.create(spec, home)
    panel = SearchPanel(model)
    model.job.attach_latest()
    assert model.problem == ""
    (row,) = panel.objectives.rows
    assert (row.measure.value, row.other.value) == ("", text)
    assert row.unit.value == "GPa"
    assert model.constraints == (Wish(measure=text, how="at least", number=1.0),)
    assert model.objectives[0].objective().to_dict() == spec.parameters["objectives"][0]


def test_rows_are_added_changed_and_taken_away(model):
    panel = SearchPanel(model)
    row = panel.objectives.rows[0]
    assert row.numbers.layout.display == row.high.layout.display == "none"
    row.how.value = "window"
    row.number.value, row.high.value = 5.0, 3.0
    assert "low < high" in html.unescape(panel.objectives.message.value)
    row.high.value = 6.0
    assert panel.objectives.message.value == ""
    assert row.unit.value == "g/cm³"
    _box, add, _message = panel.objectives.children
    add.click()
    assert [wish.measure for wish in model.objectives] == [
        "density",
        "lattice_constant",
    ]
    assert model.objectives[0].objective() == Density().within(5.0, 6.0)
    second = panel.objectives.rows[1]
    second.measure.value = ""
    assert second.other.layout.display == ""
    second.other.value = "elasticity.youngs_modulus_GPa"
    assert second.unit.value == "GPa"
    assert model.objectives[1].measure == "elasticity.youngs_modulus_GPa"
    second.other.value = "elasticity"
    assert "KIND.QUANTITY" in html.unescape(panel.objectives.message.value)
    model.objectives = (Wish(measure="price", how="minimize"),)
    (row,) = panel.objectives.rows
    assert row.measure.value == "price"
    bounds = panel.constraints.rows[0]
    assert [bounds.number.value, bounds.high.value] == [2.0, 9.0]
    assert model.constraints[0].constraint() == Constraint(
        measure=LatticeConstant(), low=2.0, high=9.0
    )


def test_a_row_takes_itself_away():
    told = []
    row = GoalRow(DENSEST, GOALS, told.append, lambda: told.append("gone"))
    row.show(Wish(measure="price", how="minimize"))
    assert told == []
    row.children[0].children[-1].click()
    assert told == ["gone"]


def test_a_search_outside_the_potential_is_refused_before_anything_runs(model):
    model = SearchModel(StructureModel(), PotentialModel())
    model.space.sites = {"A": "Ra", "B": "Ti", "X": "O"}
    with pytest.raises(UnsupportedElementError, match="not Ra"):
        model.start()
    model.objectives = ()
    with pytest.raises(ParameterError, match="at least one objective"):
        model.start()
    assert model.job.jobs() == []


@pytest.fixture
def searched(model, wait_for_job):
    """A search of three of four crystals, with its panel."""
    model.n_trials = 3
    model.set_relaxing("max_force", "0.02")
    panel = SearchPanel(model)
    panel.bar.run.click()
    assert panel.bar.message.value == ""
    wait_for_job(model.job)
    return model, panel


def test_a_search_learns_from_a_table_that_is_read_before_it_starts(
    model, wait_for_job, tmp_path
):
    table = tmp_path / "gases.csv"
    table.write_text("A,rho\nNe,1.5\nAr,1.8\nKr,2.9\nXe,3.8\n", "utf-8")
    model.warm_start = f"{table}:rho"
    with pytest.raises(ParameterError, match="MEASURE=COLUMN with a measure of dens"):
        model.start()
    assert not model.job.job_id
    model.warm_start, model.n_trials = f"{table}:density=rho", 2
    model.start()
    wait_for_job(model.job)
    assert model.result.message == "2 candidates evaluated."
    later = SearchModel(StructureModel(), PotentialModel())
    later.job.attach_latest()
    assert later.warm_start == model.warm_start


def test_a_search_runs_is_looked_at_and_goes_on(searched, wait_for, tmp_path):
    model, panel = searched
    desk = model._structure
    stage = StageView(desk)
    stage.show_figures(model.figures)
    model.figures.observe(lambda _: stage.refresh_figures(model.figures))
    heads, rows = panel.best.columns, panel.best.rows
    assert heads[:3] == ["", "Formula", "density (g/cm³)"]
    values = [float(row[2]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert len(rows) == 3

    # A row and a point open the same structure.
    panel.best.picked = 1
    second = model.picked_trial()
    assert second.formula == rows[1][1]
    assert len(stage.viewer.view._frames) == 1
    assert f"Trial {second.number}: {second.formula}" in stage.title.value
    assert "density" in panel.details.value
    assert "kept" in panel.details.value
    points = model.figures.builds["Trials"]().data[1]
    model.figures.clicks["Trials"](int(points.customdata[0]))
    assert panel.best.picked == panel._numbers.index(int(points.customdata[0]))
    assert "Took" in model.take_structure()
    assert desk.atoms.get_volume() == model.picked_trial().atoms.get_volume()

    panel.folder.value, panel.n_best.value = str(tmp_path / "best"), 2
    panel._export()
    assert "best.csv" in panel.message.value
    files = sorted(path.name for path in (tmp_path / "best").iterdir())
    assert files == [
        *(f"0{k + 1}_{row[1]}.cif" for k, row in enumerate(rows[:2])),
        *("all_trials.csv", "best.csv", "best.json"),
    ]
    table = (tmp_path / "best" / "all_trials.csv").read_text()
    assert len(list(csv.DictReader(table.splitlines()))) == 3

    model.n_trials = 4
    panel.bar.resume.click()
    wait_for(lambda: len(panel.best.rows) == 4)
    assert {row[1] for row in panel.best.rows} == {"Ne", "Ar", "Kr", "Xe"}


def test_a_restarted_kernel_finds_the_search_and_fills_its_form(searched):
    model, _ = searched
    later = SearchModel(StructureModel(), PotentialModel())
    panel = SearchPanel(later)
    assert panel.best.rows == []
    with pytest.raises(JobError, match="no result"):
        later.export("here", 3)
    with pytest.raises(JobError, match="Click on"):
        later.take_structure()
    later.job.attach_latest()
    assert later.job.job_id == model.job.job_id
    assert len(panel.best.rows) == 3
    assert set(later.figures.builds) >= {"Trials", "History", "Elements"}
    for name in ("objectives", "constraints", "n_trials", "batch_size", "relaxing"):
        assert getattr(later, name) == getattr(model, name)
    assert later.relaxation() == Relaxing(max_force=0.02, max_steps=RELAXING.max_steps)
    assert panel.relaxing.inputs["max_force"].value == "0.02"
    assert later.space.space() == model.space.space()
    assert panel.space.form_of("prototype").rows["A"][0].value == "Ne, Ar, Kr, Xe"
    later.job.attach(None)
    assert (panel.best.rows, panel.details.value, later.figures.builds) == ([], "", {})


def test_a_job_of_another_version_is_followed_but_not_typed(home):
    spec = JobSpec.create(
        "search",
        potential="lennard-jones",
        parameters={"space": {"kind": "prototype"}, "objectives": ["beauty"]},
    )
    JobStore.create(spec, home)
    model = SearchModel(StructureModel(), PotentialModel())
    panel = SearchPanel(model)
    model.job.attach_latest()
    assert "another version" in panel.problem.value


def test_the_time_is_estimated_by_the_dearest_thing_wanted(wait_for, model):
    space = PrototypeSpace(
        prototype="fcc", sites={"A": ["Ar", "Kr"]}, charge_neutral=False
    )

    def said(*measures, **options):
        given = {"n_trials": 10, "batch_size": 4} | options
        return estimate_search(space, measures, "lennard-jones", None, **given)

    assert "compositions alone" in said(measure("price"))
    relaxed = said(FormationEnergy())
    assert "for 2 candidates of 1 atoms" in relaxed
    late = measure("phonons.min_frequency_THz")
    assert late.stage is Stage.PHONONS
    assert relaxed != said(late)
    model.n_trials = 3
    wait_for(lambda: "for 3 candidates" in model.estimate)
    assert model.estimate in SearchPanel(model).estimate.value


def test_the_time_left_is_told_from_the_trials_done(monkeypatch):
    now = iter([0.0, 100.0, 110.0, 130.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    pace = Pace()
    pace.see(0)
    pace.see(4)
    assert pace.left(10) == ""
    pace.see(6)
    pace.see(6)
    assert pace.left(10) == "About 20 s left, 5.0 s a candidate."
    pace.see(10)
    assert pace.left(10) == ""


@pytest.mark.usefixtures("home")
def test_winners_are_checked_in_a_job_of_their_own(searched, wait_for_job):
    model, panel = searched
    assert "checked" not in panel.best.rows[0][-1]
    panel.n_best.value = 2
    model.checks.stability = ""
    panel.checks.bar.run.click()
    assert panel.checks.bar.message.value == ""
    wait_for_job(model.checks.job)
    assert len(model.checks.found) == 2
    assert [row[-1].startswith("checked: ") for row in panel.best.rows] == [
        *(True, True, False),
    ]
    panel.best.picked = 0
    check = model.checks.found[model.picked]
    assert check.formula == panel.best.rows[0][1]
    assert "reality check" in panel.details.value
    assert all(
        flag.sentence in html.unescape(panel.details.value) for flag in check.flags
    )

    # It belongs to this search, and is found with it.
    later = SearchModel(StructureModel(), PotentialModel())
    later.job.attach_latest()
    assert later.checks.found == model.checks.found
    model.start()
    assert model.checks.found == {}
    model.job.request_stop()


def test_with_two_objectives_the_table_goes_on_behind_the_front():
    values = [(1.0, 9.0), (2.0, 5.0), (2.5, 9.5), (3.0, 9.6)]
    trials = [
        made_trial(k, {"formation_energy": x, "density": y})
        for k, (x, y) in enumerate(values)
    ]
    result = made_result(trials, objectives=(FORMATION, DENSITY))
    placed = [(place, trial.number) for place, trial in leading(result, 10)]
    assert placed == [(1, 0), (1, 1), (2, 2), (3, 3)]
    assert [place for place, _ in leading(result, 3)] == [1, 1, 2]
    assert best_columns(result)[0] == "Front"
