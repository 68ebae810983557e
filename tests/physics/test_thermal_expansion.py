"""The Lennard-Jones crystal expands as published."""

import numpy as np
import pytest
import torch
from ase.build import bulk
from physics.quasi_harmonic import QuasiHarmonic
from physics.replicas import mean_and_error, sample
from scipy.optimize import brentq

from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.potentials.radial import XPLOREnvelope
from gnndesign.simulation.cell_rescaling import StochasticCellRescaling
from gnndesign.simulation.npt_mtk import MartynaTobiasKlein
from gnndesign.units import BOLTZMANN_EV_PER_K

pytestmark = [pytest.mark.physics, pytest.mark.timeout(3600)]

EPSILON, SIGMA = 0.01034, 3.4
TEMPERATURES = (0.2, 0.4, 0.6)
"""k_B T / ε; it melts at 0.69."""


def pressure_of_the_fit(density, temperature):
    """P σ³/ε of the fcc crystal, from the free energy of M. A. van der Hoef,
    J. Chem. Phys. 113, 8142 (2000), eqs. 12 to 21, fitted for 0.1 to 2 ε/k_B.
    """
    beta = 1.0 / temperature
    statics = 2.0 * -14.45392093 * density + 4.0 * 6.065940096 * density**3
    harmonic = np.polynomial.Polynomial([69.833875, -132.86963, 97.438593, -25.848057])(
        density
    )
    anharmonic = [
        [13.404069, -20.632066, 11.564825, -2.3064801],
        [-5.5481261, 8.8465978, -5.0258631, 1.0070066],
    ]
    slope = -sum(
        n * a * density ** (n - 1) * beta ** (1 - m) / (m - 1)
        for n, row in enumerate(anharmonic, start=1)
        for m, a in enumerate(row, start=2)
    )
    slope_of_beta_a = 1.0 / density + beta * statics + harmonic + slope
    return temperature * density**2 * slope_of_beta_a


def published_density(temperature):
    """ρ σ³ at pressure zero."""
    return brentq(pressure_of_the_fit, 0.93, 1.12, args=(temperature,))


class LatticeSummed(LennardJones):
    """Without a cutoff in the static fcc crystal.

    What lies beyond the cutoff is taken from the crystal at rest, as a function of the
    volume of an atom: there the motion of the atoms hardly matters.
    """

    def __init__(self, **options):
        super().__init__(epsilon=EPSILON, sigma=SIGMA, **options)
        cells = np.indices((17, 17, 17)).reshape(3, -1).T - 8
        sites = cells @ np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
        length = np.linalg.norm(sites, axis=1)
        # In units of the edge of the cube; enough for crystals 20 % denser.
        near = (length > 0) & (length < 1.25 * self.cutoff / 5.2)
        self.shells = torch.as_tensor(length[near])
        self.envelope = XPLOREnvelope(onset=0.8 * self.cutoff)

    def atomic_energies(self, batch, edges):
        volume = torch.linalg.det(batch.cell).abs() / batch.atoms_per_system
        density = SIGMA**3 / volume
        whole = -14.45392093 * density**2 + 6.065940096 * density**4
        distance = self.shells * (4.0 * volume[:, None]) ** (1 / 3)
        ratio6 = (SIGMA / distance) ** 6
        inside = distance < self.cutoff
        pair = 2.0 * (ratio6**2 - ratio6) * self.envelope(distance, self.cutoff)
        summed = torch.where(inside, pair, 0.0).sum(1)
        beyond = EPSILON * (whole - summed)
        return super().atomic_energies(batch, edges) + beyond[batch.system_index]


def test_the_lattice_sum_makes_up_for_the_cutoff(record_property):
    # The quasi-harmonic expansion, with short and with long cutoffs.
    temperature = 0.1 * EPSILON / BOLTZMANN_EV_PER_K
    crystal = bulk("Ar", "fcc", 5.35, cubic=True)
    found = {
        cutoff: QuasiHarmonic.of(
            crystal, LatticeSummed(cutoff=cutoff), -0.06, 0.08
        ).mean_volume(temperature, 0.0)
        for cutoff in (9.2, 12.0, 17.0)
    }
    record_property("volumes", found)
    assert found[9.2] == pytest.approx(found[17.0], rel=1e-4)
    assert found[12.0] == pytest.approx(found[17.0], rel=3e-5)


@pytest.mark.parametrize("method", [MartynaTobiasKlein, StochasticCellRescaling])
def test_the_crystal_at_zero_pressure_has_the_published_densities(
    method, record_property
):
    expected = np.array([published_density(t) for t in TEMPERATURES])
    n_replicas, n_atoms = 8, 108
    scale = EPSILON / BOLTZMANN_EV_PER_K
    each = np.repeat(TEMPERATURES, n_replicas) * scale
    more = {}
    if method is StochasticCellRescaling:
        more["compressibility_per_GPa"] = 0.5
    crystals = [
        bulk("Ar", "fcc", (4 / density) ** (1 / 3) * SIGMA, cubic=True) * (3, 3, 3)
        for density in np.repeat(expected, n_replicas)
    ]
    samples = sample(
        method(
            temperature_K=tuple(each.tolist()),
            timestep_fs=8.0,
            barostat_time_fs=200.0,
            seed=7,
            **more,
        ),
        LatticeSummed(cutoff=9.2),
        crystals,
        steps=1200,
        every=5,
        skip=200,
    )
    parts = np.split(samples.volume, len(TEMPERATURES), axis=1)
    volume, error = np.transpose([mean_and_error(part) for part in parts])
    density, error = n_atoms * SIGMA**3 / volume, error / volume
    record_property("density", density.tolist())
    record_property("published", expected.tolist())
    record_property("error", error.tolist())
    assert (error < 1.5e-3).all()
    # Finite size, the cutoff and the fit itself: 0.1 %. It expands by 10 %.
    np.testing.assert_array_less(np.abs(density / expected - 1), 3.5 * error + 1e-3)
