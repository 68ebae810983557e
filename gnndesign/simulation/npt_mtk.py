"""Dynamics at constant pressure after Martyna, Tobias and Klein.

The strain rate v of the cell (see `constant_pressure`) is a dynamical variable with the
mass W; one Nosé-Hoover chain acts on the particles, one on the cell:

    dr/dt = p/m + r v
    dh/dt = h v
    dp/dt = F - p v - (tr v / n) p                    - p dξ/dt
    W dv/dt = V (P_int - P 1) + (2 K / n) 1           - W v dξ'/dt

projected on what of the cell may change. n = 3 N - 3 are the degrees of freedom of the
particles, W = (n + 3) k_B max(T, 300 K) τ² / 3; without the 300 K, and times 3 in the
isotropic case, it is the W of the paper. W does not matter for averages, but a cell as
light as that at a few K would swing too fast for any time step.
Without (tr v / n) p and its counterpart (2 K / n) 1 the volume would be distributed
wrongly, in small systems visibly. Conserved is

    K + U + P V + W tr(v v) / 2 + both chains' energy - ∫ V dP

also while temperature and pressure change. The flow compresses dr dp dμ(h) at the rate
-tr v = -dlnV/dt, hence samples what the head of `constant_pressure` says.

A step is symmetric in time: chains, cell, momenta, then positions with the cell for the
whole step, then momenta, cell, chains.

G. J. Martyna, D. J. Tobias, M. L. Klein, J. Chem. Phys. 101, 4177 (1994); the steps:
M. E. Tuckerman, J. Alejandre, R. López-Rendón, A. L. Jochim, G. J. Martyna, J. Phys. A
39, 5629 (2006).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.errors import ParameterError
from gnndesign.members import join, per_system, state_class
from gnndesign.simulation.base import Proposal
from gnndesign.simulation.constant_pressure import (
    ConstantPressure,
    Targets,
    carried,
    dragged,
    excess_pressure,
    identity_like,
    symmetric_numbers,
)
from gnndesign.simulation.nose_hoover import Chain, chain_half_step
from gnndesign.simulation.phase_space import DynamicsState, spread
from gnndesign.units import BOLTZMANN_EV_PER_K

LIGHTEST = 300.0 * BOLTZMANN_EV_PER_K
"""eV, the k_B T that the mass of a cell has at least."""


@state_class
class MovingCell:
    """The barostat.

    Attributes:
        momentum: (n_systems, 3, 3) sqrt(eV), mass-weighted: sqrt(W) v, symmetric.
        chain: its thermostats.
        pressure_work: (n_systems,) eV, ∫ V dP of a ramp.
    """

    momentum: Float[Tensor, "n_systems 3 3"] = per_system()
    chain: Chain
    pressure_work: Float[Tensor, " n_systems"] = per_system()

    @property
    def kinetic_energy(self) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV."""
        return 0.5 * self.momentum.square().sum((1, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class MartynaTobiasKlein(ConstantPressure):
    """Constant number, pressure and temperature; deterministic.

    Attributes:
        chain_length: thermostats in either chain.
    """

    chain_length: int = 3

    def __post_init__(self) -> None:
        ConstantPressure.__post_init__(self)
        if self.chain_length < 1:
            raise ParameterError(f"Wanted chain_length >= 1, got {self.chain_length}.")

    def begin(self, state: DynamicsState) -> DynamicsState:
        """The cell has the momentum of a draw, the chains rest."""
        zero = torch.zeros_like(state.start_volume)
        drawn = self.freedom.project(
            state.system.batch, symmetric_numbers(state, self.seed)
        )
        barostat = MovingCell(
            momentum=self.targets(state).kT.sqrt()[:, None, None] * drawn,
            chain=Chain.at_rest(zero, self.chain_length),
            pressure_work=zero,
        )
        thermostat = Chain.at_rest(zero, self.chain_length)
        return replace(state, thermostat=thermostat, barostat=barostat)

    def propose(self, state: DynamicsState) -> Proposal[DynamicsState]:
        """Chains, cell and momenta for half a step, then the move."""
        now = self.targets(state)
        state = self._push_cell(self._exchange_heat(state, now), now)
        rate = _strain_rate(state, now)
        state = _push_atoms(state, rate, 0.5 * now.dt)
        positions, cell = carried(state, rate, now.dt)
        return Proposal(state=state, positions=positions, cell=cell)

    def finish(self, state: DynamicsState) -> DynamicsState:
        """Momenta, cell and chains for the other half."""
        now = self.targets(state)
        state = _push_atoms(state, _strain_rate(state, now), 0.5 * now.dt)
        state = self._exchange_heat(self._push_cell(state, now), now)
        cell: MovingCell = state.barostat
        work = cell.pressure_work + now.pressure_rise * state.system.batch.volume
        return replace(state, barostat=replace(cell, pressure_work=work))

    def conserved_energy(self, state: DynamicsState) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV; see the head of this file."""
        cell: MovingCell = state.barostat
        baths = state.thermostat.energy + cell.chain.energy
        return self.enthalpy(state) + cell.kinetic_energy + baths - cell.pressure_work

    def _exchange_heat(self, state: DynamicsState, now: Targets) -> DynamicsState:
        """Half a step of the chains: those of atoms and cells side by side."""
        cell: MovingCell = state.barostat
        chains, factors = chain_half_step(
            join([state.thermostat, cell.chain]),
            kinetic_energy=torch.cat([state.kinetic_energy, cell.kinetic_energy]),
            n_dof=torch.cat([state.degrees_of_freedom, self.n_cell(state)]),
            kT=now.kT.repeat(2),
            dt=now.dt.repeat(2),
            relaxation_time=torch.cat([now.thermostat_time, now.barostat_time]),
        )
        on_atoms, on_cell = factors.chunk(2)
        momenta, heat = chains.momenta.chunk(2), chains.heat.chunk(2)
        thermostat, chain = (Chain(momenta=momenta[k], heat=heat[k]) for k in range(2))
        momentum = cell.momentum * on_cell[:, None, None]
        return replace(
            state,
            momenta=state.momenta * spread(on_atoms, state.system.batch),
            thermostat=thermostat,
            barostat=replace(cell, momentum=momentum, chain=chain),
        )

    def _push_cell(self, state: DynamicsState, now: Targets) -> DynamicsState:
        """Half a step of the cell's momentum."""
        shared = 2.0 * state.kinetic_energy / state.degrees_of_freedom
        force = excess_pressure(state, now.pressure)
        force = force + identity_like(force) * shared[:, None, None]
        force = self.freedom.project(state.system.batch, force)
        time = 0.5 * now.dt / _root_mass(state, now)
        momentum = state.barostat.momentum + time[:, None, None] * force
        return replace(state, barostat=replace(state.barostat, momentum=momentum))


def _strain_rate(state: DynamicsState, now: Targets) -> Float[Tensor, "n_systems 3 3"]:
    return state.barostat.momentum / _root_mass(state, now)[:, None, None]


def _push_atoms(
    state: DynamicsState,
    rate: Float[Tensor, "n_systems 3 3"],
    time: Float[Tensor, " n_systems"],
) -> DynamicsState:
    """The atoms' momenta after a time."""
    trace = rate.diagonal(dim1=1, dim2=2).sum(1) / state.degrees_of_freedom
    drag = rate + identity_like(rate) * trace[:, None, None]
    return replace(state, momenta=dragged(state, drag, time))


def _root_mass(state: DynamicsState, now: Targets) -> Float[Tensor, " n_systems"]:
    """(n_systems,) sqrt(W)."""
    mass = (state.degrees_of_freedom + 3) * now.kT.clamp(min=LIGHTEST) / 3
    return mass.sqrt() * now.barostat_time
