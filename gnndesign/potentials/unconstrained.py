"""Message passing on raw edge vectors, which knows nothing of rotations.

A small network in the spirit of PET (S. Pozdnyakov and M. Ceriotti, NeurIPS 2023):
multilayer perceptrons see the components of the vector to a neighbor, and what they make
of them is bound by no symmetry. What an edge has made of it is kept and goes on in the
next round.

    x_i^0        = embedding[Z_i]
    h_ij^0       = geometry(r_ij / l, Bessel(|r_ij|))
    h_ij^{t+1}   = h_ij^t + edge_t(h_ij^t + center_t x_i^t + sender_t x_j^t)
    x_i^{t+1}    = x_i^t + update_t((1/n) Σ_j envelope(|r_ij|) h_ij^{t+1})
    E_i          = scale[Z_i] readout(x_i^T) + shift[Z_i]

with l half the cutoff. Sums over neighbors make the energy invariant to the order of
atoms, differences of positions to translation. That a turned structure has the same
energy has to be learned, from turned data or by a penalty, and is never exact. Forces
are the gradient of the energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
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
class UnconstrainedParameters:
    """The shape of an unconstrained network.

    Attributes:
        elements: atomic numbers it knows.
        cutoff: Å.
        n_rounds: rounds of messages.
        n_channels: features of an atom and of an edge, and of hidden layers.
        n_radial: number of Bessel functions.

    Raises:
        ParameterError: no network has such a shape.
    """

    elements: tuple[int, ...]
    cutoff: float = 5.0
    n_rounds: int = 2
    n_channels: int = 64
    n_radial: int = 8

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
    """What an edge makes of its two atoms, and an atom of its edges."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.center = linear(n_channels, n_channels, bias=False)
        self.sender = linear(n_channels, n_channels, bias=False)
        self.edge = two_layers(n_channels, n_channels, n_channels)
        self.update = two_layers(n_channels, n_channels, n_channels)

    def messages(
        self,
        x: Float[Tensor, "n_atoms n_channels"],
        h: Float[Tensor, "n_edges n_channels"],
        edges: NeighborList,
    ) -> Float[Tensor, "n_edges n_channels"]:
        """(n_edges, n_channels) h_ij after this round."""
        center = self.center(x).index_select(0, edges.centers)
        sender = self.sender(x).index_select(0, edges.neighbors)
        return h + self.edge(h + center + sender)


class UnconstrainedNetwork(MessagePassingNetwork):
    """Species and edge vectors to atomic energies."""

    is_equivariant: ClassVar[bool] = False
    is_mirror_symmetric: ClassVar[bool] = False

    def __init__(self, parameters: UnconstrainedParameters) -> None:
        p = parameters
        super().__init__(p.elements, p.cutoff, p.n_rounds, p.n_channels)
        self.embedding = nn.Embedding(len(p.elements), p.n_channels)
        self.radial = RadialFunctions(p.n_radial, p.cutoff)
        self.geometry = two_layers(3 + p.n_radial, p.n_channels, p.n_channels)
        self.rounds = nn.ModuleList(Round(p.n_channels) for _ in range(p.n_rounds))

    def features(
        self,
        species: Int[Tensor, " n_atoms"],
        vectors: Float[Tensor, "n_edges 3"],
        edges: NeighborList,
    ) -> Float[Tensor, "n_atoms n_channels"]:
        """(n_atoms, n_channels) x_i after the last round."""
        basis, envelope = self.radial(vectors.norm(dim=-1))
        components = (vectors * (2.0 / self.cutoff)).to(basis.dtype)
        h = self.geometry(torch.cat((components, basis), dim=1))
        x = self.embedding(species)
        for module in self.rounds:
            block = cast("Round", module)
            h = block.messages(x, h, edges)
            x = x + block.update(self.gathered(envelope * h, edges, x.shape[0]))
        return x
