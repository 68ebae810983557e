"""Steps of a few crystals, timed: the measurement behind `gnndesign.simulation.cost`."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import ase
import numpy as np
import torch
from ase.build import bulk
from ase.data import covalent_radii
from jaxtyping import Float
from scipy.optimize import nnls

from gnndesign.potentials.base import Potential
from gnndesign.potentials.equivariant import EquivariantPotential
from gnndesign.simulation.cost import DEFAULT_REACH, CostModel, Linear
from gnndesign.simulation.memory import MemoryMeter, memory_budget
from gnndesign.simulation.nve import NVE
from gnndesign.simulation.pair_count import count_pairs
from gnndesign.simulation.room import Room
from gnndesign.simulation.run import run

_REPEATS = (1, 2, 3, 4, 6, 8, 14, 20)
"""Cubic cells of four atoms along each edge of the crystals: 4 to 32,000 atoms."""

_ENOUGH_REPEATS = 4
"""Of a crystal that takes as much memory as can be told from the rest of a process."""

_PATIENCE_S, _LONGEST_S = 2.0, 10.0
"""A crystal is left out where its steps would end later than this after the start:
the first for crystals beyond `_ENOUGH_REPEATS`, the second for all but the smallest."""

_DENSE, _SPARSE = 1.15, 1.6
"""Nearest distances, in sums of covalent radii; they differ by 2.7 in density."""

_FEWEST_STEPS, _MOST_STEPS = 4, 20
"""Timed of each crystal, until `_ENOUGH_S` have passed."""

_ENOUGH_S = 0.1

_FAMILIAR = (14, 8, 29, 6, 18, 1)
"""Elements taken where the potential knows them."""

_NOISE = 4 * 2**20
"""Bytes by which memory on the host cannot be told from the rest of the process."""

_LEAST_PEAK = 4 * _NOISE
"""Bytes; what stays below says nothing, or is memory taken earlier and used again."""

_CAUTIOUS = {
    "fused": Linear(fixed=1e7, per_atom=1e5, per_pair=4e3),
    "plain": Linear(fixed=1e7, per_atom=1e5, per_pair=1.5e5),
}
"""Bytes where they cannot be measured, somewhat more than the SevenNets take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    n_atoms: int
    n_pairs: int
    seconds: float
    peak: int | None


def identity(potential: Potential) -> dict[str, Any]:
    """What a measurement belongs to, as fields of a `CostModel`."""
    device = potential.device
    form = "plain"
    if isinstance(potential, EquivariantPotential):
        potential.prepare()
        form = potential.describe_kernel().split()[0].rstrip(",")
    return {
        "potential": potential.card.name,
        "checksum": potential.card.checksum,
        "device": device.type,
        "hardware": _hardware(device),
        "form": f"{form} {str(potential.dtype).removeprefix('torch.')}",
        "host": platform.node(),
        "library": version("gnndesign"),
    }


def measure(potential: Potential, identity: dict[str, Any]) -> CostModel:
    """Time a few steps of growing crystals."""
    budget = memory_budget(potential.device)
    cutoff = potential.cutoff or potential.card.cutoff or DEFAULT_REACH
    samples = _samples(_fresh(potential), cutoff)
    memory = _fit_memory(samples)
    return CostModel(
        **identity,
        cutoff=cutoff,
        time=_fit(samples, [sample.seconds for sample in samples], 0.0),
        memory=memory or _CAUTIOUS[identity["form"].split()[0]],
        budget=budget,
        is_memory_measured=memory is not None,
    )


def _fresh(potential: Potential) -> Potential:
    """One without the memory that evaluations of larger systems have left it."""
    if potential.device.type != "cpu" or not isinstance(
        potential, EquivariantPotential
    ):
        return potential
    fresh = EquivariantPotential(
        potential.network, potential.parameters, potential.card, potential.device
    )
    fresh.kernel = potential.kernel
    fresh.prepare()
    return fresh


