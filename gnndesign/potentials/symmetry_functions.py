"""Symmetry functions: what surrounds an atom, in numbers that no rotation changes.

The radial functions (G2) and the angular ones (G5, with Gaussians that may be shifted)
of J. Behler, J. Chem. Phys. 134, 074106 (2011):

    g_n(r)      = exp(-η_n (r - s_n)²) f(r)
    G2_i^n,a    = Σ_{j of a} g_n(r_ij)
    G5_i^n,ζ,λ,ab = 2^(1-ζ) Σ_{pairs j of a, k of b} (1 + λ cos θ_jik)^ζ g_n(r_ij) g_n(r_ik)

where every pair of two neighbors counts once, and f is the polynomial of
A. Singraber, J. Behler, C. Dellago, J. Chem. Theory Comput. 15, 1827 (2019), whose
second derivative vanishes at the cutoff. For many elements the sums over species are
weighted instead of resolved, with w = Z (M. Gastegger et al., J. Chem. Phys. 148,
241709 (2018)):

    G2_i^n      = Σ_j w_j g_n(r_ij),    G5_i^n,ζ,λ with w_j w_k under its sum

No triplet is ever listed. For whole ζ the angular factor is a sum of Legendre
polynomials, and by the addition theorem of the spherical harmonics

    Σ_j Σ_k P_l(cos θ_jik) g_j g_k = 1/(2l+1) Σ_m (Σ_j g_j Y_lm(j)) (Σ_k g_k Y_lm(k))

which holds the pairs j = k too: they are taken off, (1 + λ)^ζ Σ_j g_j². The cost grows
with the number of neighbors, not with its square.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.polynomial import Polynomial, legendre
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.algebra import LARGEST_L, spherical_harmonics
from gnndesign.potentials.descriptors import (
    NeighborTable,
    check_elements,
    check_fraction,
    check_positive,
    check_widths,
)
from gnndesign.potentials.radial_functions import RadialFunctions

LAMBDAS = (-1, 1)
"""Signs λ of the angular functions: bent and straight."""

_CUTOFF_FUNCTION = (1.0, 0.0, 0.0, -10.0, 15.0, -6.0)
"""f as a polynomial of r / cutoff: (15 x - 6 x² - 10) x³ + 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BehlerParrinelloParameters:
    """Which symmetry functions, and networks of which size.

    The grid of a set of n Gaussians is n distances, evenly spaced from `innermost` to
    the cutoff, without it. Centered Gaussians have s = 0 and η = 1 / (2 grid²), shifted
    ones s = grid and η = 1 / (2 spacing²) (Gastegger et al., 2018, section II C).

    Attributes:
        elements: atomic numbers it knows, in the order of its networks.
        cutoff: Å.
        resolved: whether sums over neighbors are resolved by element ("elements": for
            few) or weighted by atomic number ("weighted": for many).
        n_centered, n_shifted: number of Gaussians of the radial functions.
        n_angular_centered, n_angular_shifted: the same of the angular functions.
        innermost: Å, the first distance of the grids.
        zeta: exponents ζ, whole.
        hidden: widths of each network's hidden layers.
        least_spread: no spread of a function is taken as less than this fraction of
            the largest of its element; 1 scales all alike.
    """

    elements: tuple[int, ...]
    cutoff: float = 5.0
    resolved: Literal["elements", "weighted"] = "elements"
    n_centered: int = 4
    n_shifted: int = 12
    n_angular_centered: int = 3
    n_angular_shifted: int = 6
    innermost: float = 1.0
    zeta: tuple[int, ...] = (1, 2, 4)
    hidden: tuple[int, ...] = (32, 32)
    least_spread: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what is no network.

        Raises:
            ParameterError: a number out of its range.
        """
        check_elements(self.elements)
        check_positive(cutoff=self.cutoff, innermost=self.innermost)
        if self.innermost >= self.cutoff:
            raise ParameterError(
                f"Wanted the innermost distance below the cutoff of {self.cutoff} Å, "
                f"got {self.innermost} Å."
            )
        if self.resolved not in ("elements", "weighted"):
            raise ParameterError(
                "Wanted sums resolved by 'elements' or 'weighted', got "
                f"{self.resolved!r}."
            )
        numbers = (self.n_centered, self.n_shifted)
        angular = (self.n_angular_centered, self.n_angular_shifted)
        if min(numbers + angular) < 0 or sum(numbers) == 0:
            raise ParameterError(
                "Wanted one or more radial functions and no negative number of any, "
                f"got {numbers} radial and {angular} angular."
            )
        if any(not 1 <= zeta <= LARGEST_L for zeta in self.zeta):
            raise ParameterError(
                f"Wanted whole exponents zeta from 1 to {LARGEST_L}, got {self.zeta}."
            )
        if len(set(self.zeta)) != len(self.zeta) or (sum(angular) and not self.zeta):
            raise ParameterError(
                "Wanted one or more different exponents zeta for the angular "
                f"functions, got {self.zeta}."
            )
        check_widths(self.hidden)
        check_fraction(least_spread=self.least_spread)

    @property
    def n_radial(self) -> int:
        """Number of Gaussians of the radial functions."""
        return self.n_centered + self.n_shifted

    @property
    def n_angular(self) -> int:
        """Number of Gaussians of the angular functions."""
        return self.n_angular_centered + self.n_angular_shifted

    @property
    def n_channels(self) -> int:
        """Kinds of neighbors that are told apart."""
        return len(self.elements) if self.resolved == "elements" else 1

    @property
    def channel_pairs(self) -> list[tuple[int, int]]:
        """Kinds a <= b of the two neighbors of an angular function."""
        kinds = range(self.n_channels)
        return [(a, b) for a in kinds for b in kinds if a <= b]

    @property
    def angles(self) -> list[tuple[int, int]]:
        """(ζ, λ) of the angular functions."""
        return [(zeta, sign) for zeta in self.zeta for sign in LAMBDAS]

    @property
    def n_features(self) -> int:
        """Number of symmetry functions: radial ones first, then angular ones.

        Radial by (channel, Gaussian), angular by (pair of channels, Gaussian, angle).
        """
        angular = len(self.channel_pairs) * self.n_angular * len(self.angles)
        return self.n_channels * self.n_radial + angular

    def gaussians(self) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """η (1/Å²) and s (Å) of the radial Gaussians, then of the angular ones."""
        sets = [
            _gaussians(self.innermost, self.cutoff, *numbers)
            for numbers in (
                (self.n_centered, self.n_shifted),
                (self.n_angular_centered, self.n_angular_shifted),
            )
        ]
        eta, shift = np.concatenate(sets, axis=1)
        return eta, shift


def _gaussians(
    start: float, cutoff: float, n_centered: int, n_shifted: int
) -> Float[np.ndarray, "2 n"]:
    centered = np.linspace(start, cutoff, n_centered, endpoint=False)
    shifted = np.linspace(start, cutoff, n_shifted, endpoint=False)
    spacing = (cutoff - start) / max(n_shifted, 1)
    eta = np.concatenate([0.5 / centered**2, np.full(n_shifted, 0.5 / spacing**2)])
    return np.stack([eta, np.concatenate([0.0 * centered, shifted])])


def symmetry_functions(
    shape: BehlerParrinelloParameters,
    species: Int[Tensor, " n_atoms"],
    batch: AtomicBatch,
    edges: NeighborList,
    dtype: torch.dtype,
) -> Float[Tensor, "n_atoms n_features"]:
    """(n_atoms, n_features) G, in the order of `shape.n_features`.

    Args:
        shape: which functions.
        species: places of the atoms' elements in `shape.elements`.
        batch: structures.
        edges: their neighbors; those beyond the cutoff contribute nothing.
        dtype: of the sums over neighbors; distances and the functions of them are
            computed in the floating type of the batch.
    """
    edges = edges.within(batch, shape.cutoff)
    table = NeighborTable.of(edges.centers, batch.n_atoms)
    vectors = edges.vectors(batch)
    functions = radial_functions(shape, vectors.dtype, vectors.device)
    gaussians = functions(vectors.norm(dim=-1), dtype)
    radial, angular = gaussians.split([shape.n_radial, shape.n_angular], 1)
    weights = channel_weights(shape, species, vectors).index_select(0, edges.neighbors)
    weights = weights.to(dtype)
    sums = table.fill(weights).mT @ table.fill(radial)
    if not shape.n_angular:
        return sums.flatten(1)
    harmonics = spherical_harmonics(max(shape.zeta), vectors.to(dtype))
    density = (weights.unsqueeze(2) * angular.unsqueeze(1)).flatten(1)
    moments = table.fill(density).mT @ table.fill(harmonics)
    moments = moments.unflatten(1, (shape.n_channels, shape.n_angular))
    squares = table.fill(weights**2).mT @ table.fill(angular**2)
    return torch.cat([sums.flatten(1), _angular(shape, moments, squares)], 1)


def channel_weights(
    shape: BehlerParrinelloParameters, species: Int[Tensor, " n_atoms"], like: Tensor
) -> Float[Tensor, "n_atoms n_channels"]:
    """What an atom counts as a neighbor, by channel.

    Atomic numbers are divided by the largest, which the standardisation would take
    out anyway.
    """
    elements = shape.elements
    if shape.resolved == "elements":
        weights = torch.eye(len(elements), dtype=like.dtype, device=like.device)
    else:
        numbers = torch.tensor(elements, dtype=like.dtype, device=like.device)
        weights = (numbers / max(elements)).unsqueeze(1)
    return weights.index_select(0, species)


def _angular(
    shape: BehlerParrinelloParameters,
    moments: Float[Tensor, "n_atoms n_channels n_angular n_harmonics"],
    squares: Float[Tensor, "n_atoms n_channels n_angular"],
) -> Float[Tensor, "n_atoms n_functions"]:
    """G5: products of two sums over neighbors, less the pairs of one atom."""
    from_harmonics, from_squares = angle_constants(
        shape.zeta, moments.dtype, moments.device
    )
    found: list[Tensor] = []
    for a, b in shape.channel_pairs:
        both = (moments[:, a] * moments[:, b]) @ from_harmonics
        if a == b:
            both = 0.5 * (both - squares[:, a].unsqueeze(2) * from_squares)
        found.append(both.flatten(1))
    return torch.cat(found, 1)


@cache
def radial_functions(
    shape: BehlerParrinelloParameters, dtype: torch.dtype, device: torch.device
) -> RadialFunctions:
    """g_n: those of the radial symmetry functions first, then those of the angular."""
    eta, centers = shape.gaussians()
    envelope = np.array(_CUTOFF_FUNCTION)[:, None]
    like = torch.empty(0, dtype=dtype, device=device)
    return RadialFunctions.of(eta, centers, envelope, shape.cutoff, None, like)


@cache
def angle_constants(
    zeta: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """(n_harmonics, n_angles) and (n_angles,).

    To the functions of all angles from products of moments, summed over m (the squares
    of the harmonics of one l sum to 2 l + 1), and what a pair of one atom amounts to.
    """
    lmax = max(zeta)
    columns: list[np.ndarray] = []
    alone: list[float] = []
    for power in zeta:
        for sign in LAMBDAS:
            factor = 2.0 ** (1 - power)
            series = legendre.poly2leg((Polynomial([1.0, sign]) ** power).coef)
            by_l = np.pad(series, (0, lmax + 1 - len(series)))
            degrees = np.arange(lmax + 1)
            columns.append(
                factor * np.repeat(by_l / (2 * degrees + 1), 2 * degrees + 1)
            )
            alone.append(factor * (1.0 + sign) ** power)
    with torch.inference_mode(mode=False):
        return (
            torch.tensor(np.stack(columns, 1), dtype=dtype, device=device),
            torch.tensor(alone, dtype=dtype, device=device),
        )
