"""Barostats sample the ensemble of constant pressure: exactly, and in argon."""

from functools import cache

import numpy as np
import pytest
import torch
from ase import Atoms
from physics.replicas import mean_and_error, sample
from scipy import stats

from gnndesign.potentials.base import Card, EnergyModel
from gnndesign.simulation.cell_rescaling import StochasticCellRescaling
from gnndesign.simulation.npt_mtk import MartynaTobiasKlein
from gnndesign.units import BOLTZMANN_EV_PER_K, EV_PER_A3_TO_GPA

pytestmark = [pytest.mark.physics, pytest.mark.timeout(3600)]

METHODS = (MartynaTobiasKlein, StochasticCellRescaling)
N_ATOMS = 4
N_REPLICAS = 256
N_FREE = 3 * N_ATOMS - 3
EDGE = 6.0
BULK = 0.012
SHEAR = 0.01
PRESSURE_GPA = 0.2
TEMPERATURE_K = 300.0
HEAT = BOLTZMANN_EV_PER_K * TEMPERATURE_K


class Lattice(EnergyModel):
    """Anharmonic springs between displacements d from sites that move with the cell.

    Their energy depends on x = d h^-1 (V0/V)^(2/3) alone, h the cell, so the integral
    over the 3 N - 3 displacements is proportional to V^(3 N - 3), and with E the energy
    of the cell, soft enough for the volume to fluctuate by 10 %, the cell has exactly
    the probability

        exp(-(E + P V) / k_B T) V^(3 N - 3) V dμ(h)

    A power of V too many or too few would move the mean by 1 %.

    Springs have different strengths along the lattice vectors, the atoms have different
    masses, and the terms of the fourth order are no smaller than those of the second.
    With springs that are alike in all directions the angular momentum of the
    displacements would stay what it is at the start, zero, as no barostat and no
    thermostat that scales all momenta alike can change it; with springs nearly harmonic
    it would take long to change.
    """

    def __init__(self, sites):
        self.sites = torch.as_tensor(sites)
        self.strengths = torch.tensor([0.7, 1.0, 1.6], dtype=torch.float64)
        self.device = torch.device("cpu")
        self.cutoff = 1.0
        self.card = Card(
            name="lattice",
            title="Lattice",
            licence="MIT",
            level_of_theory="none",
            training_data="none",
            n_parameters=7,
            elements=tuple(range(1, 119)),
            cutoff=1.0,
            checksum="lattice",
            citation="none",
        )

    def atomic_energies(self, batch, edges):
        del edges
        positions = batch.positions.reshape(batch.n_systems, -1, 3)
        moved = EDGE * (positions @ torch.linalg.inv(batch.cell) - self.sites)
        metric = batch.cell @ batch.cell.mT / EDGE**2
        determinant = torch.linalg.det(metric)
        squared = (moved[:, :, None] - moved[:, None]).square() @ self.strengths
        squared = squared / determinant[:, None, None] ** (2 / 3)
        on_atoms = (0.1 * squared + 8.0 * squared.square()).sum(-1)
        cell = cell_energy(metric, determinant, torch.eye(3))
        return (on_atoms + cell[:, None] / N_ATOMS).flatten()


def cell_energy(metric, determinant, identity):
    """eV, of cells with h h^T = EDGE² metric; numpy's or torch's."""
    shape = metric / determinant[..., None, None] ** (1 / 3) - identity
    stretch = determinant**0.5 - 1.0
    return 0.5 * EDGE**3 * (BULK * stretch**2 + SHEAR * (shape**2).sum((-2, -1)))


def replicas(random):
    """Lattices of different volumes, and their potential."""
    sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    sites = sites + 0.02 * random.normal(size=sites.shape)
    edges = EDGE * (1.0 + 0.03 * random.normal(size=N_REPLICAS))
    lattices = [
        Atoms("Ar4", scaled_positions=sites, cell=[edge] * 3, pbc=True)
        for edge in edges
    ]
    for atoms in lattices:
        atoms.set_masses([40.0, 60.0, 90.0, 130.0])
    return lattices, Lattice(sites)


@cache
def samples_of(method, cell):
    """Of replicas that do not swing in step: each has its own masses of the baths."""
    random = np.random.default_rng(0)
    more = {}
    if method is StochasticCellRescaling:
        more["compressibility_per_GPa"] = 1.0 / (BULK * EV_PER_A3_TO_GPA)
    stepper = method(
        cell=cell,
        pressure_GPa=PRESSURE_GPA,
        temperature_K=TEMPERATURE_K,
        timestep_fs=3.0,
        barostat_time_fs=tuple(random.uniform(100.0, 200.0, N_REPLICAS)),
        thermostat_time_fs=tuple(random.uniform(60.0, 120.0, N_REPLICAS)),
        seed=1,
        **more,
    )
    structures, potential = replicas(random)
    return sample(stepper, potential, structures, steps=4500, every=15, skip=1300)


