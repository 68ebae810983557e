"""Molecular dynamics obeys mechanics and statistical mechanics."""

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.constraints import FixAtoms

from gnndesign.errors import ParameterError
from gnndesign.simulation.base import Status
from gnndesign.simulation.dynamics import dynamics_stepper, molecular_dynamics
from gnndesign.simulation.nve import NVE
from gnndesign.simulation.run import run
from gnndesign.units import BOLTZMANN_EV_PER_K, FS

N_SITES = 150


def crystal(repeats=2, seed=1):
    atoms = bulk("Ar", "fcc", 5.3, cubic=True) * (repeats, repeats, repeats)
    atoms.rattle(0.05, seed=seed)
    return atoms


def total_energy(history):
    return history.energy + history.kinetic_energy


def spread_of_energy(timestep_fs, potential):
    result = molecular_dynamics(
        crystal(),
        potential,
        ensemble="nve",
        temperature_K=60.0,
        timestep_fs=timestep_fs,
        steps=round(480 / timestep_fs),
        seed=2,
    )
    assert result.status is Status.FINISHED
    energy = total_energy(result.history)
    return np.abs(energy - energy[0]).max()


def test_error_of_the_total_energy_grows_as_the_square_of_the_time_step(lennard_jones):
    coarse, middle, fine = (
        spread_of_energy(dt, lennard_jones) for dt in (16.0, 8.0, 4.0)
    )
    assert middle / fine == pytest.approx(4.0, rel=0.2)
    assert coarse / middle == pytest.approx(4.0, rel=0.3)
    # Against a kinetic energy of 0.24 eV.
    assert fine < 1e-4


def test_total_energy_does_not_drift(lennard_jones):
    result = molecular_dynamics(
        crystal(1), lennard_jones, ensemble="nve", temperature_K=40.0, timestep_fs=4.0,
        steps=500,
    )  # fmt: skip
    energy = total_energy(result.history)
    first, last = energy[:150].mean(), energy[-150:].mean()
    assert abs(last - first) < 2e-6
    assert np.ptp(result.history.kinetic_energy) > 5e-3


def test_a_spring_swings_with_the_period_of_its_mass(springs):
    # ω = sqrt(k/m); the mass is the isotope's, not argon's.
    atom = ase.Atoms("Ar", [[0.3, 0, 0]], masses=[36.0])
    atom.set_velocities([[0, 1e-12, 0]])
    period_fs = 2 * np.pi * np.sqrt(36.0 / 2.0) / FS
    result = molecular_dynamics(
        atom,
        springs(np.zeros((1, 3)), 2.0),
        ensemble="nve",
        timestep_fs=period_fs / 200,
        steps=200,
    )
    assert result.time_fs == pytest.approx(period_fs)
    assert result.atoms.positions[0, 0] == pytest.approx(0.3, abs=1e-5)
    assert result.atoms.get_masses().tolist() == [36.0]
    quarter = result.history.kinetic_energy[50]
    assert quarter == pytest.approx(0.5 * 2.0 * 0.3**2, rel=1e-3)


def test_a_free_atom_goes_straight_on(lennard_jones):
    atom = ase.Atoms("Ar", [[0, 0, 0]])
    atom.set_velocities([[0.01, -0.02, 0.005]])
    result = molecular_dynamics(
        atom, lennard_jones, ensemble="nve", timestep_fs=2.0, steps=50
    )
    np.testing.assert_allclose(
        result.atoms.positions[0], 100 * FS * np.array([0.01, -0.02, 0.005]), rtol=1e-12
    )


def test_nve_starts_at_its_temperature_with_the_centre_of_mass_at_rest(lennard_jones):
    start = crystal()
    start.symbols[::2] = "Ne"
    snapshots = list(
        run(NVE(temperature_K=80.0, seed=3), lennard_jones, start, max_steps=20)
    )
    assert snapshots[0].temperature_K[0] == pytest.approx(80.0, rel=1e-12)
    for snapshot in snapshots:
        np.testing.assert_allclose(snapshot.momenta.sum(0), 0.0, atol=1e-12)
    # Both masses have the same temperature, within the spread of 48 numbers.
    kinetic = (snapshots[0].momenta ** 2).sum(1) / (2 * start.get_masses())
    light, heavy = kinetic[::2].mean(), kinetic[1::2].mean()
    assert 0.4 < light / heavy < 2.5


