"""Dynamics at constant temperature: Nosé-Hoover chains.

A chain of M thermostats with masses Q_k drives twice the kinetic energy 2K of n degrees
of freedom to n k_B T. With the mass-weighted momenta π_k = sqrt(Q_k) dξ_k/dt, and the
particles taken for its first member, π_0 = sqrt(2K),

    dπ_k/dt = (π_{k-1}² - n_k k_B T) / sqrt(Q_k) - π_k dξ_{k+1}/dt
    n_1 = n, n_k = 1,   Q_k = n_k k_B T τ²

without the first term for k = 0 and the last one for k = M. Conserved is

    K + U + Σ_k (π_k² / 2 + ∫ n_k k_B T dξ_k)

also while T changes. Even members depend on odd ones alone and the reverse, so either
half of them moves at once while the other waits.

G. J. Martyna, M. L. Klein, M. Tuckerman, J. Chem. Phys. 97, 2635 (1992); higher orders
in the time step after G. J. Martyna, M. E. Tuckerman, D. J. Tobias, M. L. Klein,
Mol. Phys. 87, 1117 (1996).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.errors import ParameterError
from gnndesign.members import per_system, state_class
from gnndesign.simulation.base import Proposal
from gnndesign.simulation.phase_space import Dynamics, DynamicsState, spread
from gnndesign.simulation.schedule import Schedule, schedule, values_at
from gnndesign.units import BOLTZMANN_EV_PER_K, FS

_THIRD = 1.0 / (2.0 - 2.0 ** (1.0 / 3.0))
_FIFTH = 1.0 / (4.0 - 4.0 ** (1.0 / 3.0))
SUZUKI_YOSHIDA: dict[int, tuple[float, ...]] = {
    1: (1.0,),
    3: (_THIRD, 1.0 - 2.0 * _THIRD, _THIRD),
    5: (_FIFTH, _FIFTH, 1.0 - 4.0 * _FIFTH, _FIFTH, _FIFTH),
}
"""Parts of a time step, by their number, whose errors of low order cancel."""

LIGHTEST = 10.0 * BOLTZMANN_EV_PER_K
"""eV, the k_B T that the masses of a chain have at least, also at zero temperature."""

WIDEST_TURN = 0.25
"""By which a member of a chain may turn in a substep, radian."""

MOST_SUBSTEPS = 1000


@state_class
class Chain:
    """The thermostats of a chain.

    Attributes:
        momenta: (n_systems, n_chain) sqrt(eV), mass-weighted.
        heat: (n_systems,) eV, ∫ Σ n_k k_B T dξ_k: what has gone into the bath.
    """

    momenta: Float[Tensor, "n_systems n_chain"] = per_system()
    heat: Float[Tensor, " n_systems"] = per_system()

    @classmethod
    def at_rest(cls, like: Float[Tensor, " n_systems"], length: int) -> Chain:
        """A chain of a length for each system of a tensor (n_systems,)."""
        return cls(
            momenta=like.new_zeros((len(like), length)), heat=torch.zeros_like(like)
        )

    @property
    def energy(self) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV, its part of what is conserved."""
        return 0.5 * self.momenta.square().sum(1) + self.heat


class _Half(NamedTuple):
    """Every second member of a chain, and those on its left and right; all are views."""

    left: np.ndarray
    own: np.ndarray
    right: np.ndarray
    wanted: np.ndarray
    rate: np.ndarray
    rate_right: np.ndarray
    traveled_right: np.ndarray

    def move(self, time: np.ndarray) -> None:
        """In place, while the others wait."""
        way = time * self.right * self.rate_right
        damping = np.exp(-0.5 * way)
        push = (self.left * self.left - self.wanted) * self.rate * time
        self.own[:] = (self.own * damping + push) * damping
        self.traveled_right[:] += way


