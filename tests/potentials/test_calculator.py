"""A potential behaves as an ASE calculator should."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.calculators.calculator import (
    CalculationFailed,
    Calculator,
    PropertyNotImplementedError,
    SCFError,
)
from ase.calculators.emt import EMT
from ase.stress import voigt_6_to_full_3x3_stress

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ShapeError, StructureError, UnsupportedElementError
from gnndesign.potentials.adapters.ase import ASEPotential
from gnndesign.simulation.base import Status
from gnndesign.simulation.dynamics import molecular_dynamics


@pytest.fixture
def argon():
    atoms = bulk("Ar", "fcc", 5.2, cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def test_calculator_gives_what_the_potential_predicts(argon, lennard_jones):
    expected = lennard_jones.compute(argon)
    argon.calc = lennard_jones.as_calculator()
    assert argon.get_potential_energy() == float(expected.energy)
    assert argon.get_potential_energy(force_consistent=True) == float(expected.energy)
    np.testing.assert_array_equal(argon.get_forces(), expected.forces.numpy())
    np.testing.assert_array_equal(
        argon.get_potential_energies(), expected.atomic_energies.numpy()
    )
    np.testing.assert_allclose(
        argon.get_stress(voigt=False), expected.stress[0].numpy(), rtol=1e-14
    )


def test_forces_of_the_calculator_are_ases_own_finite_differences(argon, lennard_jones):
    argon.calc = lennard_jones.as_calculator()
    from ase.calculators.fd import calculate_numerical_forces

    numeric = calculate_numerical_forces(argon, eps=1e-4, iatoms=[0, 2])
    np.testing.assert_allclose(argon.get_forces()[[0, 2]], numeric, rtol=0, atol=1e-7)


def test_stress_of_the_calculator_is_ases_own_finite_difference(argon, lennard_jones):
    from ase.calculators.fd import calculate_numerical_stress

    argon.calc = lennard_jones.as_calculator()
    numeric = calculate_numerical_stress(argon, eps=1e-5, voigt=True)
    np.testing.assert_allclose(argon.get_stress(), numeric, rtol=0, atol=1e-8)


def test_moving_an_atom_asks_the_potential_again(argon, lennard_jones):
    argon.calc = lennard_jones.as_calculator()
    before = argon.get_potential_energy()
    argon.positions[0] += 0.2
    assert argon.get_potential_energy() != before
    assert argon.get_potential_energy() == float(lennard_jones.compute(argon).energy)


def test_a_molecule_has_no_stress(lennard_jones):
    atoms = ase.Atoms("Ar2", [[0, 0, 0], [4, 0, 0]])
    atoms.calc = lennard_jones.as_calculator()
    atoms.get_forces()
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_a_slab_has_no_stress(argon, lennard_jones):
    argon.pbc = [True, True, False]
    argon.calc = lennard_jones.as_calculator()
    with pytest.raises(PropertyNotImplementedError):
        argon.get_stress()


def test_an_unknown_element_reaches_the_user_of_the_calculator(sevennet_0):
    atoms = ase.Atoms("Po", cell=[3.3] * 3, pbc=True)
    atoms.calc = sevennet_0.as_calculator()
    with pytest.raises(UnsupportedElementError, match="not Po"):
        atoms.get_potential_energy()


def test_calculator_and_potential_are_inverse(argon, lennard_jones):
    there = lennard_jones.compute([argon, molecule("H2O")])
    back = ASEPotential(lennard_jones.as_calculator()).compute([argon, molecule("H2O")])
    np.testing.assert_array_equal(there.energy, back.energy)
    np.testing.assert_array_equal(there.forces, back.forces)
    np.testing.assert_allclose(there.stress, back.stress, rtol=1e-14)


class OneArray(Calculator):
    """Writes all forces into the same array, as some calculators do."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012
    _forces = np.zeros((2, 3))

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self._forces[:] = atoms.positions
        self.results = {"energy": 1.0, "forces": self._forces}


def test_forces_of_one_structure_are_not_overwritten_by_the_next():
    first = ase.Atoms("Ar2", [[0, 0, 0], [4, 0, 0]])
    second = ase.Atoms("Ar2", [[0, 0, 0], [9, 0, 0]])
    forces = ASEPotential(OneArray()).compute([first, second]).forces
    assert forces[:, 0].tolist() == [0.0, 4.0, 0.0, 9.0]


def test_a_calculator_without_stress_is_refused_for_a_crystal(argon):
    class NoStress(OneArray):
        _forces = np.zeros((4, 3))

    with pytest.raises(PropertyNotImplementedError, match="gives no stress"):
        ASEPotential(NoStress()).compute(argon)


