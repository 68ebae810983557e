"""Functions of a distance: the Bessel basis and the envelopes that end at the cutoff."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class PolynomialEnvelope:
    """1 at zero distance, with p - 1 vanishing derivatives; 0 at the cutoff, with two.

    With x = r / cutoff: 1 - (p+1)(p+2)/2 x^p + p(p+2) x^(p+1) - p(p+1)/2 x^(p+2)
    (J. Gasteiger et al., ICLR 2020, eq. 8).
    """

    p: int

    def __call__(self, distances: Tensor, cutoff: float) -> Tensor:
        """Zero beyond the cutoff (Å)."""
        p = self.p
        x = distances / cutoff
        value = (
            1
            - (p + 1) * (p + 2) / 2 * x**p
            + p * (p + 2) * x ** (p + 1)
            - p * (p + 1) / 2 * x ** (p + 2)
        )
        return torch.where(distances < cutoff, value, torch.zeros_like(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class XPLOREnvelope:
    """1 up to `onset` Å, then a smooth fall to 0 at the cutoff.

    (c² - r²)² (c² + 2 r² - 3 o²) / (c² - o²)³, as in the X-PLOR program
    (A. T. Brünger, X-PLOR 3.1 manual, 1992).
    """

    onset: float

    def __call__(self, distances: Tensor, cutoff: float) -> Tensor:
        """Zero beyond the cutoff (Å)."""
        r2, c2, o2 = distances * distances, cutoff**2, self.onset**2
        fall = (c2 - r2) ** 2 * (c2 + 2 * r2 - 3 * o2) / (c2 - o2) ** 3
        value = torch.where(distances < self.onset, torch.ones_like(fall), fall)
        return torch.where(distances < cutoff, value, torch.zeros_like(value))


Envelope = PolynomialEnvelope | XPLOREnvelope


class BesselBasis(nn.Module):
    """Radial Bessel functions (2 / cutoff) sin(k_n r) / r, times an envelope.

    J. Gasteiger et al., ICLR 2020, eq. 7; k_n starts at n π / cutoff and is trained.
    """

    def __init__(self, n_radial: int, cutoff: float, envelope: Envelope) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.envelope = envelope
        waves = [n * pi / cutoff for n in range(1, n_radial + 1)]
        self.wave_numbers = nn.Parameter(torch.tensor(waves))

    def forward(
        self, distances: Float[Tensor, " n_edges"]
    ) -> Float[Tensor, "n_edges n_radial"]:
        """(n_edges, n_radial); `distances` in Å, none zero.

        Computed in float64: the argument of the sine is up to n_radial π, whose last
        digit in float32 would be the largest error of a whole network.
        """
        r = distances.double().unsqueeze(-1)
        waves = (2.0 / self.cutoff) * torch.sin(self.wave_numbers.double() * r) / r
        return (waves * self.envelope(r, self.cutoff)).to(self.wave_numbers.dtype)
