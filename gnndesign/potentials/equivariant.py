"""Equivariant message passing: the NequIP family, in e3nn's algebra.

S. Batzner et al., Nat. Commun. 13, 2453 (2022); SevenNet's variant (linear
self-connection, one species embedding at the input): Y. Park et al., J. Chem.
Theory Comput. 20, 4857 (2024).

    x_i^0      = W_embed[Z_i]
    Y_ij       = spherical harmonics of r_ij / |r_ij|        (component normalisation)
    b_ij       = Bessel(|r_ij|) envelope(|r_ij|)
    w_ij       = radial_network(b_ij)                        one weight a path, channel
    m_i        = (1/d) Σ_j Σ_paths w_ij CG(x_j, Y_ij)
    y_i        = Linear(m_i) + SelfConnection(x_i)
    x_i^{t+1}  = gate(y_i)
    E_i        = scale[Z_i] ReadOut(x_i^T) + shift[Z_i]

Features are kept channel-last, one tensor an irreducible representation (see
irreps.py); the algebra is e3nn's (see algebra.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.algebra import (
    SCALAR,
    SILU_FACTOR,
    Irrep,
    coupling,
    spherical_harmonics,
)
from gnndesign.potentials.base import Card
from gnndesign.potentials.equivariant_parameters import (
    EquivariantParameters,
    EquivariantShape,
)
from gnndesign.potentials.fused import FusedPotential
from gnndesign.potentials.irreps import (
    Channels,
    Features,
    Gate,
    Linear,
    SpeciesLinear,
    channels_of,
    coupling_paths,
    random_weight,
)
from gnndesign.potentials.kernels.selection import Kernel
from gnndesign.potentials.radial import BesselBasis

__all__ = [
    "EquivariantNetwork",
    "EquivariantParameters",
    "EquivariantPotential",
    "EquivariantShape",
]


class RadialNetwork(nn.Module):
    """Multilayer perceptron of the radial basis, silu, no bias, no last activation."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(
            random_weight(a, b) for a, b in pairwise(widths)
        )

    def forward(self, basis: Tensor, denominator: Tensor) -> Tensor:
        """(n_edges, n_weights), divided by `denominator`.

        Factors are given to the weights, which are fewer than the edges.
        """
        factor = 1.0
        last = len(self.weights) - 1
        for number, weight in enumerate(self.weights):
            scaled = weight * (factor / weight.shape[0] ** 0.5)
            if number == last:
                return basis @ (scaled / denominator)
            basis = torch.nn.functional.silu(basis @ scaled)
            factor = SILU_FACTOR
        return basis


class Convolution(nn.Module):
    """Σ_j w_ij CG(x_j, Y_ij) / denominator.

    The Clebsch-Gordan coefficients and the harmonics are contracted first, once an
    edge, into a small matrix that acts on the sender's components; the channels only
    meet the radial weight. All paths that leave the same sender irrep share one
    matrix product.
    """

    def __init__(
        self,
        features: Channels,
        harmonics: Sequence[Irrep],
        wanted: Channels,
        radial: Sequence[int],
    ) -> None:
        super().__init__()
        self.channels = features
        self.paths = coupling_paths(features, harmonics, wanted)
        self.n_weights = sum(features[path.sender] for path in self.paths)
        self.radial = RadialNetwork((*radial, self.n_weights))
        self.denominator = nn.Parameter(torch.ones(()), requires_grad=False)
        self.middle = channels_of(
            (features[path.sender], path.receiver) for path in self.paths
        )

    def forward(
        self,
        features: Features,
        harmonics: Tensor,
        radial_basis: Tensor,
        edges: NeighborList,
    ) -> Features:
        """Messages summed at the receivers, (n_atoms, 2l + 1, channels of all paths)."""
        weights = self.radial(radial_basis, self.denominator)
        collected: dict[Irrep, list[Tensor]] = {ir: [] for ir in self.middle}
        start = 0
        for sender, channels in self.channels.items():
            numbers = [k for k, path in enumerate(self.paths) if path.sender == sender]
            if not numbers:
                continue
            matrices = [self._edge_matrix(k, harmonics) for k in numbers]
            rows = [matrix.shape[1] for matrix in matrices]
            moved = torch.cat(matrices, 1) @ features[sender][edges.neighbors]
            stop = start + len(numbers) * channels
            weight = weights[:, start:stop].unflatten(1, (len(numbers), channels))
            start = stop
            repeats = torch.tensor(rows, device=weight.device)
            messages = moved * weight.repeat_interleave(
                repeats, dim=1, output_size=sum(rows)
            )
            summed = messages.new_zeros(
                (features[sender].shape[0], *messages.shape[1:])
            ).index_add(0, edges.centers, messages)
            for k, part in zip(numbers, summed.split(rows, 1), strict=True):
                collected[self.paths[k].receiver].append(part)
        return {ir: torch.cat(parts, -1) for ir, parts in collected.items()}

    def _edge_matrix(self, number: int, harmonics: Tensor) -> Tensor:
        """(n_edges, 2 l_receiver + 1, 2 l_sender + 1)."""
        path = self.paths[number]
        l = path.harmonic.l
        tensor = coupling(
            path.sender.l, l, path.receiver.l, harmonics.dtype, harmonics.device
        )
        return torch.tensordot(harmonics[:, l**2 : (l + 1) ** 2], tensor, 1)