def chain_half_step(
    chain: Chain,
    *,
    kinetic_energy: Float[Tensor, " n_systems"],
    n_dof: Int[Tensor, " n_systems"],
    kT: Float[Tensor, " n_systems"],
    dt: Float[Tensor, " n_systems"],
    relaxation_time: Float[Tensor, " n_systems"],
    order: int = 3,
    substeps: int = 1,
) -> tuple[Chain, Float[Tensor, " n_systems"]]:
    """Half a time step of a chain, and what it does to the momenta it drives.

    Args:
        chain: at the beginning; stays as it is.
        kinetic_energy: (n_systems,) eV of what it drives: the particles, or the cell.
        n_dof: (n_systems,) degrees of freedom that share it; a system with none, and
            its chain, stay as they are.
        kT: (n_systems,) eV, wanted.
        dt: (n_systems,) the whole time step, internal unit.
        relaxation_time: (n_systems,) τ, internal unit.
        order: parts of a substep, a key of `SUZUKI_YOSHIDA`.
        substeps: of the half step, at least; a system far from its temperature takes
            as many as it needs.

    Returns:
        The chain, and the factor (n_systems,) for the momenta.
    """
    # On the host: a device takes longer to be told a dozen numbers than to find them.
    momenta, speed, n, heat, step, tau = (
        tensor.detach().cpu().numpy()
        for tensor in (
            chain.momenta,
            (2.0 * kinetic_energy).sqrt(),
            n_dof,
            kT,
            dt,
            relaxation_time,
        )
    )
    # Column 1 is what is driven; the first and the last are zero.
    n_columns = momenta.shape[1] + 3
    state = np.zeros((len(momenta), n_columns))
    state[:, 1] = speed
    state[:, 2:-1] = momenta
    share = np.ones_like(state)
    share[:, 2] = n
    wanted = share * heat[:, None]
    mass = np.maximum(share, 1.0) * np.maximum(heat, LIGHTEST)[:, None]
    rate = (n > 0)[:, None] / (np.sqrt(mass) * tau[:, None])
    rate[:, :2] = rate[:, -1:] = 0.0
    traveled = np.zeros_like(state)

    def half(first: int) -> _Half:
        own = slice(first, n_columns - 1, 2)
        right = slice(first + 1, n_columns, 2)
        return _Half(
            left=state[:, first - 1 : n_columns - 2 : 2],
            own=state[:, own],
            right=state[:, right],
            wanted=wanted[:, own],
            rate=rate[:, own],
            rate_right=rate[:, right],
            traveled_right=traveled[:, right],
        )

    even, odd = half(1), half(2)
    size, long = np.abs(state), 0.5 * np.abs(step)[:, None]
    size[:, 1:] += long * size[:, :-1] ** 2 * rate[:, 1:]
    turn = (long * np.maximum(size[:, :-1], size[:, 1:]) * rate[:, 1:]).max(1)
    # Every system has its own number, whatever the others need; fmax passes NaN over.
    count = np.fmin(np.fmax(np.ceil(turn / WIDEST_TURN), substeps), MOST_SUBSTEPS)
    whole = 0.5 * step / count
    # What overflows is found by the guard, as a temperature that is no number.
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(int(count.max())):
            time = np.where(k < count, whole, 0.0)[:, None]
            for part in SUZUKI_YOSHIDA[order]:
                even.move(0.5 * part * time)
                odd.move(part * time)
                even.move(0.5 * part * time)
        factor = np.exp(-traveled[:, 2])
    after = Chain(
        momenta=torch.as_tensor(state[:, 2:-1].copy(), device=dt.device),
        heat=chain.heat + torch.as_tensor((wanted * traveled).sum(1), device=dt.device),
    )
    return after, torch.as_tensor(factor, device=dt.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoseHoover(Dynamics):
    """Constant number, volume and temperature; the center of mass rests.

    Deterministic: what it conserves says whether the time step is small enough.

    Attributes:
        thermostat_time_fs: τ, in which the chain answers; one for all, or one for each
            structure.
        chain_length: number of thermostats.
        chain_order: parts of a step of the chain, a key of `SUZUKI_YOSHIDA`.
        chain_substeps: least number of steps of the chain in half a time step.
    """

    thermostat_time_fs: Schedule = 100.0
    chain_length: int = 3
    chain_order: int = 3
    chain_substeps: int = 1

    def __post_init__(self) -> None:
        Dynamics.__post_init__(self)
        time = schedule(self.thermostat_time_fs, "thermostat_time_fs", low=1e-3)
        object.__setattr__(self, "thermostat_time_fs", time)
        if self.chain_length < 1 or self.chain_substeps < 1:
            raise ParameterError(
                "Wanted chain_length >= 1 and chain_substeps >= 1, got "
                f"{self.chain_length} and {self.chain_substeps}."
            )
        if self.chain_order not in SUZUKI_YOSHIDA:
            raise ParameterError(
                f"Wanted chain_order in {tuple(SUZUKI_YOSHIDA)}, got "
                f"{self.chain_order}."
            )

    def begin(self, state: DynamicsState) -> DynamicsState:
        """The chain is at rest."""
        chain = Chain.at_rest(state.start_volume, self.chain_length)
        return replace(state, thermostat=chain)

    def propose(self, state: DynamicsState) -> Proposal[DynamicsState]:
        """Half a step of the chain, half a kick, and a move."""
        state = self._thermostatted(state)
        dt = self.timestep(state)
        momenta = state.kicked(0.5 * dt)
        return Proposal(
            state=replace(state, momenta=momenta),
            positions=state.drifted(momenta, dt),
            cell=state.system.batch.cell,
        )

    def finish(self, state: DynamicsState) -> DynamicsState:
        """The other half of the kick and of the chain's step."""
        momenta = state.kicked(0.5 * self.timestep(state))
        return self._thermostatted(replace(state, momenta=momenta))

    def conserved_energy(self, state: DynamicsState) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV: kinetic and potential energy, and the chain's."""
        return (
            state.kinetic_energy
            + state.system.prediction.energy
            + state.thermostat.energy
        )

    def _thermostatted(self, state: DynamicsState) -> DynamicsState:
        relaxation_fs = values_at(
            self.thermostat_time_fs, state.system.ids, self.time_fs(state)
        )
        chain, factor = chain_half_step(
            state.thermostat,
            kinetic_energy=state.kinetic_energy,
            n_dof=state.degrees_of_freedom,
            kT=BOLTZMANN_EV_PER_K * self.wanted_temperature(state),
            dt=FS * self.timestep_fs_of(state),
            relaxation_time=FS * relaxation_fs,
            order=self.chain_order,
            substeps=self.chain_substeps,
        )
        momenta = state.momenta * spread(factor, state.system.batch)
        return replace(state, momenta=momenta, thermostat=chain)
