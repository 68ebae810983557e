"""What a job will cost, before it starts: `estimate`.

It imports no torch where the potential is given by name; then it rests on what was
measured on this machine before (`gnndesign.simulation.cost`), or on typical figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import ase

from gnndesign.errors import ParameterError, StructureError
from gnndesign.simulation.cost import (
    DEFAULT_REACH,
    CostModel,
    Linear,
    cost_of,
    learn,
    recall,
)
from gnndesign.simulation.memory import memory_budget
from gnndesign.simulation.pair_count import count_pairs

if TYPE_CHECKING:
    from gnndesign.potentials.base import Potential

__all__ = [
    "CostModel",
    "Estimate",
    "cost_of",
    "estimate",
    "learn",
    "memory_budget",
    "recall",
]

TIME_FACTOR = 2.0
"""Time measured and time estimated differ by less, if nothing else runs."""

MEMORY_FACTOR = 1.5
"""Likewise memory."""

_Size = tuple[int, int]
"""Numbers of atoms and of directed pairs."""

_FRAME_BYTES = 700
"""Of a frame's energy, stress, cell, step and time."""

_ATOM_BYTES = {
    ("full", False): 72,
    ("full", True): 48,
    ("compact", False): 24,
    ("compact", True): 12,
}
"""By contents of the frames, and whether it is a relaxation, which has no momenta."""

_TYPICAL = {
    "sevennet-0": (5.0, Linear(fixed=1.5e-3, per_atom=0.0, per_pair=6e-6)),
    "sevennet-l3i5": (5.0, Linear(fixed=2.5e-3, per_atom=0.0, per_pair=1e-5)),
    "chgnet": (6.0, Linear(fixed=1e-2, per_atom=0.0, per_pair=5e-5)),
    "lennard-jones": (8.5, Linear(fixed=2e-3, per_atom=0.0, per_pair=2e-7)),
}
"""Cutoff in Å and s a step, as measured on a server processor with two cores."""

_TYPICAL_MEMORY = Linear(fixed=5e6, per_atom=5e4, per_pair=2e3)
"""Bytes, of the SevenNets' fused kernels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a job will cost.

    Where it is `measured`, and nothing else runs, time is right within a factor
    `TIME_FACTOR` and memory within `MEMORY_FACTOR`; else it is an order of magnitude.

    Attributes:
        n_structures: how many.
        n_atoms: of all structures together.
        n_edges: directed pairs within the cutoff, of all structures together.
        largest_structure_atoms: of the largest structure.
        n_batches: how many one after the other, as many structures in each as fit.
        systems_per_batch: structures of the batch with most.
        atoms_per_batch: of the batch with most.
        memory_bytes: of the largest batch, beside the loaded potential.
        budget_bytes: what there is for it.
        fits: whether every structure, if need be alone, keeps within the budget.
        seconds_per_step: for every structure to make one step; None if not known.
        seconds: for all steps; in a relaxation at most. None if not known.
        disk_bytes: of the trajectory; in a relaxation at most.
        measured: whether it rests on a measurement on this very device.
        text: all of this in a sentence.
    """

    n_structures: int
    n_atoms: int
    n_edges: int
    largest_structure_atoms: int
    n_batches: int
    systems_per_batch: int
    atoms_per_batch: int
    memory_bytes: int
    budget_bytes: int
    fits: bool
    seconds_per_step: float | None
    seconds: float | None
    disk_bytes: int
    measured: bool
    text: str


