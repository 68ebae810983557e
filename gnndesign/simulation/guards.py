"""Guards: what is looked at after every step, and what is said when it is wrong.

A system that goes wrong is stopped alone, with its last good frame; see `Fault`.
"""

from __future__ import annotations

import math
from enum import IntEnum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Potential, Prediction
from gnndesign.potentials.input_checks import (
    CLOSEST_FRACTION,
    OVERLAP_REACH,
    overlapping,
)

LONGEST_STEP = 1.0
"""Å an atom may move in one step; in 1 fs that is 1e5 m/s, hydrogen at 4 million K."""

LARGEST_FORCE = 1000.0
"""eV/Å; beyond it no pretrained potential was trained, nor can a step be trusted."""

LARGEST_STRAIN = 0.2
"""By which a lattice vector may change in one step."""

VOLUME_FACTOR = 3.0
"""By which the volume may grow or shrink in a run."""

NEVER_TOO_HOT = 2000.0
"""K, which a structure that starts far from its minimum may turn from potential energy,
whatever the wanted temperature."""


class Fault(IntEnum):
    """What a guard found wrong with a system."""

    NONE = 0
    NOT_FINITE = 1
    TOO_CLOSE = 2
    STEP_TOO_LONG = 3
    FORCE_TOO_LARGE = 4
    OUT_OF_REACH = 5
    CELL_STEP_TOO_LONG = 6
    TOO_HOT = 7
    VOLUME_RAN_AWAY = 8
    ENERGY_DRIFTED = 9
    OUT_OF_MEMORY = 10


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
    Fault.CELL_STEP_TOO_LONG: "The cell wanted to change by more than "
    f"{LARGEST_STRAIN:.0%} in one step. Relax the cell first, choose a smaller time "
    "step, or a slower barostat.",
    Fault.TOO_HOT: "The temperature ran away from the wanted one. Relax the structure "
    "first, choose a smaller time step, or a thermostat that couples more strongly.",
    Fault.VOLUME_RAN_AWAY: "The volume grew or shrank more than "
    f"{VOLUME_FACTOR:g} times. Relax the cell first, choose a lower temperature (it "
    "may have molten or evaporated), or a slower barostat.",
    Fault.ENERGY_DRIFTED: "The total energy, which should be constant, drifted beyond "
    "the bound. Choose a smaller time step, or relax the structure first.",
    Fault.OUT_OF_MEMORY: "The structure does not fit into this device's memory even "
    "alone. Choose a smaller cell, another device, or a potential that needs less.",
}


def moved_too_far(
    old: AtomicBatch,
    positions: Float[Tensor, "n_atoms 3"],
    cell: Float[Tensor, "n_systems 3 3"],
) -> Int[Tensor, " n_systems"] | None:
    """(n_systems,) whether the next geometry is too far from the last, or no number.

    None, as from the guards below: nothing is wrong with any.
    """
    moved = positions - old.positions
    same_cell = cell is old.cell or torch.equal(cell, old.cell)
    # The usual case, quickly: a NaN is not below the bound either.
    longest = torch.linalg.vector_norm(moved, torch.inf)
    if same_cell and float(longest) <= LONGEST_STEP / 3**0.5:
        return None
    fault = _nothing(old)
    moved, index = moved.square().sum(-1), old.system_index
    changed = (cell != old.cell).flatten(1).any(1)
    whole = torch.isfinite(moved) & torch.isfinite(cell).flatten(1).all(1)[index]
    too_long = old.max_over_atoms(torch.where(whole, moved, 0.0)) > LONGEST_STEP**2
    broken = old.max_over_atoms((~whole).to(moved.dtype)) > 0
    length = old.cell.norm(dim=-1)
    strained = (cell - old.cell).norm(dim=-1) > LARGEST_STRAIN * length
    # A changing cell carries distant atoms far without bringing any closer together.
    fault[too_long & ~changed] = Fault.STEP_TOO_LONG
    fault[strained.any(1)] = Fault.CELL_STEP_TOO_LONG
    fault[broken] = Fault.NOT_FINITE
    return fault


