"""Dynamics at constant temperature: stochastic velocity rescaling.

After each step of velocity Verlet all momenta are multiplied by one number, which takes
the kinetic energy K of n degrees of freedom to

    K' = (sqrt(c K) + sqrt((1 - c) k_B T / 2) ξ)² + (1 - c) (k_B T / 2) χ²_{n-1}
    c = exp(-dt/τ)

with ξ standard normal and χ²_{n-1} the sum of n - 1 squares of such numbers: exactly what
Langevin's friction would do to K, without disturbing how the atoms move against each
other. The factor sqrt(K'/K) has the sign of what is in the parentheses.

G. Bussi, D. Donadio, M. Parrinello, J. Chem. Phys. 126, 014101 (2007).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.members import per_system, state_class
from gnndesign.simulation.base import Proposal
from gnndesign.simulation.momenta import THERMOSTAT_STREAM, generator
from gnndesign.simulation.phase_space import Dynamics, DynamicsState, spread
from gnndesign.simulation.schedule import Schedule, schedule, values_at
from gnndesign.units import BOLTZMANN_EV_PER_K


@state_class
class Bath:
    """What has gone into the bath.

    Attributes:
        heat: (n_systems,) eV.
    """

    heat: Float[Tensor, " n_systems"] = per_system()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bussi(Dynamics):
    """Constant number, volume and temperature; the center of mass rests.

    Attributes:
        thermostat_time_fs: τ, in which the kinetic energy forgets itself; one for all,
            or one for each structure.
    """

    thermostat_time_fs: Schedule = 100.0

    def __post_init__(self) -> None:
        Dynamics.__post_init__(self)
        time = schedule(self.thermostat_time_fs, "thermostat_time_fs", low=1e-3)
        object.__setattr__(self, "thermostat_time_fs", time)

    def begin(self, state: DynamicsState) -> DynamicsState:
        """Nothing has gone into the bath."""
        return replace(
            state, thermostat=Bath(heat=torch.zeros_like(state.start_volume))
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
        """The other half of the kick, and the rescaling."""
        kicked = replace(state, momenta=state.kicked(0.5 * self.timestep(state)))
        factor, heat = self._rescaling(kicked)
        return replace(
            kicked,
            momenta=kicked.momenta * spread(factor, state.system.batch),
            thermostat=Bath(heat=state.thermostat.heat + heat),
        )

    def conserved_energy(self, state: DynamicsState) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV: kinetic and potential energy, and what the bath has."""
        return (
            state.kinetic_energy
            + state.system.prediction.energy
            + state.thermostat.heat
        )

    def _rescaling(self, state: DynamicsState) -> tuple[Tensor, Tensor]:
        ids, time_fs = state.system.ids, self.time_fs(state)
        return rescaling(
            state,
            kT=BOLTZMANN_EV_PER_K * self.wanted_temperature(state),
            ratio=self.timestep_fs_of(state)
            / values_at(self.thermostat_time_fs, ids, time_fs),
            seed=self.seed,
        )


def rescaling(
    state: DynamicsState,
    *,
    kT: Float[Tensor, " n_systems"],
    ratio: Float[Tensor, " n_systems"],
    seed: int,
) -> tuple[Float[Tensor, " n_systems"], Float[Tensor, " n_systems"]]:
    """What the bath does in one step.

    Args:
        state: at the end of the step.
        kT: (n_systems,) eV, wanted.
        ratio: (n_systems,) dt/τ.
        seed: of the random numbers.

    Returns:
        Factors (n_systems,) for the momenta, and the heat (n_systems,) in eV that
        goes into the bath.
    """
    keep = (-ratio).exp()
    gain = (1.0 - keep) * (0.5 * kT)
    normal, squares = _random_numbers(state, seed)
    before = state.kinetic_energy
    root = (keep * before).sqrt() + gain.sqrt() * normal
    after = root * root + gain * squares
    # At rest there is nothing to scale: the forces must begin.
    moves = (before > 0) & (state.degrees_of_freedom > 0)
    factor = (after / before).sqrt().copysign(root)
    return torch.where(moves, factor, 1.0), torch.where(moves, before - after, 0.0)


def _random_numbers(state: DynamicsState, seed: int) -> tuple[Tensor, Tensor]:
    """(n_systems,) ξ and χ²_{n-1}."""
    draws: list[tuple[float, float]] = []
    for system, step, n in zip(
        state.system.ids.tolist(),
        state.step.tolist(),
        state.degrees_of_freedom.tolist(),
        strict=True,
    ):
        random = generator(seed, system, THERMOSTAT_STREAM, step)
        normal = random.standard_normal()
        draws.append((normal, 2.0 * random.standard_gamma(0.5 * max(n - 1, 0))))
    drawn = torch.as_tensor(
        draws, dtype=state.momenta.dtype, device=state.momenta.device
    )
    return drawn[:, 0], drawn[:, 1]
