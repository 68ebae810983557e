"""Spherical harmonics as polynomials are e3nn's."""

import warnings

import numpy as np
import pytest
import torch

from gnndesign.potentials.algebra import spherical_harmonics
from gnndesign.potentials.kernels.harmonics import derivative, harmonic_polynomials

LMAX = 4


def value(polynomial, points):
    """Of a polynomial, at (n, 3) points."""
    total = np.zeros(len(points))
    for exponents, coefficient in polynomial.items():
        total += coefficient * np.prod(points ** np.array(exponents), 1)
    return total


@pytest.fixture
def points():
    points = np.random.default_rng(8).normal(size=(50, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_they_are_those_of_the_plain_network(points):
    found = np.stack([value(p, points) for p in harmonic_polynomials(LMAX)], 1)
    expected = spherical_harmonics(LMAX, torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_they_are_those_of_e3nn(points):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from e3nn import o3

        expected = o3.spherical_harmonics(
            list(range(LMAX + 1)),
            torch.from_numpy(points),
            normalize=True,
            normalization="component",
        )
    found = np.stack([value(p, points) for p in harmonic_polynomials(LMAX)], 1)
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-12)


def test_each_is_homogeneous_and_has_no_needless_term():
    polynomials = harmonic_polynomials(LMAX)
    assert len(polynomials) == (LMAX + 1) ** 2
    for l in range(LMAX + 1):
        for polynomial in polynomials[l**2 : (l + 1) ** 2]:
            assert polynomial
            assert {sum(exponents) for exponents in polynomial} == {l}
            assert min(abs(c) for c in polynomial.values()) > 1e-3


def test_a_smaller_lmax_gives_the_first_of_them():
    for few, many in zip(
        harmonic_polynomials(2), harmonic_polynomials(LMAX), strict=False
    ):
        assert few.keys() == many.keys()
        assert all(abs(few[key] - many[key]) < 1e-12 for key in few)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_derivatives_are_finite_differences(points, axis):
    step = 1e-5 * np.eye(3)[axis]
    for polynomial in harmonic_polynomials(LMAX):
        ends = [value(polynomial, points + sign * step) for sign in (1, -1)]
        np.testing.assert_allclose(
            value(derivative(polynomial, axis), points),
            (ends[0] - ends[1]) / 2e-5,
            rtol=0,
            atol=1e-8,
        )


def test_derivatives_of_a_known_polynomial():
    # 3 x² y - 2 z³ + 5
    polynomial = {(2, 1, 0): 3.0, (0, 0, 3): -2.0, (0, 0, 0): 5.0}
    assert derivative(polynomial, 0) == {(1, 1, 0): 6.0}
    assert derivative(polynomial, 1) == {(2, 0, 0): 3.0}
    assert derivative(polynomial, 2) == {(0, 0, 2): -6.0}
    assert derivative({(0, 0, 0): 5.0}, 1) == {}
