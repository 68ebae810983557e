"""Barostats sample the ensemble of constant pressure: exactly, and in argon."""

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
EDGE = 6.0
BULK = 0.012
SHEAR = 0.01
PRESSURE_GPA = 0.2
TEMPERATURE_K = 300.0
HEAT = BOLTZMANN_EV_PER_K * TEMPERATURE_K


class Lattice(EnergyModel):
    """Anharmonic springs between displacements d from sites that move with the cell.

    Their energy depends on d sqrt(k) alone, and k on the volume alone, k = (V0/V)². So
    the integral over the 3 N - 3 displacements is proportional to V^(3 N - 3), and with
    E the energy of the cell, soft enough for the volume to fluctuate by 10 %, the cell
    has exactly the probability

        exp(-(E + P V) / k_B T) V^(3 N - 3) V dμ(h)

    A power of V too many or too few would move the mean by 1 %.
    """

    def __init__(self, sites):
        self.sites = torch.as_tensor(sites)
        self.device = torch.device("cpu")
        self.cutoff = 1.0
        self.card = Card(
            name="lattice",
            title="Lattice",
            licence="MIT",
            level_of_theory="none",
            training_data="none",
            n_parameters=4,
            elements=tuple(range(1, 119)),
            cutoff=1.0,
            checksum="lattice",
            citation="none",
        )

    def atomic_energies(self, batch, edges):
        del edges
        positions = batch.positions.reshape(batch.n_systems, -1, 3)
        moved = positions - self.sites @ batch.cell
        metric = batch.cell @ batch.cell.mT / EDGE**2
        determinant = torch.linalg.det(metric)
        squared = (moved[:, :, None] - moved[:, None]).square().sum(-1)
        squared = squared / determinant[:, None, None]
        on_atoms = (0.25 * squared + 2.5 * squared.square()).sum(-1)
        cell = cell_energy(metric, determinant, torch.eye(3))
        return (on_atoms + cell[:, None] / N_ATOMS).flatten()


def cell_energy(metric, determinant, identity):
    """eV, of cells with h h^T = EDGE² metric; numpy's or torch's."""
    shape = metric / determinant[..., None, None] ** (1 / 3) - identity
    stretch = determinant**0.5 - 1.0
    return 0.5 * EDGE**3 * (BULK * stretch**2 + SHEAR * (shape**2).sum((-2, -1)))


def replicas(n, seed=0):
    sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    sites = sites + 0.02 * np.random.default_rng(seed).normal(size=sites.shape)
    atoms = Atoms("Ar4", scaled_positions=sites, cell=[EDGE] * 3, pbc=True)
    return [atoms] * n, Lattice(sites)


def stepper(method, cell):
    more = {}
    if method is StochasticCellRescaling:
        more["compressibility_per_GPa"] = 1.0 / (BULK * EV_PER_A3_TO_GPA)
    return method(
        cell=cell,
        pressure_GPa=PRESSURE_GPA,
        temperature_K=TEMPERATURE_K,
        timestep_fs=4.0,
        barostat_time_fs=300.0 if more else 150.0,
        seed=1,
        **more,
    )


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


@pytest.fixture(scope="module", params=METHODS)
def isotropic(request):
    structures, potential = replicas(128)
    method = stepper(request.param, "isotropic")
    return sample(method, potential, structures, steps=3000, every=15, skip=300)


@pytest.fixture(scope="module", params=METHODS)
def full(request):
    structures, potential = replicas(128)
    method = stepper(request.param, "full")
    return sample(method, potential, structures, steps=3000, every=15, skip=300)


def exact_density():
    """Volumes of a cell that keeps its shape, and their cumulative distribution.

    There, V dμ(h) is dV.
    """
    volume = np.linspace(0.3, 2.0, 100_001) * EDGE**3
    stretch = volume / EDGE**3 - 1.0
    energy = 0.5 * BULK * EDGE**3 * stretch**2
    energy = energy + PRESSURE_GPA / EV_PER_A3_TO_GPA * volume
    exponent = (3 * N_ATOMS - 3) * np.log(volume) - energy / HEAT
    weight = np.exp(exponent - exponent.max())
    return volume, weight / weight.sum()


def test_the_volume_of_a_cell_that_keeps_its_shape_has_the_exact_distribution(
    isotropic, record_property
):
    volume, weight = exact_density()
    expected = volume @ weight
    variance = (volume - expected) ** 2 @ weight
    mean, error = mean_and_error(isotropic.volume)
    spread, spread_error = mean_and_error((isotropic.volume - expected) ** 2)
    record_property("volume", (mean, error, expected))
    record_property("variance", (spread, spread_error, variance))
    # Less than a third of what a wrong power of V does.
    assert error < 0.3 * variance / EDGE**3
    assert mean == pytest.approx(expected, abs=3.5 * error)
    # Cell rescaling: half the time step over the barostat time, 0.7 %.
    assert spread == pytest.approx(variance, abs=3.5 * spread_error + 0.007 * variance)
    # Every 40th moment, which are independent.
    apart = isotropic.volume[::40].ravel()
    ranks = np.interp(apart, volume, np.cumsum(weight))
    assert stats.kstest(ranks, "uniform").pvalue > 1e-3


def test_the_volume_of_a_full_cell_has_the_exact_distribution(full, record_property):
    volume, weight = exact_volumes(np.random.default_rng(0))
    expected = volume @ weight
    variance = ((volume - expected) ** 2) @ weight
    reference_error = np.sqrt(((volume - expected) ** 2) @ weight**2)
    mean, error = mean_and_error(full.volume)
    spread, spread_error = mean_and_error((full.volume - expected) ** 2)
    record_property("volume", (mean, error, expected, reference_error))
    record_property("variance", (spread, spread_error, variance))
    error = np.hypot(error, reference_error)
    assert error < 0.3 * variance / EDGE**3
    assert mean == pytest.approx(expected, abs=3.5 * error)
    assert spread == pytest.approx(variance, abs=3.5 * spread_error + 0.02 * variance)


@pytest.mark.parametrize("cell", ["isotropic", "full"])
def test_the_mean_internal_pressure_is_the_target(cell, request, record_property):
    samples = request.getfixturevalue(cell)
    mean, error = mean_and_error(samples.pressure * EV_PER_A3_TO_GPA)
    record_property("pressure", (mean.tolist(), error.tolist()))
    if cell == "isotropic":
        mean, error = mean_and_error(samples.internal_pressure)
        assert mean == pytest.approx(PRESSURE_GPA, abs=3.5 * error)
    else:
        np.testing.assert_array_less(
            np.abs(mean - PRESSURE_GPA * np.eye(3)), 4.0 * error
        )
    assert error.max() < 0.03


@pytest.mark.parametrize("cell", ["isotropic", "full"])
def test_the_kinetic_energy_is_that_of_the_temperature(cell, request, record_property):
    samples = request.getfixturevalue(cell)
    n = 3 * N_ATOMS - 3
    mean, error = mean_and_error(samples.kinetic_energy / HEAT)
    spread, spread_error = mean_and_error((samples.kinetic_energy / HEAT - n / 2) ** 2)
    record_property("kinetic", (mean, error, n / 2, spread, spread_error))
    # Errors of dt² beside the statistical ones.
    assert mean == pytest.approx(n / 2, abs=3.5 * error + 0.003 * n)
    assert spread == pytest.approx(n / 2, abs=3.5 * spread_error + 0.006 * n)
