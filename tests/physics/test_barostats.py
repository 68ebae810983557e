"""Barostats sample the ensemble of constant pressure in solid argon."""

import numpy as np
import physical_validation
import pytest
from ase.build import bulk
from physics.replicas import mean_and_error, sample
from physics.validation import UNITS, argon_atoms

from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.simulation.cell_rescaling import StochasticCellRescaling
from gnndesign.simulation.npt_mtk import MartynaTobiasKlein
from gnndesign.units import BOLTZMANN_EV_PER_K, EV_PER_A3_TO_GPA

pytestmark = [pytest.mark.physics, pytest.mark.timeout(3600)]

N_ATOMS = 32
N_REPLICAS = 24
TIMESTEP_FS = 8.0
EVERY, N_MOMENTS, SKIP = 100, 10, 300
# Moments that know nothing of each other: kinetic energies 0.8 ps apart, volumes and
# energies 1.6 ps, where the volume of MTK has swung to the other side (-0.3).
APART = slice(1, None, 2)
# Points of state whose volumes and enthalpies overlap by two or three widths, where 32
# atoms stay in the cubic crystal: at 48 K and 0.05 GPa some full cells do not.
STATES = {"cold": (30.0, 0.10), "pressed": (30.0, 0.16), "warm": (36.0, 0.10)}
METHODS = {
    # The volume swings as slowly as the phonons do: were it faster than all of them, it
    # would take tens of ps to exchange energy with them.
    "mtk": (MartynaTobiasKlein, {"barostat_time_fs": 1000.0}),
    "cell_rescaling": (
        StochasticCellRescaling,
        {"barostat_time_fs": 300.0, "compressibility_per_GPa": 0.5},
    ),
}


@pytest.fixture(
    scope="module",
    params=[(name, cell) for name in METHODS for cell in ("isotropic", "full")],
    ids=lambda param: f"{param[0]}-{param[1]}",
)
def argon(request):
    """Samples by point of state."""
    kind, options = METHODS[request.param[0]]
    points = [point for point in STATES.values() for _ in range(N_REPLICAS)]
    method = kind(
        cell=request.param[1],
        temperature_K=tuple(temperature for temperature, _ in points),
        pressure_GPa=tuple(pressure for _, pressure in points),
        timestep_fs=TIMESTEP_FS,
        seed=4,
        **options,
    )
    start = bulk("Ar", "fcc", 5.3, cubic=True) * (2, 2, 2)
    found = sample(
        method,
        LennardJones(cutoff=6.8),
        [start] * len(points),
        steps=SKIP + EVERY * N_MOMENTS,
        every=EVERY,
        skip=SKIP,
    )
    return {
        name: found.of(slice(k * N_REPLICAS, (k + 1) * N_REPLICAS))
        for k, name in enumerate(STATES)
    }


def simulation_data(name, samples, apart=APART):
    """What physical_validation wants to know, in eV, Å and K."""
    temperature, pressure_GPa = STATES[name]
    return physical_validation.data.SimulationData(
        units=UNITS,
        system=argon_atoms(N_ATOMS, mass=39.948, rests=3.0),
        ensemble=physical_validation.data.EnsembleData(
            "NPT",
            natoms=N_ATOMS,
            temperature=temperature,
            pressure=pressure_GPa / EV_PER_A3_TO_GPA,
        ),
        observables=physical_validation.data.ObservableData(
            kinetic_energy=samples.kinetic_energy[apart].ravel(),
            potential_energy=samples.energy[apart].ravel(),
            total_energy=(samples.energy + samples.kinetic_energy)[apart].ravel(),
            volume=samples.volume[apart].ravel(),
        ),
    )


def deviations(argon, *names):
    """By how many standard errors the ratio of two distributions is wrong."""
    return physical_validation.ensemble.check(
        *(simulation_data(name, argon[name]) for name in names),
        data_is_uncorrelated=True,
        verbosity=0,
    )


def fluctuation(cold, pressed):
    """Variance of volumes over what their response to the pressure wants, 1."""
    temperature, low = STATES["cold"]
    rise = (STATES["pressed"][1] - low) / EV_PER_A3_TO_GPA
    response = (cold.mean() - pressed.mean()) / rise
    variance = 0.5 * (cold.var() + pressed.var())
    return variance / (BOLTZMANN_EV_PER_K * temperature * response)


