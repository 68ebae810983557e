"""Which atoms are near which: `NeighborList`, and `VerletList` that rarely rebuilds it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import vesin
from ase.geometry import complete_cell
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gnndesign.batch import AtomicBatch


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
        cell = batch.cell[batch.system_index[self.centers]]
        offsets = torch.einsum("ni,nij->nj", self.shifts.to(cell.dtype), cell)
        return batch.positions[self.neighbors] + offsets - batch.positions[self.centers]

    def within(self, batch: AtomicBatch, cutoff: float) -> NeighborList:
        """Only the pairs that are closer than `cutoff` (Å) in `batch`."""
        vectors = self.vectors(batch.detach())
        near = (vectors * vectors).sum(-1) < cutoff * cutoff
        return NeighborList(
            centers=self.centers[near],
            neighbors=self.neighbors[near],
            shifts=self.shifts[near],
            cutoff=cutoff,
        )


def find_neighbors(batch: AtomicBatch, cutoff: float) -> NeighborList:
    """Every pair within `cutoff` (Å), through any number of periodic images.

    The search runs on the host (vesin's cell list), one structure after the other.
    """
    positions = batch.positions.detach().cpu().double().numpy()
    cells = batch.cell.detach().cpu().double().numpy()
    pbc = batch.pbc.cpu().numpy()
    finder = vesin.NeighborList(cutoff=cutoff, full_list=True, sorted=True)
    # A batch may be empty: everything in it has ended.
    pairs = [torch.zeros((0, 2), dtype=torch.int64)]
    shifts = [torch.zeros((0, 3), dtype=torch.int64)]
    start = 0
    for system, n_atoms in enumerate(batch.atoms_per_system.tolist()):
        ij, shift = finder.compute(
            points=positions[start : start + n_atoms],
            box=complete_cell(cells[system]),
            periodic=pbc[system],
            quantities="PS",
        )
        pairs.append(torch.from_numpy(ij.astype("int64")) + start)
        shifts.append(torch.from_numpy(shift.astype("int64")))
        start += n_atoms
    both = torch.cat(pairs).to(batch.device)
    return NeighborList(
        centers=both[:, 0].contiguous(),
        neighbors=both[:, 1].contiguous(),
        shifts=torch.cat(shifts).to(batch.device),
        cutoff=cutoff,
    )


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
        if bool(self._stale(batch).any()):
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

    def _stale(self, batch: AtomicBatch) -> Bool[Tensor, " n_systems"]:
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
