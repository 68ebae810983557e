"""Velocities: oscillators of known frequency, and particles that forget."""

import numpy as np
import pytest

from gnndesign.errors import ParameterError
from gnndesign.simulation.observables.velocity_autocorrelation import (
    VelocityAutocorrelationAccumulator,
)

ALONE = {"remove_drift": False, "origin_every_fs": 1.0}


def correlated(moment, momenta, *, every=1, numbers=None, **parameters):
    accumulator = VelocityAutocorrelationAccumulator(0, **parameters)
    nowhere = np.zeros(momenta[0].shape)
    for k, p in enumerate(momenta):
        accumulator.add_moment(moment(every * k, nowhere, momenta=p, numbers=numbers))
    return accumulator.result()


def oscillators(n_steps, frequency_THz, n_atoms, seed=0, interval_fs=1.0):
    """Momenta of harmonic oscillators with thermal amplitudes and phases."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, size=(n_atoms, 3))
    amplitude = rng.rayleigh(size=(n_atoms, 3))
    angle = 2 * np.pi * frequency_THz * 1e-3 * interval_fs * np.arange(n_steps)
    return amplitude * np.cos(angle[:, None, None] + phase)


def test_harmonic_oscillators_give_a_cosine_and_a_line(moment):
    frequency_THz = 15.0
    momenta = oscillators(1500, frequency_THz, 200)
    found = correlated(moment, momenta, max_lag_fs=400.0, **ALONE)
    expected = np.cos(2 * np.pi * frequency_THz * 1e-3 * found.lag_fs)
    # As many oscillators as there are leave this much of the sum of phases.
    np.testing.assert_allclose(found.correlation[0], expected, atol=0.03)
    assert found.lag_fs[-1] == 400.0
    spectrum = found.density_of_states[0]
    peak = found.frequency_THz[spectrum.argmax()]
    step = found.frequency_THz[1]
    assert peak == pytest.approx(frequency_THz, abs=step)
    assert np.trapezoid(spectrum, found.frequency_THz) == pytest.approx(1.0)
    # Width at half the height: 1/(longest lag) = 2.5 THz.
    wide = np.ptp(found.frequency_THz[spectrum > spectrum.max() / 2])
    assert wide == pytest.approx(2.5, abs=step)


def test_langevin_particles_forget_exponentially(moment, autoregressive):
    friction_per_fs, n_atoms = 0.1, 50
    deviations = []
    for seed in range(2):
        momenta = autoregressive(
            (2000, n_atoms, 3), np.exp(-friction_per_fs), seed=seed
        )
        found = correlated(moment, momenta, max_lag_fs=30.0)
        expected = np.exp(-friction_per_fs * found.lag_fs)
        np.testing.assert_allclose(found.correlation[1], expected, atol=0.05)
        known = found.correlation_error[1] > 0
        assert known[1:].all()
        off = found.correlation[1] - expected
        deviations += list((off[known] / found.correlation_error[1, known])[::5])
        assert found.message == ""
        assert (found.density_of_states_error > 0).all()
    assert 0.4 < np.sqrt(np.mean(np.square(deviations))) < 1.8
    # At lag 0 nothing is uncertain.
    assert found.correlation[0, 0] == 1.0
    assert found.correlation_error[0, 0] == 0.0


def test_a_temperature_that_wanders_does_not_hide_the_error(moment, autoregressive):
    momenta = autoregressive((2500, 30, 3), np.exp(-0.1))
    slow = np.exp(0.3 * autoregressive((2500, 1, 1), np.exp(-1 / 500), seed=9))
    found = correlated(moment, slow * momenta, max_lag_fs=20.0)
    off = found.correlation[0] - np.exp(-0.1 * found.lag_fs)
    assert (found.correlation_error[0, 1:] > 0).all()
    assert np.abs(off[1:] / found.correlation_error[0, 1:]).max() < 4.0


def test_it_is_the_mean_over_all_origins(moment):
    momenta = np.random.default_rng(3).normal(size=(70, 4, 3))
    found = correlated(moment, momenta, max_lag_fs=20.0, **ALONE)
    raw = [
        np.mean([(momenta[t] * momenta[t - lag]).sum() for t in range(max(lag, 1), 70)])
        for lag in range(21)
    ]
    scale = np.mean([(momenta[t] ** 2).sum() for t in range(1, 70)])
    np.testing.assert_allclose(found.correlation[0], np.array(raw) / scale, atol=1e-5)


def test_species_have_their_own_lines_and_all_weighs_them_by_kinetic_energy(moment):
    slow = oscillators(1200, 5.0, 100, seed=1) * np.sqrt(28.085)
    fast = oscillators(1200, 25.0, 100, seed=2) * np.sqrt(1.008)
    momenta = np.concatenate([slow, fast], axis=1)
    numbers = [14] * 100 + [1] * 100
    found = correlated(moment, momenta, numbers=numbers, max_lag_fs=500.0, **ALONE)
    assert found.species == ("all", "H", "Si")
    peaks = found.frequency_THz[found.density_of_states.argmax(1)]
    assert peaks[1] == pytest.approx(25.0, abs=1.0)
    assert peaks[2] == pytest.approx(5.0, abs=1.0)
    # Equal temperatures: half of the states in either line.
    low = found.frequency_THz < 15.0
    half = np.trapezoid(found.density_of_states[0, low], found.frequency_THz[low])
    assert half == pytest.approx(0.5, abs=0.06)


def test_fewer_origins_say_the_same_for_every_lag(moment, autoregressive):
    momenta = autoregressive((1000, 30, 3), 0.97)
    all_of_them = correlated(moment, momenta, max_lag_fs=50.0, origin_every_fs=1.0)
    some = correlated(moment, momenta, max_lag_fs=50.0, origin_every_fs=7.0)
    assert len(some.lag_fs) == len(all_of_them.lag_fs) == 51
    np.testing.assert_allclose(some.correlation, all_of_them.correlation, atol=0.04)


def test_motion_of_the_whole_is_taken_out_unless_an_atom_is_held(moment):
    momenta = oscillators(300, 20.0, 40)
    momenta -= momenta.mean(1, keepdims=True)
    drifting = momenta + 5.0
    still = correlated(moment, momenta, max_lag_fs=100.0)
    moving = correlated(moment, drifting, max_lag_fs=100.0)
    np.testing.assert_allclose(still.correlation, moving.correlation, atol=1e-5)
    drifting[:, 0] = 0.0
    held = correlated(moment, drifting, max_lag_fs=100.0)
    assert held.correlation[0].min() > 0.5


def test_a_run_shorter_than_the_longest_lag_says_so(moment):
    momenta = np.random.default_rng(0).normal(size=(7, 2, 3))
    found = correlated(moment, momenta, max_lag_fs=100.0, **ALONE)
    assert len(found.lag_fs) == 7
    assert "Shorter than the longest lag of 100 fs" in found.message
    assert np.isnan(found.correlation_error).all()
    empty = correlated(moment, np.ones((1, 2, 3)))
    assert empty.correlation.shape == (2, 0)
    assert empty.frequency_THz.shape == (0,)


def test_a_gap_begins_anew(moment):
    accumulator = VelocityAutocorrelationAccumulator(0, max_lag_fs=5.0, **ALONE)
    sign = 1.0
    for k in range(60):
        if k == 30:
            sign = -1.0
        if 25 <= k < 30:
            continue
        p = sign * np.ones((2, 3))
        accumulator.add_moment(moment(k, p, momenta=p))
    np.testing.assert_allclose(accumulator.result().correlation, 1.0)


def test_without_velocities_it_says_what_it_wanted(moment):
    accumulator = VelocityAutocorrelationAccumulator(0)
    with pytest.raises(ParameterError, match="Wanted velocities"):
        accumulator.add_moment(moment(0, np.zeros((1, 3))))
    with pytest.raises(ParameterError, match="max_lag_fs"):
        VelocityAutocorrelationAccumulator(0, max_lag_fs=0.0)
