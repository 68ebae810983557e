"""Radial functions and their derivatives of any order."""

import numpy as np
import torch

from gnndesign.potentials.radial_functions import RadialFunctions

LIKE = torch.empty(0, dtype=torch.float64)
ETA = np.array([0.3, 1.1, 4.0])
CENTERS = np.array([0.0, 1.5, 2.5])
POLYNOMIALS = np.array([[1.0, 0.0, 2.0], [0.0, -1.0, 0.5], [3.0, 1.0, 0.0]])
MIXTURE = np.array([[1.0, 0.5], [-2.0, 0.0], [0.3, 1.0]])
R = torch.linspace(0.7, 2.9, 7, dtype=torch.float64)


def functions(mixture=MIXTURE):
    return RadialFunctions.of(ETA, CENTERS, POLYNOMIALS, 3.0, mixture, LIKE)


def test_values_are_mixtures_of_gaussians_times_polynomials():
    x = R.numpy()[:, None] / 3.0
    polynomials = POLYNOMIALS[0] + POLYNOMIALS[1] * x + POLYNOMIALS[2] * x**2
    gaussians = np.exp(-ETA * (R.numpy()[:, None] - CENTERS) ** 2)
    expected = gaussians * polynomials
    values = functions(None)(R, torch.float64)
    np.testing.assert_allclose(values, expected, rtol=1e-13)
    mixed = functions()(R, torch.float64)
    np.testing.assert_allclose(mixed, expected @ MIXTURE, rtol=1e-13)


def test_every_derivative_is_the_slope_of_the_one_before():
    step = 1e-5
    for order in range(3):
        ahead = functions().derivative(R + step, order)
        behind = functions().derivative(R - step, order)
        slope = (ahead - behind) / (2 * step)
        found = functions().derivative(R, order + 1)
        torch.testing.assert_close(found, slope, rtol=1e-8, atol=1e-8)


def test_automatic_differentiation_finds_first_and_second_derivatives():
    r = R.clone().requires_grad_()

    def values(distances):
        return functions()(distances, torch.float64)

    assert torch.autograd.gradcheck(values, r)
    assert torch.autograd.gradgradcheck(values, r)
