"""SOAP with a sparse kernel: Gaussian approximation potentials.

A. P. Bartók, M. C. Payne, R. Kondor, G. Csányi, Phys. Rev. Lett. 104, 136403 (2010);
the kernel and its sparse form: V. L. Deringer et al., Chem. Rev. 121, 10073 (2021):

    q_i = p_i / |p_i|
    E_i = Σ_s w_s (q_i · q_s)^ζ + shift[Z_i]        s: points of the element of atom i

with p_i the power spectrum of atom i (power_spectrum.py). The points q_s are spectra of
training atoms, and the weights the solution of a linear problem; both are found by
`gnndesign.training.sparse_kernel.fit_sparse_kernel`, not by gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.descriptors import by_species
from gnndesign.potentials.power_spectrum import PowerSpectrum
from gnndesign.potentials.trainable import AtomicNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class SOAPKernelParameters:
    """Which power spectrum, and which kernel of how many points.

    Attributes:
        elements: atomic numbers it knows, in the order of its channels.
        cutoff: Å, above 1.
        n_max: number of radial functions.
        l_max: largest order of the spherical harmonics.
        sigma: Å, width of the Gaussian that an atom is.
        cutoff_function: "envelope", which leaves near neighbors their weight, or
            "smoothstep", which lets it fall evenly.
        cutoff_power: p of the envelope or m of the smoothstep, 2 or more.
        n_points: of each element.
        zeta: exponent of the kernel, whole.
    """

    elements: tuple[int, ...]
    cutoff: float = 5.0
    n_max: int = 8
    l_max: int = 6
    sigma: float = 0.5
    cutoff_function: Literal["envelope", "smoothstep"] = "envelope"
    cutoff_power: int = 8
    n_points: int = 400
    zeta: int = 4

    def __post_init__(self) -> None:
        """Refuse what is no kernel.

        Raises:
            ParameterError: a number out of its range.
        """
        if self.n_points < 1 or not 1 <= self.zeta <= 16:
            raise ParameterError(
                "Wanted one or more points and an exponent zeta from 1 to 16, got "
                f"{self.n_points} and {self.zeta}."
            )
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


class SOAPKernelNetwork(AtomicNetwork):
    """Kernels of an atom's normalised power spectrum with those of the sparse points.

    Attributes:
        points: (n_species, n_points, n_features) q, of length 1; zeros where an element
            has fewer points, whose weights are zero too.
        weights: (n_species, n_points) in units of the scale.
    """

    points: Tensor

    def __init__(self, parameters: SOAPKernelParameters) -> None:
        n_species = len(parameters.elements)
        super().__init__(n_species)
        self.power_spectrum = parameters.power_spectrum
        self.zeta = parameters.zeta
        shape = (n_species, parameters.n_points)
        points = torch.randn(*shape, self.power_spectrum.n_features)
        self.register_buffer("points", nn.functional.normalize(points, dim=-1))
        self.weights = nn.Parameter(torch.randn(*shape) / parameters.n_points**0.5)

    def interaction(
        self, species: Int[Tensor, " n_atoms"], batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) sums over the points of each atom's element."""
        spectra = self.power_spectrum.normalised(
            species, batch, edges, self.scale.dtype
        )

        def energies(element: int, q: Tensor) -> Tensor:
            kernels = (q @ self.points[element].mT) ** self.zeta
            return kernels @ self.weights[element]

        return by_species(energies, spectra, species, self.points.shape[0])