class Interaction(nn.Module):
    """One round of messages: linear, convolution, linear plus self-connection, gate."""

    def __init__(
        self, parameters: EquivariantParameters, before: Channels, after: Channels
    ) -> None:
        super().__init__()
        self.gate = Gate(after)
        wanted = self.gate.before
        if parameters.self_connection == "linear":
            self.self_connection = Linear(before, wanted)
        else:
            n_species = len(parameters.elements)
            self.self_connection = SpeciesLinear(before, wanted, n_species)
        self.linear_before = Linear(before, before)
        radial = (parameters.n_radial, *parameters.radial_hidden)
        self.convolution = Convolution(before, parameters.harmonics, wanted, radial)
        self.linear_after = Linear(self.convolution.middle, wanted)

    def forward(
        self,
        features: Features,
        species: Int[Tensor, " n_atoms"],
        harmonics: Tensor,
        radial_basis: Tensor,
        edges: NeighborList,
    ) -> Features:
        """Features after this round."""
        if isinstance(self.self_connection, SpeciesLinear):
            kept = self.self_connection(features, species)
        else:
            kept = self.self_connection(features)
        messages = self.convolution(
            self.linear_before(features), harmonics, radial_basis, edges
        )
        mixed = self.linear_after(messages)
        return self.gate(
            {ir: y + kept[ir] if ir in kept else y for ir, y in mixed.items()}
        )


class EquivariantNetwork(nn.Module):
    """Edge vectors and species to atomic energies; the learnable part of the potential."""

    def __init__(self, parameters: EquivariantParameters) -> None:
        super().__init__()
        layers = parameters.channels
        self.lmax = parameters.lmax
        n_species = len(parameters.elements)
        self.embedding = random_weight(n_species, layers[0][SCALAR])
        self.radial_basis = BesselBasis(
            parameters.n_radial, parameters.cutoff, parameters.envelope
        )
        self.interactions = nn.ModuleList(
            Interaction(parameters, before, after) for before, after in pairwise(layers)
        )
        middle = {SCALAR: parameters.readout_hidden}
        self.readout = nn.Sequential(
            Linear({SCALAR: layers[-1][SCALAR]}, middle), Linear(middle, {SCALAR: 1})
        )
        self.scale = nn.Parameter(torch.ones(n_species), requires_grad=False)
        self.shift = nn.Parameter(torch.zeros(n_species), requires_grad=False)

    @property
    def n_rounds(self) -> int:
        """How often atoms hear from their neighbors."""
        return len(self.interactions)

    def layers(
        self,
        species: Int[Tensor, " n_atoms"],
        vectors: Float[Tensor, "n_edges 3"],
        edges: NeighborList,
    ) -> Iterator[Features]:
        """Features before the first interaction and after each, one after the other.

        `vectors` are best given in float64, whatever the floating type of the weights.
        """
        harmonics = spherical_harmonics(self.lmax, vectors).to(self.embedding.dtype)
        radial_basis = self.radial_basis(vectors.norm(dim=-1))
        embedding = self.embedding / self.embedding.shape[0] ** 0.5
        features: Features = {SCALAR: embedding[species].unsqueeze(1)}
        yield features
        for interaction in self.interactions:
            features = interaction(features, species, harmonics, radial_basis, edges)
            yield features

    def forward(
        self,
        species: Int[Tensor, " n_atoms"],
        vectors: Float[Tensor, "n_edges 3"],
        edges: NeighborList,
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) eV, in float64: a shift of many eV would cost float32 its end."""
        features = deque(self.layers(species, vectors, edges), maxlen=1).pop()
        energy = self.readout(features)[SCALAR][:, 0, 0].double()
        return energy * self.scale.double()[species] + self.shift.double()[species]


class EquivariantPotential(FusedPotential[EquivariantNetwork]):
    """An `EquivariantNetwork` on a device, as a potential."""

    parameters: EquivariantParameters

    def __init__(
        self,
        network: EquivariantNetwork,
        parameters: EquivariantParameters,
        card: Card,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__("equivariant", network, parameters, card, device)
        # Without parity, cross products of vectors pass for vectors.
        self.is_mirror_symmetric = parameters.parity

    def build_kernel(self) -> Kernel:
        """Tables and machine code, or kernels of the GPU."""
        from gnndesign.potentials.kernels.lowering import lower

        lowered = lower(self.network, self.parameters)
        if self.device.type == "cpu":
            from gnndesign.potentials.kernels.cpu import CPUNetwork

            return CPUNetwork(lowered, self.dtype)
        if self.device.type == "cuda":
            from gnndesign.potentials.kernels.gpu import GPUNetwork
            from gnndesign.potentials.kernels.radial_table import tabulate

            tables = tabulate(
                [layer.radial for layer in lowered.layers], lowered.breaks
            )
            return GPUNetwork(lowered, tables, self.device, self.dtype)
        raise ParameterError(f"There is none for {self.device.type} devices.")

    def is_kernel_quick(self) -> bool:
        """Where tables and code are on disk, or there is no fused form."""
        from gnndesign.potentials.kernels.cpu import CPUNetwork
        from gnndesign.potentials.kernels.lowering import lower

        if self.device.type != "cpu":
            return False
        if self.parameters.self_connection != "linear":
            return True
        return CPUNetwork.is_quick(lower(self.network, self.parameters), self.dtype)

    def atomic_energies(
        self, batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) eV; computed in the floating type of the weights."""
        vectors = edges.vectors(batch)
        energies = self.network(self.species(batch), vectors, edges)
        return energies.to(batch.positions.dtype)

    def calibrate(self, batches: Iterable[tuple[AtomicBatch, NeighborList]]) -> None:
        """Divide messages by the square root of the mean number of neighbors."""
        n_edges = n_atoms = 0
        for batch, edges in batches:
            n_edges += edges.within(batch, self.parameters.cutoff).n_edges
            n_atoms += batch.n_atoms
        for interaction in self.network.interactions:
            cast("Interaction", interaction).convolution.denominator.fill_(
                max(n_edges / n_atoms, 1.0) ** 0.5
            )
