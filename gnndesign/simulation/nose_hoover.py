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

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.members import per_system, state_class
from gnndesign.units import BOLTZMANN_EV_PER_K

_THIRD = 1.0 / (2.0 - 2.0 ** (1.0 / 3.0))
_FIFTH = 1.0 / (4.0 - 4.0 ** (1.0 / 3.0))
SUZUKI_YOSHIDA: dict[int, tuple[float, ...]] = {
    1: (1.0,),
    3: (_THIRD, 1.0 - 2.0 * _THIRD, _THIRD),
    5: (_FIFTH, _FIFTH, 1.0 - 4.0 * _FIFTH, _FIFTH, _FIFTH),
}
"""Parts of a time step, by their number, whose errors of low order cancel."""

LIGHTEST = 1.0 * BOLTZMANN_EV_PER_K
"""eV, the k_B T that the masses of a chain have at least, also at zero temperature."""


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
        substeps: of the half step.

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

    def move(first: int, time: np.ndarray) -> None:
        own = slice(first, n_columns - 1, 2)
        left = slice(first - 1, n_columns - 2, 2)
        right = slice(first + 1, n_columns, 2)
        way = time * state[:, right] * rate[:, right]
        force = (state[:, left] ** 2 - wanted[:, own]) * rate[:, own]
        damping = np.exp(-0.5 * way)
        state[:, own] = (state[:, own] * damping + time * force) * damping
        traveled[:, right] += way

    whole = 0.5 * step[:, None] / substeps
    for part in SUZUKI_YOSHIDA[order] * substeps:
        time = part * whole
        move(1, 0.5 * time)
        move(2, time)
        move(1, 0.5 * time)
    after = Chain(
        momenta=torch.as_tensor(state[:, 2:-1].copy(), device=dt.device),
        heat=chain.heat + torch.as_tensor((wanted * traveled).sum(1), device=dt.device),
    )
    return after, torch.as_tensor(np.exp(-traveled[:, 2]), device=dt.device)
