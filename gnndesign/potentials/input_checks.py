"""What may be given to a potential: atoms that are apart from each other.

A network answers nonsense with a number: for two silicon atoms 0.1 Å apart one of the
pretrained ones says -76 MeV, another -4.7 eV. `AtomicBatch.from_atoms` refuses
geometries that are not finite or have no volume, `Card.check_elements` unknown
elements, `refuse_overlap` atoms on top of each other.
"""

from __future__ import annotations

from functools import cache

import torch
from ase.data import chemical_symbols, covalent_radii
from jaxtyping import Bool, Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.errors import StructureError
from gnndesign.neighbors import NeighborList, VerletList

CLOSEST_FRACTION = 0.5
"""Atoms nearer than this fraction of the sum of their covalent radii are refused.

The bond of H2 is at 1.19 of it, diamond's at 1.01. The shortest known are that of Cr2
(1.68 Å) at 0.60 and those of sodium at 320 GPa (1.88 Å) at 0.56."""

OVERLAP_REACH = 2.0 * CLOSEST_FRACTION * float(covalent_radii.max())
"""Å, within which any two elements could overlap."""


def overlapping(batch: AtomicBatch, edges: NeighborList) -> Bool[Tensor, " n_edges"]:
    """(n_edges,) which pairs are nearer than `CLOSEST_FRACTION` allows."""
    return _overlapping(batch, edges, 0.0)


def could_overlap(neighbors: VerletList) -> NeighborList:
    """The pairs that may overlap before the list is searched anew; seldom any."""
    near = _overlapping(neighbors.reference, neighbors.edges, neighbors.skin)
    return neighbors.edges.keep(near, 0.0)


def _overlapping(
    batch: AtomicBatch, edges: NeighborList, margin: float
) -> Bool[Tensor, " n_edges"]:
    """(n_edges,) which pairs overlap, or would `margin` Å nearer."""
    if not edges.n_edges:
        return torch.zeros_like(edges.centers, dtype=torch.bool)
    share = _shares(batch.device).index_select(0, batch.atomic_numbers)
    least = margin + share.index_select(0, edges.centers)
    least = least + share.index_select(0, edges.neighbors)
    return edges.squared_distances(batch) < least * least


def refuse_overlap(batch: AtomicBatch, edges: NeighborList) -> None:
    """Refuse atoms on top of each other or of periodic images.

    Args:
        batch: geometry.
        edges: pairs; those that it lacks are not looked at.

    Raises:
        StructureError: names the structure and the nearest two of its atoms.
    """
    bad = overlapping(batch, edges)
    if bad.any():
        system = int(batch.system_index[edges.centers[bad]].min())
        raise StructureError(
            f"Structure {system}: {describe_overlap(batch, edges, system)}"
        )


def describe_overlap(batch: AtomicBatch, edges: NeighborList, system: int) -> str:
    """Which two atoms of a structure are nearest to each other, and what to do."""
    distance = edges.vectors(batch).norm(dim=-1)
    elsewhere = batch.system_index[edges.centers] != system
    bad = overlapping(batch, edges) & ~elsewhere
    worst = int(distance.masked_fill(~bad, torch.inf).argmin())
    i, j = int(edges.centers[worst]), int(edges.neighbors[worst])
    start = int(batch.atoms_per_system[:system].sum())
    first, second = (chemical_symbols[int(batch.atomic_numbers[k])] for k in (i, j))
    radii = covalent_radii[batch.atomic_numbers[[i, j]].cpu().numpy()]
    shifted = bool(edges.shifts[worst].any())
    image = "a periodic image of " if shifted else ""
    remedy = "Delete one of them or move it away"
    if shifted:
        remedy = "Delete one of them, choose a larger cell or switch off pbc"
    return (
        f"atom {i - start} ({first}) and {image}atom {j - start} "
        f"({second}) are {float(distance[worst]):.3f} Å apart; wanted at least "
        f"{CLOSEST_FRACTION * radii.sum():.2f} Å, {CLOSEST_FRACTION:g} of the sum of "
        f"their covalent radii. {remedy}."
    )


@cache
def _shares(device: torch.device) -> Float[Tensor, " n_elements"]:
    """(119,) Å, what an element adds to the least distance from a neighbor."""
    return torch.as_tensor(CLOSEST_FRACTION * covalent_radii, device=device)
