"""The SOAP power spectrum: densities of neighbors, in numbers that no rotation changes.

A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013). Every neighbor is a
Gaussian of width σ, the atom itself one too; the density of each species is expanded in
orthonormal radial functions and spherical harmonics:

    ρ_i^a(r)    = Σ_{j of a} f(r_ij) exp(-|r - r_ij|² / (2 σ²))
    c_i^a,nlm   = ∫ g_nl(r) Y_lm(r) ρ_i^a(r) dr
    p_i^ab,nn'l = π sqrt(8 / (2l + 1)) Σ_m c_i^a,nlm c_i^b,n'lm

with f the envelope of J. Gasteiger et al., ICLR 2020, eq. 8 (`PolynomialEnvelope`), or
(1 + 2 x³ - 3 x²)^m, x = r / cutoff, of M. A. Caro, Phys. Rev. B 100, 024112 (2019), and
the Gaussian type orbitals of L. Himanen et al., Comput. Phys. Commun. 247,
106949 (2020), the definition of DScribe's "gto":

    g_nl(r) = Σ_n' β_nn'l r^l exp(-α_n'l r²),   β_l = S_l^(-1/2),  S_l the overlaps
    r^l exp(-α_nl r²) = 1e-3 at the distance n of an even grid from 1 Å to the cutoff

They have a closed form: with s = 1 / (2 σ²), a neighbor at distance r and direction u
adds to c_nlm

    f(r) Y_lm(u) Σ_n' β_nn'l π^(3/2) (s r)^l (α_n'l + s)^(-l-3/2) exp(-α_n'l s r² / (α_n'l + s))
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import pi, sqrt
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.polynomial import Polynomial
from scipy.special import gamma
from torch import Tensor
from torch.autograd.functional import jvp

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.algebra import LARGEST_L, spherical_harmonics
from gnndesign.potentials.descriptors import (
    NeighborTable,
    check_elements,
    check_positive,
)
from gnndesign.potentials.radial_functions import RadialFunctions

FIRST_DECAY = 1.0
"""Å, the distance at which the narrowest orbital has decayed."""

DECAYED = 1e-3
"""Value of an orbital at the distance where it counts as decayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSpectrum:
    """Which expansion; see the attributes of `SOAPParameters`.

    Raises:
        ParameterError: a number out of its range.
    """

    elements: tuple[int, ...]
    cutoff: float
    n_max: int
    l_max: int
    sigma: float
    cutoff_function: Literal["envelope", "smoothstep"]
    cutoff_power: int

    def __post_init__(self) -> None:
        """Refuse what is no expansion."""
        check_elements(self.elements)
        check_positive(sigma=self.sigma)
        if not FIRST_DECAY < self.cutoff < float("inf"):
            raise ParameterError(
                f"Wanted a cutoff above {FIRST_DECAY} Å, got {self.cutoff} Å."
            )
        if not 1 <= self.n_max <= 12 or not 0 <= self.l_max <= LARGEST_L:
            raise ParameterError(
                "Wanted n_max from 1 to 12 (more orbitals are no longer independent) "
                f"and l_max from 0 to {LARGEST_L}, got {self.n_max} and {self.l_max}."
            )
        if self.cutoff_function not in ("envelope", "smoothstep"):
            raise ParameterError(
                "Wanted 'envelope' or 'smoothstep' as cutoff function, got "
                f"{self.cutoff_function!r}."
            )
        if not 2 <= self.cutoff_power <= 12:
            raise ParameterError(
                "Wanted a power of the cutoff function from 2 (second derivatives "
                f"vanish at the cutoff) to 12, got {self.cutoff_power}."
            )

    @property
    def cutoff_polynomial(self) -> Polynomial:
        """The cutoff function as a polynomial of r / cutoff."""
        x, p = Polynomial([0.0, 1.0]), self.cutoff_power
        if self.cutoff_function == "smoothstep":
            return (1 - 3 * x**2 + 2 * x**3) ** p
        last = p * (p + 2) * x - p * (p + 1) / 2 * x**2 - (p + 1) * (p + 2) / 2
        return 1 + x**p * last

    @property
    def n_functions(self) -> int:
        """Radial functions of all species together."""
        return len(self.elements) * self.n_max

    @property
    def n_features(self) -> int:
        """By (l, pair a,n <= b,n'); pairs of two functions count sqrt(2) times.

        So the scalar product of two spectra is that over all pairs a,n b,n'.
        """
        return (self.l_max + 1) * self.n_functions * (self.n_functions + 1) // 2

    def coefficients(
        self,
        species: Int[Tensor, " n_atoms"],
        batch: AtomicBatch,
        edges: NeighborList,
        dtype: torch.dtype,
    ) -> list[Float[Tensor, "n_atoms n_functions _components"]]:
        """For each l, (n_atoms, n_functions, 2 l + 1): sqrt(π) (8 / (2l + 1))^(1/4) c.

        Edges beyond the cutoff contribute nothing. Functions of distances are computed
        in the floating type of the batch, sums over neighbors in `dtype`.
        """
        n_species = len(self.elements)
        edges = edges.within(batch, self.cutoff)
        rows = edges.centers * n_species + species[edges.neighbors]
        if n_species > 1:
            rows, order = rows.sort(stable=True)
            edges = NeighborList(
                centers=edges.centers[order],
                neighbors=edges.neighbors[order],
                shifts=edges.shifts[order],
                cutoff=edges.cutoff,
            )
        table = NeighborTable.of(rows, batch.n_atoms * n_species)
        vectors = edges.vectors(batch)
        functions = self.radial_functions(vectors)
        radial = table.fill(functions(vectors.norm(dim=-1), dtype))
        angular = table.fill(spherical_harmonics(self.l_max, vectors.to(dtype)))
        widths = [2 * l + 1 for l in range(self.l_max + 1)]
        found = [
            (r.mT @ y).reshape(batch.n_atoms, self.n_functions, -1)
            for r, y in zip(
                radial.split(self.n_max, 2), angular.split(widths, 2), strict=True
            )
        ]
        found[0] = found[0] + self._own(species, functions, dtype)
        return found

    def radial_functions(self, like: Tensor) -> RadialFunctions:
        """Functions of r, by (l, n), that multiply the harmonics of an edge."""
        return _radial_functions(self, like.dtype, like.device)

    def spectrum(
        self, coefficients: list[Float[Tensor, "n_atoms n_functions _components"]]
    ) -> Float[Tensor, "n_atoms n_features"]:
        """(n_atoms, n_features) p, from what `coefficients` gives."""
        places, factors = _pairs(
            self.n_functions, coefficients[0].dtype, coefficients[0].device
        )
        parts = [
            (c @ c.mT).flatten(1).index_select(1, places) * factors
            for c in coefficients
        ]
        return torch.cat(parts, 1)

    def matrices(
        self, spectra: Float[Tensor, "n n_features"]
    ) -> Float[Tensor, "n n_l n_functions n_functions"]:
        """(n, l_max + 1, n_functions, n_functions) symmetric matrices, a l each.

        The scalar product of two spectra is the sum of their matrices' products.
        """
        n = self.n_functions
        places, factors = _pairs(n, spectra.dtype, spectra.device)
        by_l = spectra.view(len(spectra), self.l_max + 1, -1) / factors
        matrices = by_l.new_zeros(*by_l.shape[:2], n * n)
        matrices[..., places] = by_l
        upper = matrices.unflatten(2, (n, n))
        return upper + upper.triu(1).mT

    def normalised(
        self,
        species: Int[Tensor, " n_atoms"],
        batch: AtomicBatch,
        edges: NeighborList,
        dtype: torch.dtype,
    ) -> Float[Tensor, "n_atoms n_features"]:
        """(n_atoms, n_features) q = p / |p|; no p is zero, every atom sees itself."""
        spectrum = self.spectrum(self.coefficients(species, batch, edges, dtype))
        return torch.nn.functional.normalize(spectrum, dim=-1)

    def edge_slopes(
        self, vectors: Float[Tensor, "n_edges 3"]
    ) -> list[Float[Tensor, "n_edges 3 n_max _components"]]:
        """For each l, (n_edges, 3, n_max, 2 l + 1) 1/Å: how coefficients follow a vector.

        What an edge adds to the coefficients of its center, differentiated with respect
        to its vector (Å).
        """
        functions, r = self.radial_functions(vectors), vectors.norm(dim=-1)
        radial = functions.derivative(r, 0).view(len(r), self.l_max + 1, self.n_max)
        slopes = functions.derivative(r, 1).view_as(radial)

        def harmonics(v: Tensor) -> Tensor:
            return spherical_harmonics(self.l_max, v)

        def turned(axis: Tensor) -> Any:
            return jvp(harmonics, vectors, axis.expand_as(vectors))[1]

        y = harmonics(vectors)
        axes = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
        dy = torch.stack([turned(axis) for axis in axes], 1)
        directions = vectors / r.unsqueeze(1)
        return [
            torch.einsum("ek,en,em->eknm", directions, slopes[:, l], y[:, part])
            + torch.einsum("en,ekm->eknm", radial[:, l], dy[:, :, part])
            for l in range(self.l_max + 1)
            for part in [slice(l**2, (l + 1) ** 2)]
        ]

    def _own(
        self,
        species: Int[Tensor, " n_atoms"],
        functions: RadialFunctions,
        dtype: torch.dtype,
    ) -> Float[Tensor, "n_atoms n_functions 1"]:
        """What the atom itself adds: a density at distance zero, the same for all."""
        nowhere = functions.eta.new_zeros(1)
        value = functions.derivative(nowhere, 0)[0, : self.n_max].to(dtype)
        which = torch.eye(len(self.elements), dtype=dtype, device=species.device)
        own = which.index_select(0, species).unsqueeze(2) * value
        return own.reshape(len(species), self.n_functions, 1)


