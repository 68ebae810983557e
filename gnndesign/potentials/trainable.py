"""What every architecture that can be trained is made of.

An architecture is two classes in a file: the frozen parameters that say its shape, and
an `AtomicNetwork` of that shape. `TrainablePotential` makes a potential of them,
`architectures.py` lists them, `files.py` saves and loads them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, ClassVar, Generic, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Card, EnergyModel, Slopes, differentiate

Sample = tuple[Int[Tensor, " n_atoms"], AtomicBatch, NeighborList]
"""Species, structures and their neighbors."""


class AtomicNetwork(nn.Module):
    """Species and geometry to atomic energies.

        E_i = scale[Z_i] ε_i + shift[Z_i]

    with ε_i the number that `interaction` gives. Scale and shift are not trained: they
    are the spread of the labels and the energy of a free or average atom.

    Attributes:
        scale: (n_species,) eV.
        shift: (n_species,) eV.
        is_equivariant, is_mirror_symmetric, is_translation_invariant,
            is_permutation_invariant, is_extensive: what it promises; see `Potential`.
        n_rounds: how many steps from neighbor to neighbor away an atom may be that
            changes an atomic energy; one where neighbors alone are looked at.
    """

    is_equivariant: ClassVar[bool] = True
    is_mirror_symmetric: ClassVar[bool] = True
    is_translation_invariant: ClassVar[bool] = True
    is_permutation_invariant: ClassVar[bool] = True
    is_extensive: ClassVar[bool] = True
    n_rounds: int = 1

    def __init__(self, n_species: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(n_species), requires_grad=False)
        self.shift = nn.Parameter(torch.zeros(n_species), requires_grad=False)

    @abstractmethod
    def interaction(
        self, species: Int[Tensor, " n_atoms"], batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) ε_i; in the floating type of the weights.

        `edges` may have pairs beyond the cutoff: they must contribute nothing. Best
        compute vectors and distances in the floating type of the batch, float64, and
        go to that of the weights where the numbers are of order one.
        """

    def calibrate(self, samples: Iterable[Sample]) -> None:
        """Take from training data what is not found by gradients; nothing by default.

        Called once, before training, with scale and shift already set.
        """

    def forward(
        self, species: Int[Tensor, " n_atoms"], batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) eV, in float64: a shift of many eV would cost float32 its end."""
        own = self.interaction(species, batch, edges).double()
        return own * self.scale.double()[species] + self.shift.double()[species]


FIXED_WEIGHTS = ("scale", "shift", "denominator")
"""Ends of the names of weights that are never trained."""


def count_parameters(network: nn.Module) -> int:
    """Number of trained weights."""
    return sum(
        weight.numel()
        for name, weight in network.named_parameters()
        if not name.endswith(FIXED_WEIGHTS)
    )


def weights_checksum(network: nn.Module, parameters: Any) -> str:
    """SHA-256 of a network's shape and weights."""
    digest = sha256(repr(parameters).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


NetworkT = TypeVar("NetworkT", bound=nn.Module)


class TrainablePotential(EnergyModel, Generic[NetworkT]):
    """A network of `architectures.py` on a device, as a potential.

    Attributes:
        network: gives the atomic energies. Outside of training its weights want no
            gradient.
        parameters: its shape.
        architecture: the name in `ARCHITECTURES`.
    """

    network: NetworkT
    parameters: Any
    architecture: str

    def __init__(
        self,
        architecture: str,
        network: NetworkT,
        parameters: Any,
        card: Card,
        device: torch.device | str = "cpu",
    ) -> None:
        self.architecture = architecture
        self.network = network.to(device).requires_grad_(requires_grad=False)
        self.parameters = parameters
        self.card = card
        self.device = torch.device(device)
        self.cutoff = parameters.cutoff
        if isinstance(network, AtomicNetwork):
            self.is_equivariant = network.is_equivariant
            self.is_mirror_symmetric = network.is_mirror_symmetric
            self.is_translation_invariant = network.is_translation_invariant
            self.is_permutation_invariant = network.is_permutation_invariant
            self.is_extensive = network.is_extensive
        lookup = torch.full((120,), -1, dtype=torch.int64)
        for place, number in enumerate(parameters.elements):
            lookup[number] = place
        self._species = lookup.to(device)

    @property
    def dtype(self) -> torch.dtype:
        """That of the weights; `potential.network.double()` raises it."""
        return next(self.network.parameters()).dtype

    def species(self, batch: AtomicBatch) -> Int[Tensor, " n_atoms"]:
        """(n_atoms,) places of the atoms' elements in `parameters.elements`."""
        return self._species[batch.atomic_numbers]

    def atomic_energies(
        self, batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) eV; computed in the floating type of the weights."""
        energies = self.network(self.species(batch), batch, edges)
        return energies.to(batch.positions.dtype)

    def labels(
        self,
        batch: AtomicBatch,
        edges: NeighborList,
        *,
        with_strain: bool,
        create_graph: bool = True,
    ) -> Slopes:
        """What is compared with labels, by the network as it is now.

        Args:
            batch: structures.
            edges: their neighbors.
            with_strain: whether dE/dstrain is wanted; else it is zero.
            create_graph: whether it is to be differentiable by the weights.
        """
        return differentiate(
            self, batch, edges, create_graph=create_graph, with_strain=with_strain
        )

    def calibrate(self, batches: Iterable[tuple[AtomicBatch, NeighborList]]) -> None:
        """Let the network see training structures, once, before training."""
        if isinstance(self.network, AtomicNetwork):
            self.network.calibrate(
                (self.species(batch), batch, edges) for batch, edges in batches
            )
