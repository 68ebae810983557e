"""What the networks share in which atoms hear of each other, round after round."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.algebra import SILU_FACTOR
from gnndesign.potentials.radial import BesselBasis, PolynomialEnvelope
from gnndesign.potentials.trainable import AtomicNetwork, Sample

ENVELOPE = PolynomialEnvelope(p=6)
"""With which all that comes from a neighbor ends at the cutoff."""

_NEIGHBORS = 30.0
"""Mean number of neighbors before `calibrate`: about that of silicon within 5 Å."""

FIRST_GUESS = 0.1
"""Of the spread of the labels: so much do energies vary before training."""


class MessagePassingNetwork(AtomicNetwork):
    """Rounds of messages from neighbors, then an energy of what an atom has heard.

        x_i^{t+1} = x_i^t + update_t(Σ_j envelope(|r_ij|) message_t(i, j) / n)
        ε_i       = readout(x_i^T)

    with n the mean number of neighbors, and T = `n_rounds`. After t rounds an atom
    knows of those that are t steps from neighbor to neighbor away, so that its energy
    depends on nothing farther away than n_rounds times the cutoff.

    Attributes:
        n_rounds: T.
        mean_neighbors: () n, found by `calibrate`.
    """

    mean_neighbors: Tensor

    def __init__(
        self, elements: tuple[int, ...], cutoff: float, n_rounds: int, n_channels: int
    ) -> None:
        super().__init__(len(elements))
        self.cutoff = cutoff
        self.n_rounds = n_rounds
        self.register_buffer("mean_neighbors", torch.tensor(_NEIGHBORS))
        self.readout = two_layers(n_channels, n_channels, 1, gain=FIRST_GUESS)

    @abstractmethod
    def features(
        self,
        species: Int[Tensor, " n_atoms"],
        vectors: Float[Tensor, "n_edges 3"],
        edges: NeighborList,
    ) -> Float[Tensor, "n_atoms n_channels"]:
        """(n_atoms, n_channels) x_i after the last round."""

    def interaction(
        self, species: Int[Tensor, " n_atoms"], batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) ε_i."""
        features = self.features(species, edges.vectors(batch), edges)
        return self.readout(features)[:, 0]

    def calibrate(self, samples: Iterable[Sample]) -> None:
        """Count neighbors."""
        n_edges = n_atoms = 0
        for _, batch, edges in samples:
            n_edges += edges.within(batch, self.cutoff).n_edges
            n_atoms += batch.n_atoms
        self.mean_neighbors.fill_(max(n_edges / max(n_atoms, 1), 1.0))

    def gathered(
        self, messages: Float[Tensor, "n_edges n_channels"], edges: NeighborList, n: int
    ) -> Float[Tensor, "{n} n_channels"]:
        """(n, n_channels) what each of n atoms hears, Σ_j m_ij / mean_neighbors."""
        total = messages.new_zeros((n, messages.shape[1]))
        heard = total.index_add(0, edges.centers, messages)
        return heard / self.mean_neighbors


class RadialFunctions(nn.Module):
    """Bessel functions of order one, and the envelope with which they end.

    `BesselBasis` times cutoff² / √6: then the mean of its square over neighbors that
    fill the sphere evenly is one, were there no envelope.
    """

    def __init__(self, n_radial: int, cutoff: float) -> None:
        super().__init__()
        self.bessel = BesselBasis(n_radial, cutoff, ENVELOPE)

    def forward(
        self, distances: Float[Tensor, " n_edges"]
    ) -> tuple[Float[Tensor, "n_edges n_radial"], Float[Tensor, "n_edges 1"]]:
        """(n_edges, n_radial) functions and (n_edges, 1) envelope of distances in Å."""
        cutoff = self.bessel.cutoff
        functions = self.bessel(distances) * (cutoff**2 / 6.0**0.5)
        envelope = ENVELOPE(distances, cutoff).to(functions.dtype)
        return functions, envelope[:, None]


def two_layers(
    n_in: int, n_hidden: int, n_out: int, *, gain: float = 1.0
) -> nn.Sequential:
    """A multilayer perceptron with one hidden layer of SiLU.

    Random weights that keep numbers of order one of order one: what comes from many
    rounds away is not lost on the way.
    """
    return nn.Sequential(
        linear(n_in, n_hidden),
        nn.SiLU(),
        linear(n_hidden, n_out, gain=gain * SILU_FACTOR),
    )


def linear(n_in: int, n_out: int, *, gain: float = 1.0, bias: bool = True) -> nn.Linear:
    """A layer whose weights are normally distributed with variance gain² / n_in."""
    layer = nn.Linear(n_in, n_out, bias=bias)
    nn.init.normal_(layer.weight, std=gain / n_in**0.5)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def check_shape(elements: tuple[int, ...], cutoff: float, **sizes: int) -> None:
    """Refuse what no network can be built of.

    Raises:
        ParameterError: elements that are none or given twice, a cutoff that is none, or
            a size below one.
    """
    known = all(1 <= number <= 118 for number in elements)
    if not known or not 0 < len(set(elements)) == len(elements):
        raise ParameterError(
            f"Wanted different atomic numbers from 1 to 118, got {list(elements)}."
        )
    if not 0 < cutoff < 100:
        raise ParameterError(f"Wanted a cutoff above 0 and below 100 Å, got {cutoff}.")
    for name, size in sizes.items():
        if not 0 < size < 1_000_000:
            raise ParameterError(f"Wanted {name} of one or more, got {size}.")
