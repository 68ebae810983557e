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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.algebra import (
    LARGEST_L,
    SCALAR,
    SILU_FACTOR,
    Irrep,
    coupling,
    spherical_harmonics,
)
from gnndesign.potentials.base import Card, EnergyModel, Slopes
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
from gnndesign.potentials.kernels.selection import KernelChoice, KernelSelection
from gnndesign.potentials.radial import BesselBasis, Envelope, PolynomialEnvelope


@dataclass(frozen=True, slots=True, kw_only=True)
class EquivariantParameters:
    """The shape of an equivariant network.

    Attributes:
        elements: atomic numbers it knows, in the order of its embedding.
        cutoff: Å.
        hidden: irreps of the features before each interaction and after the last:
            n_layers + 1 entries; the first holds even scalars alone.
        lmax: largest order of the spherical harmonics.
        parity: whether the harmonics change sign under inversion; without it every
            quantity counts as even, as in SevenNet-0.
        n_radial: number of Bessel functions.
        radial_hidden: widths of the radial network's hidden layers.
        readout_hidden: channels between the last features and the energy.
        envelope: cutoff function.
        self_connection: whether an atom's own features are mixed by one matrix
            ("linear", SevenNet) or by one for each species ("species", NequIP).

    Raises:
        ParameterError: no network has such a shape.
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
    self_connection: Literal["linear", "species"] = "linear"

    def __post_init__(self) -> None:
        """Check what would otherwise go wrong late or silently."""
        known = all(1 <= number <= 118 for number in self.elements)
        _require(
            known and len(set(self.elements)) == len(self.elements) > 0,
            f"different atomic numbers from 1 to 118, got {list(self.elements)}",
        )
        _require(0 < self.cutoff < 100, f"a cutoff in Å, got {self.cutoff}")
        _require(
            0 <= self.lmax <= LARGEST_L, f"lmax of 0 to {LARGEST_L}, got {self.lmax}"
        )
        envelope = self.envelope
        _require(
            envelope.p >= 2
            if isinstance(envelope, PolynomialEnvelope)
            else 0 <= envelope.onset < self.cutoff,
            f"an envelope with p > 1 or an onset below the cutoff, got {envelope}",
        )
        sizes = (self.n_radial, self.readout_hidden, *self.radial_hidden)
        _require(
            all(0 < size < 1_000_000 for size in sizes),
            f"layers of at least one channel, got {list(sizes)}",
        )
        layers = self.channels
        _require(1 < len(layers) <= 100, f"1 to 99 interactions, got {len(layers) - 1}")
        _require(
            set(layers[0]) == {SCALAR} and SCALAR in layers[-1],
            f"even scalars at both ends, got {self.hidden[0]!r} and {self.hidden[-1]!r}",
        )
        for number, (before, after) in enumerate(pairwise(layers), 1):
            reached = {
                path.receiver for path in coupling_paths(before, self.harmonics, after)
            }
            missing = ", ".join(str(ir) for ir in after if ir not in reached)
            _require(
                SCALAR in after and not missing,
                f"irreps with 0e that interaction {number} can make, got "
                f"{self.hidden[number]!r}" + (f"; not {missing}" if missing else ""),
            )

    @property
    def channels(self) -> list[Channels]:
        """`hidden`, read."""
        return [channels_of(text) for text in self.hidden]

    @property
    def harmonics(self) -> list[Irrep]:
        """Irreps of the spherical harmonics, by rising l."""
        sign = -1 if self.parity else 1
        return [Irrep(l, sign**l) for l in range(self.lmax + 1)]


def _require(kept: bool, wanted: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not kept:
        raise ParameterError(f"An equivariant network wants {wanted}.")


class RadialNetwork(nn.Module):
    """Multilayer perceptron of the radial basis, silu, no bias, no last activation."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(
            random_weight(a, b) for a, b in pairwise(widths)
        )

    def forward(self, basis: Tensor) -> Tensor:
        """(n_edges, n_weights)."""
        for number, weight in enumerate(self.weights):
            basis = basis @ (weight / weight.shape[0] ** 0.5)
            if number < len(self.weights) - 1:
                basis = SILU_FACTOR * torch.nn.functional.silu(basis)
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
        weights = self.radial(radial_basis) / self.denominator
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
    def n_parameters(self) -> int:
        """Number of trained weights: all but energy scales and denominators."""
        fixed = ("scale", "shift", "denominator")
        return sum(
            weight.numel()
            for name, weight in self.named_parameters()
            if not name.endswith(fixed)
        )

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
        """(n_atoms,) eV."""
        features = deque(self.layers(species, vectors, edges), maxlen=1).pop()
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
        self._kernels = KernelSelection(self)

    @property
    def kernel(self) -> KernelChoice:
        """Which form of the network evaluates.

        "auto", the fused one as soon as it is there; "plain", the network in torch;
        "fused", which waits for it and fails without. It may be set.
        """
        return self._kernels.choice

    @kernel.setter
    def kernel(self, choice: KernelChoice) -> None:
        self._kernels.choose(choice)

    def describe_kernel(self) -> str:
        """What evaluates now, for people."""
        return self._kernels.describe()

    def prepare(self, say: Callable[[str], None] | None = None) -> None:
        """Wait for the fused form of the network."""
        self._kernels.prepare(say)

    @property
    def dtype(self) -> torch.dtype:
        """That of the weights; `potential.network.double()` raises it."""
        return self.network.embedding.dtype

    def atomic_energies(
        self, batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) eV; computed in the floating type of the weights."""
        vectors = edges.vectors(batch)
        energies = self.network(self.species(batch), vectors, edges)
        return energies.to(batch.positions.dtype)

    def species(self, batch: AtomicBatch) -> Int[Tensor, " n_atoms"]:
        """(n_atoms,) places of the atoms' elements in the embedding."""
        return self._species[batch.atomic_numbers]

    def energy_and_slopes(self, batch: AtomicBatch, edges: NeighborList) -> Slopes:
        """By the fused form of the network where it is there and covers the distances."""
        kernel = self._kernels.current()
        if kernel is not None and edges.n_edges:
            found = kernel.evaluate(self.species(batch), batch, edges)
            if found is not None:
                return found
        return self.plain_slopes(batch, edges)

    def plain_slopes(self, batch: AtomicBatch, edges: NeighborList) -> Slopes:
        """By the network in torch and automatic differentiation."""
        return super().energy_and_slopes(batch, edges)
