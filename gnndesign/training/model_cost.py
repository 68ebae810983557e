"""What a potential costs an atom: data moved, and time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.training.batches import LabeledBatch, TrainingSet

_REPEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """Cost of energy, forces and stress of one structure, an atom.

    The time is what a user feels, but no good measure to choose by: on a shared machine
    the best of five runs of one network differed by up to a factor of 2.7 from try to
    try. The data moved are the same at every try, and follow the time since these
    networks wait for memory more than they compute: over 13 shapes of five
    architectures their rank correlation with the time was 0.90, that of the number of
    floating-point operations of matrix products 0.71.

    Attributes:
        traffic_kB: kB (1000 bytes) an atom that all tensor operations read and write
            together, of the network in torch, forces and stress included.
        time_us: microseconds an atom, best of three, on the device at hand.
    """

    traffic_kB: float
    time_us: float


def measure_cost(
    potential: TrainablePotential[Any], structures: TrainingSet
) -> ModelCost:
    """The cost of the structure whose number of neighbors an atom is typical.

    Args:
        potential: which network; a fused form of it is not looked at.
        structures: to choose from.
    """
    part = typical(structures)

    def evaluate() -> None:
        potential.labels(part.batch, part.edges, with_strain=True, create_graph=False)
        if part.batch.device.type == "cuda":
            torch.cuda.synchronize(part.batch.device)

    with _Traffic() as traffic:
        evaluate()
    seconds: list[float] = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        evaluate()
        seconds.append(time.perf_counter() - begin)
    n_atoms = part.batch.n_atoms
    return ModelCost(
        traffic_kB=traffic.n_bytes / 1e3 / n_atoms, time_us=1e6 * min(seconds) / n_atoms
    )


def typical(structures: TrainingSet) -> LabeledBatch:
    """The structure in the middle when they are sorted by neighbors an atom."""
    sizes = np.array([part.batch.n_atoms for part in structures.parts])
    order = np.argsort(structures.n_edges / sizes, kind="stable")
    return structures.parts[int(order[len(order) // 2])]


class _Traffic(TorchDispatchMode):
    """Counts the bytes of what operations take and give; views move nothing."""

    n_bytes: int = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        del types
        given = kwargs or {}
        found = func(*args, **given)
        if not func.is_view:
            self.n_bytes += sum(
                leaf.numel() * leaf.element_size()
                for leaf in tree_leaves((args, given, found))
                if isinstance(leaf, torch.Tensor)
            )
        return found
