"""Which atoms are near which: `NeighborList`, and `VerletList` that rarely rebuilds it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import vesin
from ase.geometry import complete_cell
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.neighbor_search import search


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborList:
    """Directed pairs of atoms of the same structure; each pair appears both ways.

    Attributes:
        centers: (n_edges,) index i of the atom that receives, ascending.
        neighbors: (n_edges,) index j of the atom that sends.
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
        if batch.n_systems == 1:
            offsets = shifts @ batch.cell[0]
        else:
            cell = batch.cell[batch.system_index[self.centers]]
            offsets = torch.einsum("ni,nij->nj", shifts, cell)
        # Faster than indexing with square brackets.
        there = batch.positions.index_select(0, self.neighbors)
        return there + offsets - batch.positions.index_select(0, self.centers)

    def within(self, batch: AtomicBatch, cutoff: float) -> NeighborList:
        """Only the pairs that are closer than `cutoff` (Å) in `batch`."""
        vectors = self.vectors(batch.detach())
        near = (vectors * vectors).sum(-1) < cutoff * cutoff
        kept = near.nonzero()[:, 0]
        return NeighborList(
            centers=self.centers.index_select(0, kept),
            neighbors=self.neighbors.index_select(0, kept),
            shifts=self.shifts.index_select(0, kept),
            cutoff=cutoff,
        )


def find_neighbors(batch: AtomicBatch, cutoff: float) -> NeighborList:
    """Every pair within `cutoff` (Å), through any number of periodic images.

    On a CUDA device the search runs there, for all structures at once; else on the
    host (vesin's cell list), one structure after the other.
    """
    batch = batch.detach()
    if batch.device.type == "cuda":
        found = search(
            batch.positions, batch.cell, batch.pbc, batch.system_index, cutoff
        )
    else:
        found = _search_on_host(batch, cutoff)
    centers, neighbors, shifts = (part.to(batch.device) for part in found)
    return NeighborList(
        centers=centers, neighbors=neighbors, shifts=shifts, cutoff=cutoff
    )


def _search_on_host(batch: AtomicBatch, cutoff: float) -> tuple[Tensor, Tensor, Tensor]:
    positions = batch.positions.cpu().double().numpy()
    cells = batch.cell.cpu().double().numpy()
    pbc = batch.pbc.cpu().numpy()
    finder = vesin.NeighborList(cutoff=cutoff, full_list=True, sorted=True, n_threads=1)
    single = batch.n_systems == 1
    counts = [batch.n_atoms] if single else batch.atoms_per_system.tolist()
    # A batch may be empty: everything in it has ended.
    found: list[list[np.ndarray]] = [] if counts else [_NO_PAIRS]
    start = 0
    for system, n_atoms in enumerate(counts):
        periodic = pbc[system]
        i, j, shift = finder.compute(
            points=positions[start : start + n_atoms],
            box=cells[system] if periodic.all() else complete_cell(cells[system]),
            periodic=periodic,
            quantities="ijS",
        )
        # Unsigned and 32-bit integers, which torch does not index with.
        found.append([i.view(np.int64) + start, j.view(np.int64) + start, shift])
        start += n_atoms
    columns = zip(*found, strict=True)
    i, j, shift = found[0] if len(found) == 1 else map(np.concatenate, columns)
    return torch.from_numpy(i), torch.from_numpy(j), torch.from_numpy(shift).long()


_NO_PAIRS = [
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros((0, 3), np.int32),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerletList:
    """A neighbor list with a skin, rebuilt only when a pair could be missing.

    A pair absent from the list was at least cutoff + skin apart in the reference
    geometry. With the cell deformed by F and the atoms displaced by at most u beyond
    that deformation, it is now at least σ_min(F) (cutoff + skin) - 2 u apart (σ_min:
    smallest singular value). The list is rebuilt when that falls below the cutoff.

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

    def update(self, batch: AtomicBatch) -> VerletList:
        """Itself, or a new list if a pair within the cutoff could be missing."""
        if self._is_stale(batch.detach()):
            return VerletList.build(batch, self.cutoff, self.skin)
        return self

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

    def _is_stale(self, batch: AtomicBatch) -> bool:
        if torch.equal(batch.cell, self.reference.cell):
            moved = batch.positions - self.reference.positions
            farthest = (moved * moved).sum(1)
            return bool((farthest > (0.5 * self.skin) ** 2).any())
        return bool(self._missing_after_strain(batch).any())

    def _missing_after_strain(self, batch: AtomicBatch) -> Bool[Tensor, " n_systems"]:
        reference = self.reference
        # Where a lattice vector is missing there is no F; then the cell must not change.
        identity = torch.eye(3, dtype=batch.cell.dtype, device=batch.device)
        whole = (reference.volume > 0) & (batch.volume > 0)
        changed = (batch.cell != reference.cell).any(-1).any(-1)
        before = torch.where(whole[:, None, None], reference.cell, identity)
        after = torch.where(whole[:, None, None], batch.cell, identity)
        deformation = torch.linalg.solve(before, after)
        carried = torch.einsum(
            "ni,nij->nj", reference.positions, deformation[batch.system_index]
        )
        displacement = (batch.positions - carried).norm(dim=-1)
        smallest = torch.linalg.svdvals(deformation)[:, -1]
        reach = smallest * (self.cutoff + self.skin)
        too_far = reach - 2.0 * batch.max_over_atoms(displacement) < self.cutoff
        return too_far | (changed & ~whole)