def _samples(potential: Potential, cutoff: float) -> list[_Sample]:
    """Growing crystals, as long as there is time.

    The sparse one of each size comes first: memory that the dense one has taken may
    stay resident, and would be counted again.
    """
    start = perf_counter()
    # The first evaluation of all imports and prepares what stays.
    for _ in run(
        NVE(), potential, _crystal(potential, 1, _DENSE), max_steps=0, room=Room()
    ):
        pass
    samples: list[_Sample] = []
    meter = MemoryMeter(potential.device)
    for before, repeats in pairwise((0, *_REPEATS)):
        if samples:
            growth = (repeats / before) ** 3
            needed = 2 * _FEWEST_STEPS * growth * samples[-1].seconds
            patience = _LONGEST_S if repeats <= _ENOUGH_REPEATS else _PATIENCE_S
            if perf_counter() - start + needed > patience:
                break
        for spacing in (_SPARSE, _DENSE):
            atoms = _crystal(potential, repeats, spacing)
            samples += _sample(potential, atoms, cutoff, meter)
    return samples


def _sample(
    potential: Potential, atoms: ase.Atoms, cutoff: float, meter: MemoryMeter
) -> list[_Sample]:
    """Whole steps, with all that is beside the potential; none if a guard stopped it."""
    meter.start()
    going = run(
        NVE(timestep_fs=0.1, temperature_K=10.0),
        potential,
        atoms,
        max_steps=_MOST_STEPS,
        every=_MOST_STEPS,
        room=Room(),
    )
    moments: list[float] = []

    def note() -> None:
        moments.append(perf_counter())
        if len(moments) > _FEWEST_STEPS and moments[-1] - moments[0] > _ENOUGH_S:
            going.stop()

    going.before_step = note
    for _ in going:
        pass
    # The first steps may prepare what later ones use again.
    seconds = [after - before for before, after in pairwise(moments)][1:]
    if not seconds:
        return []
    return [
        _Sample(
            n_atoms=len(atoms),
            n_pairs=count_pairs(atoms, cutoff),
            seconds=min(seconds),
            peak=meter.peak(),
        )
    ]


def _crystal(potential: Potential, repeats: int, spacing: float) -> ase.Atoms:
    """Face-centered cubic, of up to two elements the potential knows."""
    known = potential.card.elements
    elements = [z for z in _FAMILIAR if z in known][:2] or list(known[:1])
    nearest = spacing * 2.0 * max(covalent_radii[z] for z in elements)
    atoms = bulk("Cu", "fcc", a=2**0.5 * nearest, cubic=True) * ((repeats,) * 3)
    atoms.numbers = np.resize(elements, len(atoms))
    atoms.rattle(0.02, seed=0)
    return atoms


def _fit_memory(samples: Sequence[_Sample]) -> Linear | None:
    peaks = [sample.peak for sample in samples if sample.peak is not None]
    if len(peaks) < len(samples) or max(peaks, default=0) < _LEAST_PEAK:
        return None
    return _fit(samples, peaks, _NOISE)


def _fit(
    samples: Sequence[_Sample], values: Sequence[float], noise: float
) -> Linear | None:
    """No coefficient below zero, every sample with the same relative weight."""
    if not samples:
        return None
    rows = np.array([[1.0, sample.n_atoms, sample.n_pairs] for sample in samples])
    weight = 1.0 / np.maximum(np.array(values, dtype=float), max(noise, 1e-9))
    fixed, per_atom, per_pair = _nonnegative(rows * weight[:, None], values * weight)
    return Linear(fixed=fixed, per_atom=per_atom, per_pair=per_pair)


def _nonnegative(
    matrix: Float[np.ndarray, "n_samples 3"], values: Float[np.ndarray, " n_samples"]
) -> list[float]:
    # Columns of one size, because the solver compares them with fixed bounds.
    scale = np.linalg.norm(matrix, axis=0)
    found, _ = nnls(matrix / scale, values)
    return (found / scale).tolist()


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        text = ""
    for line in text.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
