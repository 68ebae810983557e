import json
import math
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule
from toy_potential import ToyPotential

from gnndesign.errors import ParameterError
from gnndesign.properties.adsorption import Adsorption
from gnndesign.properties.catalog import new_property
from gnndesign.properties.elasticity import Elasticity
from gnndesign.properties.phonons import Phonons
from gnndesign.properties.references import reference_energies
from gnndesign.search.measures import (
    RELAXING,
    Density,
    FormationEnergy,
    LatticeConstant,
    Price,
    PropertyMeasure,
    SupplyRisk,
)
from gnndesign.search.notation import (
    constraint_from_dict,
    constraint_from_text,
    measure,
    measure_to_text,
    objective_from_dict,
    objective_from_text,
)
from gnndesign.search.objectives import (
    Constraint,
    Maximize,
    Minimize,
    Stage,
    Subject,
    Target,
    Window,
    checked_objectives,
)
from gnndesign.search.space import Candidate
from gnndesign.simulation.relaxation import relax
from gnndesign.structures.library import elemental_ground_state


def subject(atoms, start=None, energy=0.0, **energies):
    return Subject(
        candidate=Candidate(
            formula=atoms.get_chemical_formula(),
            choices={},
            composition={"Mg": 1, "O": 1},
        ),
        start=atoms if start is None else start,
        atoms=atoms,
        energy=energy,
        potential=ToyPotential(),
        reference_energies=energies,
    )


def test_formation_energy_is_per_atom_and_negative_where_gained():
    rocksalt = bulk("MgO", "rocksalt", a=4.2)
    value = FormationEnergy().value(subject(rocksalt, energy=-12.0, Mg=-1.5, O=-4.9))
    assert value == pytest.approx((-12.0 + 1.5 + 4.9) / 2)


@pytest.mark.parametrize("symbol", ["Cu", "Sr", "Ti"])
def test_an_element_in_its_ground_state_forms_with_zero_energy(symbol, toy):
    energies = reference_energies([symbol], toy())
    result = relax(
        elemental_ground_state(symbol),
        toy(),
        cell="full",
        max_force=0.02,
        max_steps=300,
    )
    value = FormationEnergy().value(
        subject(result.atoms, energy=result.energy, **energies)
    )
    assert value == pytest.approx(0.0, abs=1e-9)


def test_the_lattice_constant_is_that_of_the_conventional_cell():
    primitive = bulk("MgO", "rocksalt", a=4.25)
    assert LatticeConstant().value(subject(primitive)) == pytest.approx(4.25)
    assert LatticeConstant().column == "lattice_constant_A"


def test_a_relaxed_cell_is_measured_along_the_axes_of_its_prototype():
    start = bulk("Mg", a=3.2, c=5.2)
    end = start.copy()
    end.set_cell(start.cell.array @ np.diag([1.1, 1.1, 1.3]), scale_atoms=True)
    along_c = LatticeConstant(axis="c")
    assert along_c.value(subject(end, start)) == pytest.approx(6.76)
    assert along_c.column == "lattice_constant_c_A"
    assert LatticeConstant().value(subject(end, start)) == pytest.approx(3.52)


def test_broken_symmetry_does_not_change_which_cell_is_measured():
    start = bulk("MgO", "rocksalt", a=4.2)
    end = start.copy()
    end.rattle(0.05, seed=1)
    end.set_cell(start.cell.array * 1.01, scale_atoms=True)
    assert LatticeConstant().value(subject(end, start)) == pytest.approx(4.242)


def test_density_of_copper():
    copper = bulk("Cu", "fcc", a=3.615)
    assert Density().value(subject(copper)) == pytest.approx(8.93, abs=0.01)
    assert Density().column == "density_g_per_cm3"


def test_what_needs_less_comes_first():
    order = [
        Price(),
        SupplyRisk(),
        FormationEnergy(relaxed=False),
        FormationEnergy(),
        PropertyMeasure(of=Elasticity(), quantity="bulk_modulus_GPa"),
        PropertyMeasure(of=Phonons(), quantity="min_frequency_THz"),
        PropertyMeasure(of=new_property("diffusion"), quantity="diffusion_m2_per_s"),
    ]
    stages = [measure.stage for measure in order]
    assert stages == sorted(stages)
    assert stages[0] == Stage.COMPOSITION
    assert stages[-1] == Stage.DYNAMICS


@pytest.mark.parametrize(
    ("goal", "costs"),
    [
        (Minimize(), {1.0: 1.0, 3.0: 3.0}),
        (Target(2.0), {1.5: 0.5, 2.0: 0.0, 3.0: 1.0}),
        (Window(2.0, 3.0), {1.5: 0.5, 2.0: 0.0, 2.7: 0.0, 3.5: 0.5}),
    ],
)
def test_goals_say_how_far_away_a_value_is(goal, costs):
    for value, cost in costs.items():
        assert goal.cost(value) == pytest.approx(cost)


