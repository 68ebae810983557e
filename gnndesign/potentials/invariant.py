"""Invariant message passing: continuous-filter convolutions, in the manner of SchNet.

K. T. Schütt et al., J. Chem. Phys. 148, 241722 (2018).

    x_i^0      = embedding[Z_i]
    W_ij       = envelope(|r_ij|) filter_t(Bessel(|r_ij|))
    m_i        = (1/n) Σ_j W_ij ∘ (sender_t x_j)
    x_i^{t+1}  = x_i^t + update_t(m_i)
    E_i        = scale[Z_i] readout(x_i^T) + shift[Z_i]

with filter, update and readout multilayer perceptrons, ∘ the product channel by channel.
Of the geometry nothing enters but distances, so that the energy is invariant, to
mirroring too; angles are known only through the distances of other pairs.

Departures from the paper: Bessel functions and a polynomial envelope (J. Gasteiger et
al., ICLR 2020) in the place of Gaussians without a smooth end, SiLU in that of the
shifted softplus, and the division by n, the mean number of neighbors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from gnndesign.neighbors import NeighborList
from gnndesign.potentials.message_passing import (
    MessagePassingNetwork,
    RadialFunctions,
    check_shape,
    linear,
    two_layers,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvariantParameters:
    """The shape of an invariant network.

    Attributes:
        elements: atomic numbers it knows.
        cutoff: Å.
        n_rounds: rounds of messages.
        n_channels: features of an atom, and of hidden layers.
        n_radial: number of Bessel functions.

    Raises:
        ParameterError: no network has such a shape.
    """

    elements: tuple[int, ...]
    cutoff: float = 5.0
    n_rounds: int = 3
    n_channels: int = 64
    n_radial: int = 12

    def __post_init__(self) -> None:
        """Check what would otherwise go wrong late or silently."""
        check_shape(
            self.elements,
            self.cutoff,
            n_rounds=self.n_rounds,
            n_channels=self.n_channels,
            n_radial=self.n_radial,
        )


class Round(nn.Module):
    """Filters, what a neighbor sends, and what comes of all that is heard."""

    def __init__(self, n_radial: int, n_channels: int) -> None:
        super().__init__()
        self.filter = two_layers(n_radial, n_channels, n_channels)
        self.sender = linear(n_channels, n_channels, bias=False)
        self.update = two_layers(n_channels, n_channels, n_channels)

    def messages(
        self,
        x: Float[Tensor, "n_atoms n_channels"],
        basis: Float[Tensor, "n_edges n_radial"],
        edges: NeighborList,
    ) -> Float[Tensor, "n_edges n_channels"]:
        """(n_edges, n_channels) what is sent, filtered."""
        return self.filter(basis) * self.sender(x).index_select(0, edges.neighbors)


class InvariantNetwork(MessagePassingNetwork):
    """Species and distances to atomic energies."""

    def __init__(self, parameters: InvariantParameters) -> None:
        p = parameters
        super().__init__(p.elements, p.cutoff, p.n_rounds, p.n_channels)
        self.embedding = nn.Embedding(len(p.elements), p.n_channels)
        self.radial = RadialFunctions(p.n_radial, p.cutoff)
        self.rounds = nn.ModuleList(
            Round(p.n_radial, p.n_channels) for _ in range(p.n_rounds)
        )

    def features(
        self,
        species: Int[Tensor, " n_atoms"],
        vectors: Float[Tensor, "n_edges 3"],
        edges: NeighborList,
    ) -> Float[Tensor, "n_atoms n_channels"]:
        """(n_atoms, n_channels) x_i after the last round."""
        basis, envelope = self.radial(vectors.norm(dim=-1))
        return self.after_rounds(species, basis, envelope, edges)

    def after_rounds(
        self,
        species: Int[Tensor, " n_atoms"],
        basis: Float[Tensor, "n_edges n_radial"],
        envelope: Float[Tensor, "n_edges 1"],
        edges: NeighborList,
    ) -> Float[Tensor, "n_atoms n_channels"]:
        """(n_atoms, n_channels) `features`, of functions of the distances."""
        x = self.embedding(species)
        for module in self.rounds:
            block = cast("Round", module)
            messages = envelope * block.messages(x, basis, edges)
            x = x + block.update(self.gathered(messages, edges, x.shape[0]))
        return x
