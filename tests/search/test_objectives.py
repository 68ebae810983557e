import json
from concurrent.futures import ThreadPoolExecutor

import ase
import numpy as np
import pytest
from ase.build import bulk

from gnndesign.errors import CheckpointError, ParameterError, StructureError
from gnndesign.search import references
from gnndesign.search.objectives import (
    Density,
    FormationEnergy,
    LatticeConstant,
    RelaxedCandidate,
    checked_objectives,
    objective_from_dict,
)
from gnndesign.search.references import reference_energies
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


def test_energies_of_elements_are_computed_once_a_potential(toy, tmp_path):
    first = toy()
    energies = reference_energies(["Cu", "O"], first, folder=tmp_path)
    assert first.calls > 0
    second = toy()
    assert reference_energies(["O", "Cu"], second, folder=tmp_path) == energies
    assert second.calls == 0
    other = toy(name="another")
    reference_energies(["Cu"], other, folder=tmp_path)
    assert other.calls > 0
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_energies_are_computed_again_when_the_library_changes(
    toy, tmp_path, monkeypatch
):
    before = reference_energies(["Cu"], toy(), folder=tmp_path)
    simple_cubic = ase.Atoms("Cu", cell=[2.4] * 3, pbc=True)
    monkeypatch.setattr(references, "elemental_ground_state", lambda _: simple_cubic)
    after = reference_energies(["Cu"], toy(), folder=tmp_path)
    assert after["Cu"] > before["Cu"] + 0.01


def test_an_element_that_diverges_is_named(toy):
    with pytest.raises(StructureError, match="Sr"):
        reference_energies(["Cu", "Sr"], toy(broken=["Sr"]))


def test_a_damaged_file_says_what_to_do(toy, tmp_path):
    reference_energies(["Cu"], toy(), folder=tmp_path)
    next(tmp_path.glob("*.json")).write_text("{")
    with pytest.raises(CheckpointError, match="Delete it"):
        reference_energies(["Cu"], toy(), folder=tmp_path)


def test_searches_at_the_same_time_do_not_lose_each_others_elements(toy, tmp_path):
    groups = [["Cu", "Ag"], ["Sr", "Ba"], ["Ti", "Zr"]]
    with ThreadPoolExecutor(3) as executor:
        work = [
            executor.submit(reference_energies, group, toy(), folder=tmp_path)
            for group in groups
        ]
    for future, group in zip(work, groups, strict=True):
        assert list(future.result()) == group
    unused = toy()
    reference_energies([s for group in groups for s in group], unused, folder=tmp_path)
    assert unused.calls == 0
