"""Cheap things first, and dear ones only for those that are left."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import optuna
import pytest

from gnndesign.errors import ParameterError
from gnndesign.properties.equation_of_state import EquationOfState
from gnndesign.search.evaluate import Assessment
from gnndesign.search.measures import (
    RELAXING,
    Density,
    FormationEnergy,
    LatticeConstant,
    Price,
    PropertyMeasure,
)
from gnndesign.search.study import load_search, search_compositions
from gnndesign.search.trials import TrialStatus

BULK_MODULUS = PropertyMeasure(
    of=EquationOfState(relaxing=RELAXING), quantity="bulk_modulus_GPa"
)


def test_who_misses_a_cheap_constraint_costs_no_evaluation(small_space, toy):
    potential = toy()
    result = search_compositions(
        small_space, Density(), potential, 6, constraints=[Price().at_most(1e-6)]
    )
    assert potential.calls == 0
    assert {trial.status for trial in result.trials} == {TrialStatus.PRUNED}
    assert result.best() == ()
    for trial in result.trials:
        assert trial.constraints["price"] > 0
        assert "wanted price <= 1e-06 USD/kg" in trial.message
        assert trial.atoms is None


def test_the_dear_property_is_computed_of_survivors_alone(
    small_space, toy, monkeypatch
):
    asked = []
    steps = EquationOfState.steps

    def remember(self, atoms, potential):
        asked.append(atoms.get_chemical_formula())
        return (yield from steps(self, atoms, potential))

    monkeypatch.setattr(EquationOfState, "steps", remember)
    everything = search_compositions(small_space, Density(), toy(), 6)
    densities = sorted(t.values["density"] for t in everything.trials)
    bound = (densities[2] + densities[3]) / 2
    result = search_compositions(
        small_space,
        BULK_MODULUS.maximized(),
        toy(),
        6,
        constraints=[Density().at_most(bound)],
    )
    survivors = [t for t in result.trials if t.status is TrialStatus.CONVERGED]
    assert len(survivors) == len(asked) == 3
    assert all(trial.constraints["density"] <= 0 for trial in survivors)
    assert all("bulk_modulus_GPa" in trial.measured for trial in survivors)
    pruned = [t for t in result.trials if t.status is TrialStatus.PRUNED]
    assert len(pruned) == 3
    assert all(trial.measured["density_g_per_cm3"] > bound for trial in pruned)
    assert all(not trial.values for trial in pruned)


def test_what_was_built_is_thrown_out_before_it_is_relaxed(small_space, toy):
    result = search_compositions(
        small_space,
        LatticeConstant().near(4.1),
        toy(),
        6,
        constraints=[FormationEnergy(relaxed=False).at_most(-1e3)],
    )
    assert {trial.status for trial in result.trials} == {TrialStatus.PRUNED}
    assert {trial.steps for trial in result.trials} == {0}
    assert all(
        "formation_energy_as_built" in trial.constraints for trial in result.trials
    )


def test_two_quantities_of_a_property_are_computed_together(small_space, toy):
    v0 = PropertyMeasure(
        of=EquationOfState(relaxing=RELAXING), quantity="volume_per_atom"
    )
    alone, both = toy(), toy()
    search_compositions(small_space, BULK_MODULUS, alone, 6)
    result = search_compositions(small_space, [BULK_MODULUS, v0], both, 6)
    assert both.calls == alone.calls
    assert v0.unit == "Å³/atom"
    assert all(
        set(t.values) == {"bulk_modulus_GPa", "volume_per_atom"} for t in result.trials
    )


def test_optuna_knows_the_constraints(small_space, toy, tmp_path):
    path = tmp_path / "study.db"
    search_compositions(
        small_space, Density(), toy(), 6, path, constraints=[Density().at_most(6.0)]
    )
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{path}")
    states = {trial.state for trial in study.trials}
    assert states == {
        optuna.trial.TrialState.PRUNED,
        optuna.trial.TrialState.COMPLETE,
    }
    for trial in study.trials:
        feasible = trial.state == optuna.trial.TrialState.COMPLETE
        assert (trial.constraints["density"] <= 0) == feasible
        assert trial.user_attrs["measures"]["density"]["goal"] == "minimize"
    study._storage._backend.engine.dispose()
    loaded = load_search(path)
    (column,) = loaded.constraints
    assert (column.name, column.high, column.unit) == ("density", 6.0, "g/cm³")
    assert all(trial.values["density"] <= 6.0 for trial in loaded.best(None))


def test_an_assessment_survives_json(small_space):
    import json

    one = Assessment(
        space=small_space,
        objectives=(BULK_MODULUS.near(180.0),),
        constraints=(Density().at_most(6.0),),
        relaxing=RELAXING,
    )
    again = Assessment.from_dict(json.loads(json.dumps(one.to_dict())))
    assert again.to_dict() == one.to_dict()
    assert again.objectives == one.objectives
    assert again.relaxing == one.relaxing


def test_workers_find_what_one_process_finds(small_space, lennard_jones):
    # A potential that its name leads to; the workers load it themselves.
    objective = [Density(), LatticeConstant().near(4.1)]
    alone = search_compositions(small_space, objective, lennard_jones, 6)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        spread = search_compositions(
            small_space, objective, lennard_jones, 6, batch_size=4, executor=executor
        )
    one = {t.formula: (t.status, t.values, t.message) for t in alone.trials}
    other = {t.formula: (t.status, t.values, t.message) for t in spread.trials}
    assert other.keys() == one.keys()
    for formula, (status, values, _) in one.items():
        assert other[formula][0] == status
        assert other[formula][1] == pytest.approx(values)


def test_a_search_begins_with_what_it_is_told_to(space, toy):
    wanted = [
        {"A": "Ba", "B": "Zr", "X": "O"},
        {"A": "K", "B": "Mg", "X": "F"},
        {"A": "La", "B": "Al", "X": "O"},
    ]
    result = search_compositions(space, Density(), toy(), 8, first=wanted, batch_size=2)
    begun = sorted(result.trials, key=lambda trial: trial.number)
    assert [trial.choices for trial in begun[:3]] == wanted
    assert len({trial.formula for trial in begun}) == 8
    with pytest.raises(ParameterError, match="not among the 23"):
        search_compositions(
            space, Density(), toy(), 8, first=[{"A": "U", "B": "Zr", "X": "O"}]
        )
