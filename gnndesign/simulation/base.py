"""What every simulation speaks: `Status`, `Snapshot`, `System`, `State`, `Stepper`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol, TypeVar, runtime_checkable

import ase
import numpy as np
import torch
from ase.constraints import FixAtoms
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import StructureError
from gnndesign.neighbors import VerletList
from gnndesign.potentials.base import Potential, Prediction


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
    """Stopped by a guard; its last good frame is kept."""
    STOPPED = 5
    """Stopped by the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One moment of a run on the host: the only thing a user interface is handed.

    Attributes:
        step: number of steps made; 0 is the start.
        time_fs: simulated time; 0 in a relaxation.
        ids: (n_systems,) which input structures these are.
        n_atoms: (n_systems,).
        atomic_numbers: (n_atoms_in_all,).
        positions: (n_atoms_in_all, 3) Å.
        momenta: (n_atoms_in_all, 3) sqrt(amu eV), ASE's unit; None in a relaxation.
        forces: (n_atoms_in_all, 3) eV/Å.
        cell: (n_systems, 3, 3) Å.
        pbc: (n_systems, 3).
        energy: (n_systems,) potential energy, eV.
        kinetic_energy: (n_systems,) eV; NaN in a relaxation.
        max_force: (n_systems,) length of the longest force on a free atom, eV/Å.
        stress: (n_systems, 3, 3) eV/Å³ of the potential energy alone.
        temperature_K: (n_systems,) of the momenta; NaN in a relaxation.
        pressure_GPa: (n_systems,) including the kinetic part; NaN without a volume.
        volume: (n_systems,) Å³; NaN without a volume.
        status: (n_systems,) values of `Status`.
        messages: (n_systems,) what a guard said; empty where nothing is to be said.
    """

    step: int
    time_fs: float
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

    def atom_range(self, index: int) -> slice:
        """Where the atoms of the structure at place `index` are."""
        end = int(self.n_atoms[: index + 1].sum())
        return slice(end - int(self.n_atoms[index]), end)

    def atoms(self, index: int) -> ase.Atoms:
        """The structure at place `index`, with momenta but without a calculator."""
        part = self.atom_range(index)
        atoms = ase.Atoms(
            numbers=self.atomic_numbers[part],
            positions=self.positions[part],
            cell=self.cell[index],
            pbc=self.pbc[index],
        )
        if self.momenta is not None:
            atoms.set_momenta(self.momenta[part])
        return atoms


@dataclass(frozen=True, slots=True, kw_only=True)
class AtomData:
    """What a simulation must know of the atoms beside where they are.

    Attributes:
        masses: (n_atoms,) amu.
        momenta: (n_atoms, 3) sqrt(amu eV).
        has_momenta: (n_systems,) whether the input gave momenta.
        fixed: (n_atoms,) atoms that must not move.
    """

    masses: Float[Tensor, " n_atoms"]
    momenta: Float[Tensor, "n_atoms 3"]
    has_momenta: Bool[Tensor, " n_systems"]
    fixed: Bool[Tensor, " n_atoms"]

    @classmethod
    def from_atoms(
        cls, structures: Sequence[ase.Atoms], device: torch.device | str = "cpu"
    ) -> AtomData:
        """Masses, momenta and `FixAtoms` constraints of the structures.

        Raises:
            StructureError: a constraint other than `FixAtoms`, which would otherwise
                be ignored in silence.
        """
        fixed = [np.zeros(len(atoms), dtype=bool) for atoms in structures]
        for index, atoms in enumerate(structures):
            for constraint in atoms.constraints:
                if not isinstance(constraint, FixAtoms):
                    raise StructureError(
                        f"Structure {index} has the constraint "
                        f"{type(constraint).__name__}; only FixAtoms is honoured. "
                        "Remove it with atoms.set_constraint()."
                    )
                fixed[index][constraint.get_indices()] = True

        def tensor(arrays: list[np.ndarray]) -> Tensor:
            return torch.as_tensor(np.concatenate(arrays), device=device)

        momenta = [atoms.get_momenta() for atoms in structures]
        given = [np.array([bool((p != 0).any())]) for p in momenta]
        return cls(
            masses=tensor([atoms.get_masses() for atoms in structures]),
            momenta=tensor(momenta),
            has_momenta=tensor(given),
            fixed=tensor(fixed),
        )

    def select(self, systems: Bool[Tensor, " n_systems"], atoms: Tensor) -> AtomData:
        """Keep some systems; `atoms` is their mask on the atoms."""
        return AtomData(
            masses=self.masses[atoms],
            momenta=self.momenta[atoms],
            has_momenta=self.has_momenta[systems],
            fixed=self.fixed[atoms],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Where a batch is and what the potential says there.

    Attributes:
        ids: (n_systems,) which input structures these are.
        batch: geometry.
        prediction: of the potential, for this geometry. Forces on fixed atoms are 0.
        neighbors: the list behind it; None where the potential finds its own.
        fault: (n_systems,) values of `guards.Fault`.
    """

    ids: Int[Tensor, " n_systems"]
    batch: AtomicBatch
    prediction: Prediction
    neighbors: VerletList | None
    fault: Int[Tensor, " n_systems"]

    @property
    def max_force(self) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV/Å, length of the longest force."""
        return self.batch.max_over_atoms(self.prediction.forces.norm(dim=-1))

    def select(self, systems: Bool[Tensor, " n_systems"]) -> System:
        """Keep the systems for which the mask is true."""
        atoms = systems[self.batch.system_index]
        energies = self.prediction.atomic_energies
        moments = self.prediction.magnetic_moments_muB
        return System(
            ids=self.ids[systems],
            batch=self.batch.select(systems),
            prediction=Prediction(
                energy=self.prediction.energy[systems],
                atomic_energies=None if energies is None else energies[atoms],
                forces=self.prediction.forces[atoms],
                stress=self.prediction.stress[systems],
                magnetic_moments_muB=None if moments is None else moments[atoms],
            ),
            neighbors=self.neighbors and self.neighbors.select(systems),
            fault=self.fault[systems],
        )


class State(Protocol):
    """A moment of a simulation: everything the next step depends on.

    Immutable, so that a state can be kept, written or compared at any time.
    """

    @property
    def system(self) -> System:
        """Geometry and prediction."""
        ...

    @property
    def step(self) -> int:
        """Number of steps made."""
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

    def select(self, systems: Tensor) -> State:
        """Keep the systems for which the (n_systems,) mask is true."""
        ...


StateT = TypeVar("StateT", bound=Any)


@runtime_checkable
class Stepper(Protocol[StateT]):
    """Frozen parameters of a method, and how it makes one step."""

    @property
    def timestep_fs(self) -> float:
        """Simulated time of a step; 0 in a relaxation."""
        ...

    def init(self, potential: Potential, batch: AtomicBatch, data: AtomData) -> StateT:
        """The state at step 0."""
        ...

    def step(self, potential: Potential, state: StateT) -> StateT:
        """The next state; the given one stays as it is."""
        ...

    def status(self, state: StateT) -> Int[Tensor, " n_systems"]:
        """(n_systems,) values of `Status`: RUNNING, or CONVERGED."""
        ...