@pytest.fixture(scope="module")
def wells(springs):
    """Samples of a Langevin run of independent springs: momenta, displacements."""
    sites = np.array([[8.0 * k, 0, 0] for k in range(N_SITES)])
    atoms = ase.Atoms(f"Ar{N_SITES}", positions=sites)
    atoms.set_masses(np.where(np.arange(N_SITES) % 2, 39.95, 10.0))
    going = run(
        dynamics_stepper(
            "langevin",
            temperature_K=300.0,
            timestep_fs=2.0,
            friction_per_ps=100.0,
            seed=5,
        ),
        springs(sites, 5.0),
        atoms,
        max_steps=1300,
        every=30,
    )
    kept = [snapshot for snapshot in going if snapshot.step >= 120]
    momenta = np.array([snapshot.momenta for snapshot in kept])
    moved = np.array([snapshot.positions - sites for snapshot in kept])
    heat = np.array([float(snapshot.temperature_K[0]) for snapshot in kept])
    return atoms.get_masses(), momenta, moved, heat


def test_kinetic_energies_are_distributed_as_chi_square(wells):
    masses, momenta, _, heat = wells
    kT = BOLTZMANN_EV_PER_K * 300
    kinetic = (momenta**2).sum(-1) / (2 * masses) / kT
    n = kinetic.size
    # χ² with 3 degrees of freedom, halved: mean 3/2, variance 3/2, and the standard
    # errors of both from n independent samples; four of them, and 0.3 % of dt² error.
    assert kinetic.mean() == pytest.approx(1.5, abs=4 * np.sqrt(1.5 / n) + 0.005)
    assert kinetic.var() == pytest.approx(1.5, abs=4 * 1.5 * np.sqrt(6 / n) + 0.01)
    assert heat.mean() == pytest.approx(300, rel=0.02)
    # 3 N numbers share the kinetic energy: the temperature fluctuates by sqrt(2/3N).
    expected = 300 * np.sqrt(2 / (3 * N_SITES))
    assert heat.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * len(heat)))


def test_light_and_heavy_atoms_have_the_same_temperature(wells):
    masses, momenta, _, _ = wells
    kT = BOLTZMANN_EV_PER_K * 300
    for mass in (10.0, 39.95):
        squares = momenta[:, masses == mass] ** 2 / (mass * kT)
        assert squares.mean() == pytest.approx(
            1.0, abs=4 * np.sqrt(2 / squares.size) + 0.01
        )


def test_positions_in_a_well_have_the_variance_of_equipartition(wells):
    _, _, moved, _ = wells
    variance = BOLTZMANN_EV_PER_K * 300 / 5.0
    # Slow modes: count each sample as half a sample.
    error = 4 * np.sqrt(4 / moved.size)
    assert (moved**2).mean() == pytest.approx(variance, rel=error)
    fourth = (moved**4).mean() / variance**2
    assert fourth == pytest.approx(3.0, abs=4 * np.sqrt(2 * 96 / moved.size))


def test_momenta_forget_themselves_at_the_rate_of_the_friction(springs):
    sites = np.array([[8.0 * k, 0, 0] for k in range(400)])
    atoms = ase.Atoms("Ar400", positions=sites)
    result = list(
        run(
            dynamics_stepper(
                "langevin",
                temperature_K=300.0,
                timestep_fs=5.0,
                friction_per_ps=10.0,
                seed=1,
            ),
            springs(sites, 1e-6),
            atoms,
            max_steps=20,
        )
    )
    start, end = result[0].momenta, result[-1].momenta
    correlation = (start * end).mean() / (start**2).mean()
    # exp(-γ t), γ t = 1; 1200 numbers.
    assert correlation == pytest.approx(np.exp(-1.0), abs=4 / np.sqrt(1200))


