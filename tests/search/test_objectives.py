import json

import numpy as np
import pytest
from ase.build import bulk

from gnndesign.errors import ParameterError
from gnndesign.properties.references import reference_energies
from gnndesign.search.objectives import (
    Density,
    FormationEnergy,
    LatticeConstant,
    RelaxedCandidate,
    checked_objectives,
    objective_from_dict,
)
from gnndesign.simulation.relaxation import relax
from gnndesign.structures.library import elemental_ground_state


def relaxed(atoms, start=None, energy=0.0, **energies):
    return RelaxedCandidate(
        start=atoms if start is None else start,
        atoms=atoms,
        energy=energy,
        reference_energies=energies,
    )


def test_formation_energy_is_per_atom_and_negative_where_gained():
    rocksalt = bulk("MgO", "rocksalt", a=4.2)
    value = FormationEnergy().value(relaxed(rocksalt, energy=-12.0, Mg=-1.5, O=-4.9))
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
        relaxed(result.atoms, energy=result.energy, **energies)
    )
    assert value == pytest.approx(0.0, abs=1e-9)


def test_the_lattice_constant_is_that_of_the_conventional_cell():
    primitive = bulk("MgO", "rocksalt", a=4.25)
    objective = LatticeConstant(target=4.0)
    assert objective.value(relaxed(primitive)) == pytest.approx(0.25)
    assert objective.details(relaxed(primitive)) == {
        "lattice_constant_a_A": pytest.approx(4.25)
    }


def test_a_relaxed_cell_is_measured_along_the_axes_of_its_prototype():
    start = bulk("Mg", a=3.2, c=5.2)
    end = start.copy()
    end.set_cell(start.cell.array @ np.diag([1.1, 1.1, 1.3]), scale_atoms=True)
    along_c = LatticeConstant(target=6.0, axis="c")
    assert along_c.details(relaxed(end, start)) == {
        "lattice_constant_c_A": pytest.approx(6.76)
    }
    assert along_c.name == "lattice_constant_deviation_c"
    assert LatticeConstant(target=3.52).value(relaxed(end, start)) == pytest.approx(0)


def test_broken_symmetry_does_not_change_which_cell_is_measured():
    start = bulk("MgO", "rocksalt", a=4.2)
    end = start.copy()
    end.rattle(0.05, seed=1)
    end.set_cell(start.cell.array * 1.01, scale_atoms=True)
    value = LatticeConstant(target=4.2).details(relaxed(end, start))
    assert value["lattice_constant_a_A"] == pytest.approx(4.242)


def test_density_of_copper():
    copper = bulk("Cu", "fcc", a=3.615)
    assert Density().value(relaxed(copper)) == pytest.approx(8.93, abs=0.01)
    assert Density().direction == "minimize"
    assert Density(largest=True).direction == "maximize"


@pytest.mark.parametrize(
    "objective",
    [FormationEnergy(), LatticeConstant(target=3.9, axis="c"), Density(largest=True)],
)
def test_objectives_survive_json(objective):
    data = json.loads(json.dumps(objective.to_dict()))
    assert objective_from_dict(data) == objective


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "beauty"}, "Unknown objective 'beauty'"),
        ({"kind": "lattice_constant_deviation", "goal": 3.0}, "does not take"),
        ({"kind": "lattice_constant_deviation", "target": -1.0}, "between 0.5 and 100"),
    ],
)
def test_objectives_without_meaning_are_refused(data, message):
    with pytest.raises(ParameterError, match=message):
        objective_from_dict(data)


def test_an_objective_is_given_once_and_there_is_one():
    with pytest.raises(ParameterError, match="at least one"):
        checked_objectives([])
    with pytest.raises(ParameterError, match="once"):
        checked_objectives([LatticeConstant(target=3.9), LatticeConstant(target=4.0)])
