"""Thermostats sample the canonical ensemble in solid and in liquid argon."""

from dataclasses import dataclass, replace

import numpy as np
import physical_validation
import pytest
from ase.build import bulk
from physics.validation import UNITS, argon_atoms

from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.simulation.base import Status
from gnndesign.simulation.dynamics import dynamics_stepper
from gnndesign.simulation.run import run
from gnndesign.simulation.schedule import Ramp
from gnndesign.units import BOLTZMANN_EV_PER_K

pytestmark = [pytest.mark.physics, pytest.mark.timeout(3600)]

N_ATOMS = 32
N_REPLICAS = 12
TIMESTEP_FS = 8.0
EVERY, N_MOMENTS = 80, 16

# The lattice constant in Å, how long it is prepared in fs (a multiple of EVERY steps),
# and two temperatures whose potential energies overlap. The liquid's density is that of
# A. Rahman (1964).
PHASES = {
    "solid": (5.4, 2560.0, (40.0, 46.0)),
    "liquid": (5.784, 8320.0, (95.0, 108.0)),
}
METHODS = {
    "langevin": {"friction_per_ps": 5.0},
    "nose_hoover": {"thermostat_time_fs": 200.0},
    "bussi": {"thermostat_time_fs": 200.0},
}
# p of a correct thermostat below this, or deviations beyond: once in a thousand.
LEAST_P, MOST_SIGMAS = 1e-3, 3.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """(n_moments, n_replicas, ...) of one temperature, in eV and Å."""

    temperature_K: float
    lattice_constant: float
    n_free: int
    energy: np.ndarray
    kinetic_energy: np.ndarray
    positions: np.ndarray
    forces: np.ndarray


def sampled(method, phase, **options):
    """Samples at both temperatures, from independent replicas."""
    lattice_constant, preparation_fs, temperatures = PHASES[phase]
    hot = 300.0 if phase == "liquid" else None
    schedules = [
        temperature
        if hot is None
        else Ramp((0.25 * preparation_fs, 0.5 * preparation_fs), (hot, temperature))
        for temperature in temperatures
    ]
    start = bulk("Ar", "fcc", lattice_constant, cubic=True) * (2, 2, 2)
    going = run(
        dynamics_stepper(
            method,
            temperature_K=[entry for entry in schedules for _ in range(N_REPLICAS)],
            timestep_fs=TIMESTEP_FS,
            seed=6,
            **options,
        ),
        LennardJones(cutoff=6.0),
        [start] * (2 * N_REPLICAS),
        max_steps=round(preparation_fs / TIMESTEP_FS) + EVERY * N_MOMENTS,
        every=EVERY,
    )
    kept = [moment for moment in going if moment.time_fs[0] > preparation_fs]
    assert len(kept) == N_MOMENTS
    assert (kept[-1].status == Status.FINISHED).all()
    shape = (N_MOMENTS, 2, N_REPLICAS)

    def arrays(name, *rest):
        array = np.array([getattr(moment, name) for moment in kept])
        return array.reshape(*shape, *rest)

    energy, kinetic = arrays("energy"), arrays("kinetic_energy")
    positions, forces = (arrays(n, N_ATOMS, 3) for n in ("positions", "forces"))
    return tuple(
        Samples(
            temperature_K=temperature,
            lattice_constant=lattice_constant,
            n_free=3 * N_ATOMS - (0 if method == "langevin" else 3),
            energy=energy[:, k],
            kinetic_energy=kinetic[:, k],
            positions=positions[:, k],
            forces=forces[:, k],
        )
        for k, temperature in enumerate(temperatures)
    )


@pytest.fixture(
    scope="module",
    params=[(method, phase) for method in METHODS for phase in PHASES],
    ids="-".join,
)
def argon(request):
    """The phase, and samples at two temperatures."""
    method, phase = request.param
    return phase, sampled(method, phase, **METHODS[method])


