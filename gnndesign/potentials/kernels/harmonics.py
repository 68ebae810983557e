"""e3nn's spherical harmonics as polynomials, to be written into code."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from gnndesign.potentials.algebra import spherical_harmonics

Polynomial = dict[tuple[int, int, int], float]
"""Coefficients by the exponents of x, y, z."""


@lru_cache
def harmonic_polynomials(lmax: int) -> tuple[Polynomial, ...]:
    """Y_lm of a unit vector for l = 0 ... lmax, in e3nn's order and component norm.

    Times |r|^l they are homogeneous polynomials of degree l, whose coefficients follow
    from the values at a few points.
    """
    points = torch.randn(
        (200, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    harmonics = spherical_harmonics(lmax, points).numpy()
    lengths = points.norm(dim=1, keepdim=True).numpy()
    found: list[Polynomial] = []
    for order in range(lmax + 1):
        exponents = [
            (a, b, order - a - b)
            for a in range(order + 1)
            for b in range(order + 1 - a)
        ]
        monomials = np.stack(
            [np.prod(points.numpy() ** np.array(e), 1) for e in exponents], 1
        )
        values = harmonics[:, order**2 : (order + 1) ** 2] * lengths**order
        solution = np.linalg.lstsq(monomials, values, rcond=None)[0]
        found += [
            {
                e: float(c)
                for e, c in zip(exponents, column, strict=True)
                if abs(c) > 1e-10
            }
            for column in solution.T
        ]
    return tuple(found)


def derivative(polynomial: Polynomial, axis: int) -> Polynomial:
    """Partial derivative along x, y or z (0, 1, 2)."""
    found: Polynomial = {}
    for exponents, coefficient in polynomial.items():
        if exponents[axis]:
            lower = list(exponents)
            lower[axis] -= 1
            found[lower[0], lower[1], lower[2]] = coefficient * exponents[axis]
    return found
