"""Thermostats: what they conserve, where they lead, and what they leave alone."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.constraints import FixAtoms, FixCom
from scipy import stats

from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential, Prediction
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.simulation.base import Status
from gnndesign.simulation.dynamics import dynamics_stepper, molecular_dynamics
from gnndesign.simulation.guards import Fault, too_hot
from gnndesign.simulation.nose_hoover import SUZUKI_YOSHIDA, Chain, chain_half_step
from gnndesign.simulation.room import Room
from gnndesign.simulation.run import run
from gnndesign.simulation.schedule import Ramp
from gnndesign.units import BOLTZMANN_EV_PER_K

THERMOSTATS = ("langevin", "nose_hoover", "bussi")
AT_REST = ("nose_hoover", "bussi")
CONSTANT_VOLUME = ("nve", *THERMOSTATS)


class Pushing(Potential):
    """A Lennard-Jones with what rounding gives: a force on the center of mass."""

    def __init__(self, push):
        self.inner, self.push = LennardJones(), push
        self.card, self.device = self.inner.card, self.inner.device
        self.cutoff = self.inner.cutoff

    def predict(self, batch, edges):
        prediction = self.inner.predict(batch, edges)
        return Prediction(
            energy=prediction.energy,
            atomic_energies=prediction.atomic_energies,
            forces=prediction.forces + self.push,
            stress=prediction.stress,
        )


def moments(stepper, potential, structures, **options):
    """Snapshots of a run, and at each of them the energy that it conserves, in eV."""
    going = run(stepper, potential, structures, **options)
    snapshots, energies = [], []
    for snapshot in going:
        state = going.progress.members or going.progress.parked
        snapshots.append(snapshot)
        energies.append(stepper.conserved_energy(state).numpy())
    return snapshots, np.array(energies)


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def driven(chain, kinetic_energy, n_dof, *, dt, order, kT=0.03, substeps=1):
    return chain_half_step(
        chain,
        kinetic_energy=doubles(kinetic_energy),
        n_dof=torch.tensor([n_dof]),
        kT=doubles(kT),
        dt=doubles(dt),
        relaxation_time=doubles(10.0),
        order=order,
        substeps=substeps,
    )


def error_of_the_chain(dt, order, substeps=1):
    """Largest error of the conserved energy over two relaxation times."""
    chain, kinetic = Chain.at_rest(doubles(0.0), 3), 0.08
    worst = 0.0
    for _ in range(round(40 / dt)):
        chain, factor = driven(chain, kinetic, 3, dt=dt, order=order, substeps=substeps)
        kinetic *= float(factor) ** 2
        worst = max(worst, abs(kinetic + float(chain.energy) - 0.08))
    assert kinetic != 0.08
    return worst


def test_error_of_a_chain_falls_with_its_order():
    errors = {
        order: error_of_the_chain(1.0, order) / error_of_the_chain(0.5, order)
        for order in SUZUKI_YOSHIDA
    }
    assert errors[1] == pytest.approx(4.0, rel=0.1)
    assert errors[3] == pytest.approx(16.0, rel=0.2)
    assert errors[5] == pytest.approx(16.0, rel=0.2)
    # Two substeps of one time step are one step each of half of it.
    assert error_of_the_chain(1.0, 1, 2) == pytest.approx(
        error_of_the_chain(0.5, 1), rel=0.05
    )


@pytest.mark.parametrize("length", [1, 2, 3, 4])
@pytest.mark.parametrize("order", SUZUKI_YOSHIDA)
def test_a_chain_goes_back_the_way_it_came(length, order):
    chain = Chain(
        momenta=doubles(*[0.1 * (-1) ** k * (k + 1) for k in range(length)])[None],
        heat=doubles(0.7),
    )
    after, factor = driven(chain, 0.05, 5, dt=3.0, order=order)
    kinetic = 0.05 * float(factor) ** 2
    assert abs(kinetic - 0.05) > 1e-3
    back, inverse = driven(after, kinetic, 5, dt=-3.0, order=order)
    assert float(factor * inverse) == pytest.approx(1.0, rel=1e-13)
    torch.testing.assert_close(back.momenta, chain.momenta, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(back.heat, chain.heat, rtol=1e-12, atol=0)


@pytest.mark.parametrize("n_dof", [1, 5])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_phase_space_shrinks_by_the_heat_given_to_a_chain(n_dof, length):
    # With the conserved energy, what makes the ensemble canonical: the Jacobian of
    # the map is exp(-heat / k_B T), whatever the time step.
    kT, dt = 0.03, 4.0

    def after(point):
        chain = Chain(momenta=torch.as_tensor(point[None, 1:]), heat=doubles(0.0))
        new, factor = driven(chain, 0.5 * point[0] ** 2, n_dof, dt=dt, order=3, kT=kT)
        return np.append(point[0] * float(factor), new.momenta[0].numpy()), new.heat

    start = np.array([0.4, 0.15, -0.1, 0.2])[: length + 1]
    end, heat = after(start)
    step = 1e-6
    columns = [
        (after(start + shift)[0] - after(start - shift)[0]) / (2 * step)
        for shift in step * np.eye(length + 1)
    ]
    # The momenta are a vector of n numbers: their directions stay, the sphere shrinks.
    jacobian = np.linalg.det(np.array(columns)) * (end[0] / start[0]) ** (n_dof - 1)
    assert abs(float(heat)) > 1e-3
    assert np.log(jacobian) == pytest.approx(-float(heat) / kT, rel=1e-6)


def test_a_chain_takes_the_steps_it_needs_far_from_its_temperature():
    # 3000 atoms at 3000 K, to be brought to 0 K: with one substep it overflows.
    n, kinetic = 9000, 0.5 * 9000 * BOLTZMANN_EV_PER_K * 3000.0
    chain, start = Chain.at_rest(doubles(0.0), 3), kinetic
    for _ in range(40):
        chain, factor = driven(chain, kinetic, n, dt=0.1, order=3, kT=0.0)
        kinetic *= float(factor) ** 2
    assert kinetic < 0.5 * start
    assert kinetic + float(chain.energy) == pytest.approx(start, rel=1e-3)


def test_a_temperature_that_is_no_number_is_a_fault():
    fault = too_hot(doubles(300.0, np.nan), doubles(300.0, 300.0), torch.tensor([9, 9]))
    assert fault.tolist() == [Fault.NONE, Fault.TOO_HOT]


def test_nothing_to_drive_is_left_alone():
    chain = Chain(momenta=doubles(0.1, 0.2)[None], heat=doubles(0.3))
    after, factor = driven(chain, 0.0, 0, dt=1.0, order=3)
    assert float(factor) == 1.0
    assert torch.equal(after.momenta, chain.momenta)
    assert torch.equal(after.heat, chain.heat)


def test_rescaled_kinetic_energies_are_distributed_as_chi_square(springs):
    # One free atom beside a fixed one: three degrees of freedom, nothing else.
    n_systems = 300
    pair = ase.Atoms("Ar2", [[0, 0, 0], [30.0, 0, 0]], constraint=FixAtoms([1]))
    sites = np.tile(pair.positions, (n_systems, 1))
    snapshots = run(
        dynamics_stepper(
            "bussi", temperature_K=200.0, thermostat_time_fs=1.0, timestep_fs=3.0
        ),
        springs(sites, 1e-12),
        [pair] * n_systems,
        max_steps=8,
        every=2,
    )
    kT = BOLTZMANN_EV_PER_K * 200.0
    kept = [snapshot.kinetic_energy / kT for snapshot in snapshots][1:]
    scaled = 2.0 * np.concatenate(kept)
    assert scaled.size == 4 * n_systems
    assert stats.kstest(scaled, stats.chi2(3).cdf).pvalue > 0.01
    # 6 fs are six relaxation times, c² = exp(-6): the samples do not know each other.
    correlation = np.corrcoef(np.concatenate(kept[:-1]), np.concatenate(kept[1:]))[0, 1]
    assert abs(correlation) < 4.0 / np.sqrt(3 * n_systems)


def test_rescaling_forgets_the_kinetic_energy_in_the_relaxation_time(springs):
    n_systems = 300
    pair = ase.Atoms("Ar2", [[0, 0, 0], [30.0, 0, 0]], constraint=FixAtoms([1]))
    pair.set_momenta([[3.0, 0, 0], [0, 0, 0]])
    sites = np.tile(pair.positions, (n_systems, 1))
    *_, last = run(
        dynamics_stepper(
            "bussi", temperature_K=100.0, thermostat_time_fs=40.0, timestep_fs=5.0
        ),
        springs(sites, 1e-12),
        [pair] * n_systems,
        max_steps=8,
        every=8,
    )
    start, wanted = 3.0**2 / (2 * 39.95), 1.5 * BOLTZMANN_EV_PER_K * 100.0
    expected = wanted + (start - wanted) * np.exp(-1.0)
    assert last.kinetic_energy.mean() == pytest.approx(
        expected, abs=4 * last.kinetic_energy.std() / np.sqrt(n_systems)
    )
    # The factor has a sign: a slow enough atom may be turned around.
    assert (last.momenta[::2, 0] > 0).mean() > 0.9


def spread_of_conserved_energy(ensemble, timestep_fs, potential, argon, **more):
    stepper = dynamics_stepper(
        ensemble, timestep_fs=timestep_fs, thermostat_time_fs=100.0, seed=2, **more
    )
    snapshots, energies = moments(
        stepper, potential, argon(amount=0.05), max_steps=round(400 / timestep_fs)
    )
    total = np.array([s.energy[0] + s.kinetic_energy[0] for s in snapshots])
    # The thermostat is at work: 4 atoms have 10 meV.
    assert np.ptp(total) > 2e-3
    return np.abs(energies - energies[0]).max()


def test_error_of_the_conserved_energy_grows_as_the_square_of_the_time_step(
    argon, lennard_jones
):
    coarse, fine = (
        spread_of_conserved_energy(
            "nose_hoover", dt, lennard_jones, argon, temperature_K=30
        )
        for dt in (8.0, 4.0)
    )
    assert coarse / fine == pytest.approx(4.0, rel=0.1)
    assert fine < 3e-5


@pytest.mark.parametrize("ensemble", AT_REST)
def test_the_conserved_energy_knows_the_work_of_a_ramp(ensemble, argon, lennard_jones):
    heating = Ramp((0.0, 400.0), (10.0, 60.0))
    error = spread_of_conserved_energy(
        ensemble, 8.0, lennard_jones, argon, temperature_K=heating
    )
    assert error < 2e-4


@pytest.mark.parametrize("ensemble", THERMOSTATS)
def test_each_structure_follows_its_own_temperature(ensemble, springs):
    n = 100
    # Springs of many frequencies, by mass; a chain needs that to be ergodic.
    sites = np.tile([[8.0 * k, 0, 0] for k in range(n)], (3, 1))
    atoms = ase.Atoms(f"Ar{n}", sites[:n], masses=np.geomspace(1.0, 20.0, n))
    heating, cooling = Ramp((30, 130), (100, 600)), Ramp((30, 130), (600, 100))
    coupling = (
        {"friction_per_ps": [200.0, 100.0, 200.0]}
        if ensemble == "langevin"
        else {"thermostat_time_fs": [5.0, 10.0, 5.0]}
    )
    stepper = dynamics_stepper(
        ensemble,
        temperature_K=[heating, 250.0, cooling],
        timestep_fs=[1.0, 2.0, 1.0],
        seed=1,
        **coupling,
    )
    snapshots = list(
        run(stepper, springs(sites, 5.0), [atoms] * 3, max_steps=260, every=2)
    )
    heat = np.array([snapshot.temperature_K for snapshot in snapshots])
    assert snapshots[-1].time_fs.tolist() == [260.0, 520.0, 260.0]
    np.testing.assert_allclose(heat[85:].mean(0), [600.0, 250.0, 100.0], rtol=0.15)
    middle = heat[35:55].mean(0)
    assert 200 < middle[0] < 500
    assert 200 < middle[2] < 500


@pytest.mark.parametrize("ensemble", CONSTANT_VOLUME)
def test_a_structure_is_the_same_alone_and_in_company_to_the_last_bit(
    ensemble, argon, lennard_jones, trimer
):
    fixed = argon(seed=4)
    fixed.set_constraint(FixAtoms([1]))
    structures = [argon(), argon("Kr", (2, 1, 1), 5.7, seed=2), trimer, fixed]
    stepper = dynamics_stepper(
        ensemble,
        temperature_K=[Ramp((0, 40), (20, 60)), 50.0, 30.0, 0.0],
        timestep_fs=[4.0, 2.0, 3.0, 1.0],
        seed=3,
    )
    together, one_by_one = (
        {
            int(number): snapshot.atoms(place)
            for snapshot in run(
                stepper, lennard_jones, structures, max_steps=25, every=25, room=room
            )
            for place, number in enumerate(snapshot.ids)
        }
        for room in (None, Room(atoms=1))
    )
    for number, start in enumerate(structures):
        one, other = together[number], one_by_one[number]
        assert np.abs(one.positions - start.positions).max() > 1e-3
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.get_momenta(), other.get_momenta())


def angular_momentum(snapshot):
    atoms = snapshot.atoms(0)
    return atoms.get_angular_momentum()


@pytest.mark.parametrize("ensemble", AT_REST)
def test_a_free_molecule_vibrates_but_does_not_rotate(ensemble, trimer, lennard_jones):
    turning = trimer.copy()
    turning.set_momenta([[0.3, 0.1, 0.2], [0, -0.5, 0.1], [0.1, 0, 0.4]])
    assert np.abs(turning.get_angular_momentum()).max() > 0.1
    for start in (trimer, turning):
        snapshots = list(
            run(
                dynamics_stepper(ensemble, temperature_K=5.0, timestep_fs=4.0, seed=1),
                lennard_jones,
                start,
                max_steps=40,
            )
        )
        for snapshot in snapshots:
            assert np.abs(angular_momentum(snapshot)).max() < 1e-10
            # 9 numbers less 3 of translation and 3 of rotation.
            assert snapshot.temperature_K[0] == pytest.approx(
                2 * snapshot.kinetic_energy[0] / (3 * BOLTZMANN_EV_PER_K)
            )
        assert snapshots[-1].kinetic_energy[0] > 1e-5


def test_momenta_given_to_dynamics_at_constant_energy_keep_their_rotation(
    trimer, lennard_jones
):
    turning = trimer.copy()
    turning.set_momenta([[0.3, 0.1, 0.2], [0, -0.5, 0.1], [0.1, 0, 0.4]])
    before = turning.get_angular_momentum()
    *_, last = run(
        dynamics_stepper("nve", timestep_fs=2.0), lennard_jones, turning, max_steps=20
    )
    np.testing.assert_allclose(angular_momentum(last), before, rtol=1e-10)


def centers_of_mass(ensemble, start, potential):
    stepper = dynamics_stepper(ensemble, temperature_K=40.0, timestep_fs=4.0, seed=2)
    snapshots = list(run(stepper, potential, start, max_steps=30))
    assert np.abs(snapshots[-1].positions - start.positions).max() > 1e-2
    masses = start.get_masses()
    return (
        np.array(
            [masses @ snapshot.positions / masses.sum() for snapshot in snapshots]
        ),
        snapshots,
    )


@pytest.mark.parametrize("ensemble", AT_REST)
def test_a_net_force_does_not_move_the_center_of_mass(ensemble, argon):
    start = argon()
    start.symbols[0] = "Ne"
    centers, _ = centers_of_mass(ensemble, start, Pushing(0.01))
    np.testing.assert_allclose(centers, centers[:1].repeat(31, 0), atol=1e-12)


@pytest.mark.parametrize("ensemble", CONSTANT_VOLUME)
def test_a_fixed_center_of_mass_stays_whatever_the_ensemble(ensemble, argon):
    start = argon()
    start.symbols[0] = "Ne"
    moving, _ = centers_of_mass("langevin", start, Pushing(0.01))
    assert np.abs(moving[-1] - moving[0]).max() > 1e-3
    start.set_constraint(FixCom())
    centers, snapshots = centers_of_mass(ensemble, start, Pushing(0.01))
    np.testing.assert_allclose(centers, centers[:1].repeat(31, 0), atol=1e-12)
    for snapshot in snapshots:
        assert snapshot.temperature_K[0] == pytest.approx(
            2 * snapshot.kinetic_energy[0] / (9 * BOLTZMANN_EV_PER_K)
        )


def test_deuterium_is_slower_than_hydrogen_by_the_root_of_its_mass(argon):
    start = argon("H", a=5.3, amount=0.0)
    light, heavy = (
        molecular_dynamics(
            start,
            LennardJones(),
            ensemble="nose_hoover",
            temperature_K=300.0,
            timestep_fs=0.01,
            steps=1,
            masses=masses,
        ).atoms
        for masses in (None, {"H": 2.014})
    )
    moved = [
        np.abs(atoms.positions - start.positions).max() for atoms in (light, heavy)
    ]
    assert moved[1] / moved[0] == pytest.approx(np.sqrt(1.008 / 2.014), rel=1e-3)


@pytest.mark.parametrize("ensemble", CONSTANT_VOLUME)
def test_cold_and_tiny_structures_have_numbers_for_all(ensemble, argon, lennard_jones):
    one = ase.Atoms("Ar", [[0, 0, 0]])
    one_in_a_cell = bulk("Ar", "fcc", 5.3)
    pair = ase.Atoms("Ar2", [[0, 0, 0], [3.9, 0, 0]])
    held = argon()
    held.set_constraint(FixAtoms(range(4)))
    structures = [one, one_in_a_cell, pair, held, argon()]
    for temperature_K in (0.0, 300.0, Ramp((0, 20), (0, 100))):
        results = molecular_dynamics(
            structures,
            lennard_jones,
            ensemble=ensemble,
            temperature_K=temperature_K,
            steps=15,
        )
        for result in results:
            assert result.status is Status.FINISHED, result.message
            assert np.isfinite(result.atoms.positions).all()
            assert np.isfinite(result.atoms.get_momenta()).all()
            assert np.isfinite(result.history.temperature_K).all()
        np.testing.assert_array_equal(results[3].atoms.positions, held.positions)
        if ensemble in AT_REST:
            np.testing.assert_array_equal(results[0].atoms.positions, one.positions)


@pytest.mark.parametrize("ensemble", THERMOSTATS)
def test_a_thermostat_at_zero_temperature_cools(ensemble, argon, lennard_jones):
    start = argon()
    start.set_momenta(np.random.default_rng(0).normal(size=(4, 3)))
    quick = {"friction_per_ps": 50} if ensemble == "langevin" else {
        "thermostat_time_fs": 20.0
    }  # fmt: skip
    history = molecular_dynamics(
        start,
        lennard_jones,
        ensemble=ensemble,
        temperature_K=0.0,
        timestep_fs=2.0,
        steps=80,
        **quick,
    ).history
    total = history.energy + history.kinetic_energy
    assert history.kinetic_energy[-1] < 0.2 * history.kinetic_energy[0]
    assert total[-1] < total[0] - 1e-3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"chain_length": 0}, "chain_length >= 1 .* got 0"),
        ({"chain_substeps": 0}, "chain_substeps >= 1, got 3 and 0"),
        ({"chain_order": 2}, r"chain_order in \(1, 3, 5\), got 2"),
        ({"thermostat_time_fs": 0.0}, "0.001 <= thermostat_time_fs, got 0"),
        ({"thermostat_time_fs": [1.0, 2.0]}, "one thermostat_time_fs for each of 1"),
    ],
)
def test_a_chain_that_cannot_be_is_refused(wrong, said, argon, lennard_jones):
    with pytest.raises(ParameterError, match=said):
        molecular_dynamics(argon(), lennard_jones, ensemble="nose_hoover", **wrong)


def test_a_chain_swings_with_the_period_of_its_relaxation_time():
    # Small swings of K about n k_B T / 2 with one thermostat: ω = sqrt(2) / τ, τ = 10.
    n, kT, dt = 400, 0.03, 0.8
    chain, kinetic = Chain.at_rest(doubles(0.0), 1), 0.5 * n * kT * 1.02
    course = []
    for _ in range(240):
        chain, factor = driven(chain, kinetic, n, dt=dt, order=1, kT=kT)
        kinetic *= float(factor) ** 2
        course.append(kinetic - 0.5 * n * kT)
    upwards = np.flatnonzero(np.diff(np.sign(course)) > 0)
    assert len(upwards) == 2
    # A call is half a time step.
    period = np.diff(upwards)[0] * dt / 2
    assert period == pytest.approx(2 * np.pi * 10.0 / np.sqrt(2), rel=0.02)
