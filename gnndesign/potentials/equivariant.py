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

Features are kept channel-last, one tensor an irreducible representation (see irreps.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from e3nn.math import normalize2mom
from e3nn.o3 import Irrep, Irreps, spherical_harmonics, wigner_3j
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Card, EnergyModel
from gnndesign.potentials.irreps import (
    SCALAR,
    Features,
    Gate,
    Linear,
    channels_of,
    coupling_paths,
    irrep,
    irreps,
)
from gnndesign.potentials.radial import BesselBasis, Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class EquivariantParameters:
    """The shape of an equivariant network.

    Attributes:
        elements: atomic numbers it knows, in the order of its embedding.
        cutoff: Å.
        hidden: irreps of the features before each interaction and after the last:
            n_layers + 1 entries; the first holds scalars alone.
        lmax: largest order of the spherical harmonics.
        parity: whether the harmonics change sign under inversion; without it every
            quantity counts as even, as in SevenNet-0.
        n_radial: number of Bessel functions.
        radial_hidden: widths of the radial network's hidden layers.
        readout_hidden: channels between the last features and the energy.
        envelope: cutoff function.
    """

    elements: tuple[int, ...]
    cutoff: float
    hidden: tuple[str, ...]
    lmax: int
    parity: bool
    n_radial: int
    radial_hidden: tuple[int, ...]
    readout_hidden: int
    envelope: Envelope


class RadialNetwork(nn.Module):
    """Multilayer perceptron of the radial basis, silu, no bias, no last activation."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(a, b)) for a, b in pairwise(widths)
        )
        self._activation = normalize2mom(torch.nn.functional.silu)

    def forward(self, basis: Tensor) -> Tensor:
        """(n_edges, n_weights)."""
        for number, weight in enumerate(self.weights):
            basis = basis @ (weight / weight.shape[0] ** 0.5)
            if number < len(self.weights) - 1:
                basis = self._activation(basis)
        return basis


class Convolution(nn.Module):
    """Σ_j w_ij CG(x_j, Y_ij) / denominator.

    The Clebsch-Gordan coefficients and the harmonics are contracted first, once an
    edge, into a small matrix that acts on the sender's components; the channels only
    meet the radial weight. All paths that leave the same sender irrep share one
    matrix product.
    """

    def __init__(
        self, features: Irreps, harmonics: Irreps, wanted: Irreps, radial: RadialNetwork
    ) -> None:
        super().__init__()
        self.paths = coupling_paths(features, harmonics, wanted)
        self.channels = channels_of(features)
        self.radial = radial
        self.denominator = nn.Parameter(torch.ones(()), requires_grad=False)
        self.n_weights = sum(self.channels[path.sender] for path in self.paths)
        self.middle = irreps(
            (sum(self.channels[p.sender] for p in self.paths if p.receiver == ir), ir)
            for ir in channels_of(wanted)
        )
        slices = {
            mul_ir.ir: s
            for mul_ir, s in zip(harmonics, harmonics.slices(), strict=True)
        }
        for number, path in enumerate(self.paths):
            tensor = wigner_3j(path.sender.l, path.harmonic.l, path.receiver.l)
            self.register_buffer(f"coupling_{number}", tensor.permute(1, 2, 0))
        self._harmonic_slices = slices

    def forward(
        self,
        features: Features,
        harmonics: Tensor,
        radial_basis: Tensor,
        edges: NeighborList,
    ) -> Features:
        """Messages summed at the receivers, (n_atoms, 2l + 1, channels of all paths)."""
        weights = self.radial(radial_basis) / self.denominator
        collected: dict[Irrep, list[Tensor]] = {
            ir: [] for ir in channels_of(self.middle)
        }
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
        part = harmonics[:, self._harmonic_slices[path.harmonic]]
        coupling = self.get_buffer(f"coupling_{number}") * path.receiver.dim**0.5
        return torch.tensordot(part, coupling, 1)


class Interaction(nn.Module):
    """One round of messages: linear, convolution, linear plus self-connection, gate."""

    def __init__(
        self, before: Irreps, after: Irreps, harmonics: Irreps, radial: Sequence[int]
    ) -> None:
        super().__init__()
        self.gate = Gate(after)
        self.self_connection = Linear(before, self.gate.before)
        self.linear_before = Linear(before, before)
        n_weights = sum(
            channels_of(before)[path.sender]
            for path in coupling_paths(before, harmonics, self.gate.before)
        )
        self.convolution = Convolution(
            before, harmonics, self.gate.before, RadialNetwork((*radial, n_weights))
        )
        self.linear_after = Linear(self.convolution.middle, self.gate.before)

    def forward(
        self,
        features: Features,
        harmonics: Tensor,
        radial_basis: Tensor,
        edges: NeighborList,
    ) -> Features:
        """Features after this round."""
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
        hidden = [irreps(text) for text in parameters.hidden]
        sign = -1 if parameters.parity else 1
        self.harmonics = irreps(
            (1, irrep(f"{l}{'e' if sign**l == 1 else 'o'}"))
            for l in range(parameters.lmax + 1)
        )
        n_species = len(parameters.elements)
        first, last = hidden[0], hidden[-1]
        self.embedding = nn.Parameter(torch.randn(n_species, first.dim))
        self.radial_basis = BesselBasis(
            parameters.n_radial, parameters.cutoff, parameters.envelope
        )
        radial = (parameters.n_radial, *parameters.radial_hidden)
        self.interactions = nn.ModuleList(
            Interaction(before, after, self.harmonics, radial)
            for before, after in pairwise(hidden)
        )
        middle = irreps([(parameters.readout_hidden, SCALAR)])
        self.readout = nn.Sequential(
            Linear(last, middle), Linear(middle, irreps([(1, SCALAR)]))
        )
        self.scale = nn.Parameter(torch.ones(n_species), requires_grad=False)
        self.shift = nn.Parameter(torch.zeros(n_species), requires_grad=False)

    def forward(
        self,
        species: Int[Tensor, " n_atoms"],
        vectors: Float[Tensor, "n_edges 3"],
        edges: NeighborList,
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) eV."""
        harmonics = spherical_harmonics(
            self.harmonics, vectors, normalize=True, normalization="component"
        )
        radial_basis = self.radial_basis(vectors.norm(dim=-1))
        embedding = self.embedding / self.embedding.shape[0] ** 0.5
        features: Features = {SCALAR: embedding[species].unsqueeze(1)}
        for interaction in self.interactions:
            features = interaction(features, harmonics, radial_basis, edges)
        energy = self.readout(features)[SCALAR][:, 0, 0]
        return energy * self.scale[species] + self.shift[species]


class EquivariantPotential(EnergyModel):
    """An `EquivariantNetwork` on a device, as a potential."""

    def __init__(
        self,
        network: EquivariantNetwork,
        parameters: EquivariantParameters,
        card: Card,
        device: torch.device | str = "cpu",
    ) -> None:
        self.network = network.to(device).requires_grad_(requires_grad=False)
        self.parameters = parameters
        self.card = card
        self.device = torch.device(device)
        self.cutoff = parameters.cutoff
        # Without parity, cross products of vectors pass for vectors.
        self.is_mirror_symmetric = parameters.parity
        lookup = torch.full((120,), -1, dtype=torch.int64)
        for place, number in enumerate(parameters.elements):
            lookup[number] = place
        self._species = lookup.to(device)

    @property
    def dtype(self) -> torch.dtype:
        """That of the weights; `potential.network.double()` raises it."""
        return self.network.embedding.dtype

    def atomic_energies(
        self, batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) eV; computed in the floating type of the weights."""
        vectors = edges.vectors(batch).to(self.dtype)
        species = self._species[batch.atomic_numbers]
        return self.network(species, vectors, edges).to(batch.positions.dtype)
