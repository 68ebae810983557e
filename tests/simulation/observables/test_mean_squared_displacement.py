"""Displacements: walkers of known diffusion, free flight, and cells that breathe."""

import numpy as np
import pytest
from ase.build import bulk

from gnndesign.simulation.observables.mean_squared_displacement import (
    LAGS,
    MeanSquaredDisplacementAccumulator,
)

DIFFUSION = 0.01  # Å²/fs, of the walkers
CELL = np.array([[7.0, 0.0, 0.0], [3.0, 8.0, 0.0], [-2.0, 1.0, 9.0]])


def followed(moments, **parameters):
    accumulator = MeanSquaredDisplacementAccumulator(0, **parameters)
    for moment in moments:
        accumulator.add_moment(moment)
    return accumulator.result()


def walk(n_steps, n_atoms, seed=0, diffusion=DIFFUSION):
    rng = np.random.default_rng(seed)
    hops = rng.normal(size=(n_steps, n_atoms, 3)) * np.sqrt(2 * diffusion)
    return np.cumsum(hops, axis=0)


def test_walkers_of_known_diffusion(moment):
    n_atoms, deviations = 20, []
    # Taking out the centre of mass takes 1/n of the motion.
    expected = DIFFUSION * (1 - 1 / n_atoms)
    for seed in range(6):
        path = walk(400, n_atoms, seed)
        found = followed(moment(k, r) for k, r in enumerate(path))
        fit = found.diffusion[0]
        assert fit.message == ""
        assert fit.coefficient_A2_per_ps == pytest.approx(expected * 1e3, rel=0.15)
        # 1 Å²/ps is 1e-4 cm²/s.
        assert fit.coefficient_cm2_per_s == fit.coefficient_A2_per_ps * 1e-4
        assert fit.error_cm2_per_s == fit.error_A2_per_ps * 1e-4
        deviation = fit.coefficient_A2_per_ps - expected * 1e3
        deviations.append(deviation / fit.error_A2_per_ps)
        line = 6 * expected * found.lag_fs
        known = ~np.isnan(found.displacement_error[0])
        off = (found.displacement[0] - line)[known] / found.displacement_error[0, known]
        assert np.abs(off).max() < 5.0
        # An error for lags of up to a thirtieth of the run at least.
        assert found.lag_fs[known].max() >= 400 / 32
    assert 0.5 < np.sqrt(np.mean(np.square(deviations))) < 1.8


def test_all_origins_count_for_short_lags_and_lags_span_the_run(moment):
    path = walk(200, 3)
    path -= path.mean(axis=1, keepdims=True)
    found = followed(moment(k, r) for k, r in enumerate(path))
    assert found.lag_fs.max() == 192
    for column, lag in enumerate(found.lag_fs.astype(int)):
        # Above 15 steps, every second origin; above 30 every fourth; and so on.
        every = max(1, 2 ** int(np.floor(np.log2(lag / 8)))) if lag > 15 else 1
        ends = np.arange(0, 200, every)
        ends = ends[ends >= lag]
        moved = path[ends] - path[ends - lag]
        expected = (moved**2).sum(-1).mean()
        assert found.displacement[0, column] == pytest.approx(expected), lag


def test_free_flight_is_quadratic_in_time_and_no_diffusion(moment):
    velocities = np.random.default_rng(1).normal(size=(10, 3))
    velocities -= velocities.mean(0)
    found = followed(moment(k, velocities * k) for k in range(400))
    mean_square = (velocities**2).sum(-1).mean()
    np.testing.assert_allclose(
        found.displacement[0], mean_square * found.lag_fs**2, rtol=1e-9
    )
    fit = found.diffusion[0]
    assert fit.coefficient_A2_per_ps is None
    assert "Not linear" in fit.message


def test_atoms_that_vibrate_do_not_diffuse(moment):
    sites = bulk("Ar", "fcc", 5.3, cubic=True).positions
    rng = np.random.default_rng(2)
    found = followed(
        moment(k, sites + rng.normal(size=sites.shape) * 0.2) for k in range(600)
    )
    # Two independent displacements, in three directions.
    expected = 2 * 3 * 0.2**2 * (1 - 1 / len(sites))
    assert found.displacement[0, 5] == pytest.approx(expected, rel=0.05)
    fit = found.diffusion[0]
    assert abs(fit.coefficient_A2_per_ps) < 3 * fit.error_A2_per_ps
    assert fit.intercept == pytest.approx(expected, rel=0.05)


