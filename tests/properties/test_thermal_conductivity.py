import json
import sys

import ase
import numpy as np
import pytest
from ase.build import bulk
from phono3py import Phono3py
from phonopy.structure.atoms import PhonopyAtoms

from gnndesign.errors import MissingDependencyError, ParameterError, StructureError
from gnndesign.potentials.calculator import PotentialCalculator
from gnndesign.properties.catalog import new_property
from gnndesign.properties.compute import compute
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.thermal_conductivity import ThermalConductivity

QUICK = {"mesh_length": 25.0, "temperatures_K": (40.0, 80.0, 160.0, 320.0)}


@pytest.fixture(scope="module")
def argon(lennard_jones):
    return compute(ThermalConductivity(**QUICK), bulk("Ar"), lennard_jones)


def test_the_conductivity_is_that_of_phono3py_with_serial_forces(argon, lennard_jones):
    rest = argon.atoms
    phonon = Phono3py(
        PhonopyAtoms(
            numbers=rest.numbers,
            cell=rest.cell.array,
            positions=rest.positions,
            masses=rest.get_masses(),
        ),
        supercell_matrix=[[-2, 2, 2], [2, -2, 2], [2, 2, -2]],
        primitive_matrix="P",
    )
    phonon.generate_displacements(distance=0.03)
    phonon.forces = np.array(
        [
            serial_forces(cell, lennard_jones)
            for cell in phonon.supercells_with_displacements
        ]
    )
    phonon.produce_fc3(fc_calculator="symfc")
    phonon.mesh_numbers = list(argon.mesh)
    phonon.init_phph_interaction()
    phonon.run_thermal_conductivity(temperatures=argon.temperatures_K)
    wanted = phonon.thermal_conductivity.kappa[0][:, 0]
    assert argon.mean_conductivity_W_per_m_K == pytest.approx(wanted, rel=0.03)


def serial_forces(cell, potential):
    atoms = ase.Atoms(
        numbers=cell.numbers, positions=cell.positions, cell=cell.cell, pbc=True
    )
    atoms.calc = PotentialCalculator(potential)
    return atoms.get_forces()


def test_hot_crystals_conduct_as_one_over_the_temperature(argon):
    # Three-phonon scattering grows as the number of phonons, which is classical.
    product = argon.temperatures_K * argon.mean_conductivity_W_per_m_K
    assert product[3] == pytest.approx(product[2], rel=0.01)


def test_a_cubic_crystal_conducts_alike_along_all_axes(argon):
    tensor = argon.conductivity_W_per_m_K
    mean = argon.mean_conductivity_W_per_m_K
    assert tensor == pytest.approx(mean[:, None, None] * np.eye(3), abs=1e-6)
    assert argon.n_displacements > 10


def test_isotopes_hinder_it(lennard_jones):
    # Krypton has six of them, argon hardly more than one.
    short = {"mesh_length": 15.0, "temperatures_K": (20.0,)}
    pure, mixed = (
        compute(ThermalConductivity(isotopes=x, **short), bulk("Kr"), lennard_jones)
        for x in (False, True)
    )
    first, second = (x.mean_conductivity_W_per_m_K[0] for x in (pure, mixed))
    assert second < first
    assert "isotopes" in mixed.notes[0]


def test_an_unstable_crystal_has_no_conductivity(lennard_jones):
    with pytest.raises(StructureError, match="imaginary modes"):
        compute(ThermalConductivity(**QUICK), bulk("Ar", "bcc", a=4.2), lennard_jones)


def test_too_many_displacements_are_refused(lennard_jones):
    few = ThermalConductivity(max_displacements=5, **QUICK)
    with pytest.raises(StructureError, match="displaced supercells, more than"):
        compute(few, bulk("Ar"), lennard_jones)


def test_the_missing_package_is_named(monkeypatch, lennard_jones):
    monkeypatch.setitem(sys.modules, "phono3py", None)
    with pytest.raises(MissingDependencyError, match=r"gnndesign\[conductivity\]"):
        compute(ThermalConductivity(), bulk("Ar"), lennard_jones)


def test_a_result_survives_json(argon):
    back = from_plain(json.loads(json.dumps(to_plain(argon), allow_nan=False)))
    assert (back.conductivity_W_per_m_K == argon.conductivity_W_per_m_K).all()
    # 300 K lies between two temperatures that were computed.
    assert back.conductivity_300K_W_per_m_K == argon.conductivity_300K_W_per_m_K


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperatures_K": ()},
        {"temperatures_K": (0.0, 100.0)},
        {"temperatures_K": (200.0, 100.0)},
        {"displacement": 0.0},
        {"supercell": (1, 1, -1)},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError):
        new_property("thermal_conductivity", **wrong)
