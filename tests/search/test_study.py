import csv
import json

import ase.io
import numpy as np
import optuna
import pytest
from toy_potential import ToyPotential

from gnndesign.errors import CheckpointError, ParameterError, UnsupportedElementError
from gnndesign.properties.work import Relaxing
from gnndesign.search.measures import Density, FormationEnergy, LatticeConstant
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.study import iterate_search, load_search, search_compositions
from gnndesign.search.trials import TrialStatus
from gnndesign.structures.files import load_structure


@pytest.fixture
def lattice():
    return LatticeConstant().near(4.1)


def test_a_search_evaluates_what_was_asked_and_sorts_it(space, toy, lattice):
    heard = []
    result = search_compositions(
        space, lattice, toy(), 12, batch_size=5, on_progress=heard.append
    )
    assert len(result.trials) == 12
    assert len({trial.formula for trial in result.trials}) == 12
    done = [progress.n_done for progress in heard]
    assert done == sorted(done)
    assert done[-1] == 12
    assert sum(len(progress.new) for progress in heard) == 12
    assert all(progress.new for progress in heard[:-1])
    values = [t.values["lattice_constant_deviation"] for t in result.best(None)]
    assert values == sorted(values)
    assert len(values) == 12
    assert heard[-1].best == result.best(1)
    assert result.message == "12 of 12 candidates evaluated."


def test_a_trial_says_what_was_relaxed(small_space, toy):
    objectives = [LatticeConstant().near(4.1), FormationEnergy(), Density()]
    result = search_compositions(small_space, objectives, toy(), 3)
    for trial in result.trials:
        assert trial.status is TrialStatus.CONVERGED
        assert trial.max_force < 0.05
        assert set(trial.atoms.symbols) == set(trial.choices.values())
        a = trial.atoms.cell.lengths()[0]
        assert trial.measured["lattice_constant_A"] == pytest.approx(a)
        deviation = trial.values["lattice_constant_deviation"]
        assert deviation == pytest.approx(abs(a - 4.1))
        energy = toy().compute(trial.atoms).energy.item()
        assert trial.energy == pytest.approx(energy)
        assert set(trial.values) == {
            "lattice_constant_deviation",
            "formation_energy",
            "density",
        }


def test_a_search_of_everything_finds_the_minimum(space, toy, lattice):
    result = search_compositions(space, lattice, toy(), 100, batch_size=8)
    assert "All 23 candidates" in result.message
    assert len(result.evaluated) == 23
    values = [trial.values[lattice.name] for trial in result.trials]
    assert result.best(1)[0].values[lattice.name] == min(values)


def test_maximizing_puts_the_largest_first(small_space, toy):
    result = search_compositions(small_space, Density().maximized(), toy(), 6)
    values = [trial.values["density"] for trial in result.best()]
    assert values == sorted(values, reverse=True)
    assert result.best(1)[0].formula == "BaHfO3"


def test_several_objectives_give_the_pareto_front(space, toy, lattice):
    result = search_compositions(space, [Density().maximized(), lattice], toy(), 23)
    points = {
        t.number: np.array([c.sign * t.values[c.name] for c in result.objectives])
        for t in result.trials
    }
    front = {
        number
        for number, p in points.items()
        if not any((q <= p).all() and (q < p).any() for q in points.values())
    }
    assert {trial.number for trial in result.best(None)} == front
    assert 1 < len(front) < 23, "a test that tells nothing"


def test_failures_are_trials_with_a_reason_and_the_others_go_on(
    small_space, toy, lattice, monkeypatch
):
    build = PrototypeSpace.build

    def refuse(self, candidate):
        if candidate.choices["A"] == "Ba" and candidate.choices["B"] == "Ti":
            raise ParameterError("Barium is out of stock.")
        return build(self, candidate)

    monkeypatch.setattr(PrototypeSpace, "build", refuse)
    result = search_compositions(small_space, lattice, toy(broken=["Zr"]), 6)
    status = {trial.formula: trial.status for trial in result.trials}
    assert status == {
        "SrTiO3": TrialStatus.CONVERGED,
        "SrHfO3": TrialStatus.CONVERGED,
        "BaHfO3": TrialStatus.CONVERGED,
        "SrZrO3": TrialStatus.DIVERGED,
        "BaZrO3": TrialStatus.DIVERGED,
        "BaTiO3": TrialStatus.NOT_BUILT,
    }
    messages = {trial.formula: trial.message for trial in result.trials}
    assert messages["BaTiO3"] == "Barium is out of stock."
    assert "not finite" in messages["SrZrO3"]
    assert {trial.formula for trial in result.best()} == {"SrTiO3", "SrHfO3", "BaHfO3"}


