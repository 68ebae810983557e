"""A moment of molecular dynamics, and what all its methods do with it.

Times are multiplied by `units.FS`, which makes F = m a hold in eV, Å and amu.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import ase
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.members import per_atom, per_system, state_class
from gnndesign.simulation.base import AtomData, Proposal, Status, System
from gnndesign.simulation.constraints import refuse_in_dynamics
from gnndesign.simulation.guards import (
    NEVER_TOO_HOT,
    Fault,
    first_fault,
    too_hot,
    volume_ran_away,
)
from gnndesign.simulation.momenta import (
    center_shares,
    degrees_of_freedom,
    initial_momenta,
    kinetic_energy,
    remove_drift,
    temperature,
)
from gnndesign.simulation.schedule import Ramp, Schedule, schedule, values_at
from gnndesign.units import BOLTZMANN_EV_PER_K, FS


@state_class
class DynamicsState:
    """A moment of molecular dynamics.

    Attributes:
        system: geometry and prediction.
        data: masses and constraints.
        step: (n_systems,) number of steps made.
        momenta: (n_atoms, 3) sqrt(amu eV).
        center_shares: (n_atoms, 1) how an atom keeps the center of mass at rest; see
            `momenta.center_shares`.
        degrees_of_freedom: (n_systems,) that share the kinetic energy.
        start_energy: (n_systems,) eV, what the method conserves, at the start.
        start_volume: (n_systems,) Å³.
        thermostat: its own variables; None for a method without.
        barostat: its own variables; None for a method without.
    """

    system: System
    data: AtomData
    step: Int[Tensor, " n_systems"] = per_system()
    momenta: Float[Tensor, "n_atoms 3"] = per_atom()
    center_shares: Float[Tensor, "n_atoms 1"] = per_atom()
    degrees_of_freedom: Int[Tensor, " n_systems"] = per_system()
    start_energy: Float[Tensor, " n_systems"] = per_system()
    start_volume: Float[Tensor, " n_systems"] = per_system()
    thermostat: Any
    barostat: Any

    @property
    def kinetic_energy(self) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV."""
        return kinetic_energy(self.system.batch, self.momenta, self.data.masses)

    @property
    def temperature(self) -> Float[Tensor, " n_systems"]:
        """(n_systems,) K."""
        return temperature(self.kinetic_energy, self.degrees_of_freedom)

    def kicked(self, time: Tensor | float) -> Float[Tensor, "n_atoms 3"]:
        """Momenta after the forces have acted for a time (see `Dynamics.timestep`).

        Rounding, and networks in float32, leave a net force; a center of mass that
        must rest does not follow it.
        """
        batch, forces = self.system.batch, self.system.prediction.forces
        momenta = self.momenta + spread(time, batch) * forces
        return remove_drift(batch, momenta, self.center_shares)

    def drifted(
        self, momenta: Tensor, time: Tensor | float
    ) -> Float[Tensor, "n_atoms 3"]:
        """Positions after moving freely for a time (see `Dynamics.timestep`)."""
        batch = self.system.batch
        moved = spread(time, batch) * momenta / self.data.masses[:, None]
        return batch.positions + moved


