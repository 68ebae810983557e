"""The architectures that can be trained, by name: `new_potential("invariant", ...)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from ase.data import atomic_numbers
from torch import nn

from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Card
from gnndesign.potentials.trainable import (
    TrainablePotential,
    count_parameters,
    weights_checksum,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One kind of network.

    Attributes:
        title: for people.
        citation: where it was published.
        module: in `gnndesign.potentials`.
        parameters: name of the class of its shape there.
        network: name of the class of the network there, built from that shape.
        potential: name of the class of the potential there; None for
            `TrainablePotential`.
        chosen: name of a class there of the few numbers that a person chooses, whose
            `parameters` are the shape; None for the class of its shape.
    """

    title: str
    citation: str
    module: str
    parameters: str
    network: str
    potential: str | None = None
    chosen: str | None = None

    def _home(self, name: str) -> Any:
        return getattr(import_module(f"gnndesign.potentials.{self.module}"), name)

    @property
    def shape_class(self) -> type[Any]:
        """The frozen dataclass of its shape."""
        return self._home(self.parameters)

    @property
    def chosen_class(self) -> type[Any]:
        """The frozen dataclass of what a person chooses of it."""
        return self._home(self.chosen or self.parameters)

    def shape(self, elements: tuple[int, ...], options: dict[str, Any]) -> Any:
        """A shape.

        Raises:
            ParameterError: an option that it does not have, or out of range.
        """
        try:
            shape = self.chosen_class(elements=elements, **options)
        except TypeError as error:
            raise ParameterError(
                f"{self.title} cannot be made with {', '.join(options)}: {error}."
            ) from error
        return shape.parameters if self.chosen else shape

    def build(self, shape: Any) -> nn.Module:
        """A network of a shape, with random weights."""
        return self._home(self.network)(shape)

    def potential_of(
        self,
        name: str,
        network: nn.Module,
        shape: Any,
        card: Card,
        device: torch.device | str,
    ) -> TrainablePotential[Any]:
        """The potential of a network."""
        if self.potential is None:
            return TrainablePotential(name, network, shape, card, device)
        return self._home(self.potential)(network, shape, card, device)


ARCHITECTURES: dict[str, Architecture] = {
    "behler-parrinello": Architecture(
        title="Behler-Parrinello network",
        citation="J. Behler and M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007)",
        module="behler_parrinello",
        parameters="BehlerParrinelloParameters",
        network="BehlerParrinelloNetwork",
        potential="BehlerParrinelloPotential",
    ),
    "soap": Architecture(
        title="SOAP with a neural network",
        citation="A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013)",
        module="soap",
        parameters="SOAPParameters",
        network="SOAPNetwork",
    ),
    "soap-kernel": Architecture(
        title="SOAP with a sparse kernel (GAP)",
        citation="A. P. Bartók et al., Phys. Rev. Lett. 104, 136403 (2010)",
        module="soap_kernel",
        parameters="SOAPKernelParameters",
        network="SOAPKernelNetwork",
    ),
    "invariant": Architecture(
        title="Invariant message passing",
        citation="K. T. Schütt et al., J. Chem. Phys. 148, 241722 (2018)",
        module="invariant",
        parameters="InvariantParameters",
        network="InvariantNetwork",
    ),
    "equivariant": Architecture(
        title="Equivariant message passing",
        citation="S. Batzner et al., Nat. Commun. 13, 2453 (2022)",
        module="equivariant",
        parameters="EquivariantParameters",
        network="EquivariantNetwork",
        potential="EquivariantPotential",
        chosen="EquivariantShape",
    ),
    "unconstrained": Architecture(
        title="Unconstrained message passing",
        citation="S. Pozdnyakov and M. Ceriotti, NeurIPS 2023",
        module="unconstrained",
        parameters="UnconstrainedParameters",
        network="UnconstrainedNetwork",
    ),
    "naive": Architecture(
        title="Network on flattened coordinates (negative control)",
        citation="none: it shows what symmetries are for",
        module="naive",
        parameters="NaiveParameters",
        network="NaiveNetwork",
        potential="NaivePotential",
    ),
    "direct-force": Architecture(
        title="Invariant message passing with a direct-force head (negative control)",
        citation="A. Bigi, M. Langer, M. Ceriotti, ICML 2025",
        module="direct_force",
        parameters="DirectForceParameters",
        network="DirectForceNetwork",
        potential="DirectForcePotential",
    ),
}
"""What `new_potential` can make."""


def architecture(name: str) -> Architecture:
    """An architecture by name.

    Raises:
        ParameterError: no such architecture.
    """
    if name not in ARCHITECTURES:
        raise ParameterError(
            f"Wanted an architecture of {', '.join(ARCHITECTURES)}, got {name!r}."
        )
    return ARCHITECTURES[name]


def new_potential(
    name: str,
    elements: Sequence[str | int],
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    **shape: Any,
) -> TrainablePotential[Any]:
    """An untrained potential with random weights.

    Args:
        name: a key of `ARCHITECTURES`.
        elements: symbols or atomic numbers that it shall know.
        seed: of the random weights.
        device: where it computes.
        **shape: of the network: see the parameters of its class.

    Raises:
        ParameterError: no such architecture or element, or no network has that shape.
    """
    kind = architecture(name)
    parameters = kind.shape(_numbers(elements), shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = kind.build(parameters)
    return kind.potential_of(
        name, network, parameters, untrained_card(kind, network, parameters), device
    )


def untrained_card(kind: Architecture, network: nn.Module, shape: Any) -> Card:
    """The card of a potential that has not learned anything yet."""
    return Card(
        name="untrained",
        title=kind.title,
        licence="yours",
        level_of_theory="none",
        training_data="none: the weights are random",
        n_parameters=count_parameters(network),
        elements=tuple(sorted(shape.elements)),
        cutoff=shape.cutoff,
        checksum=weights_checksum(network, shape),
        citation=kind.citation,
        notes=("Not trained: its numbers mean nothing.",),
    )


def _numbers(elements: Sequence[str | int]) -> tuple[int, ...]:
    known = [atomic_numbers.get(e, 0) if isinstance(e, str) else e for e in elements]
    if not known or any(not 1 <= number <= 118 for number in known):
        raise ParameterError(
            f"Wanted chemical symbols or atomic numbers, got {list(elements)}."
        )
    return tuple(sorted(set(known)))