def test_optuna_sees_failed_trials_with_their_reason(
    small_space, toy, lattice, tmp_path
):
    path = tmp_path / "study.db"
    search_compositions(small_space, lattice, toy(broken=["Zr"]), 6, path)
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{path}")
    failed = [t for t in study.trials if t.state == optuna.trial.TrialState.FAIL]
    assert len(failed) == 2
    assert all("not finite" in trial.user_attrs["reason"] for trial in failed)
    study._storage._backend.engine.dispose()


def test_a_relaxation_that_ran_out_of_steps_says_so(small_space, toy, lattice):
    result = search_compositions(
        small_space,
        lattice,
        toy(),
        2,
        relaxing=Relaxing(max_steps=1, max_force=1e-6),
    )
    assert {trial.status for trial in result.trials} == {TrialStatus.STEP_LIMIT}
    assert len(result.evaluated) == 2


def test_an_objective_that_cannot_be_computed_fails_the_trial(
    small_space, toy, monkeypatch
):
    monkeypatch.setattr(Density, "value", lambda *_: float("nan"))
    result = search_compositions(small_space, Density(), toy(), 1)
    assert result.trials[0].status is TrialStatus.NOT_MEASURED
    assert "finite" in result.trials[0].message


def test_the_seed_decides_the_search(space, toy, lattice):
    def formulas(seed):
        result = search_compositions(
            space, lattice, toy(), 14, seed=seed, batch_size=12
        )
        return [trial.formula for trial in result.trials]

    assert formulas(1) == formulas(1)


def test_stopping_midway_frees_what_was_in_flight(small_space, toy, lattice, tmp_path):
    path = tmp_path / "study.db"
    potential = toy()
    result = search_compositions(
        small_space,
        lattice,
        potential,
        6,
        path,
        should_stop=lambda: potential.calls > 1,
    )
    interrupted = [t for t in result.trials if t.status is TrialStatus.INTERRUPTED]
    assert len(interrupted) == 6
    assert result.message == "Stopped after 0 of 6 candidates."
    again = search_compositions(small_space, lattice, toy(), 6, path)
    assert len(again.evaluated) == 6
    assert len({trial.formula for trial in again.evaluated}) == 6


def test_stopping_while_the_elements_relax_evaluates_nothing(small_space, toy):
    potential = toy()
    heard = []
    result = search_compositions(
        small_space,
        FormationEnergy(),
        potential,
        6,
        on_progress=heard.append,
        should_stop=lambda: potential.calls == 2,
    )
    assert result.trials == ()
    assert [progress.message[:17] for progress in heard] == [
        "Relaxing 6 elemen",
        "Stopped after 0 o",
    ]


def test_closing_the_generator_stops(space, toy, lattice, tmp_path):
    path = tmp_path / "study.db"
    steps = iterate_search(space, lattice, toy(), 20, path, batch_size=4)
    first, second = next(steps).n_done, next(steps).n_done
    assert 0 < first < second
    steps.close()
    loaded = load_search(path)
    assert len(loaded.evaluated) == second
    # What was on its way is free again.
    assert loaded.trials[-1].status is TrialStatus.INTERRUPTED