def spread(
    values: Float[Tensor, " n_systems"] | float, batch: AtomicBatch
) -> Float[Tensor, "_ 1"] | float:
    """(n_atoms or 1, 1) a value of the system at each of its atoms; a number as it is."""
    if not isinstance(values, Tensor):
        return values
    if batch.n_systems == 1:
        return values[:, None]
    return values[batch.system_index, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamics(ABC):
    """What the methods of molecular dynamics share.

    A subclass says how it begins (`begin`), where the atoms go (`propose`), what the
    new forces do (`finish`) and what it conserves (`conserved_energy`).

    Attributes:
        timestep_fs: fs; one for all, or one for each structure.
        temperature_K: K; of the drawn momenta and of a thermostat. A number, a `Ramp`,
            or one of these for each structure.
        seed: of all random numbers.
    """

    timestep_fs: Schedule = 1.0
    temperature_K: Schedule = 300.0
    seed: int = 0

    keeps_center_at_rest: ClassVar[bool] = True
    """Whether the center of mass, and free molecules' rotation, is no motion that it
    keeps at a temperature."""
    keeps_given_momenta: ClassVar[bool] = False
    """Whether drift and rotation of the input's momenta stay."""

    def __post_init__(self) -> None:
        timestep = schedule(self.timestep_fs, "timestep_fs", low=1e-6, high=20.0)
        several = timestep if isinstance(timestep, tuple) else (timestep,)
        if any(isinstance(entry, Ramp) for entry in several):
            raise ParameterError("Wanted timestep_fs as numbers, got a ramp.")
        heat = schedule(self.temperature_K, "temperature_K", low=0.0, high=1e6)
        object.__setattr__(self, "timestep_fs", timestep)
        object.__setattr__(self, "temperature_K", heat)
        if not 0 <= self.seed < 2**63:
            raise ParameterError(f"Wanted 0 <= seed < 2**63, got {self.seed}.")

    @property
    def is_relaxation(self) -> bool:
        """It goes through time."""
        return False

    def refuse(self, atoms: ase.Atoms) -> None:
        """Every structure can move; a method that changes the cell asks for more."""
        del atoms

    @final
    def prepare(self, atoms: ase.Atoms) -> ase.Atoms:
        """Itself.

        Raises:
            StructureError: it has a constraint that relaxations alone know.
        """
        refuse_in_dynamics(atoms)
        return atoms

    @final
    def start(self, system: System, data: AtomData) -> DynamicsState:
        """The state at step 0, with momenta of the input or drawn ones."""
        zero = torch.zeros_like(system.batch.cell[:, 0, 0])
        state = DynamicsState(
            system=system,
            data=data,
            step=torch.zeros_like(system.ids),
            momenta=initial_momenta(
                system.batch,
                system.ids,
                data,
                temperature_K=values_at(self.temperature_K, system.ids, zero),
                seed=self.seed,
                at_rest=self.keeps_center_at_rest,
                given_kept=self.keeps_given_momenta,
            ),
            center_shares=center_shares(
                system.batch,
                data,
                at_rest=self.keeps_center_at_rest and not self.keeps_given_momenta,
            ),
            degrees_of_freedom=degrees_of_freedom(
                system.batch, data, at_rest=self.keeps_center_at_rest
            ),
            start_energy=zero,
            start_volume=system.batch.volume,
            thermostat=None,
            barostat=None,
        )
        state = self.begin(state)
        return replace(state, start_energy=self.conserved_energy(state))

    def begin(self, state: DynamicsState) -> DynamicsState:
        """Add the method's own variables; nothing by default."""
        return state

    @abstractmethod
    def propose(self, state: DynamicsState) -> Proposal[DynamicsState]:
        """Where the atoms go next; momenta of the returned state are half-made."""

    @abstractmethod
    def finish(self, state: DynamicsState) -> DynamicsState:
        """What the new forces, already in the state, do to the momenta."""

    @abstractmethod
    def conserved_energy(self, state: DynamicsState) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV, what exact motion would not change (up to heat given)."""

    @final
    def complete(
        self, proposal: Proposal[DynamicsState], system: System
    ) -> DynamicsState:
        """The next state; a system that ran away is marked with a `Fault`."""
        made = self.finish(replace(proposal.state, system=system))
        fault = self.guard(made)
        if fault is not None:
            fault = torch.where(system.fault == Fault.NONE, fault, system.fault)
            made = replace(made, system=replace(system, fault=fault))
        return replace(made, step=made.step + 1)

    def guard(self, state: DynamicsState) -> Int[Tensor, " n_systems"] | None:
        """(n_systems,) values of `Fault`: temperature or volume running away.

        None, as from the guards in `guards.py`: nothing is wrong with any.
        """
        fault = None
        # The usual case, quickly.
        never = 0.5 * BOLTZMANN_EV_PER_K * NEVER_TOO_HOT * state.degrees_of_freedom
        if not bool((state.kinetic_energy <= never).all()):
            wanted = self.wanted_temperature(state)
            fault = too_hot(state.temperature, wanted, state.degrees_of_freedom)
        if state.barostat is not None:
            away = volume_ran_away(state.system.batch, state.start_volume)
            fault = first_fault(away, fault)
        return fault

    @final
    def status(self, state: DynamicsState) -> Int[Tensor, " n_systems"]:
        """RUNNING; dynamics ends by its number of steps."""
        return torch.full_like(state.step, int(Status.RUNNING))

    @final
    def time_fs(self, state: DynamicsState) -> Float[Tensor, " n_systems"]:
        """(n_systems,) simulated time."""
        return state.step * self.timestep_fs_of(state)

    @final
    def timestep(self, state: DynamicsState) -> Float[Tensor, " n_systems"] | float:
        """(n_systems,) in the internal unit of time; a number if it is that of all."""
        if isinstance(self.timestep_fs, float):
            return self.timestep_fs * FS
        return self.timestep_fs_of(state) * FS

    @final
    def wanted_temperature(self, state: DynamicsState) -> Float[Tensor, " n_systems"]:
        """(n_systems,) K, of the schedule at each system's time."""
        return values_at(self.temperature_K, state.system.ids, self.time_fs(state))

    @final
    def timestep_fs_of(self, state: DynamicsState) -> Float[Tensor, " n_systems"]:
        """(n_systems,) fs."""
        # No ramp: whatever the time.
        return values_at(self.timestep_fs, state.system.ids, state.start_volume)


def resting(state: DynamicsState) -> DynamicsState:
    """The state without motion of a center of mass that must rest."""
    momenta = remove_drift(state.system.batch, state.momenta, state.center_shares)
    return replace(state, momenta=momenta)
