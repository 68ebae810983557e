"""Dynamics at constant pressure with stochastic cell rescaling.

In every step of length t the cell strains by s (see `constant_pressure`), drawn anew:
the mean follows the pressure at the step's start, and noise makes the volume fluctuate
as it must. With β an estimate of the compressibility and τ the barostat time

    s = u ln(1 + x/2) / (x/2),   x = tr u = 2 (sqrt(V'/V) - 1)
    u = m t + sqrt(2 D t) ξ
    m = (β / 3τ) (P_int - P 1 + k_B T / 2V 1),   D = β k_B T / (3 V τ)

projected on what of the cell may change; ξ is a symmetric matrix of normal numbers,
<(ξ:e)²> = 1 for each direction e with e:e = 1. That is Bernetti and Bussi's equation
for sqrt(V), whose noise does not depend on V; the other strains go along. Momenta are
scaled inversely, dp/dt = F - p s / t. The distribution of the volume has an error of
the order t / τ.

For a given s the step is reversible (s -> -s) and keeps dr dp dμ(h). The logarithm of
the ratio of the probabilities of the step and of its reverse, which starts with m', D'
and draws u' = -u sqrt(V/V'), is a heat in units of k_B T,

    q = ln(V'/V) / 2 + |u - m t|² / 4 D t - |u' - m' t|² / 4 D' t

In exact motion K + U + P V - Σ k_B T q - ∫ V dP, and the heat that the thermostat took,
stay constant together: the effective energy, whose drift tells whether the time step
is too long.

Temperature: stochastic velocity rescaling (`bussi`).

M. Bernetti, G. Bussi, J. Chem. Phys. 153, 114107 (2020); the full cell: V. Del Tatto,
P. Raiteri, M. Bernetti, G. Bussi, Appl. Sci. 12, 1139 (2022).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.members import per_system, state_class
from gnndesign.simulation.base import Proposal
from gnndesign.simulation.bussi import Bath, rescaling
from gnndesign.simulation.constant_pressure import (
    ConstantPressure,
    Targets,
    carried,
    dragged,
    excess_pressure,
    identity_like,
    symmetric_numbers,
)
from gnndesign.simulation.phase_space import DynamicsState, spread
from gnndesign.simulation.schedule import Schedule, schedule, values_at
from gnndesign.units import EV_PER_A3_TO_GPA


@state_class
class CellRescaling:
    """The barostat: what of the step under way its end must know.

    Attributes:
        drawn: (n_systems, 3, 3) u.
        expected: (n_systems, 3, 3) m t.
        start_volume: (n_systems,) Å³.
        heat: (n_systems,) eV, Σ k_B T q + ∫ V dP of all steps before.
    """

    drawn: Float[Tensor, "n_systems 3 3"] = per_system()
    expected: Float[Tensor, "n_systems 3 3"] = per_system()
    start_volume: Float[Tensor, " n_systems"] = per_system()
    heat: Float[Tensor, " n_systems"] = per_system()

    @property
    def strain(self) -> Float[Tensor, "n_systems 3 3"]:
        """(n_systems, 3, 3) s."""
        half = 0.5 * self.drawn.diagonal(dim1=1, dim2=2).sum(1)
        ratio = torch.where(half == 0.0, 1.0, half.log1p() / half)
        return self.drawn * ratio[:, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StochasticCellRescaling(ConstantPressure):
    """Constant number, pressure and temperature; random.

    Attributes:
        compressibility_per_GPa: an estimate of the inverse bulk modulus, 1/GPa; one for
            all, or one for each structure. The volume relaxes in the barostat time
            times the ratio of this one and the true one.
    """

    compressibility_per_GPa: Schedule = 0.01

    def __post_init__(self) -> None:
        ConstantPressure.__post_init__(self)
        name = "compressibility_per_GPa"
        value = schedule(self.compressibility_per_GPa, name, low=1e-9)
        object.__setattr__(self, name, value)

    def begin(self, state: DynamicsState) -> DynamicsState:
        """No step under way."""
        zero = torch.zeros_like(state.start_volume)
        still = torch.zeros_like(state.system.batch.cell)
        barostat = CellRescaling(
            drawn=still, expected=still, start_volume=state.start_volume, heat=zero
        )
        return replace(state, thermostat=Bath(heat=zero), barostat=barostat)

    def propose(self, state: DynamicsState) -> Proposal[DynamicsState]:
        """Draw a strain; half a kick, and the move."""
        now = self.targets(state)
        volume = state.system.batch.volume
        expected = self._expected(state, now)
        noise = self.freedom.project(
            state.system.batch, symmetric_numbers(state, self.seed)
        )
        width = (2.0 * self._mobility(state, now) * now.kT / volume * now.dt).sqrt()
        barostat = replace(
            state.barostat,
            drawn=expected + width[:, None, None] * noise,
            expected=expected,
            start_volume=volume,
        )
        rate = barostat.strain / now.dt[:, None, None]
        momenta = dragged(state, rate, 0.5 * now.dt)
        state = replace(state, momenta=momenta, barostat=barostat)
        positions, cell = carried(state, rate, now.dt)
        return Proposal(state=state, positions=positions, cell=cell)

    def finish(self, state: DynamicsState) -> DynamicsState:
        """The other half of the kick, then the thermostat."""
        now = self.targets(state)
        rate = state.barostat.strain / now.dt[:, None, None]
        state = replace(state, momenta=dragged(state, rate, 0.5 * now.dt))
        heat = state.barostat.heat + self._heat_of_step(state, now)
        factor, given = rescaling(
            state, kT=now.kT, ratio=now.dt / now.thermostat_time, seed=self.seed
        )
        return replace(
            state,
            momenta=state.momenta * spread(factor, state.system.batch),
            thermostat=Bath(heat=state.thermostat.heat + given),
            barostat=replace(state.barostat, heat=heat),
        )

    def conserved_energy(self, state: DynamicsState) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV, the effective energy; see the head of this file."""
        return self.enthalpy(state) - state.barostat.heat + state.thermostat.heat

    def _mobility(
        self, state: DynamicsState, now: Targets
    ) -> Float[Tensor, " n_systems"]:
        """(n_systems,) β / 3τ, Å³/eV in an internal unit of time."""
        ids, time_fs = state.system.ids, self.time_fs(state)
        per_GPa = values_at(self.compressibility_per_GPa, ids, time_fs)
        return per_GPa * EV_PER_A3_TO_GPA / (3.0 * now.barostat_time)

    def _expected(
        self, state: DynamicsState, now: Targets
    ) -> Float[Tensor, "n_systems 3 3"]:
        """(n_systems, 3, 3) m t."""
        batch = state.system.batch
        force = excess_pressure(state, now.pressure)
        force = force + identity_like(force) * (0.5 * now.kT)[:, None, None]
        scale = self._mobility(state, now) * now.dt / batch.volume
        return scale[:, None, None] * self.freedom.project(batch, force)

    def _heat_of_step(
        self, state: DynamicsState, now: Targets
    ) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV, k_B T q + V dP."""
        step: CellRescaling = state.barostat
        before, after = step.start_volume, state.system.batch.volume
        back = -step.drawn * (before / after).sqrt()[:, None, None]
        # k_B T / D = V / mobility, also at zero temperature.
        noise = (step.drawn - step.expected).square().sum((1, 2)) * before
        noise = noise - (back - self._expected(state, now)).square().sum((1, 2)) * after
        noise = noise / (4.0 * self._mobility(state, now) * now.dt)
        room = 0.5 * now.kT * (after / before).log()
        return noise + room + now.pressure_rise * after
