"""Which atoms are near which: `NeighborList`, and `VerletList` that rarely rebuilds it.

On the CPU the arithmetic is numpy's, whose calls cost a third of torch's and wait for
no other thread: at 64 atoms a step's bookkeeping takes less than 0.1 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.deformation import deformation_between
from gnndesign.errors import ParameterError
from gnndesign.neighbor_search import search_on_device, search_on_host
from gnndesign.pair_order import in_order

_EDGES_AT_ONCE = 1 << 13
"""Their vectors stay in the processor's cache, and their memory is used again."""

_SOON_DUE = 2 / 3
"""A list of a batch that must be searched anew is so for every structure that has used
up this fraction of its skin: then few steps have a search, and those at rest none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborList:
    """Directed pairs of atoms of the same structure; each pair appears both ways.

    Attributes:
        centers: (n_edges,) index i of the atom that receives, ascending.
        neighbors: (n_edges,) index j of the atom that sends, ascending for a center.
        shifts: (n_edges, 3) whole lattice vectors between j and its image.
        cutoff: Å; no pair closer than this is missing.
    """

    centers: Int[Tensor, " n_edges"]
    neighbors: Int[Tensor, " n_edges"]
    shifts: Int[Tensor, "n_edges 3"]
    cutoff: float

    @property
    def n_edges(self) -> int:
        """Number of directed pairs."""
        return self.centers.shape[0]

    def vectors(self, batch: AtomicBatch) -> Float[Tensor, "n_edges 3"]:
        """(n_edges, 3) Å, r_j + shift @ cell - r_i; differentiable in `batch`."""
        shifts = self.shifts.to(batch.cell.dtype)
        # The quicker way sums a derivative by the cell in another order; whatever the
        # batch, that is to be the same to the last bit.
        if batch.n_systems == 1 and not batch.cell.requires_grad:
            offsets = shifts @ batch.cell[0]
        else:
            owner = batch.system_index.index_select(0, self.centers)
            cell = batch.cell.index_select(0, owner)
            offsets = torch.einsum("ni,nij->nj", shifts, cell)
        # Faster than indexing with square brackets.
        there = batch.positions.index_select(0, self.neighbors)
        return there + offsets - batch.positions.index_select(0, self.centers)

    def squared_distances(self, batch: AtomicBatch) -> Float[Tensor, " n_edges"]:
        """(n_edges,) Å², squared lengths of `vectors`; not differentiable."""
        if batch.device.type != "cpu":
            vectors = self.vectors(batch.detach())
            return (vectors * vectors).sum(-1)
        # The pairs along the last axis, and `take` for square brackets: 4 times faster.
        centers, neighbors = self.centers.numpy(), self.neighbors.numpy()
        shifts, index = self.shifts.numpy().T, batch.system_index.numpy()
        positions = np.ascontiguousarray(batch.positions.detach().numpy().T)
        cell = np.ascontiguousarray(batch.cell.detach().numpy().transpose(1, 2, 0))
        squared = np.empty(self.n_edges, positions.dtype)
        for start in range(0, self.n_edges, _EDGES_AT_ONCE):
            part = slice(start, start + _EDGES_AT_ONCE)
            i, shift = centers[part], shifts[:, part].astype(cell.dtype)
            if batch.n_systems == 1:
                vectors = cell[:, :, 0].T @ shift
            else:
                cells = cell.take(index.take(i), 2)
                vectors = np.einsum("in,ijn->jn", shift, cells)
            vectors += positions.take(neighbors[part], 1)
            vectors -= positions.take(i, 1)
            vectors *= vectors
            np.sum(vectors, 0, out=squared[part])
        return torch.from_numpy(squared)

    def within(self, batch: AtomicBatch, cutoff: float) -> NeighborList:
        """Only the pairs that are closer than `cutoff` (Å) in `batch`."""
        near = self.squared_distances(batch) < cutoff * cutoff
        return self.keep(near, cutoff)

    def keep(self, pairs: Bool[Tensor, " n_edges"], cutoff: float) -> NeighborList:
        """Only the pairs for which the mask is true: all those within `cutoff` (Å)."""
        parts = (self.centers, self.neighbors, self.shifts)
        if pairs.device.type == "cpu":
            rows = pairs.numpy().nonzero()[0]
            found = [torch.from_numpy(part.numpy().take(rows, 0)) for part in parts]
        else:
            kept = pairs.nonzero()[:, 0]
            found = [part.index_select(0, kept) for part in parts]
        centers, neighbors, shifts = found
        return NeighborList(
            centers=centers, neighbors=neighbors, shifts=shifts, cutoff=cutoff
        )


def find_neighbors(batch: AtomicBatch, cutoff: float) -> NeighborList:
    """Every pair within `cutoff` (Å), through any number of periodic images.

    On a CUDA device the search runs there, for all structures at once; else on the
    host, one structure after the other. The pairs come in one order (`pair_order.py`).
    """
    batch = batch.detach()
    geometry = (batch.positions, batch.cell, batch.pbc, batch.system_index)
    if batch.device.type != "cpu":
        found = search_on_device(*geometry, cutoff)
    else:
        r, cell, pbc, index = (part.numpy() for part in geometry)
        arrays = search_on_host(r.astype(float), cell.astype(float), pbc, index, cutoff)
        centers, neighbors, shifts = map(torch.from_numpy, arrays)
        found = centers, neighbors, shifts
    centers, neighbors, shifts = in_order(*found)
    return NeighborList(
        centers=centers, neighbors=neighbors, shifts=shifts, cutoff=cutoff
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VerletList:
    """A neighbor list with a skin, searched anew only where a pair could be missing.

    A pair of a structure that is absent from the list was at least cutoff + skin apart
    in the reference geometry. With the cell deformed by F and the atoms displaced by at
    most u beyond that deformation, it is now at least σ_min(F) (cutoff + skin) - 2 u
    apart (σ_min: smallest singular value, counted as 1 at most). Where that falls below
    the cutoff the structure is searched anew; in a cell at rest, when an atom has moved
    half the skin. So of the pairs that were at least r + skin apart, for any r below
    the cutoff, none is nearer than r.

    Whatever was searched when and in whose company, the pairs are those that one search
    finds in `reference`, in the same order.

    Attributes:
        edges: all pairs within cutoff + skin of the reference geometry.
        reference: the geometry for which `edges` was found.
        cutoff: Å.
        skin: Å.
    """

    edges: NeighborList
    reference: AtomicBatch
    cutoff: float
    skin: float

    @classmethod
    def build(cls, batch: AtomicBatch, cutoff: float, skin: float) -> VerletList:
        """Find the pairs of `batch` within cutoff + skin (Å)."""
        return cls(
            edges=find_neighbors(batch, cutoff + skin),
            reference=batch,
            cutoff=cutoff,
            skin=skin,
        )

    @classmethod
    def concatenate(cls, lists: Sequence[VerletList]) -> VerletList:
        """One list for the structures of several, in their order, without a search.

        Args:
            lists: one or more, of the same cutoff and skin, on the same device.
        """
        first = lists[0]
        if any((x.cutoff, x.skin) != (first.cutoff, first.skin) for x in lists):
            raise ParameterError(
                "Wanted neighbor lists of one cutoff and skin, got "
                f"{sorted({(x.cutoff, x.skin) for x in lists})} Å. Build them alike."
            )
        starts = np.cumsum([0, *(x.reference.n_atoms for x in lists)]).tolist()
        shifted = list(zip(lists, starts, strict=False))
        edges = NeighborList(
            centers=torch.cat([x.edges.centers + start for x, start in shifted]),
            neighbors=torch.cat([x.edges.neighbors + start for x, start in shifted]),
            shifts=torch.cat([x.edges.shifts for x in lists]),
            cutoff=first.edges.cutoff,
        )
        reference = AtomicBatch.concatenate([x.reference for x in lists])
        return replace(first, edges=edges, reference=reference)

    def update(self, batch: AtomicBatch) -> VerletList:
        """Itself, or a new list if a pair within the cutoff could be missing."""
        slack = self.slack(batch)
        if not (slack < 0).any():
            return self
        batch = batch.detach()
        due = slack < (1.0 - _SOON_DUE) * self.skin
        # On a GPU a search takes as long for a few structures as for many.
        if batch.device.type != "cpu" or due.all():
            return VerletList.build(batch, self.cutoff, self.skin)
        return self._renewed(batch, torch.from_numpy(due))

    def current_edges(self, batch: AtomicBatch) -> NeighborList:
        """The pairs within the cutoff in `batch`."""
        return self.edges.within(batch, self.cutoff)

    def select(self, systems: Bool[Tensor, " n_systems"]) -> VerletList:
        """Keep the structures for which `systems` is true, without a new search."""
        index = self.reference.system_index
        atoms = systems[index]
        kept = atoms[self.edges.centers]
        new_index = torch.cumsum(atoms.long(), 0) - 1
        edges = replace(
            self.edges,
            centers=new_index[self.edges.centers[kept]],
            neighbors=new_index[self.edges.neighbors[kept]],
            shifts=self.edges.shifts[kept],
        )
        return replace(self, edges=edges, reference=self.reference.select(systems))

    def slack(self, batch: AtomicBatch) -> Float[np.ndarray, " n_systems"]:
        """(n_systems,) Å by which absent pairs are certainly beyond the cutoff.

        The skin in the reference geometry. It falls as atoms move; below zero a pair
        could be missing.
        """
        # Small matrices, for which the host is faster than a GPU.
        before = self.reference.cell.cpu().numpy()
        after = batch.cell.detach().cpu().numpy()
        if (before == after).all():
            return self.skin - 2.0 * _farthest(batch, self.reference, None)
        before, after = before.astype(float), after.astype(float)
        deformation, smallest = deformation_between(before, after)
        moved = _farthest(batch, self.reference, deformation)
        return (
            np.minimum(smallest, 1.0) * (self.cutoff + self.skin)
            - 2.0 * moved
            - self.cutoff
        )

    def _renewed(
        self, batch: AtomicBatch, due: Bool[Tensor, " n_systems"]
    ) -> VerletList:
        """The structures for which `due` is true are searched anew."""
        found = find_neighbors(batch.select(due), self.cutoff + self.skin)
        atom_is_due = due.numpy()[batch.system_index.numpy()]
        place = np.flatnonzero(atom_is_due)
        old = self.edges
        kept = np.flatnonzero(~atom_is_due.take(old.centers.numpy()))
        centers = np.concatenate(
            [old.centers.numpy().take(kept), place.take(found.centers.numpy())]
        )
        neighbors = np.concatenate(
            [old.neighbors.numpy().take(kept), place.take(found.neighbors.numpy())]
        )
        shifts = np.concatenate(
            [old.shifts.numpy().take(kept, 0), found.shifts.numpy()]
        )
        # Stable: the pairs of a center come all from one of the two, in their order.
        order = np.argsort(centers, kind="stable")
        edges = NeighborList(
            centers=torch.from_numpy(centers.take(order)),
            neighbors=torch.from_numpy(neighbors.take(order)),
            shifts=torch.from_numpy(shifts.take(order, 0)),
            cutoff=old.cutoff,
        )
        moved = torch.from_numpy(atom_is_due)[:, None]
        reference = batch.with_geometry(
            positions=torch.where(moved, batch.positions, self.reference.positions),
            cell=torch.where(due[:, None, None], batch.cell, self.reference.cell),
        )
        return replace(self, edges=edges, reference=reference)


def _farthest(
    batch: AtomicBatch,
    reference: AtomicBatch,
    deformation: Float[np.ndarray, "n_systems 3 3"] | None,
) -> Float[np.ndarray, " n_systems"]:
    """(n_systems,) Å, how far an atom is from where a deformation carried it at most."""
    if batch.device.type != "cpu":
        carried = reference.positions
        if deformation is not None:
            each = torch.from_numpy(deformation).to(carried)[batch.system_index]
            carried = torch.einsum("ni,nij->nj", carried, each)
        moved = (batch.positions.detach() - carried).norm(dim=-1)
        return batch.max_over_atoms(moved).cpu().double().numpy()
    carried, index = reference.positions.numpy(), batch.system_index.numpy()
    if deformation is not None:
        carried = np.einsum("ni,nij->nj", carried, deformation.take(index, 0))
    moved = batch.positions.detach().numpy() - carried
    squared = np.einsum("ni,ni->n", moved, moved)
    if batch.n_systems == 1:
        return np.sqrt(squared.max(keepdims=True)).astype(float)
    starts = np.searchsorted(index, np.arange(batch.n_systems))
    return np.sqrt(np.maximum.reduceat(squared, starts)).astype(float)
