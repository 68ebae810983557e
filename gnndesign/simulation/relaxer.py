"""What the methods of relaxation share: what may move, and when it is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import ase
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.errors import ParameterError
from gnndesign.simulation.base import AtomData, Proposal, Status, System
from gnndesign.simulation.cell import CellFreedom


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxer(ABC):
    """A method that goes downhill.

    Attributes:
        max_force: eV/Å; converged when no force on an atom, and no row of the cell
            force (see `gnndesign.simulation.cell`), is longer.
        cell: what of the cell may change; None for nothing.
        max_displacement: Å, the longest move of an atom in a step; n_atoms times the
            strain of the cell counts as one.
    """

    max_force: float = 0.01
    cell: CellFreedom | None = None
    max_displacement: float = 0.2

    def __post_init__(self) -> None:
        if not self.max_force > 0:
            raise ParameterError(f"Wanted max_force > 0 eV/Å, got {self.max_force}.")
        if not 0 < self.max_displacement <= 0.5:
            raise ParameterError(
                f"Wanted 0 < max_displacement <= 0.5 Å, got {self.max_displacement}."
            )

    @property
    def is_relaxation(self) -> bool:
        """It looks for a minimum."""
        return True

    @final
    def refuse(self, atoms: ase.Atoms) -> None:
        """Say no to a structure whose cell cannot be relaxed.

        Raises:
            StructureError: what to do instead.
        """
        if self.cell is not None:
            self.cell.refuse(atoms)

    @final
    def status(self, state: Any) -> Int[Tensor, " n_systems"]:
        """CONVERGED where the forces on atoms and cell are small enough."""
        system: System = state.system
        largest = system.max_force
        if self.cell is not None:
            rows = self.cell_force(system).norm(dim=-1).amax(-1)
            largest = torch.maximum(largest, rows)
        return torch.where(
            largest <= self.max_force, int(Status.CONVERGED), int(Status.RUNNING)
        )

    @final
    def time_fs(self, state: Any) -> Float[Tensor, " n_systems"]:
        """(n_systems,) zero: a relaxation has no time."""
        return torch.zeros_like(state.system.prediction.energy)

    @final
    def cell_force(self, system: System) -> Float[Tensor, "n_systems 3 3"]:
        """(n_systems, 3, 3) eV; zero where the cell stays."""
        if self.cell is None:
            return torch.zeros_like(system.batch.cell)
        return self.cell.force(system.batch, system.prediction.stress)

    @abstractmethod
    def start(self, system: System, data: AtomData) -> Any:
        """The state at step 0."""

    @abstractmethod
    def propose(self, state: Any) -> Proposal[Any]:
        """Where the atoms go next."""

    @abstractmethod
    def complete(self, proposal: Proposal[Any], system: System) -> Any:
        """The state there."""