def misplaced(
    potential: Potential, batch: AtomicBatch, edges: NeighborList, close: NeighborList
) -> Int[Tensor, " n_systems"] | None:
    """(n_systems,) whether atoms are too close, or too far for the potential.

    Args:
        potential: which may need neighbors.
        batch: geometry.
        edges: all pairs within the potential's cutoff or `OVERLAP_REACH`.
        close: those of them that could overlap.
    """
    fault = None
    if potential.needs_neighbors:
        reach = potential.card.cutoff or OVERLAP_REACH
        distance = edges.vectors(batch).norm(dim=-1)
        lonely = torch.ones_like(batch.system_index, dtype=torch.bool)
        lonely[edges.centers[distance < reach]] = False
        if bool(lonely.any()):
            fault = _nothing(batch)
            fault[batch.system_index[lonely]] = Fault.OUT_OF_REACH
    if close.n_edges and bool((bad := overlapping(batch, close)).any()):
        fault = _nothing(batch) if fault is None else fault
        fault[batch.system_index[close.centers[bad]]] = Fault.TOO_CLOSE
    return fault


def meaningless(
    batch: AtomicBatch, prediction: Prediction
) -> Int[Tensor, " n_systems"] | None:
    """(n_systems,) whether a prediction is no number or beyond all bounds."""
    # The usual case, quickly: no component of a force too large, none a NaN.
    longest = float(torch.linalg.vector_norm(prediction.forces, torch.inf))
    total = float(prediction.energy.sum() + prediction.stress.sum())
    if longest <= LARGEST_FORCE / 3**0.5 and math.isfinite(total):
        return None
    fault = _nothing(batch)
    squares = prediction.forces.square().sum(-1)
    largest = batch.max_over_atoms(torch.nan_to_num(squares))
    fault[largest > LARGEST_FORCE**2] = Fault.FORCE_TOO_LARGE
    fault[~prediction.finite_systems(batch)] = Fault.NOT_FINITE
    return fault


def first_fault(
    one: Int[Tensor, " n_systems"] | None, other: Int[Tensor, " n_systems"] | None
) -> Int[Tensor, " n_systems"] | None:
    """(n_systems,) of two guards' faults the first, where both found one."""
    if one is None or other is None:
        return other if one is None else one
    return torch.where(one == Fault.NONE, other, one)


def _nothing(batch: AtomicBatch) -> Int[Tensor, " n_systems"]:
    return torch.zeros(batch.n_systems, dtype=torch.int64, device=batch.device)


def too_hot(
    temperature_K: Float[Tensor, " n_systems"],
    wanted_K: Float[Tensor, " n_systems"],
    degrees_of_freedom: Int[Tensor, " n_systems"],
) -> Int[Tensor, " n_systems"]:
    """(n_systems,) whether the temperature is beyond what fluctuates.

    It fluctuates by sqrt(2/n) of itself, n the degrees of freedom; let in are three
    times the wanted temperature, ten such widths more, and `NEVER_TOO_HOT`.
    """
    width = (2.0 / degrees_of_freedom.clamp(min=1)).sqrt()
    bound = (3.0 + 10.0 * width) * wanted_K + NEVER_TOO_HOT
    # A NaN is not below the bound either.
    return torch.where(temperature_K <= bound, int(Fault.NONE), int(Fault.TOO_HOT))


def volume_ran_away(
    batch: AtomicBatch, start_volume: Float[Tensor, " n_systems"]
) -> Int[Tensor, " n_systems"] | None:
    """(n_systems,) whether the volume left the `VOLUME_FACTOR` around its start."""
    ratio = batch.volume / start_volume
    beyond = (ratio > VOLUME_FACTOR) | (ratio < 1.0 / VOLUME_FACTOR)
    beyond &= batch.pbc.all(1)
    if not bool(beyond.any()):
        return None
    return torch.where(beyond, int(Fault.VOLUME_RAN_AWAY), int(Fault.NONE))
