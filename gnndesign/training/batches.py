"""Labelled structures on the device: neighbors found once, batches filled by edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import StructureError
from gnndesign.neighbors import NeighborList, find_neighbors
from gnndesign.potentials.base import EnergyModel
from gnndesign.potentials.input_checks import OVERLAP_REACH, refuse_overlap
from gnndesign.training.dataset import Dataset
from gnndesign.training.rotations import rotated


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What a potential should say of a batch; NaN where nobody knows.

    Attributes:
        energy: (n_systems,) eV.
        forces: (n_atoms, 3) eV/Å.
        stress: (n_systems, 3, 3) eV/Å³, ASE's sign.
    """

    energy: Float[Tensor, " n_systems"]
    forces: Float[Tensor, "n_atoms 3"]
    stress: Float[Tensor, "n_systems 3 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledBatch:
    """Structures, their neighbors and labels."""

    batch: AtomicBatch
    edges: NeighborList
    labels: Labels

    @classmethod
    def concatenate(cls, parts: Sequence[LabeledBatch]) -> LabeledBatch:
        """All structures of some batches, in the order given."""
        if len(parts) == 1:
            return parts[0]
        starts = np.cumsum([0, *(part.batch.n_atoms for part in parts[:-1])]).tolist()
        shifted = list(zip([part.edges for part in parts], starts, strict=True))
        return cls(
            batch=AtomicBatch.concatenate([part.batch for part in parts]),
            edges=NeighborList(
                centers=torch.cat([edges.centers + start for edges, start in shifted]),
                neighbors=torch.cat(
                    [edges.neighbors + start for edges, start in shifted]
                ),
                shifts=torch.cat([edges.shifts for edges, _ in shifted]),
                cutoff=parts[0].edges.cutoff,
            ),
            labels=Labels(
                energy=torch.cat([part.labels.energy for part in parts]),
                forces=torch.cat([part.labels.forces for part in parts]),
                stress=torch.cat([part.labels.stress for part in parts]),
            ),
        )

    def turned(self, rotations: Float[Tensor, "n_systems 3 3"]) -> LabeledBatch:
        """Each structure and its labels turned: v -> R v."""
        batch, labels = self.batch, self.labels
        rotations = rotations.to(batch.cell)
        of_atom = rotations[batch.system_index]
        return replace(
            self,
            batch=rotated(batch, rotations),
            labels=Labels(
                energy=labels.energy,
                forces=torch.einsum("nij,nj->ni", of_atom, labels.forces),
                stress=rotations @ labels.stress @ rotations.mT,
            ),
        )


class TrainingSet:
    """A data set on the device of a potential, with neighbors within its cutoff.

    Args:
        dataset: labelled structures.
        potential: knows the cutoff, the device and the elements.

    Raises:
        StructureError, UnsupportedElementError: a structure that the potential cannot
            take; its place in the data set is named.
    """

    def __init__(self, dataset: Dataset, potential: EnergyModel) -> None:
        self.dataset = dataset
        cutoff = potential.cutoff or OVERLAP_REACH
        self.parts: list[LabeledBatch] = []
        for index, atoms in enumerate(dataset.structures):
            try:
                batch = AtomicBatch.from_atoms(atoms, device=potential.device)
                potential.check_elements(batch)
                edges = find_neighbors(batch, cutoff)
                refuse_overlap(batch, edges)
            except StructureError as error:
                raise StructureError(
                    f"Structure {index} of the data set cannot be learned. {error}"
                ) from error
            self.parts.append(
                LabeledBatch(
                    batch=batch,
                    edges=edges,
                    labels=_labels(dataset, index, batch.device),
                )
            )
        self.n_edges = np.array([part.edges.n_edges for part in self.parts])

    def __len__(self) -> int:
        return len(self.parts)

    def batches_of(
        self, order: Sequence[int], edges_per_batch: float
    ) -> list[list[int]]:
        """Places of the structures of each batch, filled in this order."""
        found: list[list[int]] = [[]]
        filled = 0
        for place in order:
            size = max(int(self.n_edges[place]), 1)
            if found[-1] and filled + size > edges_per_batch:
                found.append([])
                filled = 0
            found[-1].append(place)
            filled += size
        return found

    def batch(self, places: Sequence[int]) -> LabeledBatch:
        """These structures in one batch."""
        return LabeledBatch.concatenate([self.parts[place] for place in places])

    def in_order(self, edges_per_batch: float) -> Iterator[LabeledBatch]:
        """All of them, in their order."""
        for places in self.batches_of(range(len(self)), edges_per_batch):
            yield self.batch(places)


def _labels(dataset: Dataset, index: int, device: torch.device) -> Labels:
    forces = dataset.forces[index]
    if forces is None:
        forces = np.full((len(dataset.structures[index]), 3), np.nan)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float64, device=device)

    return Labels(
        energy=tensor(dataset.energy[index : index + 1]),
        forces=tensor(forces),
        stress=tensor(dataset.stress[index : index + 1]),
    )
