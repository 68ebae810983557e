"""Running averages of what a run says."""

import numpy as np
import pytest

from gnndesign.simulation.nve import NVE
from gnndesign.simulation.observables.averages import QUANTITIES, AveragesAccumulator
from gnndesign.simulation.run import run


def averaged(moments):
    accumulator = AveragesAccumulator(0)
    for moment in moments:
        accumulator.add_moment(moment)
    return accumulator.result()


def test_a_thermostat_of_known_correlation_time(moment, autoregressive):
    time_fs = 8.0
    noise = autoregressive((3000, 1), np.exp(-1 / time_fs), seed=2)
    atoms = np.zeros((1, 3))
    averages = averaged(
        moment(k, atoms, temperature_K=300.0 + 20.0 * float(x))
        for k, (x,) in enumerate(noise)
    )
    heat = averages.temperature_K
    assert heat.correlation_time_fs == pytest.approx(time_fs, rel=0.35)
    assert heat.standard_error == pytest.approx(
        20.0 * np.sqrt(2 * time_fs / 3000), rel=0.3
    )
    assert abs(heat.mean - 300.0) < 3 * heat.standard_error
    assert heat.message == ""
    assert heat.n_samples == 3000


def test_a_run_too_short_to_tell_says_so_instead_of_a_number(moment, autoregressive):
    noise = autoregressive((60, 1), 0.9)
    atoms = np.zeros((1, 3))
    averages = averaged(
        moment(k, atoms, temperature_K=float(x)) for k, (x,) in enumerate(noise)
    )
    heat = averages.temperature_K
    assert heat.standard_error is None
    assert heat.correlation_time_fs is None
    assert "60 samples" in heat.message
    assert "temperature" in heat.message
    assert heat.mean == pytest.approx(noise.mean())
    assert np.isnan(heat.curve_error).all()


def test_the_curve_of_the_mean_ends_at_the_mean_with_its_error(moment, autoregressive):
    noise = autoregressive((1501, 1), 0.5)[:, 0]
    atoms = np.zeros((1, 3))
    averages = averaged(
        moment(k, atoms, temperature_K=float(x)) for k, x in enumerate(noise)
    )
    heat = averages.temperature_K
    assert len(heat.curve_time_fs) <= 257
    assert (np.diff(heat.curve_time_fs) > 0).all()
    assert heat.curve_time_fs[-1] == 1500.0
    assert heat.curve_mean[-1] == pytest.approx(heat.mean)
    assert heat.curve_error[-1] == pytest.approx(heat.standard_error)
    upto = heat.curve_time_fs[10].astype(int)
    assert heat.curve_mean[10] == pytest.approx(noise[: upto + 1].mean())
    assert (np.diff(heat.curve_error) < 0).all()


def test_averages_of_a_run_are_the_means_of_its_snapshots(argon, lennard_jones):
    accumulator = AveragesAccumulator(0)
    stepper = NVE(timestep_fs=4.0, temperature_K=40.0)
    snapshots = list(run(stepper, lennard_jones, argon(), max_steps=40))
    for snapshot in snapshots:
        accumulator.add(snapshot)
    # The last one ends the run, and lies on the beat.
    averages = accumulator.result()
    for name, field in {
        "temperature_K": "temperature_K",
        "pressure_GPa": "pressure_GPa",
        "potential_energy": "energy",
        "kinetic_energy": "kinetic_energy",
        "volume": "volume",
    }.items():
        expected = np.mean([getattr(s, field)[0] for s in snapshots])
        assert getattr(averages, name).mean == pytest.approx(expected), name
    assert averages.volume.standard_error == 0.0
    assert averages.cell_length_b.mean == pytest.approx(5.3)
    total = averages.potential_energy.mean + averages.kinetic_energy.mean
    assert averages.total_energy.mean == pytest.approx(total)
    # Also the total stress of every moment, whose kinetic part needs the masses.
    normal = [getattr(averages, f"stress_{k}{k}_GPa").mean for k in "xyz"]
    assert -np.mean(normal) == pytest.approx(averages.pressure_GPa.mean, rel=1e-9)


def test_what_has_no_meaning_for_a_molecule_is_absent(trimer, lennard_jones):
    accumulator = AveragesAccumulator(0)
    for snapshot in run(NVE(), lennard_jones, trimer, max_steps=3):
        accumulator.add(snapshot)
    averages = accumulator.result()
    present = {name for name in QUANTITIES if getattr(averages, name) is not None}
    assert present == {
        "temperature_K",
        "potential_energy",
        "kinetic_energy",
        "total_energy",
    }