def test_stress_of_an_ase_calculator_keeps_its_order(argon, lennard_jones):
    argon.set_cell(argon.cell.array @ (np.eye(3) + 0.03 * np.tri(3)), scale_atoms=True)
    calculator = lennard_jones.as_calculator()
    argon.calc = calculator
    full = voigt_6_to_full_3x3_stress(argon.get_stress())
    ours = ASEPotential(lennard_jones.as_calculator()).compute(argon).stress[0]
    np.testing.assert_allclose(ours, full, rtol=1e-14)
    assert len(set(np.round(argon.get_stress(), 9))) == 6


class Loose(Calculator):
    """Answers in other types than ASE's own calculators do, and may fail."""

    implemented_properties = ["energy", "forces", "stress", "magmoms"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        if "Kr" in atoms.symbols:
            raise CalculationFailed("no convergence")
        self.results = {
            "energy": np.array([len(atoms) / 2], dtype=np.float32),
            "forces": [[0.5, 0.0, -0.5]] * len(atoms),
            "stress": np.float32([1, 2, 3, 4, 5, 6]),
        }
        if "Fe" in atoms.symbols:
            self.results["magmoms"] = np.float32([2.5] * len(atoms))


def test_other_types_and_shapes_of_answers_are_understood(argon):
    prediction = ASEPotential(Loose()).compute([argon, bulk("Fe")])
    assert prediction.energy.tolist() == [2.0, 0.5]
    assert prediction.forces.dtype == prediction.stress.dtype == torch.float64
    assert prediction.forces[0].tolist() == [0.5, 0.0, -0.5]
    assert prediction.stress[0].tolist() == [[1, 6, 5], [6, 2, 4], [5, 4, 3]]
    assert prediction.magnetic_moments_muB.tolist() == [0.0] * 4 + [2.5]


def test_stress_of_a_squeezed_crystal_is_negative_in_ases_sign():
    squeezed, stretched = bulk("Cu", "fcc", 3.4), bulk("Cu", "fcc", 3.8)
    stress = ASEPotential(EMT()).compute([squeezed, stretched]).stress
    assert float(stress[0].diagonal().max()) < 0 < float(stress[1].diagonal().min())


def test_a_structure_that_fails_does_not_end_its_batch(argon):
    krypton = bulk("Kr", "fcc", 5.7)
    batch = AtomicBatch.from_atoms([argon, krypton, argon])
    with pytest.warns(UserWarning, match=r"structure 1 \(Kr\): no convergence"):
        prediction = ASEPotential(Loose()).predict(batch, None)
    assert prediction.energy.isnan().tolist() == [False, True, False]
    assert (
        prediction.forces.isnan().any(1).tolist() == [False] * 4 + [True] + [False] * 4
    )


def test_a_calculation_that_fails_is_an_error_of_its_structure():
    krypton = bulk("Kr", "fcc", 5.7)
    with (
        pytest.warns(UserWarning, match="no convergence"),
        pytest.raises(StructureError, match="'Loose' gives structure 0"),
    ):
        ASEPotential(Loose()).compute(krypton)


def test_in_a_simulation_a_calculation_that_fails_ends_only_its_own_run():
    class Hot(Loose):
        def calculate(self, atoms=None, properties=("energy",), system_changes=()):
            super().calculate(atoms, properties, system_changes)
            self.results["forces"] = np.zeros((len(atoms), 3))
            if "Xe" in atoms.symbols and atoms.positions[0, 0] > 0.05:
                raise SCFError("lost")

    pairs = [ase.Atoms("Xe2", [[0, 0, 0], [4, 0, 0]]) for _ in range(2)]
    pairs[1].symbols[:] = "Ar"
    for atoms in pairs:
        atoms.set_velocities([[0.2, 0, 0], [0.2, 0, 0]])
    with pytest.warns(UserWarning, match="lost"):
        bad, good = molecular_dynamics(
            pairs, ASEPotential(Hot()), ensemble="nve", timestep_fs=1.0, steps=5
        )
    assert (bad.status, good.status) == (Status.DIVERGED, Status.FINISHED)
    assert bad.atoms.positions[0, 0] <= 0.05


def test_forces_of_another_shape_are_refused(argon):
    class Odd(Loose):
        def calculate(self, atoms=None, properties=("energy",), system_changes=()):
            super().calculate(atoms, properties, system_changes)
            self.results["forces"] = np.zeros(3)

    with pytest.raises(ShapeError, match=r"forces of shape \(4, 3\) .* got \(3,\)"):
        ASEPotential(Odd()).compute(argon)


def test_the_card_says_that_this_is_the_slow_path():
    assert "slow path" in ASEPotential(Loose()).card.notes[0]


def test_magnetic_moments_pass_through_a_calculator(chgnet):
    iron = bulk("Fe", "bcc", 2.87)
    there = chgnet.compute(iron).magnetic_moments_muB
    back = ASEPotential(chgnet.as_calculator()).compute(iron).magnetic_moments_muB
    assert torch.equal(there, back)
    assert float(there) > 2.0
