"""Irreducible representations of O(3), in e3nn's conventions.

Real bases, the component normalisation, y as the polar axis, Wigner 3j tensors of unit
norm: e3nn (M. Geiger and T. Smidt, arXiv:2207.09453) is the definition, and the tests
compare with it to the last digit. It is not imported because its import takes as long
as torch's. All constants are computed in float64.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import factorial, sqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.errors import ParameterError

LARGEST_L = 11
"""Beyond it e3nn has no spherical harmonics to compare with."""

SILU_FACTOR = 1.6791767923989418
"""What makes silu's second moment 1 under a normal input, as e3nn estimates it from a
million samples; networks are trained with this estimate, not with the integral."""

TANH_FACTOR = 1.5937334472592695
"""The same for tanh."""


@dataclass(frozen=True, slots=True, order=True)
class Irrep:
    """How 2 l + 1 numbers turn, and their sign `p` (1 or -1) under inversion."""

    l: int
    p: int

    @property
    def dim(self) -> int:
        """2 l + 1."""
        return 2 * self.l + 1

    def __str__(self) -> str:
        """Such as "1o": l, then e(ven) or o(dd)."""
        return f"{self.l}{'e' if self.p == 1 else 'o'}"

    def __mul__(self, other: Irrep) -> tuple[Irrep, ...]:
        """What the product of two irreps consists of, by rising l."""
        smallest, largest = abs(self.l - other.l), self.l + other.l
        return tuple(Irrep(l, self.p * other.p) for l in range(smallest, largest + 1))


SCALAR = Irrep(0, 1)
"""The irrep of an energy."""


def irreps(text: str) -> list[tuple[int, Irrep]]:
    """Channels and irreps of a description such as "128x0e+64x1o", in its order.

    Raises:
        ParameterError: it does not read like that.
    """
    blocks: list[tuple[int, Irrep]] = []
    for part in text.replace(" ", "").split("+"):
        match = re.fullmatch(r"(?:([1-9]\d{0,5})x)?(\d\d?)([eo])", part)
        if match is None:
            raise ParameterError(f"Wanted irreps such as '128x0e+64x1o', got {text!r}.")
        channels, l, parity = match.groups()
        blocks.append((int(channels or 1), Irrep(int(l), 1 if parity == "e" else -1)))
    return blocks


@cache
def wigner_3j(l1: int, l2: int, l3: int) -> np.ndarray:
    """(2 l1 + 1, 2 l2 + 1, 2 l3 + 1) the one tensor that all rotations leave alone.

    Clebsch-Gordan coefficients carried into the real bases, of unit norm; read-only.
    """
    complex_tensor = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1) + 1):
            place = (l1 + m1, l2 + m2, l3 + m1 + m2)
            complex_tensor[place] = _clebsch_gordan(l1, m1, l2, m2, l3)
    tensor = np.einsum(
        "abc,ai,bj,ck->ijk",
        complex_tensor,
        _real_basis(l1),
        _real_basis(l2),
        _real_basis(l3).conj(),
    ).real
    tensor = np.where(np.abs(tensor) < 1e-14, 0.0, tensor)
    tensor /= np.linalg.norm(tensor)
    tensor.setflags(write=False)
    return tensor


@cache
def coupling(
    l1: int, l2: int, l3: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "_harmonic _receiver _sender"]:
    """(2 l2 + 1, 2 l3 + 1, 2 l1 + 1): sqrt(2 l3 + 1) times `wigner_3j`, not to be changed.

    A sender's irrep l1 and the harmonics l2 of an edge make a message l3 of the norm
    that e3nn's component normalisation asks for.
    """
    tensor = wigner_3j(l1, l2, l3).transpose(1, 2, 0) * sqrt(2 * l3 + 1)
    return _constant(tensor, dtype, device)


def spherical_harmonics(
    lmax: int, vectors: Float[Tensor, "n_edges 3"]
) -> Float[Tensor, "n_edges _components"]:
    """(n_edges, (lmax + 1)²) real harmonics of the directions of `vectors`, l by l.

    Component normalisation: the squares of each l sum to 2 l + 1. Y_l is the part of
    order l in the product of Y_{l-1} and the direction, so no l needs formulas of its
    own.
    """
    directions = torch.nn.functional.normalize(vectors, dim=-1)
    harmonics = [torch.ones_like(directions[:, :1])]
    for l in range(1, lmax + 1):
        products = harmonics[-1].unsqueeze(2) * directions.unsqueeze(1)
        step = _step(l, directions.dtype, directions.device)
        harmonics.append(products.flatten(1) @ step)
    return torch.cat(harmonics, 1)


@cache
def _step(l: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(3 (2 l - 1), 2 l + 1) from products of Y_{l-1} and a direction to Y_l."""
    tensor = wigner_3j(l - 1, 1, l)
    # Along the polar axis, y, only the middle component is there: sqrt(2 l + 1).
    middle = sqrt(2 * l - 1) * tensor[l - 1, 1, l]
    return _constant(
        (tensor * sqrt(2 * l + 1) / middle).reshape(-1, 2 * l + 1), dtype, device
    )


def _constant(values: np.ndarray, dtype: torch.dtype, device: torch.device) -> Tensor:
    # A tensor that is made in inference mode could not be used outside of it.
    with torch.inference_mode(mode=False):
        return torch.tensor(values, dtype=dtype, device=device)


def _real_basis(l: int) -> np.ndarray:
    """(2 l + 1, 2 l + 1) complex components m, -m (rows) of the real ones (columns)."""
    basis = np.zeros((2 * l + 1, 2 * l + 1), dtype=complex)
    basis[l, l] = 1.0
    for m in range(1, l + 1):
        sign = (-1) ** m
        basis[l - m, l + m], basis[l - m, l - m] = sqrt(0.5), -1j * sqrt(0.5)
        basis[l + m, l + m], basis[l + m, l - m] = (
            sign * sqrt(0.5),
            1j * sign * sqrt(0.5),
        )
    return (-1j) ** l * basis


def _clebsch_gordan(l1: int, m1: int, l2: int, m2: int, l3: int) -> float:
    """<l1 m1, l2 m2 | l3 m1 + m2>, by Racah's formula in exact arithmetic."""
    m3 = m1 + m2
    total = Fraction(0)
    for k in range(l1 + l2 - l3 + 1):
        below = (
            k,
            l1 + l2 - l3 - k,
            l1 - m1 - k,
            l2 + m2 - k,
            l3 - l2 + m1 + k,
            l3 - l1 - m2 + k,
        )
        if min(below) >= 0:
            total += Fraction((-1) ** k, _product(below))
    triangle = Fraction(
        (2 * l3 + 1) * _product((l3 + l1 - l2, l3 - l1 + l2, l1 + l2 - l3)),
        factorial(l1 + l2 + l3 + 1),
    )
    projections = _product((l1 + m1, l1 - m1, l2 + m2, l2 - m2, l3 + m3, l3 - m3))
    return float(total) * sqrt(triangle * projections)


def _product(numbers: Sequence[int]) -> int:
    result = 1
    for number in numbers:
        result *= factorial(number)
    return result
