"""Dynamics at constant energy: velocity Verlet.

    p <- p + dt/2 F;   r <- r + dt p/m;   F <- F(r);   p <- p + dt/2 F

W. C. Swope et al., J. Chem. Phys. 76, 637 (1982). Times are multiplied by
`units.FS`, which makes F = m a hold in eV, Å and amu.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import AtomData, Status, System
from gnndesign.simulation.guards import evaluate, first_evaluation
from gnndesign.simulation.momenta import (
    degrees_of_freedom,
    initial_momenta,
    kinetic_energy,
)
from gnndesign.units import FS


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicsState:
    """A moment of molecular dynamics.

    Attributes:
        system: geometry and prediction.
        data: masses and fixed atoms.
        step: number of steps made.
        momenta: (n_atoms, 3) sqrt(amu eV).
        degrees_of_freedom: (n_systems,) that share the kinetic energy.
    """

    system: System
    data: AtomData
    step: int
    momenta: Float[Tensor, "n_atoms 3"]
    degrees_of_freedom: Int[Tensor, " n_systems"]

    @property
    def kinetic_energy(self) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV."""
        return kinetic_energy(self.system.batch, self.momenta, self.data.masses)

    def select(self, systems: Tensor) -> DynamicsState:
        """Keep the systems for which the mask is true."""
        atoms = systems[self.system.batch.system_index]
        return DynamicsState(
            system=self.system.select(systems),
            data=self.data.select(systems, atoms),
            step=self.step,
            momenta=self.momenta[atoms],
            degrees_of_freedom=self.degrees_of_freedom[systems],
        )

    def drift(self, time: float) -> Float[Tensor, "n_atoms 3"]:
        """Positions after moving freely for a time (internal unit)."""
        velocities = self.momenta / self.data.masses[:, None]
        return self.system.batch.positions + time * velocities


def start_dynamics(
    potential: Potential,
    batch: AtomicBatch,
    data: AtomData,
    *,
    temperature_K: float,
    seed: int,
    drift_removed: bool,
) -> DynamicsState:
    """The state at step 0, with momenta of the input or drawn ones.

    Raises:
        StructureError: a structure cannot be used.
        UnsupportedElementError: the potential does not know an element.
    """
    return DynamicsState(
        system=first_evaluation(potential, batch, data.fixed),
        data=data,
        step=0,
        momenta=initial_momenta(
            batch,
            data,
            temperature_K=temperature_K,
            seed=seed,
            drift_removed=drift_removed,
        ),
        degrees_of_freedom=degrees_of_freedom(batch, data, drift_removed=drift_removed),
    )


def check_dynamics(timestep_fs: float, temperature_K: float, seed: int) -> None:
    """Refuse parameters that mean nothing.

    Raises:
        ParameterError: names the parameter.
    """
    if not 0 < timestep_fs <= 20:
        raise ParameterError(f"Wanted 0 < timestep_fs <= 20, got {timestep_fs}.")
    if not 0 <= temperature_K < 1e6:
        raise ParameterError(f"Wanted 0 <= temperature_K < 1e6, got {temperature_K}.")
    if not 0 <= seed < 2**63:
        raise ParameterError(f"Wanted 0 <= seed < 2**63, got {seed}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NVE:
    """Constant number, volume and energy.

    Attributes:
        timestep_fs: fs.
        temperature_K: of the momenta drawn at the start, exactly; not kept.
        seed: of the momenta drawn at the start.
    """

    timestep_fs: float = 1.0
    temperature_K: float = 300.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_dynamics(self.timestep_fs, self.temperature_K, self.seed)

    def init(
        self, potential: Potential, batch: AtomicBatch, data: AtomData
    ) -> DynamicsState:
        """Momenta of the input, or drawn, with the centre of mass at rest."""
        return start_dynamics(
            potential,
            batch,
            data,
            temperature_K=self.temperature_K,
            seed=self.seed,
            drift_removed=True,
        )

    def step(self, potential: Potential, state: DynamicsState) -> DynamicsState:
        """One velocity Verlet step."""
        dt = self.timestep_fs * FS
        half = replace(
            state, momenta=state.momenta + 0.5 * dt * state.system.prediction.forces
        )
        system = evaluate(
            potential,
            state.system,
            positions=half.drift(dt),
            cell=state.system.batch.cell,
            fixed=state.data.fixed,
        )
        return replace(
            half,
            system=system,
            momenta=half.momenta + 0.5 * dt * system.prediction.forces,
            step=state.step + 1,
        )

    def status(self, state: DynamicsState) -> Int[Tensor, " n_systems"]:
        """RUNNING; dynamics ends by its number of steps."""
        return torch.zeros_like(state.degrees_of_freedom) + int(Status.RUNNING)
