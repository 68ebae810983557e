"""SOAP with a neural network: the power spectrum, and one network an element.

A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013):

    q_i = p_i / |p_i|
    E_i = scale[Z_i] Network[Z_i]((q_i - mean[Z_i]) / spread[Z_i]) + shift[Z_i]

with p_i the power spectrum of atom i (power_spectrum.py). Mean and spread of every
component over the training atoms of each element are taken by `calibrate`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.descriptors import (
    ElementNetworks,
    Standardization,
    check_fraction,
    check_widths,
)
from gnndesign.potentials.power_spectrum import PowerSpectrum
from gnndesign.potentials.trainable import AtomicNetwork, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class SOAPParameters:
    """Which power spectrum, and networks of which size.

    Attributes:
        elements: atomic numbers it knows, in the order of its channels and networks.
        cutoff: Å, above 1.
        n_max: number of radial functions.
        l_max: largest order of the spherical harmonics.
        sigma: Å, width of the Gaussian that an atom is.
        cutoff_function: "envelope", which leaves near neighbors their weight, or
            "smoothstep", which lets it fall evenly.
        cutoff_power: p of the envelope or m of the smoothstep, 2 or more.
        hidden: widths of each network's hidden layers.
        least_spread: no spread of a component is taken as less than this fraction of
            the largest of its element; 1 scales all alike.
    """

    elements: tuple[int, ...]
    cutoff: float = 5.0
    n_max: int = 8
    l_max: int = 4
    sigma: float = 0.5
    cutoff_function: Literal["envelope", "smoothstep"] = "envelope"
    cutoff_power: int = 8
    hidden: tuple[int, ...] = (32, 32)
    least_spread: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what is no network.

        Raises:
            ParameterError: a number out of its range.
        """
        check_widths(self.hidden)
        check_fraction(least_spread=self.least_spread)
        assert self.power_spectrum

    @property
    def power_spectrum(self) -> PowerSpectrum:
        """The descriptor alone."""
        return PowerSpectrum(
            elements=self.elements,
            cutoff=self.cutoff,
            n_max=self.n_max,
            l_max=self.l_max,
            sigma=self.sigma,
            cutoff_function=self.cutoff_function,
            cutoff_power=self.cutoff_power,
        )


class SOAPNetwork(AtomicNetwork):
    """Normalised power spectra, standardised, and one network an element."""

    def __init__(self, parameters: SOAPParameters) -> None:
        n_species = len(parameters.elements)
        super().__init__(n_species)
        self.power_spectrum = parameters.power_spectrum
        n_features = self.power_spectrum.n_features
        self.standardization = Standardization(
            n_species, n_features, parameters.least_spread
        )
        self.networks = ElementNetworks(n_species, n_features, parameters.hidden)

    def interaction(
        self, species: Int[Tensor, " n_atoms"], batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) the output of each atom's network."""
        features = self.normalised_spectrum(species, batch, edges)
        return self.networks(self.standardization(features, species), species)

    def calibrate(self, samples: Iterable[Sample]) -> None:
        """Standardise every component over the atoms of each species."""
        with torch.no_grad():
            self.standardization.measure(
                (self.normalised_spectrum(*sample), sample[0]) for sample in samples
            )

    def normalised_spectrum(
        self, species: Int[Tensor, " n_atoms"], batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, "n_atoms n_features"]:
        """(n_atoms, n_features) q, of length 1."""
        return self.power_spectrum.normalised(species, batch, edges, self.scale.dtype)
