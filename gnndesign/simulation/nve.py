"""Dynamics at constant energy: velocity Verlet.

    p <- p + dt/2 F;   r <- r + dt p/m;   F <- F(r);   p <- p + dt/2 F

W. C. Swope et al., J. Chem. Phys. 76, 637 (1982).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.errors import ParameterError
from gnndesign.simulation.base import Proposal
from gnndesign.simulation.guards import Fault
from gnndesign.simulation.phase_space import Dynamics, DynamicsState


@dataclass(frozen=True, slots=True, kw_only=True)
class NVE(Dynamics):
    """Constant number, volume and energy; the temperature is that of the start.

    Attributes:
        max_energy_drift_meV: per atom; a system whose total energy is farther from
            that of its start is stopped.
    """

    max_energy_drift_meV: float = 20.0

    keeps_given_momenta: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Dynamics.__post_init__(self)
        if not self.max_energy_drift_meV > 0:
            raise ParameterError(
                "Wanted max_energy_drift_meV > 0 (per atom), got "
                f"{self.max_energy_drift_meV}."
            )

    def propose(self, state: DynamicsState) -> Proposal[DynamicsState]:
        """Half a kick, and a move."""
        dt = self.timestep(state)
        momenta = state.kicked(0.5 * dt)
        return Proposal(
            state=replace(state, momenta=momenta),
            positions=state.drifted(momenta, dt),
            cell=state.system.batch.cell,
        )

    def finish(self, state: DynamicsState) -> DynamicsState:
        """The other half of the kick."""
        return replace(state, momenta=state.kicked(0.5 * self.timestep(state)))

    def conserved_energy(self, state: DynamicsState) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV: kinetic and potential energy."""
        return state.kinetic_energy + state.system.prediction.energy

    def guard(self, state: DynamicsState) -> Int[Tensor, " n_systems"] | None:
        """(n_systems,) whether the total energy drifted too far."""
        drift = (self.conserved_energy(state) - state.start_energy).abs()
        bound = 1e-3 * self.max_energy_drift_meV * state.system.batch.atoms_per_system
        # A NaN is not below the bound either.
        if bool((drift <= bound).all()):
            return None
        return torch.where(drift <= bound, int(Fault.NONE), int(Fault.ENERGY_DRIFTED))
