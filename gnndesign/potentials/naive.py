"""A network on the flattened coordinates of one molecule: a negative control.

    z   = (r - r_mean) / s                    all 3 N coordinates, in the atoms' order
    E   = Σ_i (scale[Z_i] network(z) + shift[Z_i])

with r_mean and s the mean and the spread of the coordinates in the training data.
It shows what symmetries are for. Numbered otherwise, moved or turned, the same molecule
has another energy, and no other molecule has one. Forces are the gradient of the energy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from ase.data import chemical_symbols
from ase.symbols import Symbols
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError, StructureError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Card
from gnndesign.potentials.message_passing import check_shape, linear, two_layers
from gnndesign.potentials.trainable import AtomicNetwork, Sample, TrainablePotential


@dataclass(frozen=True, slots=True, kw_only=True)
class NaiveParameters:
    """The shape of the network and the one molecule that it knows.

    Attributes:
        elements: atomic numbers that occur in the molecule.
        atomic_numbers: of all its atoms, in the order in which every structure must
            have them.
        n_channels: width of the hidden layers.
        cutoff: Å; nominal, for all atoms see each other.

    Raises:
        ParameterError: no network has such a shape, or `elements` are not those of
            the molecule.
    """

    elements: tuple[int, ...]
    atomic_numbers: tuple[int, ...] = ()
    n_channels: int = 128
    cutoff: float = 5.0

    def __post_init__(self) -> None:
        """Check what would otherwise go wrong late or silently."""
        check_shape(self.elements, self.cutoff, n_channels=self.n_channels)
        if set(self.atomic_numbers) != set(self.elements):
            raise ParameterError(
                "Wanted the atomic numbers of one molecule, atom by atom, of the "
                f"elements {list(self.elements)}, got {list(self.atomic_numbers)}. Give "
                "atomic_numbers=tuple(atoms.numbers.tolist())."
            )


class NaiveNetwork(AtomicNetwork):
    """All coordinates of a molecule to its energy.

    Attributes:
        mean: (3 N,) Å, r_mean.
        spread: () Å, s.
    """

    is_equivariant: ClassVar[bool] = False
    is_mirror_symmetric: ClassVar[bool] = False
    is_translation_invariant: ClassVar[bool] = False
    is_permutation_invariant: ClassVar[bool] = False
    is_extensive: ClassVar[bool] = False

    mean: Tensor
    spread: Tensor

    def __init__(self, parameters: NaiveParameters) -> None:
        super().__init__(len(parameters.elements))
        self.n_atoms = len(parameters.atomic_numbers)
        width = parameters.n_channels
        self.register_buffer("mean", torch.zeros(3 * self.n_atoms))
        self.register_buffer("spread", torch.ones(()))
        self.layers = nn.Sequential(
            linear(3 * self.n_atoms, width), nn.SiLU(), two_layers(width, width, 1)
        )

    def interaction(
        self, species: Int[Tensor, " n_atoms"], batch: AtomicBatch, edges: NeighborList
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) the energy of the molecule, an even share of it for every atom."""
        del species, edges
        coordinates = self._flattened(batch) - self.mean.double()
        energy = self.layers((coordinates / self.spread).to(self.scale.dtype))
        return energy[:, 0].index_select(0, batch.system_index)

    def calibrate(self, samples: Iterable[Sample]) -> None:
        """Mean and spread of the coordinates."""
        rows = torch.cat([self._flattened(batch) for _, batch, _ in samples])
        mean = rows.mean(0)
        self.mean.copy_(mean)
        self.spread.copy_((rows - mean).pow(2).mean().sqrt().clamp_min(0.01))

    def _flattened(self, batch: AtomicBatch) -> Float[Tensor, "n_systems coordinates"]:
        return batch.positions.double().reshape(-1, 3 * self.n_atoms)


class NaivePotential(TrainablePotential[NaiveNetwork]):
    """A `NaiveNetwork` on a device, as a potential of one molecule."""

    parameters: NaiveParameters

    def __init__(
        self,
        network: NaiveNetwork,
        parameters: NaiveParameters,
        card: Card,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__("naive", network, parameters, card, device)

    def check_elements(self, batch: AtomicBatch) -> None:
        """Refuse all but the one molecule.

        Raises:
            StructureError: a structure has other atoms, or the same in another order,
                or is periodic.
        """
        wanted = self.parameters.atomic_numbers
        numbers = batch.atomic_numbers.split(batch.atoms_per_system.tolist())
        for index, found in enumerate(numbers):
            where = f"Structure {index}: " if batch.n_systems > 1 else ""
            given = tuple(found.tolist())
            if given != wanted:
                raise StructureError(
                    f"{where}Potential '{self.card.name}' is a network on the flattened "
                    f"coordinates of {_in_order(wanted)}, the atoms in this order, got "
                    f"{_in_order(given)}. Give it that molecule, or choose a potential "
                    "of atoms and their neighbors."
                )
            if bool(batch.pbc[index].any()):
                raise StructureError(
                    f"{where}Potential '{self.card.name}' is a network on the "
                    f"coordinates of the molecule {_in_order(wanted)}, got a periodic "
                    "structure. Switch off pbc."
                )


def _in_order(numbers: tuple[int, ...]) -> str:
    """Symbols in the order of the atoms: C6H6 of benzene."""
    known = all(0 < number < len(chemical_symbols) for number in numbers)
    return Symbols(numbers).get_chemical_formula("reduce") if known else str(numbers)