@cache
def _radial_functions(
    shape: PowerSpectrum, dtype: torch.dtype, device: torch.device
) -> RadialFunctions:
    density = 1.0 / (2.0 * shape.sigma**2)
    cutoff_function = shape.cutoff_polynomial
    eta: list[np.ndarray] = []
    polynomials: list[np.ndarray] = []
    n, n_l = shape.n_max, shape.l_max + 1
    mixture = np.zeros((n_l * n, n_l * n))
    for l in range(n_l):
        alpha, beta = gaussian_type_orbitals(n, l, shape.cutoff)
        together = alpha + density
        eta.append(alpha * density / together)
        # Harmonics of the component normalisation are sqrt(4π) too large.
        factor = sqrt(pi * sqrt(8.0 / (2 * l + 1)) / (4.0 * pi))
        factors = factor * pi**1.5 * density**l * together ** (-l - 1.5)
        power = Polynomial([0.0, shape.cutoff]) ** l * cutoff_function
        padded = np.zeros(shape.l_max + cutoff_function.degree() + 1)
        padded[: len(power.coef)] = power.coef
        polynomials += [padded] * n
        block = slice(l * n, (l + 1) * n)
        mixture[block, block] = factors[:, None] * beta
    return RadialFunctions.of(
        np.concatenate(eta),
        np.zeros(n_l * n),
        np.stack(polynomials, 1),
        shape.cutoff,
        mixture,
        torch.empty(0, dtype=dtype, device=device),
    )


def gaussian_type_orbitals(
    n_max: int, l: int, cutoff: float
) -> tuple[Float[np.ndarray, " n_max"], Float[np.ndarray, "n_max n_max"]]:
    """α (1/Å²), and β that makes r^l exp(-α r²) orthonormal; symmetric (Löwdin)."""
    decay = np.linspace(FIRST_DECAY, cutoff, n_max)
    alpha = (l * np.log(decay) - np.log(DECAYED)) / decay**2
    sums = alpha[:, None] + alpha
    overlaps = 0.5 * gamma(l + 1.5) * sums ** (-l - 1.5)
    values, vectors = np.linalg.eigh(overlaps)
    return alpha, (vectors / np.sqrt(values)) @ vectors.T


@cache
def _pairs(n: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Places of the pairs a <= b in a flat (n, n) matrix, and what they count."""
    # A tensor that is made in inference mode could not be used outside of it.
    with torch.inference_mode(mode=False):
        a, b = torch.triu_indices(n, n, device=device)
        factors = torch.where(a == b, 1.0, sqrt(2.0))
        return a * n + b, factors.to(dtype)
