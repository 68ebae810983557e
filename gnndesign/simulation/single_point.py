"""A structure as it is: one evaluation, no step."""

from __future__ import annotations

from dataclasses import dataclass

import ase
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.members import per_system, state_class
from gnndesign.simulation.base import AtomData, Proposal, Status, System


@state_class
class SinglePointState:
    """An evaluated structure.

    Attributes:
        system: geometry and prediction.
        data: masses (not used) and constraints.
        step: (n_systems,) zero.
    """

    system: System
    data: AtomData
    step: Int[Tensor, " n_systems"] = per_system()

    @property
    def momenta(self) -> None:
        """Nothing moves."""

    @property
    def kinetic_energy(self) -> None:
        """Nothing moves."""

    @property
    def degrees_of_freedom(self) -> None:
        """Nothing moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinglePoint:
    """Energy, forces and stress of structures, strained or displaced copies, images."""

    @property
    def is_relaxation(self) -> bool:
        """It has no time."""
        return True

    def refuse(self, atoms: ase.Atoms) -> None:
        """Every structure has an energy."""
        del atoms

    def prepare(self, atoms: ase.Atoms) -> ase.Atoms:
        """Itself."""
        return atoms

    def start(self, system: System, data: AtomData) -> SinglePointState:
        """All that there is."""
        return SinglePointState(
            system=system, data=data, step=torch.zeros_like(system.ids)
        )

    def propose(self, state: SinglePointState) -> Proposal[SinglePointState]:
        """Never asked: it has ended before its first step."""
        batch = state.system.batch
        return Proposal(state=state, positions=batch.positions, cell=batch.cell)

    def complete(
        self, proposal: Proposal[SinglePointState], system: System
    ) -> SinglePointState:
        """Never asked."""
        del system
        return proposal.state

    def status(self, state: SinglePointState) -> Int[Tensor, " n_systems"]:
        """FINISHED."""
        return torch.full_like(state.step, int(Status.FINISHED))

    def time_fs(self, state: SinglePointState) -> Float[Tensor, " n_systems"]:
        """(n_systems,) zero."""
        return torch.zeros_like(state.system.prediction.energy)
