"""Volumes under pressure are those of static strain and of the phonons' pressure."""

import numpy as np
import pytest
from ase.build import bulk
from physics.quasi_harmonic import QuasiHarmonic
from physics.replicas import mean_and_error, sample

from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.simulation.cell_rescaling import StochasticCellRescaling
from gnndesign.simulation.npt_mtk import MartynaTobiasKlein

pytestmark = [pytest.mark.physics, pytest.mark.timeout(3600)]


def volumes(method, potential, crystal, pressures, n_replicas, *, steps, **options):
    """Mean volume and its error at each pressure, from one batch."""
    each = tuple(np.repeat(pressures, n_replicas).tolist())
    found = sample(
        method(pressure_GPa=each, **options),
        potential,
        [crystal] * len(each),
        steps=steps,
        every=5,
        skip=steps // 5,
    )
    parts = np.split(found.volume, len(pressures), axis=1)
    return np.transpose([mean_and_error(part) for part in parts])


@pytest.mark.parametrize("method", [MartynaTobiasKlein, StochasticCellRescaling])
def test_argon_under_pressure_has_the_volumes_of_statics_and_phonons(
    method, record_property
):
    temperature, pressures = 6.0, (0.0, 0.4, 0.8)
    # No shell of neighbors crosses the beginning or the end of the switch, where force
    # constants jump: the theory's polynomials would be 5 % of the expansion off.
    potential = LennardJones(cutoff=6.9)
    crystal = bulk("Ar", "fcc", 5.2, cubic=True) * (2, 2, 2)
    theory = QuasiHarmonic.of(crystal, potential, -0.055, 0.042)
    expected = np.array([theory.mean_volume(temperature, p) for p in pressures])
    static = np.array([theory.static_volume(p) for p in pressures])
    n_replicas, more = 12, {"barostat_time_fs": 600.0}
    if method is StochasticCellRescaling:
        n_replicas = 32
        more = {"barostat_time_fs": 60.0, "compressibility_per_GPa": 0.25}
    found, error = volumes(
        method,
        potential,
        crystal,
        pressures,
        n_replicas,
        steps=1200,
        temperature_K=temperature,
        timestep_fs=8.0,
        seed=5,
        **more,
    )
    record_property("found", (found / expected - 1).tolist())
    record_property("error", (error / expected).tolist())
    record_property("thermal", (expected / static - 1).tolist())
    # The phonons' pressure is seen; what anharmonicity adds is of the second order.
    assert (expected / static - 1 > 10 * error / expected).all()
    assert (error < 4e-4 * expected).all()
    np.testing.assert_array_less(
        np.abs(found - expected), 3.5 * error + 2e-4 * expected
    )


def test_silicon_under_pressure_has_the_volumes_of_statics_and_phonons(
    sevennet_0_float64, record_property
):
    temperature, pressures = 100.0, (0.0, 6.0)
    crystal = bulk("Si", "diamond", 5.45, cubic=True)
    theory = QuasiHarmonic.of(crystal, sevennet_0_float64, -0.05, 0.04)
    expected = np.array([theory.mean_volume(temperature, p) for p in pressures])
    found, error = volumes(
        StochasticCellRescaling,
        sevennet_0_float64,
        crystal,
        pressures,
        8,
        steps=1000,
        temperature_K=temperature,
        timestep_fs=3.0,
        barostat_time_fs=100.0,
        compressibility_per_GPa=0.01,
        seed=6,
    )
    record_property("found", (found / expected - 1).tolist())
    record_property("error", (error / expected).tolist())
    assert expected[1] / expected[0] < 0.95
    assert (error < 2e-3 * expected).all()
    np.testing.assert_array_less(
        np.abs(found - expected), 3.5 * error + 5e-4 * expected
    )
