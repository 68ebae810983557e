"""What every simulation speaks: `Status`, `Snapshot`, `System`, `State`, `Stepper`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import ase
import numpy as np
import torch
from ase.data import atomic_masses
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.members import per_atom, per_system, state_class
from gnndesign.neighbors import VerletList
from gnndesign.potentials.base import Prediction
from gnndesign.simulation.constraints import Constraints


class Status(IntEnum):
    """How far a system has come, and why it ended."""

    RUNNING = 0
    """Not ended yet."""
    CONVERGED = 1
    """A relaxation whose forces (and cell forces) are below the wanted bound."""
    FINISHED = 2
    """Molecular dynamics that has made all its steps."""
    STEP_LIMIT = 3
    """A relaxation that used up its steps before converging."""
    DIVERGED = 4
    """Stopped by a guard; its last good frame is kept. At step 0 there is none."""
    STOPPED = 5
    """Stopped by the user."""
    REFUSED = 6
    """Never begun: the input cannot be used. No snapshot has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One moment of a run on the host: the only thing a user interface is handed.

    Attributes:
        step: (n_systems,) number of steps made; 0 is the start. Systems that entered
            the batch at different times are at different steps.
        time_fs: (n_systems,) simulated time; 0 in a relaxation.
        ids: (n_systems,) which input structures these are.
        n_atoms: (n_systems,).
        atomic_numbers: (n_atoms_in_all,).
        positions: (n_atoms_in_all, 3) Å.
        momenta: (n_atoms_in_all, 3) sqrt(amu eV), ASE's unit; None in a relaxation.
        forces: (n_atoms_in_all, 3) eV/Å.
        cell: (n_systems, 3, 3) Å.
        pbc: (n_systems, 3).
        energy: (n_systems,) potential energy, eV; NaN, like forces and stress, where
            nothing was computed: atoms that overlap at the very start.
        kinetic_energy: (n_systems,) eV; NaN in a relaxation.
        max_force: (n_systems,) length of the longest force on a free atom, eV/Å.
        stress: (n_systems, 3, 3) eV/Å³ of the potential energy alone.
        temperature_K: (n_systems,) of the momenta; NaN in a relaxation.
        pressure_GPa: (n_systems,) including the kinetic part; NaN without a volume.
        volume: (n_systems,) Å³; NaN without a volume.
        status: (n_systems,) values of `Status`.
        messages: (n_systems,) what a guard said; empty where nothing is to be said.
        masses: (n_atoms_in_all,) amu; None for the natural ones.
    """

    step: Int[np.ndarray, " n_systems"]
    time_fs: Float[np.ndarray, " n_systems"]
    ids: Int[np.ndarray, " n_systems"]
    n_atoms: Int[np.ndarray, " n_systems"]
    atomic_numbers: Int[np.ndarray, " n_atoms_in_all"]
    positions: Float[np.ndarray, "n_atoms_in_all 3"]
    momenta: Float[np.ndarray, "n_atoms_in_all 3"] | None
    forces: Float[np.ndarray, "n_atoms_in_all 3"]
    cell: Float[np.ndarray, "n_systems 3 3"]
    pbc: Bool[np.ndarray, "n_systems 3"]
    energy: Float[np.ndarray, " n_systems"]
    kinetic_energy: Float[np.ndarray, " n_systems"]
    max_force: Float[np.ndarray, " n_systems"]
    stress: Float[np.ndarray, "n_systems 3 3"]
    temperature_K: Float[np.ndarray, " n_systems"]
    pressure_GPa: Float[np.ndarray, " n_systems"]
    volume: Float[np.ndarray, " n_systems"]
    status: Int[np.ndarray, " n_systems"]
    messages: tuple[str, ...]
    masses: Float[np.ndarray, " n_atoms_in_all"] | None = None

    def atom_range(self, index: int) -> slice:
        """Where the atoms of the structure at place `index` are."""
        end = int(self.n_atoms[: index + 1].sum())
        return slice(end - int(self.n_atoms[index]), end)

    def own_masses(self, index: int) -> Float[np.ndarray, " n_atoms"] | None:
        """(n_atoms,) amu, of the structure at place `index`; None for natural ones."""
        if self.masses is None:
            return None
        part = self.atom_range(index)
        masses = self.masses[part]
        natural = atomic_masses[self.atomic_numbers[part]]
        return None if np.array_equal(masses, natural) else masses

    def atoms(self, index: int) -> ase.Atoms:
        """The structure at place `index`, with momenta but without a calculator."""
        part = self.atom_range(index)
        atoms = ase.Atoms(
            numbers=self.atomic_numbers[part],
            positions=self.positions[part],
            cell=self.cell[index],
            pbc=self.pbc[index],
        )
        if (masses := self.own_masses(index)) is not None:
            atoms.set_array("masses", masses, float, ())
        if self.momenta is not None:
            atoms.set_momenta(self.momenta[part])
        return atoms


@state_class
class AtomData:
    """What a simulation must know of the atoms beside where they are.

    Attributes:
        masses: (n_atoms,) amu.
        momenta: (n_atoms, 3) sqrt(amu eV).
        has_momenta: (n_systems,) whether the input gave momenta.
        constraints: what must not move.
    """

    masses: Float[Tensor, " n_atoms"] = per_atom()
    momenta: Float[Tensor, "n_atoms 3"] = per_atom()
    has_momenta: Bool[Tensor, " n_systems"] = per_system()
    constraints: Constraints

    @classmethod
    def from_atoms(
        cls, structures: Sequence[ase.Atoms], device: torch.device | str = "cpu"
    ) -> AtomData:
        """Masses, momenta and constraints of the structures.

        Raises:
            StructureError: a constraint that would be ignored in silence.
        """

        def tensor(arrays: list[np.ndarray]) -> Tensor:
            return torch.as_tensor(np.concatenate(arrays), device=device)

        momenta = [atoms.get_momenta() for atoms in structures]
        given = [np.array([bool((p != 0).any())]) for p in momenta]
        return cls(
            masses=tensor([atoms.get_masses() for atoms in structures]),
            momenta=tensor(momenta),
            has_momenta=tensor(given),
            constraints=Constraints.from_atoms(structures, device),
        )


@state_class
class System:
    """Where a batch is and what the potential says there.

    Attributes:
        ids: (n_systems,) which input structures these are.
        batch: geometry.
        prediction: of the potential, for this geometry. Forces and stress have lost
            what the constraints take; forces on fixed atoms are 0.
        neighbors: the list behind it; None where the potential finds its own.
        fault: (n_systems,) values of `guards.Fault`.
    """

    ids: Int[Tensor, " n_systems"] = per_system()
    batch: AtomicBatch
    prediction: Prediction
    neighbors: VerletList | None
    fault: Int[Tensor, " n_systems"] = per_system()

    @property
    def max_force(self) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV/Å, length of the longest force."""
        return self.batch.max_over_atoms(self.prediction.forces.norm(dim=-1))


