"""Evaluation in a simulation: guarded, constrained, and within the device's memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.members import join
from gnndesign.neighbors import NeighborList, VerletList, find_neighbors
from gnndesign.potentials.base import Potential, Prediction
from gnndesign.potentials.input_checks import (
    OVERLAP_REACH,
    could_overlap,
    describe_overlap,
)
from gnndesign.simulation.base import System
from gnndesign.simulation.constraints import Constraints
from gnndesign.simulation.guards import (
    ADVICE,
    Fault,
    first_fault,
    meaningless,
    misplaced,
    moved_too_far,
)

SKIN = 0.5
"""Å beyond the cutoff in which neighbors are remembered."""


@dataclass(slots=True, kw_only=True)
class Evaluator:
    """Asks a potential about batches, in as many parts as the memory wants.

    Attributes:
        potential: asked.
        most_atoms: in one call; None for any number. It shrinks when memory runs out.
    """

    potential: Potential
    most_atoms: int | None = None
    _too_many_atoms: int | None = None
    _watched: VerletList | None = None
    _close: NeighborList | None = None

    def look(
        self, batch: AtomicBatch
    ) -> tuple[Bool[Tensor, " n_systems"], tuple[str, ...]]:
        """(n_systems,) which start geometries cannot be evaluated, and why, in words."""
        edges = self._pairs(batch)
        fault = misplaced(self.potential, batch, edges, edges)
        if fault is None:
            return torch.zeros_like(batch.pbc[:, 0]), ()
        bad = fault.nonzero()[:, 0].tolist()
        return fault != Fault.NONE, tuple(
            describe_overlap(batch, edges, system)
            if fault[system] == Fault.TOO_CLOSE
            else ADVICE[int(fault[system])]
            for system in bad
        )

    def start(
        self,
        batch: AtomicBatch,
        ids: Int[Tensor, " n_systems"],
        constraints: Constraints,
    ) -> System:
        """Evaluate start geometries in which `look` found nothing."""
        cutoff = self.potential.cutoff
        neighbors = None if cutoff is None else VerletList.build(batch, cutoff, SKIN)
        prediction, fault = self._predict(batch, neighbors)
        return System(
            ids=ids,
            batch=batch,
            prediction=constraints.apply(batch, prediction),
            neighbors=neighbors,
            fault=torch.zeros_like(ids) if fault is None else fault,
        )

    def next(
        self,
        before: System,
        *,
        positions: Float[Tensor, "n_atoms 3"],
        cell: Float[Tensor, "n_systems 3 3"],
        constraints: Constraints,
    ) -> System:
        """Evaluate the next geometry of a batch.

        A system whose next geometry is not fit to be given to a potential keeps its
        last one and is marked with a `Fault`; so is one whose prediction has no
        meaning.
        """
        old = before.batch
        fault = moved_too_far(old, positions, cell)
        batch = _keep_where(old, positions, cell, fault)
        neighbors = before.neighbors and before.neighbors.update(batch)
        wrong = self._misplaced(batch, neighbors)
        if wrong is not None:
            fault = first_fault(fault, wrong)
            batch = _keep_where(old, positions, cell, fault)
            neighbors = neighbors and neighbors.update(batch)
        prediction, wrong = self._predict(batch, neighbors)
        fault = first_fault(fault, wrong)
        return System(
            ids=before.ids,
            batch=batch,
            prediction=constraints.apply(batch, prediction),
            neighbors=neighbors,
            fault=torch.zeros_like(before.ids) if fault is None else fault,
        )

    def _misplaced(
        self, batch: AtomicBatch, neighbors: VerletList | None
    ) -> Int[Tensor, " n_systems"] | None:
        if neighbors is None:
            edges = self._pairs(batch)
            return misplaced(self.potential, batch, edges, edges)
        if self._close is None or neighbors is not self._watched:
            self._watched, self._close = neighbors, could_overlap(neighbors)
        return misplaced(self.potential, batch, neighbors.edges, self._close)

    def _pairs(self, batch: AtomicBatch) -> NeighborList:
        """All pairs within the potential's cutoff, or those that could overlap."""
        reach = self.potential.card.cutoff if self.potential.needs_neighbors else None
        return find_neighbors(batch, max(reach or 0.0, OVERLAP_REACH))

    def _predict(
        self, batch: AtomicBatch, neighbors: VerletList | None
    ) -> tuple[Prediction, Int[Tensor, " n_systems"] | None]:
        prediction = self._in_parts(batch, neighbors)
        fault = meaningless(batch, prediction)
        if fault is not None and self._too_many_atoms is not None:
            alone = batch.atoms_per_system >= self._too_many_atoms
            fault[alone & (fault != Fault.NONE)] = Fault.OUT_OF_MEMORY
        return prediction, fault

    def _in_parts(self, batch: AtomicBatch, neighbors: VerletList | None) -> Prediction:
        """One call, or two halves where the memory does not last for one."""
        splits = batch.n_systems > 1
        if not splits or self.most_atoms is None or batch.n_atoms <= self.most_atoms:
            prediction = self._try(batch, neighbors)
            if prediction is not None:
                return prediction
            self._learn(batch)
        if not splits:
            return nothing_predicted(batch)
        first = torch.arange(batch.n_systems, device=batch.device)
        first = first < (batch.n_systems + 1) // 2
        parts = [
            self._in_parts(batch.select(half), neighbors and neighbors.select(half))
            for half in (first, ~first)
        ]
        return join(parts)

    def _try(
        self, batch: AtomicBatch, neighbors: VerletList | None
    ) -> Prediction | None:
        """The prediction; None where the device's memory did not last for it."""
        try:
            edges = neighbors and neighbors.current_edges(batch)
            return self.potential.predict(batch, edges)
        except (torch.OutOfMemoryError, MemoryError):
            pass
        except RuntimeError as error:
            # What torch says on the CPU, where it has no exception of its own.
            if "not enough memory" not in str(error):
                raise
        # Outside of the handlers, whose traceback holds on to the tensors.
        if batch.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _learn(self, batch: AtomicBatch) -> None:
        if batch.n_systems > 1:
            self.most_atoms = batch.n_atoms // 2
        elif self._too_many_atoms is None or batch.n_atoms < self._too_many_atoms:
            self._too_many_atoms = batch.n_atoms


def nothing_predicted(batch: AtomicBatch) -> Prediction:
    """NaN for all: what is said of structures that were not evaluated."""
    nan = float("nan")
    return Prediction(
        energy=torch.full_like(batch.cell[:, 0, 0], nan),
        atomic_energies=None,
        forces=torch.full_like(batch.positions, nan),
        stress=torch.full_like(batch.cell, nan),
    )


def _keep_where(
    old: AtomicBatch, positions: Tensor, cell: Tensor, fault: Tensor | None
) -> AtomicBatch:
    if fault is None:
        return old.with_geometry(positions=positions, cell=cell)
    good = fault == Fault.NONE
    return old.with_geometry(
        positions=torch.where(good[old.system_index, None], positions, old.positions),
        cell=torch.where(good[:, None, None], cell, old.cell),
    )
