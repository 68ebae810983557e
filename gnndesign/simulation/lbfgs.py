"""L-BFGS in a trust region, for many systems with or without cell.

J. Nocedal and S. J. Wright, Numerical Optimization (2006), algorithm 7.4. With the last
moves s and the changes y of the gradient g that they brought, the two-loop recursion
gives the step -H g of a quasi-Newton method without a matrix. One step is one
evaluation of the potential:

    the step is shortened to the trust radius and made
    energy not higher (beyond noise):  it is accepted; the radius grows
    else:  back to where it came from, with a smaller radius; s and y are learnt from
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.members import per_atom, per_system, state_class, where
from gnndesign.potentials.base import Prediction
from gnndesign.simulation.base import AtomData, Proposal, System
from gnndesign.simulation.guards import Fault
from gnndesign.simulation.relaxer import Relaxer
from gnndesign.units import EV_PER_A3_TO_GPA

MEMORY = 20
"""Pairs (s, y) that are remembered."""


@state_class
class Vector:
    """Of the degrees of freedom of every system.

    Attributes:
        atoms: (n_atoms, 3) in the frame of the start cell.
        cell: (n_systems, 3, 3) of the weighted logarithmic strain.
    """

    atoms: Float[Tensor, "n_atoms 3"] = per_atom()
    cell: Float[Tensor, "n_systems 3 3"] = per_system()


@state_class
class Pairs:
    """The last moves and changes of the gradient, the latest at the end.

    Attributes:
        moves_atoms, changes_atoms: (n_atoms, memory, 3).
        moves_cell, changes_cell: (n_systems, memory, 3, 3).
        weights: (n_systems, memory) 1 / s·y; 0 where there is no pair.
        scale: (n_systems,) s·y / y·y of the latest pair.
    """

    moves_atoms: Float[Tensor, "n_atoms memory 3"] = per_atom()
    changes_atoms: Float[Tensor, "n_atoms memory 3"] = per_atom()
    moves_cell: Float[Tensor, "n_systems memory 3 3"] = per_system()
    changes_cell: Float[Tensor, "n_systems memory 3 3"] = per_system()
    weights: Float[Tensor, "n_systems memory"] = per_system()
    scale: Float[Tensor, " n_systems"] = per_system()


@state_class
class LBFGSState:
    """A moment of an L-BFGS relaxation.

    Attributes:
        system: the best geometry so far and its prediction.
        data: masses (not used) and constraints.
        step: (n_systems,) number of evaluations after the first.
        start_cell: (n_systems, 3, 3) Å.
        place: positions in the frame of the start cell, Å, and the weighted logarithmic
            strain, Å.
        gradient: of the enthalpy there, eV/Å.
        enthalpy: (n_systems,) eV.
        move: to the geometry that is being evaluated.
        radius: (n_systems,) Å, trust radius.
        pairs: what is remembered.
    """

    system: System
    data: AtomData
    step: Int[Tensor, " n_systems"] = per_system()
    start_cell: Float[Tensor, "n_systems 3 3"] = per_system()
    place: Vector
    gradient: Vector
    enthalpy: Float[Tensor, " n_systems"] = per_system()
    move: Vector
    radius: Float[Tensor, " n_systems"] = per_system()
    pairs: Pairs

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
class LBFGS(Relaxer):
    """Parameters of L-BFGS.

    Attributes:
        curvature: eV/Å², of the first step.
        smallest_radius: Å; a system whose trust radius falls below is left to its
            steepest descent.
    """

    curvature: float = 30.0
    smallest_radius: float = 1e-4

    def begin(self, system: System, data: AtomData) -> LBFGSState:
        """In the start geometry, knowing nothing of the curvature."""
        batch = system.batch
        one = torch.ones_like(batch.cell[:, 0, 0])
        place = Vector(atoms=batch.positions, cell=torch.zeros_like(batch.cell))
        return LBFGSState(
            system=system,
            data=data,
            step=torch.zeros_like(system.ids),
            start_cell=batch.cell,
            place=place,
            gradient=self._gradient(batch, batch.cell, place, system.prediction),
            enthalpy=self._enthalpy(batch, system.prediction),
            move=Vector(
                atoms=torch.zeros_like(batch.positions),
                cell=torch.zeros_like(batch.cell),
            ),
            radius=self.max_displacement * one,
            pairs=_no_pairs(batch, 1.0 / self.curvature),
        )

    def propose(self, state: LBFGSState) -> Proposal[LBFGSState]:
        """The quasi-Newton step, within the trust radius."""
        batch = state.system.batch
        move = _descent(batch, state.pairs, state.gradient)
        uphill = _dot(batch, move, state.gradient) >= 0
        fallback = _scaled(batch, state.gradient, -state.pairs.scale)
        move = where(uphill, uphill[batch.system_index], fallback, move)
        longest = torch.maximum(
            batch.max_over_atoms(move.atoms.norm(dim=-1)),
            move.cell.norm(dim=-1).amax(-1),
        )
        shorten = (state.radius / longest.clamp(min=1e-30)).clamp(max=1.0)
        move = _scaled(batch, move, shorten)
        atoms = state.place.atoms + move.atoms
        gradient = torch.linalg.matrix_exp(
            (state.place.cell + move.cell) / _weight(batch)
        )
        if self.cell is None:
            positions, cell = atoms, batch.cell
        else:
            positions = torch.einsum("ni,nij->nj", atoms, gradient[batch.system_index])
            cell = state.start_cell @ gradient
        return Proposal(state=replace(state, move=move), positions=positions, cell=cell)

    def arrive(self, proposal: Proposal[LBFGSState], system: System) -> LBFGSState:
        """Stay there if it is lower; learn from it in any case."""
        state = proposal.state
        batch, move = system.batch, state.move
        place = _plus(state.place, move)
        gradient = self._gradient(batch, state.start_cell, place, system.prediction)
        enthalpy = self._enthalpy(batch, system.prediction)
        failed = (
            (system.fault != Fault.NONE)
            & (system.fault != Fault.OUT_OF_MEMORY)
            & (state.radius > 0.01)
        )
        noise = 2e-6 * batch.atoms_per_system
        accepted = ~failed & (enthalpy <= state.enthalpy + noise)
        change = Vector(
            atoms=gradient.atoms - state.gradient.atoms,
            cell=gradient.cell - state.gradient.cell,
        )
        pairs = _remember(batch, state.pairs, move, change, ~failed)
        length = torch.maximum(
            batch.max_over_atoms(move.atoms.norm(dim=-1)),
            move.cell.norm(dim=-1).amax(-1),
        )
        radius = torch.where(
            accepted,
            (1.5 * state.radius).clamp(max=self.max_displacement),
            0.3 * length,
        )
        atoms = accepted[batch.system_index]
        kept = _kept(state.system, system, accepted)
        fault = torch.where(failed, int(Fault.NONE), system.fault)
        return replace(
            state,
            system=replace(kept, fault=fault),
            step=state.step + 1,
            place=where(accepted, atoms, place, state.place),
            gradient=where(accepted, atoms, gradient, state.gradient),
            enthalpy=torch.where(accepted, enthalpy, state.enthalpy),
            radius=radius,
            pairs=pairs,
        )

    def _enthalpy(
        self, batch: AtomicBatch, prediction: Prediction
    ) -> Float[Tensor, " n_systems"]:
        if self.cell is None:
            return prediction.energy
        pressure = self.cell.pressure_GPa / EV_PER_A3_TO_GPA
        return prediction.energy + pressure * batch.volume

    def _gradient(
        self,
        batch: AtomicBatch,
        start_cell: Float[Tensor, "n_systems 3 3"],
        place: Vector,
        prediction: Prediction,
    ) -> Vector:
        if self.cell is None:
            return Vector(atoms=-prediction.forces, cell=torch.zeros_like(batch.cell))
        strain = place.cell / _weight(batch)
        stretch = torch.linalg.matrix_exp(strain)
        atoms = -torch.einsum(
            "ni,nij->nj", prediction.forces, stretch[batch.system_index]
        )
        slope = -self.cell.force(batch, prediction.stress)
        slope = slope * batch.atoms_per_system[:, None, None]
        values, vectors = torch.linalg.eigh(strain)
        apart = values[:, :, None] - values[:, None, :]
        ratio = torch.where(apart.abs() < 1e-8, 1.0, torch.sinh(apart) / apart)
        slope = vectors @ (ratio * (vectors.mT @ slope @ vectors)) @ vectors.mT
        start = batch.with_geometry(positions=batch.positions, cell=start_cell)
        return Vector(
            atoms=atoms, cell=self.cell.project(start, slope) / _weight(batch)
        )


def _weight(batch: AtomicBatch) -> Float[Tensor, "n_systems 1 1"]:
    """Å; makes a strain as long as the moves of the atoms that are as stiff."""
    return batch.atoms_per_system.to(batch.cell.dtype).sqrt()[:, None, None]


def _no_pairs(batch: AtomicBatch, scale: float) -> Pairs:
    atoms = batch.positions.new_zeros((batch.n_atoms, MEMORY, 3))
    cell = batch.cell.new_zeros((batch.n_systems, MEMORY, 3, 3))
    return Pairs(
        moves_atoms=atoms,
        changes_atoms=atoms,
        moves_cell=cell,
        changes_cell=cell,
        weights=cell[:, :, 0, 0],
        scale=torch.full_like(batch.cell[:, 0, 0], scale),
    )


def _remember(
    batch: AtomicBatch,
    pairs: Pairs,
    move: Vector,
    change: Vector,
    wanted: Bool[Tensor, " n_systems"],
) -> Pairs:
    """With one more pair, where its curvature is positive."""
    curvature = _dot(batch, move, change)
    squares = _dot(batch, move, move)
    wanted = wanted & (curvature > 0.05 * squares)
    atom = wanted[batch.system_index]

    def pushed(old: Tensor, new: Tensor, where: Tensor) -> Tensor:
        moved = torch.cat([old[:, 1:], new[:, None]], 1)
        return torch.where(where.reshape(-1, *[1] * (old.ndim - 1)), moved, old)

    weight = 1.0 / torch.where(wanted, curvature, 1.0)
    scale = curvature / _dot(batch, change, change).clamp(min=1e-30)
    return Pairs(
        moves_atoms=pushed(pairs.moves_atoms, move.atoms, atom),
        changes_atoms=pushed(pairs.changes_atoms, change.atoms, atom),
        moves_cell=pushed(pairs.moves_cell, move.cell, wanted),
        changes_cell=pushed(pairs.changes_cell, change.cell, wanted),
        weights=pushed(pairs.weights, weight, wanted),
        scale=torch.where(wanted, scale, pairs.scale),
    )


def _descent(batch: AtomicBatch, pairs: Pairs, gradient: Vector) -> Vector:
    """-H g by the two-loop recursion."""
    rest = gradient
    shares: list[Tensor] = []
    order = range(MEMORY - 1, -1, -1)
    for k in order:
        share = pairs.weights[:, k] * _dot(batch, _pair(pairs, "moves", k), rest)
        rest = _plus(rest, _scaled(batch, _pair(pairs, "changes", k), -share))
        shares.append(share)
    rest = _scaled(batch, rest, pairs.scale)
    for k, share in zip(reversed(order), reversed(shares), strict=True):
        other = pairs.weights[:, k] * _dot(batch, _pair(pairs, "changes", k), rest)
        rest = _plus(rest, _scaled(batch, _pair(pairs, "moves", k), share - other))
    return Vector(atoms=-rest.atoms, cell=-rest.cell)


def _pair(pairs: Pairs, what: str, k: int) -> Vector:
    atoms, cell = getattr(pairs, f"{what}_atoms"), getattr(pairs, f"{what}_cell")
    return Vector(atoms=atoms[:, k], cell=cell[:, k])


def _dot(batch: AtomicBatch, a: Vector, b: Vector) -> Float[Tensor, " n_systems"]:
    of_atoms = batch.sum_over_atoms((a.atoms * b.atoms).sum(-1))
    return of_atoms + (a.cell * b.cell).sum((-2, -1))


def _plus(a: Vector, b: Vector) -> Vector:
    return Vector(atoms=a.atoms + b.atoms, cell=a.cell + b.cell)


def _scaled(
    batch: AtomicBatch, a: Vector, factor: Float[Tensor, " n_systems"]
) -> Vector:
    return Vector(
        atoms=factor[batch.system_index, None] * a.atoms,
        cell=factor[:, None, None] * a.cell,
    )


def _kept(old: System, new: System, accepted: Bool[Tensor, " n_systems"]) -> System:
    """The new one where it is accepted, else the old one."""
    batch = new.batch
    atoms = accepted[batch.system_index]
    return replace(
        new,
        batch=batch.with_geometry(
            positions=torch.where(atoms[:, None], batch.positions, old.batch.positions),
            cell=torch.where(accepted[:, None, None], batch.cell, old.batch.cell),
        ),
        prediction=where(accepted, atoms, new.prediction, old.prediction),
    )
