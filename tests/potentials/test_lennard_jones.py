"""The Lennard-Jones potential has answers that paper and pencil give."""

import ase
import pytest

from gnndesign.errors import ParameterError
from gnndesign.potentials.lennard_jones import LennardJones

EPSILON, SIGMA = 0.01034, 3.4


def dimer(distance):
    return ase.Atoms("Ar2", [[0, 0, 0], [distance, 0, 0]])


def test_dimer_at_its_minimum_feels_no_force(lennard_jones):
    prediction = lennard_jones.compute(dimer(2 ** (1 / 6) * SIGMA))
    assert float(prediction.energy) == pytest.approx(-EPSILON, rel=1e-12)
    assert float(prediction.forces.abs().max()) < 1e-15


def test_dimer_at_sigma_has_no_energy_and_is_pushed_apart(lennard_jones):
    prediction = lennard_jones.compute(dimer(SIGMA))
    assert float(prediction.energy) == pytest.approx(0.0, abs=1e-15)
    # -dE/dr at r = σ is 24 ε / σ.
    assert float(prediction.forces[1, 0]) == pytest.approx(24 * EPSILON / SIGMA)
    assert float(prediction.forces[0, 0]) == pytest.approx(-24 * EPSILON / SIGMA)


def test_half_of_the_energy_belongs_to_either_atom(lennard_jones):
    prediction = lennard_jones.compute(dimer(4.0))
    assert prediction.atomic_energies.tolist() == pytest.approx(
        [float(prediction.energy) / 2] * 2
    )


def test_stress_of_a_compressed_crystal_is_negative(lennard_jones):
    from ase.build import bulk

    stress = lennard_jones.compute(bulk("Ar", "fcc", 4.9)).stress[0]
    assert float(stress.diagonal().max()) < -1e-3
    stress = lennard_jones.compute(bulk("Ar", "fcc", 5.6)).stress[0]
    assert float(stress.diagonal().min()) > 1e-3


def test_dimer_beyond_the_cutoff_is_two_free_atoms(lennard_jones):
    assert float(lennard_jones.compute(dimer(8.5)).energy) == 0.0
    assert float(lennard_jones.compute(dimer(8.4)).energy) < 0.0


@pytest.mark.parametrize(
    "parameters", [{"epsilon": 0.0}, {"sigma": -1.0}, {"cutoff": 3.0}]
)
def test_parameters_without_meaning_are_refused(parameters):
    with pytest.raises(ParameterError, match="Wanted epsilon > 0"):
        LennardJones(**parameters)
