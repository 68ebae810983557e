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
from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import AtomData, Status, System
from gnndesign.simulation.cell import CellMode, cell_force, check_has_cell, deform
from gnndesign.simulation.guards import evaluate, first_evaluation
from gnndesign.units import EV_PER_A3_TO_GPA


@dataclass(frozen=True, slots=True, kw_only=True)
class FIREState:
    """A moment of a FIRE relaxation.

    Attributes:
        system: geometry and prediction.
        data: masses (not used) and fixed atoms.
        step: number of steps made.
        velocities: (n_atoms, 3) Å a unit of time in which the mass is 1.
        cell_velocities: (n_systems, 3, 3) likewise, of n_atoms x strain.
        timestep: (n_systems,).
        mixing: (n_systems,) α.
        n_uphill_free: (n_systems,) steps in a row with P > 0.
    """

    system: System
    data: AtomData
    step: int
    velocities: Float[Tensor, "n_atoms 3"]
    cell_velocities: Float[Tensor, "n_systems 3 3"]
    timestep: Float[Tensor, " n_systems"]
    mixing: Float[Tensor, " n_systems"]
    n_uphill_free: Int[Tensor, " n_systems"]

    @property
    def momenta(self) -> None:
        """A relaxation has none."""

    @property
    def kinetic_energy(self) -> None:
        """A relaxation has none."""

    @property
    def degrees_of_freedom(self) -> None:
        """A relaxation has none."""

    def select(self, systems: Tensor) -> FIREState:
        """Keep the systems for which the mask is true."""
        atoms = systems[self.system.batch.system_index]
        return FIREState(
            system=self.system.select(systems),
            data=self.data.select(systems, atoms),
            step=self.step,
            velocities=self.velocities[atoms],
            cell_velocities=self.cell_velocities[systems],
            timestep=self.timestep[systems],
            mixing=self.mixing[systems],
            n_uphill_free=self.n_uphill_free[systems],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FIRE:
    """Parameters of FIRE; the defaults are ASE's.

    Attributes:
        max_force: eV/Å; converged when no force on an atom, and no row of the cell
            force (see `gnndesign.simulation.cell`), is longer.
        cell: what of the cell may change; None for nothing.
        pressure_GPa: target pressure, positive under compression.
        max_displacement: Å, the longest move of an atom in a step.
        start_timestep, max_timestep: in the unit of time in which the mass is 1.
        n_min, f_inc, f_dec, alpha_start, f_alpha: as in the paper.
    """

    max_force: float = 0.01
    cell: CellMode | None = None
    pressure_GPa: float = 0.0
    max_displacement: float = 0.2
    start_timestep: float = 0.1
    max_timestep: float = 1.0
    n_min: int = 5
    f_inc: float = 1.1
    f_dec: float = 0.5
    alpha_start: float = 0.1
    f_alpha: float = 0.99

    def __post_init__(self) -> None:
        if not self.max_force > 0:
            raise ParameterError(f"Wanted max_force > 0 eV/Å, got {self.max_force}.")

    @property
    def timestep_fs(self) -> float:
        """A relaxation has no time."""
        return 0.0

    def init(
        self, potential: Potential, batch: AtomicBatch, data: AtomData
    ) -> FIREState:
        """At rest in the start geometry.

        Raises:
            StructureError: a structure cannot be used, or has no cell to relax.
            UnsupportedElementError: the potential does not know an element.
        """
        check_has_cell(batch, self.cell)
        per_system = torch.ones_like(batch.cell[:, 0, 0])
        return FIREState(
            system=first_evaluation(potential, batch, data.fixed),
            data=data,
            step=0,
            velocities=torch.zeros_like(batch.positions),
            cell_velocities=torch.zeros_like(batch.cell),
            timestep=self.start_timestep * per_system,
            mixing=self.alpha_start * per_system,
            n_uphill_free=torch.zeros_like(per_system, dtype=torch.int64),
        )

    def step(self, potential: Potential, state: FIREState) -> FIREState:
        """Move every system once."""
        batch = state.system.batch
        forces = state.system.prediction.forces
        on_cell = self._cell_force(state.system)
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
        return replace(
            state,
            system=evaluate(
                potential,
                state.system,
                positions=positions,
                cell=cell,
                fixed=state.data.fixed,
            ),
            step=state.step + 1,
            velocities=velocities,
            cell_velocities=cell_velocities,
            timestep=timestep,
            mixing=mixing,
            n_uphill_free=torch.where(downhill, state.n_uphill_free + 1, 0),
        )

    def status(self, state: FIREState) -> Int[Tensor, " n_systems"]:
        """CONVERGED where the forces on atoms and cell are small enough."""
        rows = self._cell_force(state.system).norm(dim=-1).amax(-1)
        largest = torch.maximum(state.system.max_force, rows)
        return torch.where(
            largest <= self.max_force, int(Status.CONVERGED), int(Status.RUNNING)
        )

    def _cell_force(self, system: System) -> Float[Tensor, "n_systems 3 3"]:
        if self.cell is None:
            return torch.zeros_like(system.batch.cell)
        pressure = self.pressure_GPa / EV_PER_A3_TO_GPA
        return cell_force(system.batch, system.prediction.stress, self.cell, pressure)

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