def test_an_error_in_the_relaxation_leaves_no_trial_running(
    small_space, toy, lattice, tmp_path, monkeypatch
):
    def explode(*_, **__):
        raise ZeroDivisionError

    path = tmp_path / "study.db"
    with monkeypatch.context() as patched:
        patched.setattr(ToyPotential, "predict", explode)
        with pytest.raises(ZeroDivisionError):
            search_compositions(small_space, lattice, toy(), 6, path)
    result = load_search(path)
    assert [trial.status for trial in result.trials] == [TrialStatus.INTERRUPTED] * 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_trials": 0}, "n_trials >= 1"),
        ({"batch_size": 0}, "batch_size >= 1"),
        ({"strategy": "magic"}, "Wanted the strategy"),
        ({"group_size": 0}, "group_size >= 1"),
        ({"storage": "mysql://somewhere"}, "sqlite:///PATH"),
    ],
)
def test_parameters_without_meaning_are_refused(
    small_space, toy, lattice, options, message
):
    with pytest.raises(ParameterError, match=message):
        search_compositions(small_space, lattice, toy(), **options)


def test_bad_input_raises_before_the_first_step(small_space, toy, lattice):
    with pytest.raises(UnsupportedElementError, match="not Hf, Zr"):
        iterate_search(small_space, lattice, toy(elements=["Sr", "Ba", "Ti", "O"]))


def test_the_best_are_exported_as_readable_files(space, toy, lattice, tmp_path):
    result = search_compositions(space, [lattice], toy(), 14)
    table = result.export_best(tmp_path / "best", 10)
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [int(row["rank"]) for row in rows] == list(range(1, 11))
    for row, trial in zip(rows, result.best(10), strict=True):
        assert row["formula"] == trial.formula
        value = trial.values["lattice_constant_deviation"]
        assert float(row["lattice_constant_deviation_A"]) == value
        atoms = load_structure(tmp_path / "best" / row["cif"])
        assert sorted(atoms.symbols) == sorted(trial.atoms.symbols)
        assert atoms.cell.volume == pytest.approx(float(row["volume_A3"]))
        assert len(ase.io.read(tmp_path / "best" / row["cif"])) == 5
    assert not [p for p in (tmp_path / "best").iterdir() if p.name.startswith(".")]


def test_the_runs_of_a_search_are_told_with_seed_and_versions(
    small_space, toy, tmp_path
):
    path = tmp_path / "study.db"
    search_compositions(small_space, Density(), toy(), 2, path, seed=3)
    result = search_compositions(
        small_space, Density(), toy(), 4, path, seed=5, strategy="random"
    )
    table = result.export_best(tmp_path / "best", 2)
    content = json.loads((table.parent / "best.json").read_text("utf-8"))
    runs = content["provenance"]["runs"]
    assert [(run["strategy"], run["seed"]) for run in runs] == [
        ("gaussian_process", 3),
        ("random", 5),
    ]
    assert runs[0]["versions"]["optuna"] == optuna.__version__
    assert load_search(path).provenance["runs"] == runs


def test_the_table_has_all_trials_and_units_in_its_columns(small_space, toy, tmp_path):
    result = search_compositions(small_space, Density(), toy(broken=["Zr"]), 6)
    path = result.to_csv(tmp_path / "table.csv")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert [int(row["trial"]) for row in rows] == list(range(6))
    assert {"choice_A", "density_g_per_cm3", "energy_eV", "a_A", "volume_A3"} <= set(
        rows[0]
    )
    diverged = [row for row in rows if row["choice_B"] == "Zr"]
    assert {row["density_g_per_cm3"] for row in diverged} == {""}
    assert {row["status"] for row in diverged} == {"diverged"}


def test_nothing_to_export_is_said(small_space, toy, lattice, tmp_path):
    result = search_compositions(small_space, lattice, toy(broken=["O"]), 2)
    with pytest.raises(ParameterError, match="nothing to export"):
        result.export_best(tmp_path)
    with pytest.raises(ParameterError, match="n=0"):
        result.best(0)


def test_a_file_that_is_no_study_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="There is no study"):
        load_search(tmp_path / "absent.db")
    noise = tmp_path / "noise.db"
    noise.write_bytes(b"this is not a database" * 100)
    with pytest.raises(CheckpointError, match="cannot be opened"):
        load_search(noise)