def simulation_data(samples):
    """What physical_validation wants to know, in eV, Å and K."""
    volume = (2 * samples.lattice_constant) ** 3
    return physical_validation.data.SimulationData(
        units=UNITS,
        system=argon_atoms(
            N_ATOMS, mass=39.95, rests=float(3 * N_ATOMS - samples.n_free)
        ),
        ensemble=physical_validation.data.EnsembleData(
            ensemble="NVT",
            natoms=N_ATOMS,
            volume=volume,
            temperature=samples.temperature_K,
        ),
        observables=physical_validation.data.ObservableData(
            potential_energy=samples.energy.ravel(),
            kinetic_energy=samples.kinetic_energy.ravel(),
            total_energy=(samples.energy + samples.kinetic_energy).ravel(),
        ),
        dt=TIMESTEP_FS,
    )


def p_of_kinetic_energies(samples):
    return physical_validation.kinetic_energy.distribution(
        simulation_data(samples), strict=True, verbosity=0, data_is_uncorrelated=True
    )


def test_kinetic_energies_pass_the_strict_test(argon, record_property):
    for samples in argon[1]:
        p = p_of_kinetic_energies(samples)
        record_property("p", p)
        assert p > LEAST_P


def deviations_of_kinetic_energies(samples):
    """By how many standard errors the mean and the width are off."""
    return physical_validation.kinetic_energy.distribution(
        simulation_data(samples),
        strict=False,
        verbosity=0,
        bootstrap_seed=1,
        data_is_uncorrelated=True,
    )


def test_mean_and_width_of_the_kinetic_energy_are_those_of_the_temperature(
    argon, record_property
):
    for samples in argon[1]:
        deviations = deviations_of_kinetic_energies(samples)
        record_property("T(mean), T(width) off by standard errors", deviations)
        assert max(deviations) < MOST_SIGMAS


def test_potential_energies_at_two_temperatures_have_the_ratio_of_boltzmann(
    argon, record_property
):
    deviations = physical_validation.ensemble.check(
        *(simulation_data(samples) for samples in argon[1]),
        verbosity=0,
        bootstrap_seed=1,
        data_is_uncorrelated=True,
    )
    record_property("slope off by standard errors", deviations)
    assert max(deviations) < MOST_SIGMAS


def test_displacements_in_the_solid_have_the_temperature_too(argon, record_property):
    # Hypervirial theorem: -<Σ (r - r0) F> = (3 N - 3) k_B T, however anharmonic; the
    # forces do not see the center of mass.
    phase, both = argon
    sites = bulk("Ar", "fcc", PHASES[phase][0], cubic=True) * (2, 2, 2)
    for samples in both:
        moved = samples.positions - sites.positions
        moved -= moved.mean(-2, keepdims=True)
        virial = -(moved * samples.forces).sum((-1, -2))
        heat = virial / ((3 * N_ATOMS - 3) * BOLTZMANN_EV_PER_K)
        if phase == "liquid":
            # Atoms diffuse: there are no sites.
            assert (moved**2).mean() > 1.0
            continue
        assert (moved**2).mean() < 0.3
        error = heat.mean(0).std(ddof=1) / np.sqrt(N_REPLICAS)
        record_property(f"K at {samples.temperature_K} K", (heat.mean(), error))
        # 0.4 % for the error of velocity Verlet, (ω dt)² / 4.
        assert heat.mean() == pytest.approx(
            samples.temperature_K, abs=4 * error + 0.004 * samples.temperature_K
        )


def test_a_temperature_wrong_by_a_tenth_is_noticed(argon):
    for samples in argon[1]:
        wrong = replace(samples, temperature_K=1.1 * samples.temperature_K)
        assert p_of_kinetic_energies(wrong) < LEAST_P


def test_constant_energy_is_told_from_constant_temperature():
    for samples in sampled("nve", "solid"):
        n = samples.n_free * BOLTZMANN_EV_PER_K
        own = replace(samples, temperature_K=2 * samples.kinetic_energy.mean() / n)
        # The mean is right by construction; the width is not.
        assert deviations_of_kinetic_energies(own)[1] > MOST_SIGMAS