def test_a_distance_is_called_one():
    assert LatticeConstant().near(3.9).name == "lattice_constant_deviation"
    assert LatticeConstant().minimized().name == "lattice_constant"
    assert Density().maximized().direction == "maximize"
    assert Density().within(3.0, 4.0).direction == "minimize"


def test_a_constraint_is_missed_by_what_is_too_much_or_too_little():
    both = Constraint(measure=Density(), low=3.0, high=5.0)
    assert both.violation(6.0) == pytest.approx(1.0)
    assert both.violation(2.5) == pytest.approx(0.5)
    assert both.violation(4.5) == pytest.approx(-0.5)
    assert Density().at_most(5.0).violation(4.0) == pytest.approx(-1.0)
    assert both.describe() == "3 <= density <= 5 g/cm³"


@pytest.mark.parametrize(
    "objective",
    [
        FormationEnergy().minimized(),
        LatticeConstant(axis="c").near(3.9),
        Density().maximized(),
        Price().within(1.0, 10.0),
        PropertyMeasure(of=Elasticity(), quantity="bulk_modulus_GPa").near(180.0),
    ],
)
def test_objectives_survive_json(objective):
    data = json.loads(json.dumps(objective.to_dict()))
    assert objective_from_dict(data) == objective
    constraint = objective.measure.at_most(2.0)
    data = json.loads(json.dumps(constraint.to_dict()))
    assert constraint_from_dict(data) == constraint


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("formation_energy", Minimize()),
        ("density=max", Maximize()),
        ("lattice_constant=3.905", Target(3.905)),
        ("bulk_modulus=150..200", Window(150.0, 200.0)),
        ("elasticity.shear_modulus_GPa=min", Minimize()),
    ],
)
def test_objectives_are_written_as_text(text, goal):
    objective = objective_from_text(text)
    assert objective.goal == goal
    assert measure(text.partition("=")[0]) == objective.measure


WITH_PARAMETERS = "bulk_modulus(normal_strains=-0.02, 0.02; degree=2; relaxing=no)"


def test_parameters_of_a_property_are_written_in_brackets():
    objective = objective_from_text(f"{WITH_PARAMETERS}=150..200")
    wanted = Elasticity(normal_strains=(-0.02, 0.02), degree=2, relaxing=None)
    assert objective.measure == PropertyMeasure(of=wanted, quantity="bulk_modulus_GPa")
    assert objective.goal == Window(150.0, 200.0)
    constraint = constraint_from_text(f"{WITH_PARAMETERS} >= 150")
    assert constraint.measure == objective.measure
    assert constraint.low == 150.0
    # What a search relaxes otherwise than a property does is the default here too.
    hull = measure("energy_above_hull(relaxing.max_steps=7)")
    assert hull.of.relaxing == replace(RELAXING, max_steps=7)
    assert measure_to_text(hull) == "energy_above_hull(relaxing.max_steps=7)"


def test_a_measure_with_a_structure_of_its_own_has_no_text():
    of = Adsorption(molecule=molecule("CO"))
    with pytest.raises(ParameterError, match="structures of its own"):
        measure_to_text(PropertyMeasure(of=of, quantity="adsorption_energy"))


def test_constraints_are_written_as_text():
    hull = constraint_from_text("energy_above_hull<=0.05")
    assert hull.high == 0.05
    assert hull.measure.unit == "eV/atom"
    assert hull.name == "energy_above_hull_per_atom"
    assert constraint_from_text("density >= 3").low == 3.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beauty", "Unknown measure 'beauty'"),
        ("density=heavy", "Wanted a number"),
        ("bulk_modulus=200..150", "low < high"),
        ("density=nan", "Wanted a number"),
        ("bulk_modulus(degree=5)", "degree from 2 to 3"),
        ("bulk_modulus(degrees=2)", "Did you mean 'degree'"),
        ("bulk_modulus(degree=2", "or with its parameters"),
        ("formation_energy(relaxed=no)", "Unknown measure"),
        ("adsorption.adsorption_energy", "Wanted molecule"),
    ],
)
def test_objectives_without_meaning_are_refused(text, message):
    with pytest.raises(ParameterError, match=message):
        objective_from_text(text)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"measure": {"kind": "beauty"}, "goal": "minimize"}, "Unknown measure"),
        ({"measure": {"kind": "density", "age": 3}, "goal": "minimize"}, "not take"),
        ({"measure": {"kind": "density"}, "goal": "win"}, "Wanted 'minimize'"),
        ({"measure": {"kind": "density"}}, "Wanted measure and goal"),
    ],
)
def test_json_without_meaning_is_refused(data, message):
    with pytest.raises(ParameterError, match=message):
        objective_from_dict(data)


def test_an_objective_is_given_once_and_there_is_one():
    with pytest.raises(ParameterError, match="at least one"):
        checked_objectives([])
    with pytest.raises(ParameterError, match="once"):
        checked_objectives([LatticeConstant().near(3.9), LatticeConstant().near(4.0)])
    with pytest.raises(ParameterError, match="or both in order"):
        Constraint(measure=Density(), low=3.0, high=math.nan)
