"""What the methods of relaxation share: what may move, and when it is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, final

import ase
import torch
from ase.constraints import FixCom
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.errors import ParameterError, StructureError
from gnndesign.simulation.base import AtomData, Proposal, Status, System
from gnndesign.simulation.cell import CellFreedom
from gnndesign.simulation.freedom import (
    kept_symprec,
    moves_in_some_directions,
    with_its_symmetry,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxer(ABC):
    """A method that goes downhill.

    Attributes:
        max_force: eV/Å; converged when no force on an atom, and no row of the cell
            force (see `gnndesign.simulation.cell`), is longer.
        cell: what of the cell may change; None for nothing.
        max_displacement: Å, the longest move of an atom in a step. A strain of the cell
            counts as one, times n_atoms in `FIRE` and times √n_atoms in `LBFGS`.
        fix_center: whether the center of mass stays where it is.
        fix_symmetry: whether the space group stays what it is.
        symprec: Å, within which it is found; the start is moved to obey it exactly.
    """

    max_force: float = 0.01
    cell: CellFreedom | None = None
    max_displacement: float = 0.2
    fix_center: bool = False
    fix_symmetry: bool = False
    symprec: float = 1e-2

    def __post_init__(self) -> None:
        if not self.max_force > 0:
            raise ParameterError(f"Wanted max_force > 0 eV/Å, got {self.max_force}.")
        if not 0 < self.max_displacement <= 0.5:
            raise ParameterError(
                f"Wanted 0 < max_displacement <= 0.5 Å, got {self.max_displacement}."
            )
        if not self.symprec > 0:
            raise ParameterError(f"Wanted symprec > 0 Å, got {self.symprec}.")

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
    def prepare(self, atoms: ase.Atoms) -> ase.Atoms:
        """With the constraints of `fix_center` and `fix_symmetry`.

        A structure that comes with ASE's FixSymmetry is treated as with `fix_symmetry`
        and the symprec given there.

        Raises:
            StructureError: there is no symmetry to keep, or it does not go together
                with another constraint or with what of the cell may change.
        """
        if self.cell is not None and moves_in_some_directions(atoms):
            raise StructureError(
                "Atoms that are free in some directions alone cannot be relaxed "
                "together with the cell, which turns directions. Use cell=None, or "
                "FixAtoms."
            )
        symprec = kept_symprec(atoms)
        if symprec is None and self.fix_symmetry:
            symprec = self.symprec
        if symprec is not None:
            atoms = with_its_symmetry(atoms, symprec)
            if self.cell is not None:
                self.cell.refuse_symmetry(atoms, symprec)
        if self.fix_center:
            atoms = atoms.copy()
            atoms.set_constraint([*atoms.constraints, FixCom()])
        return atoms

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

    @final
    def start(self, system: System, data: AtomData) -> Any:
        """The state at step 0."""
        return self.begin(_centered(system, data), data)

    @final
    def complete(self, proposal: Proposal[Any], system: System) -> Any:
        """The state there."""
        return self.arrive(proposal, _centered(system, proposal.state.data))

    @abstractmethod
    def begin(self, system: System, data: AtomData) -> Any:
        """The state at step 0; no force moves a center of mass that is fixed."""

    @abstractmethod
    def propose(self, state: Any) -> Proposal[Any]:
        """Where the atoms go next."""

    @abstractmethod
    def arrive(self, proposal: Proposal[Any], system: System) -> Any:
        """The state there; no force moves a center of mass that is fixed."""


def _centered(system: System, data: AtomData) -> System:
    """Forces on a center of mass that must not move are not waited for to vanish."""
    constraints, prediction = data.constraints, system.prediction
    if not bool(constraints.center_fixed.any()):
        return system
    forces = constraints.without_center(system.batch, prediction.forces, data.masses)
    return replace(system, prediction=replace(prediction, forces=forces))
