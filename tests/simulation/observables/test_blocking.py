"""Standard errors of correlated samples, against noise whose correlation is known."""

import numpy as np
import pytest

from gnndesign.simulation.observables.block_sums import BlockSums
from gnndesign.simulation.observables.blocking import Blocking


def blocked(series):
    blocking = Blocking(series.shape[1])
    for row in series:
        blocking.add(row)
    return blocking.estimate()


def summed(series, **parameters):
    sums = BlockSums(series.shape[1:], **parameters)
    for row in series:
        sums.add(row, slice(None))
        sums.advance()
    return sums


@pytest.mark.parametrize("rho", [0.0, 0.8, 0.95])
def test_correlated_noise_has_its_statistical_inefficiency_and_error(
    autoregressive, rho
):
    n_samples, n_series = 8000, 300
    series = autoregressive((n_samples, n_series), rho)
    estimate = blocked(series)
    # Sum of ρ^|k| over all lags k.
    inefficiency = (1 + rho) / (1 - rho)
    # Blocks of finite length give somewhat less, by g / (2 B).
    assert np.median(estimate.statistical_inefficiency) == pytest.approx(
        inefficiency, rel=0.2
    )
    expected = np.sqrt(inefficiency / n_samples)
    assert np.median(estimate.standard_error) == pytest.approx(expected, rel=0.1)
    # The true mean is 0: deviations in units of the error scatter by 1.
    scatter = np.sqrt(np.mean((estimate.mean / estimate.standard_error) ** 2))
    assert 0.9 < scatter < 1.25
    sums = summed(series)
    error = sums.standard_error(sums.merging())
    assert np.median(error) == pytest.approx(expected, rel=0.1)
    assert 0.9 < np.sqrt(np.mean((series.mean(0) / error) ** 2)) < 1.25


def test_a_run_of_a_few_correlation_times_has_no_error(autoregressive):
    series = autoregressive((300, 100), np.exp(-1 / 30))
    assert np.isnan(blocked(series).standard_error).all()
    assert np.isnan(blocked(series).statistical_inefficiency).all()
    assert (summed(series).merging() == 0).all()


def test_a_drift_has_no_error():
    drift = np.linspace(0.0, 1.0, 5000)[:, None]
    assert np.isnan(blocked(drift).standard_error[0])
    assert summed(drift).merging()[0] == 0


def test_what_never_changes_has_an_error_of_zero():
    constant = np.full((40, 2), [0.1, -7e5])
    estimate = blocked(constant)
    np.testing.assert_array_equal(estimate.standard_error, 0.0)
    np.testing.assert_array_equal(estimate.mean, constant[0])
    sums = summed(constant)
    error = sums.standard_error(sums.merging())
    np.testing.assert_allclose(error / constant[0], 0.0, atol=1e-12)


def test_the_mean_is_that_of_all_samples_at_any_number():
    series = np.random.default_rng(3).normal(5.0, 1.0, size=(77, 3))
    blocking = Blocking(3)
    sums = BlockSums((3,), max_blocks=8)
    for k, row in enumerate(series, start=1):
        blocking.add(row)
        sums.add(row, slice(None))
        sums.advance()
        np.testing.assert_allclose(blocking.estimate().mean, series[:k].mean(0))
        for merged in (1, 2, 4):
            np.testing.assert_allclose(sums.blocks(merged).mean, series[:k].mean(0))
    assert (blocking.estimate().n_samples == 77).all()


def test_no_samples_say_nothing():
    estimate = Blocking(2).estimate()
    assert np.isnan(estimate.mean).all()
    assert np.isnan(estimate.standard_error).all()
    assert (estimate.n_samples == 0).all()
    assert np.isnan(BlockSums((2,)).blocks().mean).all()


def test_an_absent_quantity_does_not_disturb_the_others(autoregressive):
    series = autoregressive((3000, 2), 0.5)
    alone = blocked(series[:, :1])
    absent = series.copy()
    absent[:, 1] = np.nan
    both = blocked(absent)
    assert both.mean[0] == alone.mean[0]
    assert both.standard_error[0] == alone.standard_error[0]
    assert both.n_samples[1] == 0
    assert np.isnan(both.mean[1])


def test_the_jackknife_of_a_mean_is_its_error_and_of_a_ratio_is_right():
    rng = np.random.default_rng(5)
    series = rng.normal([3.0, 2.0], 0.5, size=(32 * 100, 2))
    blocks = summed(series).blocks()
    means = blocks.sums / blocks.counts
    expected = means.std(0, ddof=1) / np.sqrt(len(means))
    np.testing.assert_allclose(blocks.jackknife(lambda mean: mean), expected)
    ratio = blocks.jackknife(lambda mean: mean[:1] / mean[1:])
    # Error propagation for independent numerator and denominator.
    propagated = 1.5 * np.hypot(0.5 / 3.0, 0.5 / 2.0) / np.sqrt(len(series))
    assert ratio == pytest.approx(propagated, rel=0.3)


def test_memory_does_not_grow_with_the_number_of_samples():
    blocking, sums = Blocking(1), BlockSums((1,))
    size = {}
    for k in range(1, 2**12 + 1):
        blocking.add(np.ones(1))
        sums.add(np.ones(1), slice(None))
        sums.advance()
        if k in (2**6, 2**12):
            size[k] = blocking.content()["levels"].size, sums.content()["sums"].size
    assert size[2**12][1] == size[2**6][1]
    # Twice as many levels for the square of the number of samples.
    assert size[2**12][0] < 2 * size[2**6][0]
