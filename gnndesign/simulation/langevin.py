"""Dynamics at constant temperature: Langevin, in the BAOAB splitting.

    B: p <- p + dt/2 F
    A: r <- r + dt/2 p/m
    O: p <- c p + sqrt((1 - c²) m k_B T) ξ,   c = exp(-γ dt), ξ standard normal
    A, then the new force, then B

B. Leimkuhler and C. Matthews, Appl. Math. Res. Express 2013, 34. The center of mass
takes part, so all 3 N degrees of freedom share the kinetic energy (3 N - 3 where a
constraint fixes it).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from gnndesign.simulation.base import Proposal
from gnndesign.simulation.momenta import (
    THERMOSTAT_STREAM,
    normal_numbers,
    remove_drift,
)
from gnndesign.simulation.phase_space import Dynamics, DynamicsState, spread
from gnndesign.simulation.schedule import Schedule, schedule, values_at
from gnndesign.units import BOLTZMANN_EV_PER_K


@dataclass(frozen=True, slots=True, kw_only=True)
class Langevin(Dynamics):
    """Constant number, volume and temperature.

    Attributes:
        friction_per_ps: γ, the rate at which a momentum forgets itself, 1/ps; one for
            all, or one for each structure.
    """

    friction_per_ps: Schedule = 10.0

    keeps_center_at_rest: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Dynamics.__post_init__(self)
        friction = schedule(self.friction_per_ps, "friction_per_ps", low=1e-9)
        object.__setattr__(self, "friction_per_ps", friction)

    def propose(self, state: DynamicsState) -> Proposal[DynamicsState]:
        """B, A, O, A."""
        half = 0.5 * self.timestep(state)
        kicked = state.kicked(half)
        momenta = self._forget(state, kicked)
        return Proposal(
            state=replace(state, momenta=momenta),
            positions=state.drifted(kicked + momenta, half),
            cell=state.system.batch.cell,
        )

    def finish(self, state: DynamicsState) -> DynamicsState:
        """B."""
        return replace(state, momenta=state.kicked(0.5 * self.timestep(state)))

    def conserved_energy(self, state: DynamicsState) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV: kinetic and potential energy, which the bath changes."""
        return state.kinetic_energy + state.system.prediction.energy

    def _bath(self, state: DynamicsState) -> tuple[Tensor | float, Tensor | float]:
        """(n_systems,) c and sqrt((1 - c²) k_B T); numbers if they are those of all."""
        dt, friction, heat = self.timestep_fs, self.friction_per_ps, self.temperature_K
        if (
            isinstance(dt, float)
            and isinstance(friction, float)
            and isinstance(heat, float)
        ):
            keep = math.exp(-1e-3 * friction * dt)
            return keep, math.sqrt((1.0 - keep * keep) * BOLTZMANN_EV_PER_K * heat)
        ids, dt = state.system.ids, self.timestep_fs_of(state)
        time_fs = state.step * dt
        keep = (-1e-3 * values_at(friction, ids, time_fs) * dt).exp()
        kT = BOLTZMANN_EV_PER_K * values_at(heat, ids, time_fs)
        return keep, ((1.0 - keep * keep) * kT).sqrt()

    def _forget(self, state: DynamicsState, momenta: Tensor) -> Tensor:
        batch, ids = state.system.batch, state.system.ids
        keep, width = self._bath(state)
        noise = normal_numbers(
            batch, ids, seed=self.seed, step=state.step, stream=THERMOSTAT_STREAM
        )
        random = state.data.masses.sqrt()[:, None] * noise * spread(width, batch)
        random = random.masked_fill(state.data.constraints.fixed[:, None], 0.0)
        made = spread(keep, batch) * momenta + random
        return remove_drift(batch, made, state.center_shares)
