"""The rotations that change a potential's energy and forces most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import NeighborList, find_neighbors
from gnndesign.potentials.base import EnergyModel, Potential
from gnndesign.training.rotations import (
    TurnedSlope,
    random_rotations,
    rotated,
    rotation_matrix,
    uphill_turn,
)

_PATIENCE = 0.7
"""A search makes smaller turns by this factor where one was in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstRotation:
    """The worst that was found for each structure.

    Attributes:
        energy_violation: (n_structures,) eV an atom.
        energy_rotation: (n_structures, 3, 3) at which it was found.
        force_violation: (n_structures,) eV/Å, of the atom that has most.
        force_rotation: (n_structures, 3, 3) at which it was found.
        random_energy_violation: (n_structures,) eV an atom, root mean square over the
            random rotations that the search began at.
        random_force_violation: (n_structures,) eV/Å, likewise.
    """

    energy_violation: Float[np.ndarray, " n_structures"]
    energy_rotation: Float[np.ndarray, "n_structures 3 3"]
    force_violation: Float[np.ndarray, " n_structures"]
    force_rotation: Float[np.ndarray, "n_structures 3 3"]
    random_energy_violation: Float[np.ndarray, " n_structures"]
    random_force_violation: Float[np.ndarray, " n_structures"]


def worst_rotation(
    potential: Potential,
    structures: Sequence[ase.Atoms],
    *,
    steps: int = 15,
    starts: int = 4,
    seed: int = 0,
) -> WorstRotation:
    """Look for the rotations that change energy and forces most.

    From each of `starts` random rotations gradient ascent of the squared violation
    (see `rotation_violation`), in turns that shrink from 0.4 to 0.04 radians. Of a
    potential that is no `EnergyModel` with forces that are its gradient, random turns
    that are kept where they make it worse.

    Args:
        potential: any.
        structures: one or more.
        steps: of every ascent.
        starts: number of ascents.
        seed: of the random rotations.

    Raises:
        ParameterError: no start, or fewer than zero steps.
    """
    if starts < 1 or steps < 0:
        raise ParameterError(f"Wanted starts >= 1, steps >= 0, got {starts}, {steps}.")
    batch = AtomicBatch.from_atoms(list(structures), device=potential.device)
    potential.check_elements(batch)
    edges = None
    if potential.cutoff is not None:
        edges = find_neighbors(batch, potential.cutoff)
    generator = torch.Generator().manual_seed(seed)
    record = _Record(potential, batch, edges)
    has_slope = isinstance(potential, EnergyModel) and potential.is_conservative
    climb = _climb if has_slope and edges is not None else _wander
    for _ in range(starts):
        start = random_rotations(batch.n_systems, generator).to(batch.cell)
        record.see(start, at_random=True)
        climb(record, start, steps, generator)
    return record.result()


class _Record:
    """What was seen at the rotations that a search came by."""

    def __init__(
        self, potential: Potential, batch: AtomicBatch, edges: NeighborList | None
    ) -> None:
        self.potential, self.batch, self.edges = potential, batch, edges
        self.here = potential.predict(batch, edges)
        n = batch.n_systems
        self._worst = [torch.full((n,), -1.0).to(batch.cell) for _ in range(2)]
        self._where = [batch.cell.new_zeros(n, 3, 3) for _ in range(2)]
        self._random: list[Tensor] = []

    def see(self, rotations: Tensor, *, at_random: bool = False) -> Tensor:
        """(n_systems,) squared violation, eV², of energy and forces together."""
        now = self.potential.predict(rotated(self.batch, rotations), self.edges)
        back = rotations.index_select(0, self.batch.system_index)
        forces = torch.einsum("ni,nij->nj", now.forces, back) - self.here.forces
        sizes = self.batch.atoms_per_system
        energy = (now.energy - self.here.energy).abs() / sizes
        force = self.batch.max_over_atoms(forces.norm(dim=1))
        for kind, found in enumerate((energy, force)):
            # A NaN is worse than any number.
            is_worse = ~(found <= self._worst[kind])
            self._worst[kind] = torch.where(is_worse, found, self._worst[kind])
            self._where[kind] = torch.where(
                is_worse[:, None, None], rotations, self._where[kind]
            )
        if at_random:
            self._random.append(torch.stack([energy, force]))
        mean = self.batch.sum_over_atoms((forces**2).sum(1)) / (3 * sizes)
        return energy**2 + mean

    def result(self) -> WorstRotation:
        typical = torch.stack(self._random).square().mean(0).sqrt()
        return WorstRotation(
            energy_violation=_host(self._worst[0]),
            energy_rotation=_host(self._where[0]),
            force_violation=_host(self._worst[1]),
            force_rotation=_host(self._where[1]),
            random_energy_violation=_host(typical[0]),
            random_force_violation=_host(typical[1]),
        )


def _climb(
    record: _Record, start: Tensor, steps: int, generator: torch.Generator
) -> None:
    """Gradient ascent."""
    del generator
    potential, batch, edges = record.potential, record.batch, record.edges
    if not isinstance(potential, EnergyModel) or edges is None:
        raise TypeError("Gradient ascent needs an EnergyModel and its neighbors.")
    with torch.enable_grad():
        here = TurnedSlope.of(potential, batch, edges, None, with_forces=True).detach()
    rotations = start
    for step in range(steps):
        uphill = uphill_turn(potential, batch, edges, rotations, here, 1.0)[1]
        angle = 0.4 * 0.1 ** (step / max(steps - 1, 1))
        rotations = rotation_matrix(angle * uphill) @ rotations
        record.see(rotations)


def _wander(
    record: _Record, start: Tensor, steps: int, generator: torch.Generator
) -> None:
    """Random turns, kept where they make it worse, smaller where not."""
    best, best_value = start, record.see(start)
    angle = torch.full_like(best_value, 0.4)
    for _ in range(steps):
        turn = torch.randn(len(start), 3, generator=generator, dtype=torch.float64)
        turn = turn.to(best) * angle[:, None]
        tried = rotation_matrix(turn) @ best
        value = record.see(tried)
        is_better = value > best_value
        best = torch.where(is_better[:, None, None], tried, best)
        best_value = torch.where(is_better, value, best_value)
        angle = torch.where(is_better, angle, _PATIENCE * angle)


def _host(values: Tensor) -> np.ndarray:
    return values.cpu().double().numpy()