@pytest.mark.parametrize("name", STATES)
def test_successive_samples_are_not_alike(name, argon, record_property):
    # What the errors of the other tests rest on: correlated samples are fewer than they
    # seem. Ones on opposite sides tell more of the mean than independent ones.
    samples = argon[name]
    for quantity, apart in (
        ("volume", APART),
        ("energy", APART),
        ("kinetic_energy", slice(None)),
    ):
        values = getattr(samples, quantity)[apart]
        moved = values - values.mean()
        found = (moved[1:] * moved[:-1]).mean() / moved.var()
        record_property(f"correlation of the {quantity}", found)
        assert found < 3.5 / np.sqrt(moved[1:].size)


def test_the_volume_depends_on_the_pressure_as_in_the_ensemble(argon, record_property):
    found = deviations(argon, "cold", "pressed")
    record_property("deviations", found)
    assert max(np.abs(found)) < 3.5


def test_the_volume_fluctuates_as_its_compressibility_wants(argon, record_property):
    volumes = [argon[name].volume for name in ("cold", "pressed")]
    found = fluctuation(*volumes)
    # Jackknife over replicas.
    without = [
        fluctuation(*(np.delete(values, k, axis=1) for values in volumes))
        for k in range(N_REPLICAS)
    ]
    error = np.std(without) * np.sqrt(N_REPLICAS - 1)
    record_property("variance / wanted", (found, error))
    # A volume that fluctuates by a quarter too little has 0.56, and is noticed.
    assert 3.5 * error < 0.4
    assert found == pytest.approx(1.0, abs=3.5 * error)


def test_the_enthalpy_depends_on_the_temperature_as_in_the_ensemble(
    argon, record_property
):
    found = deviations(argon, "cold", "warm")
    record_property("deviations", found)
    assert max(np.abs(found)) < 3.5


def test_energy_and_volume_depend_on_both_as_in_the_ensemble(argon, record_property):
    found = deviations(argon, "pressed", "warm")
    record_property("deviations", found)
    assert max(np.abs(found)) < 3.5


@pytest.mark.parametrize("name", STATES)
def test_the_kinetic_energy_has_the_distribution_of_the_temperature(
    name, argon, record_property
):
    def found(scale):
        data = simulation_data(name, argon[name], slice(None))
        data.observables.kinetic_energy = scale * data.observables.kinetic_energy
        return physical_validation.kinetic_energy.distribution(
            data, verbosity=0, bootstrap_seed=1, data_is_uncorrelated=True
        )

    record_property("deviations", found(1.0))
    assert max(found(1.0)) < 3.5
    # A temperature that is off by some percent is noticed, also where by chance the
    # sample lies two standard errors on the other side.
    assert max(found(1.07)) > 3.5
    assert max(found(0.93)) > 3.5


@pytest.mark.parametrize("name", STATES)
def test_the_mean_internal_pressure_is_the_target(name, argon, record_property):
    mean, error = mean_and_error(argon[name].internal_pressure)
    record_property("pressure", (mean, error))
    assert error < 0.005
    assert mean == pytest.approx(STATES[name][1], abs=3.5 * error)


def test_the_mean_cell_is_cubic(argon, record_property):
    cells = np.concatenate([argon[name].cell for name in STATES], axis=1)
    metric = cells @ cells.transpose(0, 1, 3, 2)
    mean, error = mean_and_error(metric)
    record_property("metric", (mean.tolist(), error.tolist()))
    if np.ptp(np.diagonal(mean)) == 0:
        np.testing.assert_allclose(mean, mean[0, 0] * np.eye(3), atol=1e-9)
        return
    off_diagonal = ~np.eye(3, dtype=bool)
    assert (error < 3e-3 * mean[0, 0]).all()
    assert (np.abs(mean) < 4 * error)[off_diagonal].all()
    edges, spread = np.diagonal(mean), np.diagonal(error)
    assert (np.abs(edges - edges.mean()) < 4 * spread).all()
