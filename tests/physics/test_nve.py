"""Silicon at constant energy, with SevenNet-0 in float64."""

import numpy as np
import pytest
from ase.build import bulk

from gnndesign.simulation.base import Status
from gnndesign.simulation.nve import NVE
from gnndesign.simulation.run import run

pytestmark = [pytest.mark.physics, pytest.mark.timeout(3600)]


def total_energies(potential, repeats, *, timestep_fs, time_fs):
    """Times in ps, total energies in meV an atom, temperatures in K.

    Half of the kinetic energy of 600 K becomes potential: about 300 K are left.
    """
    silicon = bulk("Si", "diamond", 5.45, cubic=True).repeat(repeats)
    moments = list(
        run(
            NVE(timestep_fs=timestep_fs, temperature_K=600.0, seed=1),
            potential,
            silicon,
            max_steps=round(time_fs / timestep_fs),
        )
    )
    assert moments[-1].status[0] == Status.FINISHED
    energies = [moment.energy[0] + moment.kinetic_energy[0] for moment in moments]
    heat = [moment.temperature_K[0] for moment in moments]
    times = np.array([moment.time_fs[0] for moment in moments]) / 1000
    return times, 1000 * np.array(energies) / len(silicon), np.array(heat)


def test_error_of_the_total_energy_falls_as_the_square_of_the_time_step(
    sevennet_0_float64, record_property
):
    timesteps = np.array([4.0, 2.0, 1.0])
    widths = [
        total_energies(sevennet_0_float64, 1, timestep_fs=dt, time_fs=240.0)[1].std()
        for dt in timesteps
    ]
    exponent = np.polyfit(np.log(timesteps), np.log(widths), 1)[0]
    record_property("widths in meV an atom", widths)
    record_property("exponent", exponent)
    assert exponent == pytest.approx(2.0, abs=0.05)


def test_the_total_energy_of_silicon_does_not_drift(
    sevennet_0_float64, record_property
):
    times, energies, heat = total_energies(
        sevennet_0_float64, 2, timestep_fs=1.0, time_fs=2000.0
    )
    assert heat[200:].mean() == pytest.approx(300.0, abs=30.0)
    # Block averages of 0.1 ps, longer than any vibration takes, know little of each
    # other; so the scatter about the line says how well its slope is known.
    block = [values[1:].reshape(20, -1).mean(1) for values in (times, energies)]
    (drift, _), covariance = np.polyfit(*block, 1, cov=True)
    error = np.sqrt(covariance[0, 0])
    record_property("drift in meV an atom and ps", (drift, error))
    assert error < 0.005
    assert abs(drift) + 2 * error < 0.02