class State(Protocol):
    """A moment of a simulation: everything the next step depends on.

    A `members.state_class`: immutable, so that a state can be kept, written or
    compared at any time, and made of tensors whose fields say what they count.
    """

    @property
    def system(self) -> System:
        """Geometry and prediction."""
        ...

    @property
    def step(self) -> Int[Tensor, " n_systems"]:
        """(n_systems,) number of steps made."""
        ...

    @property
    def momenta(self) -> Tensor | None:
        """(n_atoms, 3) sqrt(amu eV); None in a relaxation."""
        ...

    @property
    def kinetic_energy(self) -> Tensor | None:
        """(n_systems,) eV; None in a relaxation."""
        ...

    @property
    def degrees_of_freedom(self) -> Tensor | None:
        """(n_systems,) of the momenta; None in a relaxation."""
        ...


StateT = TypeVar("StateT", bound=Any)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal(Generic[StateT]):
    """Half a step: where the potential is to be evaluated next.

    Attributes:
        state: what is known without that; its system is still the old one.
        positions: (n_atoms, 3) Å.
        cell: (n_systems, 3, 3) Å.
    """

    state: StateT
    positions: Float[Tensor, "n_atoms 3"]
    cell: Float[Tensor, "n_systems 3 3"]


@runtime_checkable
class Stepper(Protocol[StateT]):
    """Frozen parameters of a method, and how it makes one step.

    A step is `propose`, one evaluation of the potential, `complete`. Who evaluates
    may therefore put systems of several methods into one batch.
    """

    @property
    def is_relaxation(self) -> bool:
        """Whether it looks for a minimum; else it goes through time."""
        ...

    def refuse(self, atoms: ase.Atoms) -> None:
        """Say no to a structure that this method can do nothing with.

        Raises:
            StructureError: what is wrong with it.
        """
        ...

    def prepare(self, atoms: ase.Atoms) -> ase.Atoms:
        """The structure as this method begins with it: itself, or a changed copy.

        Raises:
            StructureError: what of it, a constraint for example, this method lacks.
        """
        ...

    def start(self, system: System, data: AtomData) -> StateT:
        """The state at step 0 of systems that are already evaluated."""
        ...

    def propose(self, state: StateT) -> Proposal[StateT]:
        """Where the atoms go next; the given state stays as it is."""
        ...

    def complete(self, proposal: Proposal[StateT], system: System) -> StateT:
        """The next state, with the potential's answer; may mark a `guards.Fault`."""
        ...

    def status(self, state: StateT) -> Int[Tensor, " n_systems"]:
        """(n_systems,) values of `Status`: RUNNING, or CONVERGED."""
        ...

    def time_fs(self, state: StateT) -> Float[Tensor, " n_systems"]:
        """(n_systems,) simulated time; 0 in a relaxation."""
        ...