def exact_volumes(rng, n=400_000):
    """Volumes and weights of the full cell: the cell as a lower triangle L.

    dμ(h) = dL / (L_11 L_22² L_33³), turns left out.
    """
    width = 0.12
    rows, columns = np.tril_indices(3)
    noise = rng.normal(scale=width, size=(n, 6))
    triangle = np.zeros((n, 3, 3))
    triangle[:, rows, columns] = noise
    triangle += np.eye(3)
    metric = triangle @ triangle.transpose(0, 2, 1)
    diagonal = np.diagonal(triangle, axis1=1, axis2=2)
    good = (diagonal > 0.2).all(1)
    root = diagonal.prod(1)
    volume = EDGE**3 * root
    pressure = PRESSURE_GPA / EV_PER_A3_TO_GPA
    energy = cell_energy(metric, root**2, np.eye(3)) + pressure * volume
    log_weight = -energy / HEAT + 0.5 * (noise**2).sum(1) / width**2
    log_weight = np.where(good, log_weight, -np.inf)
    power = np.abs(diagonal[:, 0] * diagonal[:, 1] ** 2 * diagonal[:, 2] ** 3)
    measure = np.abs(root) ** (3 * N_ATOMS - 2) / power
    weight = measure * np.exp(log_weight - log_weight.max())
    return volume, weight / weight.sum()


def exact_density():
    """Volumes of a cell that keeps its shape, and their weights.

    There, V dμ(h) is dV.
    """
    volume = np.linspace(0.3, 2.0, 100_001) * EDGE**3
    stretch = volume / EDGE**3 - 1.0
    energy = 0.5 * BULK * EDGE**3 * stretch**2
    energy = energy + PRESSURE_GPA / EV_PER_A3_TO_GPA * volume
    exponent = N_FREE * np.log(volume) - energy / HEAT
    weight = np.exp(exponent - exponent.max())
    return volume, weight / weight.sum()


def check_volumes(volumes, exact, weight, record_property, reference_error=0.0):
    """Their mean and their variance, and that these two are known well enough."""
    expected = exact @ weight
    variance = (exact - expected) ** 2 @ weight
    mean, error = mean_and_error(volumes)
    spread, spread_error = mean_and_error((volumes - expected) ** 2)
    error = np.hypot(error, reference_error)
    record_property("volume", (mean, error, expected))
    record_property("variance / exact", (spread / variance, spread_error / variance))
    # By how much one power of V more or less would move the mean.
    power = exact @ (exact * weight) / expected - expected
    record_property("powers of V", ((mean - expected) / power, error / power))
    assert abs(mean - expected) < 3.5 * error
    # One power of V is twice as far off.
    assert 3.5 * error < 0.5 * power
    # Cell rescaling: half the time step over the barostat time.
    margin = 3.5 * spread_error / variance + 0.015
    assert abs(spread / variance - 1) < margin
    # Less than a third of what a volume that fluctuates by a quarter too little does.
    assert margin < 0.14


@pytest.mark.parametrize("method", METHODS)
def test_the_volume_of_a_cell_that_keeps_its_shape_has_the_exact_distribution(
    method, record_property
):
    isotropic = samples_of(method, "isotropic")
    volume, weight = exact_density()
    check_volumes(isotropic.volume, volume, weight, record_property)
    # Moments 2.7 ps apart, which are independent.
    apart = isotropic.volume[::60].ravel()
    ranks = np.interp(apart, volume, np.cumsum(weight))
    p = stats.kstest(ranks, "uniform").pvalue
    record_property("p of all volumes", p)
    assert p > 1e-3
    damped = np.interp(
        apart.mean() + 0.75 * (apart - apart.mean()), volume, np.cumsum(weight)
    )
    assert stats.kstest(damped, "uniform").pvalue < 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_the_volume_of_a_full_cell_has_the_exact_distribution(method, record_property):
    full = samples_of(method, "full")
    exact, weight = exact_volumes(np.random.default_rng(0))
    reference_error = np.sqrt((exact - exact @ weight) ** 2 @ weight**2)
    check_volumes(full.volume, exact, weight, record_property, reference_error)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["isotropic", "full"])
def test_the_mean_internal_pressure_is_the_target(method, cell, record_property):
    samples = samples_of(method, cell)
    mean, error = mean_and_error(samples.pressure * EV_PER_A3_TO_GPA)
    record_property("pressure", (mean.tolist(), error.tolist()))
    if cell == "isotropic":
        mean, error = mean_and_error(samples.internal_pressure)
        record_property("a third of the trace", (mean, error))
        assert mean == pytest.approx(PRESSURE_GPA, abs=3.5 * error)
    else:
        np.testing.assert_array_less(
            np.abs(mean - PRESSURE_GPA * np.eye(3)), 3.5 * error
        )
    # k_B T / V, which a wrong power of V would add, is 0.02 GPa.
    assert 3.5 * error.max() < 0.015


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["isotropic", "full"])
def test_the_kinetic_energy_is_that_of_the_temperature(method, cell, record_property):
    samples = samples_of(method, cell)
    half = N_FREE / 2
    mean, error = mean_and_error(samples.kinetic_energy / HEAT / half)
    spread, spread_error = mean_and_error(
        (samples.kinetic_energy / HEAT - half) ** 2 / half
    )
    record_property("temperature / wanted", (mean, error))
    record_property("variance / exact", (spread, spread_error))
    assert mean == pytest.approx(1.0, abs=3.5 * error + 0.003)
    assert 3.5 * error + 0.003 < 0.025
    assert spread == pytest.approx(1.0, abs=3.5 * spread_error + 0.006)
    assert 3.5 * spread_error + 0.006 < 0.1
