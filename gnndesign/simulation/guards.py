"""Evaluation with guards: a system that goes wrong is named, and the others go on."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import StructureError
from gnndesign.neighbors import VerletList, find_neighbors
from gnndesign.potentials.base import Potential, Prediction
from gnndesign.potentials.input_checks import (
    CLOSEST_FRACTION,
    OVERLAP_REACH,
    overlapping,
    refuse_overlap,
)
from gnndesign.simulation.base import System

SKIN = 0.5
"""Å beyond the cutoff in which neighbors are remembered."""

LONGEST_STEP = 1.0
"""Å an atom may move in one step; in 1 fs that is 1e5 m/s, hydrogen at 4 million K."""

LARGEST_FORCE = 1000.0
"""eV/Å; beyond it no pretrained potential was trained, nor can a step be trusted."""


class Fault(IntEnum):
    """What a guard found wrong with a system."""

    NONE = 0
    NOT_FINITE = 1
    TOO_CLOSE = 2
    STEP_TOO_LONG = 3
    FORCE_TOO_LARGE = 4
    OUT_OF_REACH = 5


ADVICE: dict[int, str] = {
    Fault.NOT_FINITE: "The energy, a force or the stress was not finite. Start from a "
    "relaxed structure, or choose a smaller time step.",
    Fault.TOO_CLOSE: f"Two atoms came closer than {CLOSEST_FRACTION:g} of the sum of "
    "their covalent radii. Relax the structure first, or choose a smaller time step.",
    Fault.STEP_TOO_LONG: f"An atom wanted to move more than {LONGEST_STEP:g} Å in one "
    "step. Choose a smaller time step, or relax the structure first.",
    Fault.FORCE_TOO_LARGE: f"A force exceeded {LARGEST_FORCE:g} eV/Å. Relax the "
    "structure first, or choose a smaller time step.",
    Fault.OUT_OF_REACH: "An atom left the reach of all others, where this potential is "
    "not defined. Choose one that is (a SevenNet), or a lower temperature.",
}


def first_evaluation(
    potential: Potential, batch: AtomicBatch, fixed: Bool[Tensor, " n_atoms"]
) -> System:
    """Evaluate a start geometry, or refuse it.

    Raises:
        UnsupportedElementError: the potential does not know an element.
        StructureError: atoms on top of each other, or a prediction without meaning.
    """
    potential.check_elements(batch)
    refuse_overlap(batch, find_neighbors(batch, OVERLAP_REACH))
    neighbors = (
        None
        if potential.cutoff is None
        else VerletList.build(batch, potential.cutoff, SKIN)
    )
    ids = torch.arange(batch.n_systems, device=batch.device)
    prediction, fault = _predict(potential, batch, neighbors, fixed)
    if fault.any():
        index = int(fault.nonzero()[0, 0])
        raise StructureError(f"Structure {index}: {ADVICE[int(fault[index])]}")
    return System(
        ids=ids, batch=batch, prediction=prediction, neighbors=neighbors, fault=fault
    )


def evaluate(
    potential: Potential,
    before: System,
    *,
    positions: Float[Tensor, "n_atoms 3"],
    cell: Float[Tensor, "n_systems 3 3"],
    fixed: Bool[Tensor, " n_atoms"],
) -> System:
    """Evaluate the next geometry of a batch.

    A system whose next geometry is not fit to be given to a potential keeps its last
    one and is marked with a `Fault`; so is one whose prediction has no meaning.
    """
    old = before.batch
    moved = (positions - old.positions).norm(dim=-1)
    whole = torch.isfinite(moved) & torch.isfinite(cell[old.system_index]).all(-1).all(
        -1
    )
    fault = torch.zeros_like(before.fault)
    too_long = old.max_over_atoms(torch.where(whole, moved, 0.0)) > LONGEST_STEP
    broken = old.max_over_atoms((~whole).to(moved.dtype)) > 0
    # A changing cell carries distant atoms far without bringing any closer together.
    rigid = (cell == old.cell).all(-1).all(-1)
    fault[too_long & rigid] = Fault.STEP_TOO_LONG
    fault[broken] = Fault.NOT_FINITE
    batch = _keep_where(old, positions, cell, fault)
    neighbors = before.neighbors and before.neighbors.update(batch)
    wrong = _misplaced(potential, batch, neighbors)
    if wrong.any():
        fault = torch.where(fault == Fault.NONE, wrong, fault)
        batch = _keep_where(old, positions, cell, fault)
        neighbors = neighbors and neighbors.update(batch)
    prediction, wrong = _predict(potential, batch, neighbors, fixed)
    return System(
        ids=before.ids,
        batch=batch,
        prediction=prediction,
        neighbors=neighbors,
        fault=torch.where(fault == Fault.NONE, wrong, fault),
    )


def _keep_where(
    old: AtomicBatch, positions: Tensor, cell: Tensor, fault: Tensor
) -> AtomicBatch:
    good = fault == Fault.NONE
    if bool(good.all()):
        return old.with_geometry(positions=positions, cell=cell)
    return old.with_geometry(
        positions=torch.where(good[old.system_index, None], positions, old.positions),
        cell=torch.where(good[:, None, None], cell, old.cell),
    )


def _predict(
    potential: Potential,
    batch: AtomicBatch,
    neighbors: VerletList | None,
    fixed: Bool[Tensor, " n_atoms"],
) -> tuple[Prediction, Int[Tensor, " n_systems"]]:
    edges = neighbors and neighbors.current_edges(batch)
    prediction = potential.predict(batch, edges)
    forces = prediction.forces.masked_fill(fixed[:, None], 0.0)
    largest = batch.max_over_atoms(torch.nan_to_num(prediction.forces.norm(dim=-1)))
    fault = torch.zeros(batch.n_systems, dtype=torch.int64, device=batch.device)
    fault[largest > LARGEST_FORCE] = Fault.FORCE_TOO_LARGE
    fault[~prediction.finite_systems(batch)] = Fault.NOT_FINITE
    return replace(prediction, forces=forces), fault


def _misplaced(
    potential: Potential, batch: AtomicBatch, neighbors: VerletList | None
) -> Int[Tensor, " n_systems"]:
    """(n_systems,) whether atoms are too close, or too far for the potential."""
    fault = torch.zeros(batch.n_systems, dtype=torch.int64, device=batch.device)
    reach = potential.card.cutoff or OVERLAP_REACH
    edges = find_neighbors(batch, reach) if neighbors is None else neighbors.edges
    if potential.needs_neighbors:
        distance = edges.vectors(batch).norm(dim=-1)
        lonely = torch.ones_like(batch.system_index, dtype=torch.bool)
        lonely[edges.centers[distance < reach]] = False
        fault[batch.system_index[lonely]] = Fault.OUT_OF_REACH
    bad = overlapping(batch, edges)
    fault[batch.system_index[edges.centers[bad]]] = Fault.TOO_CLOSE
    return fault
