"""What potentials of atom-centered descriptors have in common.

Sums over the neighbors of an atom, the standardisation of a descriptor, and one
network an element that turns it into an energy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gnndesign.errors import ParameterError


def check_elements(elements: Sequence[int]) -> None:
    """Refuse what is no list of different elements.

    Raises:
        ParameterError: none, one twice, or no atomic number.
    """
    usable = all(1 <= number <= 118 for number in elements)
    if not elements or not usable or len(set(elements)) != len(elements):
        raise ParameterError(
            f"Wanted one or more different atomic numbers as elements, got {elements}."
        )


def check_positive(**numbers: float) -> None:
    """Refuse numbers that are not above zero.

    Raises:
        ParameterError: names the first.
    """
    for name, number in numbers.items():
        if not 0 < number < float("inf"):
            raise ParameterError(
                f"Wanted {name.replace('_', ' ')} above zero, got {number}."
            )


def check_fraction(**numbers: float) -> None:
    """Refuse numbers that are not above zero and at most one.

    Raises:
        ParameterError: names the first.
    """
    for name, number in numbers.items():
        if not 0 < number <= 1:
            raise ParameterError(
                f"Wanted {name.replace('_', ' ')} above 0 and at most 1, got {number}."
            )


def check_widths(hidden: Sequence[int]) -> None:
    """Refuse hidden layers without neurons.

    Raises:
        ParameterError: tells the widths.
    """
    if any(width < 1 for width in hidden):
        raise ParameterError(
            f"Wanted hidden layers of one or more neurons, got {hidden}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborTable:
    """A place for every edge in a table of one row an atom, empty places at the end.

    Sums over neighbors become products of small matrices, an atom each: no product of
    two functions of an edge is ever stored.

    Attributes:
        places: (n_edges,) row times width plus column of an edge.
        n_atoms: number of rows.
        width: the largest number of neighbors, at least 1.
    """

    places: Int[Tensor, " n_edges"]
    n_atoms: int
    width: int

    @classmethod
    def of(cls, centers: Int[Tensor, " n_edges"], n_atoms: int) -> NeighborTable:
        """From the centers of edges, ascending."""
        counts = torch.bincount(centers, minlength=n_atoms)
        width = max(int(counts.max()), 1)
        before = torch.arange(n_atoms, device=centers.device) * width
        before -= counts.cumsum(0) - counts
        places = torch.arange(centers.shape[0], device=centers.device)
        return cls(places=places + before[centers], n_atoms=n_atoms, width=width)

    def fill(
        self, values: Float[Tensor, "n_edges n_functions"]
    ) -> Float[Tensor, "n_atoms width n_functions"]:
        """Values of edges in the table; zero in the empty places."""
        empty = values.new_zeros((self.n_atoms * self.width, values.shape[1]))
        table = empty.index_copy(0, self.places, values)
        return table.view(self.n_atoms, self.width, values.shape[1])


class Standardization(nn.Module):
    """(x - mean) / spread of every component, by the species of the atom.

    A component that hardly varied would be blown up where it does at last, and networks
    learn from few structures the better the less small variations are amplified: no
    spread is taken as less than a fraction of the largest of its species.

    Attributes:
        least_spread: that fraction.
        mean: (n_species, n_features); zero before `measure`.
        spread: (n_species, n_features); one before `measure`.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, n_species: int, n_features: int, least_spread: float) -> None:
        super().__init__()
        self.least_spread = least_spread
        self.register_buffer("mean", torch.zeros(n_species, n_features))
        self.register_buffer("spread", torch.ones(n_species, n_features))

    def forward(
        self,
        features: Float[Tensor, "n_atoms n_features"],
        species: Int[Tensor, " n_atoms"],
    ) -> Float[Tensor, "n_atoms n_features"]:
        """Of order one for atoms like those seen by `measure`."""
        mean = self.mean.index_select(0, species)
        return (features - mean) / self.spread.index_select(0, species)

    def measure(
        self,
        samples: Iterable[
            tuple[Float[Tensor, "n_atoms n_features"], Int[Tensor, " n_atoms"]]
        ],
    ) -> None:
        """Take mean and standard deviation over the atoms of each species.

        A species without atoms is left as it is, and so are spreads where all are zero.
        """
        count = self.mean.new_zeros(self.mean.shape[0], 1, dtype=torch.float64)
        mean = torch.zeros_like(self.mean, dtype=torch.float64)
        squares = torch.zeros_like(mean)
        for features, species in samples:
            x = features.detach().double()
            n = torch.zeros_like(count).index_add(0, species, torch.ones_like(x[:, :1]))
            new = torch.zeros_like(mean).index_add(0, species, x) / n.clamp(min=1)
            off = (x - new[species]) ** 2
            # Chan, Golub and LeVeque: no difference of large sums of squares.
            total = (count + n).clamp(min=1)
            squares += torch.zeros_like(mean).index_add(0, species, off)
            squares += (new - mean) ** 2 * count * n / total
            mean += (new - mean) * n / total
            count += n
        spread = (squares / count.clamp(min=1)).sqrt()
        spread = spread.maximum(self.least_spread * spread.amax(1, keepdim=True))
        seen = count > 0
        self.mean.copy_(torch.where(seen, mean, self.mean))
        self.spread.copy_(torch.where(seen & (spread > 0), spread, self.spread))


def by_species(
    function: Callable[[int, Tensor], Tensor],
    features: Float[Tensor, "n_atoms n_features"],
    species: Int[Tensor, " n_atoms"],
    n_species: int,
) -> Float[Tensor, " n_atoms"]:
    """(n_atoms,) a function of a species and the features of all its atoms."""
    if n_species == 1:
        return function(0, features)
    order = torch.argsort(species, stable=True)
    counts = torch.bincount(species, minlength=n_species).tolist()
    groups = features.index_select(0, order).split(counts)
    values = [function(s, x) for s, x in enumerate(groups) if x.shape[0]]
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    return torch.cat(values).index_select(0, back)


class ElementNetworks(nn.Module):
    """One multilayer perceptron an element: a descriptor to a number, with tanh.

    Weights of all elements are stacked: weights[k] is (n_species, inputs, outputs).
    """

    def __init__(self, n_species: int, n_features: int, hidden: Sequence[int]) -> None:
        super().__init__()
        layers = list(pairwise((n_features, *hidden, 1)))
        self.weights = nn.ParameterList(
            torch.randn(n_species, a, b) / a**0.5 for a, b in layers
        )
        self.biases = nn.ParameterList(torch.zeros(n_species, b) for _, b in layers)

    def forward(
        self,
        features: Float[Tensor, "n_atoms n_features"],
        species: Int[Tensor, " n_atoms"],
    ) -> Float[Tensor, " n_atoms"]:
        """(n_atoms,) each by the network of its species."""
        return by_species(self._one, features, species, self.weights[0].shape[0])

    def _one(self, element: int, x: Tensor) -> Tensor:
        last = len(self.weights) - 1
        for number, (weight, bias) in enumerate(
            zip(self.weights, self.biases, strict=True)
        ):
            x = torch.addmm(bias[element], x, weight[element])
            if number < last:
                x = torch.tanh(x)
        return x[:, 0]
