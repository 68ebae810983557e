"""Behler-Parrinello networks: symmetry functions, and one network an element.

J. Behler and M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007):

    E_i = scale[Z_i] Network[Z_i]((G_i - mean[Z_i]) / spread[Z_i]) + shift[Z_i]

with G_i the symmetry functions of atom i (symmetry_functions.py), whose mean and spread
over the training atoms of each element are taken by `calibrate`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Card
from gnndesign.potentials.descriptors import ElementNetworks, Standardization
from gnndesign.potentials.fused import FusedPotential
from gnndesign.potentials.kernels.selection import Kernel
from gnndesign.potentials.symmetry_functions import (
    BehlerParrinelloParameters,
    symmetry_functions,
)
from gnndesign.potentials.trainable import AtomicNetwork, Sample

__all__ = [
    "BehlerParrinelloNetwork",
    "BehlerParrinelloParameters",
    "BehlerParrinelloPotential",
]


class BehlerParrinelloNetwork(AtomicNetwork):
    """Symmetry functions, standardised, and one network an element."""

    def __init__(self, parameters: BehlerParrinelloParameters) -> None:
        n_species = len(parameters.elements)
        super().__init__(n_species)
        self.shape = parameters
        self.standardization = Standardization(
            n_species, parameters.n_features, parameters.least_spread
        )
        self.networks = ElementNetworks(
            n_species, parameters.n_features, parameters.hidden
        )

    def interaction(
        self, species: Int[Tensor, " n_atoms"], batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) the output of each atom's network."""
        features = self.symmetry_functions(species, batch, edges)
        return self.networks(self.standardization(features, species), species)

    def calibrate(self, samples: Iterable[Sample]) -> None:
        """Standardise every symmetry function over the atoms of each species."""
        with torch.no_grad():
            self.standardization.measure(
                (self.symmetry_functions(*sample), sample[0]) for sample in samples
            )

    def symmetry_functions(
        self, species: Int[Tensor, " n_atoms"], batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, "n_atoms n_features"]:
        """(n_atoms, n_features) G before standardisation; see symmetry_functions.py."""
        return symmetry_functions(self.shape, species, batch, edges, self.scale.dtype)


class BehlerParrinelloPotential(FusedPotential[BehlerParrinelloNetwork]):
    """A `BehlerParrinelloNetwork` on a device, as a potential."""

    parameters: BehlerParrinelloParameters

    def __init__(
        self,
        network: BehlerParrinelloNetwork,
        parameters: BehlerParrinelloParameters,
        card: Card,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__("behler-parrinello", network, parameters, card, device)

    def build_kernel(self) -> Kernel:
        """Machine code; see fast_sums.py."""
        from gnndesign.potentials.fast_sums import FastSums

        if self.device.type != "cpu":
            raise ParameterError(f"There is none for {self.device.type} devices.")
        return FastSums(self.network, self.parameters)

    def is_kernel_quick(self) -> bool:
        """The compiler takes a second."""
        return True
