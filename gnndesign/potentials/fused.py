"""Trainable potentials whose network has a second, fast form: `FusedPotential`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Card, Slopes
from gnndesign.potentials.kernels.selection import Kernel, KernelChoice, KernelSelection
from gnndesign.potentials.trainable import TrainablePotential

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class FusedPotential(TrainablePotential[NetworkT]):
    """A network in torch, and a fused form of it that evaluates where it is there."""

    def __init__(
        self,
        architecture: str,
        network: NetworkT,
        parameters: Any,
        card: Card,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(architecture, network, parameters, card, device)
        self._kernels = KernelSelection(self)

    @abstractmethod
    def build_kernel(self) -> Kernel:
        """The fused form of the network as it is now.

        Raises:
            ParameterError: there is none.
        """

    @abstractmethod
    def is_kernel_quick(self) -> bool:
        """Whether making it takes a second at most."""

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