def estimate(
    structures: ase.Atoms | Sequence[ase.Atoms],
    potential: Potential | str | Path,
    steps: int,
    record_every: int = 1,
    *,
    device: str | None = None,
    is_relaxation: bool = False,
    contents: str = "full",
) -> Estimate:
    """What molecular dynamics or a relaxation will cost.

    Args:
        structures: one or more.
        potential: a loaded one, which is measured if it was not yet, in seconds; or
            its name or file, for which what was measured last is looked up.
        steps: number of steps; of a relaxation, which may converge before, at most.
        record_every: steps between frames of the trajectory.
        device: for a name: "cpu", "cuda", or None for the one used last.
        is_relaxation: whether it is one.
        contents: of the frames, "full" or "compact".

    Raises:
        StructureError: no structure, or one without finite geometry or volume.
        ParameterError: `steps`, `record_every` or `contents` is out of range.
    """
    several = [structures] if isinstance(structures, ase.Atoms) else list(structures)
    if not several:
        raise StructureError("Wanted at least one structure, got an empty list.")
    if steps < 0 or record_every < 1:
        raise ParameterError(
            f"Wanted steps >= 0 and record_every >= 1, got {steps} and {record_every}."
        )
    if (contents, is_relaxation) not in _ATOM_BYTES:
        raise ParameterError(f"Wanted contents 'full' or 'compact', got {contents!r}.")
    known = _known(potential, device)
    sizes = [(len(atoms), count_pairs(atoms, known.model.cutoff)) for atoms in several]
    n_frames = -(-steps // record_every) + 1
    frames_bytes = _ATOM_BYTES[contents, is_relaxation] * _total(sizes)[0]
    found = _of_sizes(sizes, known, steps)
    found = replace(
        found, disk_bytes=n_frames * (frames_bytes + _FRAME_BYTES * len(several))
    )
    said = _sentence(found, steps, is_relaxation=is_relaxation)
    return replace(found, text=said)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    model: CostModel
    budget: int
    measured: bool


def _known(potential: Potential | str | Path, device: str | None) -> _Known:
    if not isinstance(potential, str | Path):
        model = cost_of(potential)
        budget = memory_budget(potential.device)
        return _Known(model=model, budget=budget, measured=model.time is not None)
    model = recall(potential, device)
    measured = model is not None and model.time is not None
    model = model or _typical(str(potential), device or "auto")
    # To ask a GPU would take half a gigabyte of its memory.
    budget = model.budget if model.device == "cuda" else memory_budget()
    return _Known(model=model, budget=budget, measured=measured)


def _typical(name: str, device: str) -> CostModel:
    cutoff, time = _TYPICAL.get(name, (DEFAULT_REACH, None))
    is_cuda = device.startswith("cuda")
    return CostModel(
        potential=name,
        checksum="",
        cutoff=cutoff,
        device="cuda" if is_cuda else "cpu",
        hardware="",
        form="",
        host="",
        library="",
        time=None if is_cuda else time,
        memory=_TYPICAL_MEMORY,
        budget=memory_budget(),
        is_memory_measured=False,
    )


def _of_sizes(sizes: Sequence[_Size], known: _Known, steps: int) -> Estimate:
    """All but the disk and the sentence."""
    model = known.model
    batches = _batches(sizes, model, known.budget)
    totals = [_total(batch) for batch in batches]
    seconds = [model.seconds(*total) for total in totals]
    per_step = None if None in seconds else sum(s for s in seconds if s is not None)
    memory = max(model.bytes(*total) for total in totals)
    n_atoms, n_edges = _total(sizes)
    return Estimate(
        n_structures=len(sizes),
        n_atoms=n_atoms,
        n_edges=n_edges,
        largest_structure_atoms=max(n for n, _ in sizes),
        n_batches=len(batches),
        systems_per_batch=max(map(len, batches)),
        atoms_per_batch=max(n for n, _ in totals),
        memory_bytes=memory,
        budget_bytes=known.budget,
        fits=memory <= known.budget,
        seconds_per_step=per_step,
        seconds=None if per_step is None else steps * per_step,
        disk_bytes=0,
        measured=known.measured,
        text="",
    )


def _batches(
    sizes: Sequence[_Size], model: CostModel, budget: int
) -> list[list[_Size]]:
    """In the order given, as many in each as fit; one that is too large goes alone."""
    batches: list[list[_Size]] = []
    n_atoms = n_pairs = 0
    for each in sizes:
        n_atoms, n_pairs = n_atoms + each[0], n_pairs + each[1]
        if not batches or model.bytes(n_atoms, n_pairs) > budget:
            batches.append([])
            n_atoms, n_pairs = each
        batches[-1].append(each)
    return batches


def _total(sizes: Sequence[_Size]) -> _Size:
    return sum(n for n, _ in sizes), sum(n for _, n in sizes)


def _sentence(found: Estimate, steps: int, *, is_relaxation: bool) -> str:
    if found.n_structures == 1:
        parts = [f"{found.n_atoms:,} atoms"]
    else:
        parts = [f"{found.n_structures:,} structures with {found.n_atoms:,} atoms"]
    if found.n_batches > 1:
        parts.append(
            f"{found.n_batches:,} batches of at most {found.atoms_per_batch:,} atoms"
        )
    if found.seconds is None or found.seconds_per_step is None:
        parts.append("a time that is known once the potential has run on this device")
    else:
        most = "at most " if is_relaxation else "about "
        parts.append(f"{duration(found.seconds_per_step)} a step")
        parts.append(f"{most}{duration(found.seconds)} for {steps:,} steps")
    parts.append(f"{size(found.memory_bytes)} of memory")
    parts.append(f"{size(found.disk_bytes)} on disk")
    said = ", ".join(parts)
    if not found.measured:
        said += "; typical figures, not measured on this device yet"
    if not found.fits:
        said += f"; too much for the memory, of which {size(found.budget_bytes)} may be taken"
    return f"{said[0].upper()}{said[1:]}."


def duration(seconds: float) -> str:
    """For people, with two digits: "8.3 ms", "1.5 min", "3.2 days"."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= length:
            return f"{_two_digits(seconds / length)} {unit}"
    return f"{_two_digits(1000.0 * seconds)} ms"


def size(n_bytes: float) -> str:
    """For people, with two digits: "47 MB"."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= length:
            return f"{_two_digits(n_bytes / length)} {unit}"
    return f"{_two_digits(n_bytes / 1e3)} kB"


def _two_digits(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"
