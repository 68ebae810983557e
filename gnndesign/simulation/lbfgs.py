"""L-BFGS in a trust region, for many systems with or without cell.

J. Nocedal and S. J. Wright, Numerical Optimization (2006), chapters 4 and 7. The step is
that of a quasi-Newton method which starts from a model of springs (`springs`) and has
learnt from the last moves (`secant_pairs`), in coordinates of atoms and cell in which
all steps can be compared (`coordinates`). One step is one evaluation of the potential:

    the quasi-Newton step, shortened to the trust radius, is made
    the energy is not higher (beyond its noise):  the system stays there, and the radius
        may grow
    else, or if there is no energy:  it goes back to where it was, the radius shrinks

In both cases the change of the gradient is learnt. Where the radius has become small,
what was learnt is wrong, and forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.members import per_system, state_class, where
from gnndesign.potentials.base import Prediction
from gnndesign.simulation.base import AtomData, Proposal, System
from gnndesign.simulation.cell import exponential
from gnndesign.simulation.coordinates import (
    MANDEL,
    Vector,
    cell_gradient,
    strain_of,
)
from gnndesign.simulation.guards import Fault
from gnndesign.simulation.relaxer import Relaxer
from gnndesign.simulation.secant_pairs import SecantPairs, descent, learnt, no_pairs
from gnndesign.simulation.springs import Springs, springs_between
from gnndesign.units import EV_PER_A3_TO_GPA

NOISE = 2e-6
"""eV an atom, by which the energy of a network in float32 is uncertain."""
GROW, SHRINK = 2.0, 0.4
FORGET_BELOW = 2e-3
"""Å, trust radius."""
SMALLEST_RETREAT = 0.01
"""Å, trust radius; a system that still runs into a fault with less is given up."""


@state_class
class LBFGSState:
    """A moment of an L-BFGS relaxation.

    Attributes:
        system: the best geometry so far and its prediction.
        data: masses and constraints.
        step: (n_systems,) number of evaluations after the first.
        start_cell: (n_systems, 3, 3) Å.
        stretch: (n_systems, 3, 3) exp(L) of the geometry that is evaluated next.
        place: coordinates of the best geometry.
        gradient: of the enthalpy there.
        preconditioned: the inverse Hessian of the springs times that.
        enthalpy: (n_systems,) eV, there.
        move: to the geometry that is evaluated next.
        radius: (n_systems,) Å, trust radius.
        springs: the model.
        pairs: what was learnt.
    """

    system: System
    data: AtomData
    step: Int[Tensor, " n_systems"] = per_system()
    start_cell: Float[Tensor, "n_systems 3 3"] = per_system()
    stretch: Float[Tensor, "n_systems 3 3"] = per_system()
    place: Vector
    gradient: Vector
    preconditioned: Vector
    enthalpy: Float[Tensor, " n_systems"] = per_system()
    move: Vector
    radius: Float[Tensor, " n_systems"] = per_system()
    springs: Springs
    pairs: SecantPairs

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
    """L-BFGS, which has no parameters but those of every relaxation."""

    def begin(self, system: System, data: AtomData) -> LBFGSState:
        """In the start geometry, knowing the springs alone."""
        batch = system.batch
        stretch = torch.eye(3, dtype=batch.cell.dtype, device=batch.device)
        stretch = stretch.repeat(batch.n_systems, 1, 1)
        place = Vector(
            atoms=batch.positions, cell=batch.cell.new_zeros((len(stretch), 6))
        )
        gradient = self._gradient(batch, stretch, place, system.prediction)
        springs = springs_between(batch, data.constraints, self._free_strains(batch))
        state = LBFGSState(
            system=system,
            data=data,
            step=torch.zeros_like(system.ids),
            start_cell=batch.cell,
            stretch=stretch,
            place=place,
            gradient=gradient,
            preconditioned=self._solved(batch, data, springs, gradient),
            enthalpy=self._enthalpy(batch, system.prediction),
            move=gradient,
            radius=torch.full_like(batch.cell[:, 0, 0], self.max_displacement),
            springs=springs,
            pairs=no_pairs(batch),
        )
        return self._with_move(state)

    def propose(self, state: LBFGSState) -> Proposal[LBFGSState]:
        """Make the move that was decided on."""
        batch = state.system.batch
        there = state.place + state.move
        if self.cell is None:
            return Proposal(state=state, positions=there.atoms, cell=batch.cell)
        stretch = exponential(strain_of(batch, there.cell))
        positions = torch.einsum("ni,nij->nj", there.atoms, stretch[batch.system_index])
        return Proposal(
            state=replace(state, stretch=stretch),
            positions=positions,
            cell=state.start_cell @ stretch,
        )

    def arrive(self, proposal: Proposal[LBFGSState], system: System) -> LBFGSState:
        """Stay or go back, learn, and decide on the next move."""
        state, batch = proposal.state, system.batch
        place = state.place + state.move
        gradient = self._gradient(batch, state.stretch, place, system.prediction)
        solved = self._solved(batch, state.data, state.springs, gradient)
        enthalpy = self._enthalpy(batch, system.prediction)
        lost = (system.fault != Fault.NONE) & (system.fault != Fault.OUT_OF_MEMORY)
        retreats = lost & (state.radius > SMALLEST_RETREAT)
        noise = NOISE * batch.atoms_per_system
        accepted = ~retreats & ~(enthalpy > state.enthalpy + noise)
        length = state.move.longest(batch)
        radius = torch.where(
            accepted,
            (GROW * state.radius).clamp(max=self.max_displacement),
            SHRINK * torch.minimum(length, state.radius),
        )
        pairs = learnt(
            batch,
            state.pairs,
            state.move,
            gradient - state.gradient,
            solved - state.preconditioned,
            ~lost,
        )
        forget = ~accepted & (radius < FORGET_BELOW)
        if bool(forget.any()):
            pairs = where(forget, forget[batch.system_index], no_pairs(batch), pairs)
        atoms = accepted[batch.system_index]
        stays = _kept(state.system, system, accepted, atoms)
        arrived = replace(
            state,
            system=replace(stays, fault=system.fault.masked_fill(retreats, Fault.NONE)),
            step=state.step + 1,
            place=where(accepted, atoms, place, state.place),
            gradient=where(accepted, atoms, gradient, state.gradient),
            preconditioned=where(accepted, atoms, solved, state.preconditioned),
            enthalpy=torch.where(accepted, enthalpy, state.enthalpy),
            radius=radius,
            pairs=pairs,
        )
        return self._with_move(arrived)

    def _with_move(self, state: LBFGSState) -> LBFGSState:
        """The quasi-Newton step, shortened to the trust radius."""
        batch = state.system.batch
        move = descent(batch, state.pairs, state.gradient, state.preconditioned)
        shorten = state.radius / move.longest(batch).clamp(min=1e-30)
        return replace(state, move=move.scaled(batch, shorten.clamp(max=1.0)))

    def _solved(
        self, batch: AtomicBatch, data: AtomData, springs: Springs, gradient: Vector
    ) -> Vector:
        """The model's inverse Hessian times a gradient, and nothing that is fixed."""
        solved = springs.solve(gradient)
        constraints = data.constraints
        atoms = constraints.on_atoms(batch, solved.atoms)
        atoms = constraints.without_center(batch, atoms, data.masses)
        return Vector(atoms=atoms, cell=solved.cell)

    def _enthalpy(
        self, batch: AtomicBatch, prediction: Prediction
    ) -> Float[Tensor, " n_systems"]:
        """(n_systems,) eV: E + P V."""
        if self.cell is None or self.cell.pressure_GPa == 0.0:
            return prediction.energy
        return prediction.energy + (
            self.cell.pressure_GPa / EV_PER_A3_TO_GPA * batch.volume
        )

    def _gradient(
        self,
        batch: AtomicBatch,
        stretch: Float[Tensor, "n_systems 3 3"],
        place: Vector,
        prediction: Prediction,
    ) -> Vector:
        if self.cell is None:
            zero = torch.zeros_like(place.cell)
            return Vector(atoms=-prediction.forces, cell=zero)
        turned = stretch[batch.system_index]
        virial = -self.cell.force(batch, prediction.stress)
        virial = virial * batch.atoms_per_system[:, None, None]
        return Vector(
            atoms=-torch.einsum("ni,nij->nj", prediction.forces, turned),
            cell=cell_gradient(batch, strain_of(batch, place.cell), virial),
        )

    def _free_strains(self, batch: AtomicBatch) -> Float[Tensor, "n_systems 6 6"]:
        """(n_systems, 6, 6) the projector on the strains that are let through."""
        if self.cell is None:
            return batch.cell.new_zeros((batch.n_systems, 6, 6))
        basis = MANDEL.to(batch.cell)
        rows = [
            self.cell.project(batch, one.expand_as(batch.cell)).flatten(1)
            @ basis.flatten(1).T
            for one in basis
        ]
        return torch.stack(rows, 1)


def _kept(
    old: System,
    new: System,
    accepted: Bool[Tensor, " n_systems"],
    atoms: Bool[Tensor, " n_atoms"],
) -> System:
    """The new one where it is accepted, else the old one."""
    if bool(accepted.all()):
        return new
    here, there = old.batch, new.batch
    return replace(
        new,
        batch=there.with_geometry(
            positions=torch.where(atoms[:, None], there.positions, here.positions),
            cell=torch.where(accepted[:, None, None], there.cell, here.cell),
        ),
        prediction=where(accepted, atoms, new.prediction, old.prediction),
    )