def test_the_same_seed_gives_the_same_run_and_another_does_not(lennard_jones):
    def end(ensemble, seed):
        return molecular_dynamics(
            crystal(1), lennard_jones, ensemble=ensemble, steps=15, seed=seed
        ).atoms

    for ensemble in ("nve", "langevin"):
        one, same, other = (end(ensemble, seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one.positions, same.positions)
        np.testing.assert_array_equal(one.get_momenta(), same.get_momenta())
        assert np.abs(one.positions - other.positions).max() > 1e-3


@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_a_structure_does_not_feel_who_else_is_in_the_batch(ensemble, lennard_jones):
    a, b, c = crystal(1), crystal(1, seed=2), bulk("Kr", "fcc", 5.7)

    def go(*structures):
        return molecular_dynamics(
            list(structures), lennard_jones, ensemble=ensemble, steps=25, seed=4
        )

    alone, with_b, with_c = go(a)[0], go(a, b), go(a, c)
    for other in (with_b[0], with_c[0]):
        np.testing.assert_allclose(
            alone.atoms.positions, other.atoms.positions, rtol=0, atol=1e-11
        )
    np.testing.assert_allclose(
        with_b[1].atoms.positions, go(c, b)[1].atoms.positions, rtol=0, atol=1e-11
    )


def test_replicas_of_a_batch_have_noise_of_their_own(lennard_jones):
    start = crystal(1)
    one, other = molecular_dynamics([start, start], lennard_jones, steps=10)
    assert np.abs(one.atoms.positions - other.atoms.positions).max() > 1e-3


@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_fixed_atoms_stay_and_do_not_count_as_warm(ensemble, lennard_jones):
    start = crystal(1)
    start.set_constraint(FixAtoms([0, 2]))
    going = run(
        dynamics_stepper(ensemble, temperature_K=50.0, timestep_fs=2.0, seed=1),
        lennard_jones,
        start,
        max_steps=20,
    )
    for snapshot in going:
        np.testing.assert_array_equal(
            snapshot.positions[[0, 2]], start.positions[[0, 2]]
        )
        np.testing.assert_array_equal(snapshot.momenta[[0, 2]], 0.0)
        kinetic = float(snapshot.kinetic_energy[0])
        assert snapshot.temperature_K[0] == pytest.approx(
            2 * kinetic / (6 * BOLTZMANN_EV_PER_K)
        )


def test_momenta_of_the_input_are_used(lennard_jones):
    start = crystal(1)
    start.set_momenta(np.arange(12.0).reshape(4, 3) * 0.01)
    for ensemble in ("nve", "langevin"):
        first = molecular_dynamics(start, lennard_jones, ensemble=ensemble, steps=0)
        np.testing.assert_array_equal(first.atoms.get_momenta(), start.get_momenta())


def test_pressure_of_the_start_has_its_kinetic_part(lennard_jones):
    start = crystal(1, seed=3)
    result = molecular_dynamics(
        start, lennard_jones, ensemble="nve", temperature_K=90.0, steps=0
    )
    stress = float(lennard_jones.compute(start).stress[0].trace()) / 3
    kinetic = result.history.kinetic_energy[0]
    expected = (-stress + 2 * kinetic / (3 * start.cell.volume)) * 160.2176634
    assert result.history.pressure_GPa[0] == pytest.approx(expected, rel=1e-9)


def test_dynamics_can_be_stopped(lennard_jones):
    seen = []
    result = molecular_dynamics(
        crystal(1),
        lennard_jones,
        steps=100,
        record_every=5,
        on_snapshot=lambda snapshot: seen.append(int(snapshot.step[0])),
        should_stop=lambda: seen[-1] >= 10,
    )
    assert (result.status, result.steps) == (Status.STOPPED, 10)
    assert set(seen) == {0, 5, 10}


def test_the_last_step_is_recorded_though_it_is_not_due(lennard_jones):
    result = molecular_dynamics(crystal(1), lennard_jones, steps=7, record_every=5)
    assert result.history.step.tolist() == [0, 5, 7]
    assert (result.status, result.steps, result.time_fs) == (Status.FINISHED, 7, 7.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"timestep_fs": 0.0}, "1e-06 <= timestep_fs <= 20, got 0"),
        ({"temperature_K": -1.0}, "0 <= temperature_K"),
        ({"seed": -1}, "0 <= seed"),
        ({"friction_per_ps": 0.0}, "1e-09 <= friction_per_ps, got 0"),
        (
            {"ensemble": "frozen"},
            "Wanted ensemble in 'nve', 'langevin', .*, got 'frozen'",
        ),
        ({"ensemble": "nve", "friction_per_ps": 1.0}, "has no parameter 'friction_per"),
        ({"temperature_K": [300.0, 400.0]}, "one temperature_K for each of 1 struct"),
        ({"temperature_K": "hot"}, "temperature_K as a number or a Ramp, got str"),
        ({"masses": {"H": -1.0}}, "positive amu"),
        ({"steps": -1}, "max_steps >= 0"),
        ({"record_every": 0}, "every >= 1"),
    ],
)
def test_parameters_without_meaning_are_refused(wrong, said, lennard_jones):
    with pytest.raises(ParameterError, match=said):
        molecular_dynamics(crystal(1), lennard_jones, **wrong)


def test_at_zero_temperature_nothing_moves_by_itself(springs):
    sites = np.zeros((1, 3))
    result = molecular_dynamics(
        ase.Atoms("Ar"), springs(sites, 1.0), temperature_K=0.0, steps=10
    )
    np.testing.assert_array_equal(result.atoms.positions, 0.0)
