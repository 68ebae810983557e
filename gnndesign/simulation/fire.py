"""FIRE, the fast inertial relaxation engine, for many systems with or without cell.

E. Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006). With force F, velocity v (mass 1)
and power P = F · v of a system:

    P > 0:  v <- (1 - α) v + α |v| F/|F|;  after n_min such steps in a row the time
            step grows by f_inc up to its maximum and α shrinks by f_α
    else:   v <- 0, the time step shrinks by f_dec (not at rest), α <- α_start
    v <- v + dt F,  r <- r + dt v, shortened to the longest step allowed
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.members import per_atom, per_system, state_class
from gnndesign.simulation.base import AtomData, Proposal, System
from gnndesign.simulation.cell import deform
from gnndesign.simulation.relaxer import Relaxer


@state_class
class FIREState:
    """A moment of a FIRE relaxation.

    Attributes:
        system: geometry and prediction.
        data: masses (not used) and constraints.
        step: (n_systems,) number of steps made.
        velocities: (n_atoms, 3) Å a unit of time in which the mass is 1.
        cell_velocities: (n_systems, 3, 3) likewise, of n_atoms x strain.
        timestep: (n_systems,).
        mixing: (n_systems,) α.
        n_uphill_free: (n_systems,) steps in a row with P > 0.
    """

    system: System
    data: AtomData
    step: Int[Tensor, " n_systems"] = per_system()
    velocities: Float[Tensor, "n_atoms 3"] = per_atom()
    cell_velocities: Float[Tensor, "n_systems 3 3"] = per_system()
    timestep: Float[Tensor, " n_systems"] = per_system()
    mixing: Float[Tensor, " n_systems"] = per_system()
    n_uphill_free: Int[Tensor, " n_systems"] = per_system()

    @property
    def momenta(self) -> None:
        """A relaxation has none."""

    @property
    def kinetic_energy(self) -> None:
        """A relaxation has none."""

    @property
    def degrees_of_freedom(self) -> None:
        """A relaxation has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FIRE(Relaxer):
    """Parameters of FIRE; the defaults are ASE's.

    Attributes:
        start_timestep, max_timestep: in the unit of time in which the mass is 1.
        n_min, f_inc, f_dec, alpha_start, f_alpha: as in the paper.
    """

    start_timestep: float = 0.1
    max_timestep: float = 1.0
    n_min: int = 5
    f_inc: float = 1.1
    f_dec: float = 0.5
    alpha_start: float = 0.1
    f_alpha: float = 0.99

    def begin(self, system: System, data: AtomData) -> FIREState:
        """At rest in the start geometry."""
        batch = system.batch
        per_system = torch.ones_like(batch.cell[:, 0, 0])
        return FIREState(
            system=system,
            data=data,
            step=torch.zeros_like(system.ids),
            velocities=torch.zeros_like(batch.positions),
            cell_velocities=torch.zeros_like(batch.cell),
            timestep=self.start_timestep * per_system,
            mixing=self.alpha_start * per_system,
            n_uphill_free=torch.zeros_like(system.ids),
        )

    def propose(self, state: FIREState) -> Proposal[FIREState]:
        """Turn the velocities downhill, and move."""
        batch = state.system.batch
        forces = state.system.prediction.forces
        on_cell = self.cell_force(state.system)
        index = batch.system_index
        power = batch.sum_over_atoms((forces * state.velocities).sum(-1))
        power = power + (on_cell * state.cell_velocities).sum((-2, -1))
        downhill = power > 0

        speed = _norm(batch, state.velocities, state.cell_velocities)
        strength = _norm(batch, forces, on_cell).clamp(min=1e-30)
        keep = torch.where(downhill, 1.0 - state.mixing, 0.0)
        turn = torch.where(downhill, state.mixing * speed / strength, 0.0)
        grown = torch.where(
            downhill & (state.n_uphill_free > self.n_min), self.f_inc, 1.0
        )
        timestep = torch.where(
            downhill,
            (state.timestep * grown).clamp(max=self.max_timestep),
            # At rest, as at the start, nothing is uphill.
            torch.where(speed > 0, state.timestep * self.f_dec, state.timestep),
        )
        mixing = torch.where(grown > 1.0, state.mixing * self.f_alpha, state.mixing)
        mixing = torch.where(downhill, mixing, self.alpha_start)

        velocities = (
            keep[index, None] * state.velocities
            + (turn + timestep)[index, None] * forces
        )
        cell_velocities = (
            keep[:, None, None] * state.cell_velocities
            + (turn + timestep)[:, None, None] * on_cell
        )
        positions, cell = self._move(batch, velocities, cell_velocities, timestep)
        turned = replace(
            state,
            velocities=velocities,
            cell_velocities=cell_velocities,
            timestep=timestep,
            mixing=mixing,
            n_uphill_free=torch.where(downhill, state.n_uphill_free + 1, 0),
        )
        return Proposal(state=turned, positions=positions, cell=cell)

    def arrive(self, proposal: Proposal[FIREState], system: System) -> FIREState:
        """Arrived."""
        state = proposal.state
        return replace(state, system=system, step=state.step + 1)

    def _move(
        self,
        batch: AtomicBatch,
        velocities: Tensor,
        cell_velocities: Tensor,
        dt: Tensor,
    ) -> tuple[Tensor, Tensor]:
        index = batch.system_index
        moves = dt[index, None] * velocities
        strains = dt[:, None, None] * cell_velocities
        longest = torch.maximum(
            batch.max_over_atoms(moves.norm(dim=-1)), strains.norm(dim=-1).amax(-1)
        )
        shorten = (self.max_displacement / longest.clamp(min=1e-30)).clamp(max=1.0)
        positions = batch.positions + shorten[index, None] * moves
        if self.cell is None:
            return positions, batch.cell
        per_atom = (shorten / batch.atoms_per_system)[:, None, None]
        return deform(batch, positions, per_atom * strains)


def _norm(batch: AtomicBatch, on_atoms: Tensor, on_cell: Tensor) -> Tensor:
    """(n_systems,) length of the vector over all degrees of freedom."""
    squares = batch.sum_over_atoms((on_atoms * on_atoms).sum(-1))
    return (squares + (on_cell * on_cell).sum((-2, -1))).sqrt()
