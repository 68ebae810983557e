"""Dynamics at constant temperature: Langevin, in the BAOAB splitting.

    B: p <- p + dt/2 F
    A: r <- r + dt/2 p/m
    O: p <- c p + sqrt((1 - c²) m k_B T) ξ,   c = exp(-γ dt), ξ standard normal
    A, then the new force, then B

B. Leimkuhler and C. Matthews, Appl. Math. Res. Express 2013, 34. The centre of mass
takes part, so all 3 N degrees of freedom share the kinetic energy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, sqrt

import torch
from jaxtyping import Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import AtomData, Status
from gnndesign.simulation.guards import evaluate
from gnndesign.simulation.momenta import THERMOSTAT_STREAM, normal_numbers
from gnndesign.simulation.nve import DynamicsState, check_dynamics, start_dynamics
from gnndesign.units import BOLTZMANN_EV_PER_K, FS


@dataclass(frozen=True, slots=True, kw_only=True)
class Langevin:
    """Constant number, volume and temperature.

    Attributes:
        timestep_fs: fs.
        temperature_K: K.
        friction_per_ps: γ, the rate at which a momentum forgets itself, 1/ps.
        seed: of all random numbers.
    """

    timestep_fs: float = 1.0
    temperature_K: float = 300.0
    friction_per_ps: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_dynamics(self.timestep_fs, self.temperature_K, self.seed)
        if not self.friction_per_ps > 0:
            raise ParameterError(
                f"Wanted friction_per_ps > 0, got {self.friction_per_ps}."
            )

    def init(
        self, potential: Potential, batch: AtomicBatch, data: AtomData
    ) -> DynamicsState:
        """Momenta of the input, or Maxwell-Boltzmann ones."""
        return start_dynamics(
            potential,
            batch,
            data,
            temperature_K=self.temperature_K,
            seed=self.seed,
            drift_removed=False,
        )

    def step(self, potential: Potential, state: DynamicsState) -> DynamicsState:
        """One BAOAB step."""
        dt = self.timestep_fs * FS
        before = state.system
        kicked = replace(
            state, momenta=state.momenta + 0.5 * dt * before.prediction.forces
        )
        positions = kicked.drift(0.5 * dt)
        momenta = self._forget(kicked)
        system = evaluate(
            potential,
            before,
            positions=positions + 0.5 * dt * momenta / state.data.masses[:, None],
            cell=before.batch.cell,
            fixed=state.data.fixed,
        )
        return replace(
            state,
            system=system,
            momenta=momenta + 0.5 * dt * system.prediction.forces,
            step=state.step + 1,
        )

    def status(self, state: DynamicsState) -> Int[Tensor, " n_systems"]:
        """RUNNING; dynamics ends by its number of steps."""
        return torch.zeros_like(state.degrees_of_freedom) + int(Status.RUNNING)

    def _forget(self, state: DynamicsState) -> Tensor:
        keep = exp(-self.friction_per_ps * 1e-3 * self.timestep_fs)
        noise = normal_numbers(
            state.system.batch,
            state.system.ids,
            seed=self.seed,
            step=state.step,
            stream=THERMOSTAT_STREAM,
        )
        thermal = (state.data.masses * BOLTZMANN_EV_PER_K * self.temperature_K).sqrt()
        random = sqrt(1.0 - keep * keep) * thermal[:, None] * noise
        return (keep * state.momenta + random).masked_fill(
            state.data.fixed[:, None], 0.0
        )
