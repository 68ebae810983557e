"""Forces that are no gradient: a negative control.

A. Bigi, M. Langer and M. Ceriotti, ICML 2025. The network of invariant.py with a second
head, which says the forces outright:

    F_i = scale[Z_i] Σ_j f_ij r_ij / |r_ij|
    f_ij = envelope(|r_ij|) head(x_i^T, x_j^T, Bessel(|r_ij|))

Forces turn with the structure, but f_ij and f_ji are not the same, so that they do not
sum to zero, and no energy has them as its gradient: along a closed path they do work,
and at constant energy a run heats up or cools down. What is gained is the backward
pass, in training and in dynamics.

For want of an energy to strain, stress is the virial of these central forces,

    dE/dstrain = ½ Σ_ij scale[Z_i] f_ij r_ij ⊗ r_ij / |r_ij|

which is that of the energy, were they its gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Card, Slopes
from gnndesign.potentials.invariant import InvariantNetwork, InvariantParameters
from gnndesign.potentials.message_passing import FIRST_GUESS, linear
from gnndesign.potentials.trainable import TrainablePotential


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectForceParameters(InvariantParameters):
    """The shape of the network: that of its invariant part."""


class ForceHead(nn.Module):
    """What an atom, its neighbor and their distance say about the force between them."""

    def __init__(self, n_radial: int, n_channels: int) -> None:
        super().__init__()
        self.center = linear(n_channels, n_channels)
        self.neighbor = linear(n_channels, n_channels, bias=False)
        self.distance = linear(n_radial, n_channels, bias=False)
        self.last = linear(n_channels, 1, gain=FIRST_GUESS)

    def forward(
        self,
        x: Float[Tensor, "n_atoms n_channels"],
        basis: Float[Tensor, "n_edges n_radial"],
        edges: NeighborList,
    ) -> Float[Tensor, " n_edges"]:
        """(n_edges,) f_ij without its envelope."""
        hidden = self.center(x).index_select(0, edges.centers)
        hidden = hidden + self.neighbor(x).index_select(0, edges.neighbors)
        hidden = nn.functional.silu(hidden + self.distance(basis))
        return self.last(hidden)[:, 0]


class DirectForceNetwork(InvariantNetwork):
    """An invariant network with a second head, for the forces."""

    def __init__(self, parameters: DirectForceParameters) -> None:
        super().__init__(parameters)
        self.force_head = ForceHead(parameters.n_radial, parameters.n_channels)

    def slopes(
        self, species: Int[Tensor, " n_atoms"], batch: AtomicBatch, edges: NeighborList
    ) -> Slopes:
        """Energies, and what stands in for their derivatives, in float64."""
        vectors = edges.vectors(batch).double()
        distances = vectors.norm(dim=-1)
        basis, envelope = self.radial(distances)
        x = self.after_rounds(species, basis, envelope, edges)
        scale = self.scale.double()
        pull = (envelope[:, 0] * self.force_head(x, basis, edges)).double()
        pull = pull * scale[species[edges.centers]]
        forces = (pull / distances)[:, None] * vectors
        virial = 0.5 * forces[:, :, None] * vectors[:, None, :]
        zeros = torch.zeros_like(batch.cell, dtype=torch.float64)
        energies = self.readout(x)[:, 0].double()
        return Slopes(
            atomic_energies=energies * scale[species] + self.shift.double()[species],
            positions=-_summed(forces, edges.centers, batch.n_atoms),
            strain=zeros.index_add(0, batch.system_index[edges.centers], virial),
        )


class DirectForcePotential(TrainablePotential[DirectForceNetwork]):
    """A `DirectForceNetwork` on a device, as a potential."""

    is_conservative = False

    def __init__(
        self,
        network: DirectForceNetwork,
        parameters: DirectForceParameters,
        card: Card,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__("direct-force", network, parameters, card, device)

    def energy_and_slopes(self, batch: AtomicBatch, edges: NeighborList) -> Slopes:
        """Energies, and forces and stress of the force head."""
        return self.labels(batch, edges, with_strain=True, create_graph=False)

    def labels(
        self,
        batch: AtomicBatch,
        edges: NeighborList,
        *,
        with_strain: bool,
        create_graph: bool = True,
    ) -> Slopes:
        """The same, differentiable with respect to the weights; strain comes for free."""
        del with_strain
        with torch.set_grad_enabled(create_graph):
            found = self.network.slopes(self.species(batch), batch, edges)
        kind = batch.positions.dtype
        return Slopes(
            atomic_energies=found.atomic_energies.to(kind),
            positions=found.positions.to(kind),
            strain=found.strain.to(kind),
        )


def _summed(
    forces: Float[Tensor, "n_edges 3"], centers: Int[Tensor, " n_edges"], n_atoms: int
) -> Float[Tensor, "{n_atoms} 3"]:
    total = forces.new_zeros((n_atoms, 3))
    return total.index_add(0, centers, forces)