def test_what_cannot_be_told_from_zero_is_said(moment):
    rng = np.random.default_rng(3)
    vibration = rng.normal(size=(600, 4, 3)) * 0.2
    found = followed(moment(k, r) for k, r in enumerate(vibration))
    assert "Cannot be told from zero" in found.diffusion[0].message


def test_a_breathing_cell_moves_atoms_but_is_no_diffusion(moment):
    rng = np.random.default_rng(4)
    fractional = rng.uniform(-2.0, 3.0, size=(12, 3))
    path = walk(500, 12, seed=5)
    breathing, resting = [], []
    relative, last = fractional, np.zeros((12, 3))
    for k in range(500):
        strain = 0.05 * np.sin(0.3 * k) * np.diag([1.0, -0.5, 0.8])
        strain[0, 1] = 0.03 * np.cos(0.2 * k)
        cell = CELL @ (np.eye(3) + strain)
        frozen = moment(k, fractional @ cell, cell=cell)
        resting.append(frozen)
        # Hops of the walkers on top of the flow of the cell.
        relative = relative + (path[k] - last) @ np.linalg.inv(cell)
        last = path[k]
        breathing.append(moment(k, relative @ cell, cell=cell))
    still = followed(resting, remove_drift=False)
    np.testing.assert_allclose(still.displacement, 0.0, atol=1e-20)
    found = followed(breathing)
    free = followed(moment(k, r) for k, r in enumerate(path))
    for name in ("displacement", "displacement_error"):
        np.testing.assert_allclose(getattr(found, name), getattr(free, name), rtol=0.1)
    assert found.diffusion[0].coefficient_A2_per_ps == pytest.approx(
        free.diffusion[0].coefficient_A2_per_ps, rel=0.05
    )


def test_the_motion_of_the_whole_is_taken_out_unless_an_atom_is_held(moment):
    path = walk(60, 5)
    numbers = [1, 1, 8, 8, 8]
    drift = np.array([0.3, -0.1, 0.2])
    frames = [moment(k, r, numbers=numbers) for k, r in enumerate(path)]
    drifting = [moment(k, r + k * drift, numbers=numbers) for k, r in enumerate(path)]
    still, moving = followed(frames), followed(drifting)
    np.testing.assert_allclose(still.displacement, moving.displacement)
    masses = frames[0].masses
    center = (masses[:, None] * path).sum(1) / masses.sum()
    hydrogen = (path - center[:, None])[:, :2]
    expected = ((hydrogen[7:] - hydrogen[:-7]) ** 2).sum(-1).mean()
    assert still.species == ("H", "O")
    assert still.displacement[0, 6] == pytest.approx(expected)
    assert (followed(drifting, remove_drift=False).displacement[0] > 0).all()
    path[:, 4] = path[0, 4]
    held = followed(moment(k, r, numbers=numbers) for k, r in enumerate(path))
    hydrogen = path[:, :2]
    expected = ((hydrogen[7:] - hydrogen[:-7]) ** 2).sum(-1).mean()
    assert held.displacement[0, 6] == pytest.approx(expected)


def test_moments_at_unequal_distances_are_not_mixed(moment):
    flight = np.outer(np.arange(400.0), [1.0, 0.0, 0.0])[:, None, :]
    flight = np.concatenate([flight, -flight], axis=1)
    # Every second step; then a hole; and one step off the beat.
    steps = [*range(0, 60, 2), 61, *range(90, 200, 2)]
    found = followed(moment(k, flight[k]) for k in steps)
    np.testing.assert_allclose(found.displacement[0], found.lag_fs**2)
    assert found.lag_fs[0] == 2.0
    assert found.n_samples == len(steps) - 1


def test_memory_grows_with_the_logarithm_of_the_run(moment):
    accumulator = MeanSquaredDisplacementAccumulator(0)
    path = walk(2**11 + 1, 2)
    rings = {}
    for k, r in enumerate(path):
        accumulator.add_moment(moment(k, r))
        if k in (2**5, 2**11):
            rings[k] = len(accumulator.state()["content"]["n_pushed"])
    assert rings[2**5] == 3
    assert rings[2**11] == 9
    assert (np.diff(LAGS) > 0).all()


def test_before_the_second_moment_there_is_nothing(moment):
    assert followed([]).species == ()
    found = followed([moment(0, np.ones((2, 3)))])
    assert found.displacement.shape == (1, 0)
    assert found.diffusion[0].coefficient_A2_per_ps is None
    assert "Too short" in found.diffusion[0].message
