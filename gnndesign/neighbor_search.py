"""Two neighbor searches: `search_on_host` and `search_on_device`.

On the host vesin's cell list takes one structure after the other. It visits every bin,
so a structure with many empty ones is left to the other search.

On a device all structures of a batch are searched at once. Every structure is cut into bins along its lattice planes, at least a cutoff thick where
the cell is; then a bin and its images within reach hold all neighbors of an atom. A cell
thinner than the cutoff is one bin with more images in reach. Atoms are sorted by bin, so
that no table of bins is needed and memory does not depend on how empty the space is.
Time and memory are linear in the number of atoms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import vesin
from ase.geometry import complete_cell
from jaxtyping import Bool, Float, Int
from torch import Tensor

_BINS_TO_SPARE = 100
"""So many bins more than atoms make a structure sparse."""

_MOST_BINS = 1024
"""Along one axis, so that the number of a bin always fits into 64 bits."""

_SLACK = 1.0 + 1e-6
"""Bins are this much thicker than the cutoff, so that rounding hides no neighbor."""

_TARGETS_AT_ONCE = 1 << 18
"""Bins looked into at a time. With ten atoms in each a step takes half a gigabyte."""


def search_on_host(
    positions: Float[np.ndarray, "n_atoms 3"],
    cell: Float[np.ndarray, "n_systems 3 3"],
    pbc: Bool[np.ndarray, "n_systems 3"],
    system_index: Int[np.ndarray, " n_atoms"],
    cutoff: float,
) -> tuple[
    Int[np.ndarray, " n_edges"],
    Int[np.ndarray, " n_edges"],
    Int[np.ndarray, "n_edges 3"],
]:
    """Centers (ascending), neighbors and shifts of all pairs closer than `cutoff` (Å).

    The pairs of a structure, and their order, do not depend on the rest of the batch.
    """
    finder = vesin.NeighborList(cutoff=cutoff, full_list=True, sorted=True, n_threads=1)
    starts = np.searchsorted(system_index, np.arange(len(cell) + 1)).tolist()
    # Cheaper than to look at every structure; an open one may extend anywhere.
    lengths = np.sqrt(np.einsum("nki,nki->nk", cell, cell))
    is_large = np.maximum(lengths / cutoff, 1.0).prod(1) > _BINS_TO_SPARE
    is_large |= ~pbc.all(1)
    # A batch may be empty: everything in it has ended.
    found: list[Sequence[np.ndarray]] = [] if len(cell) else [_NO_PAIRS]
    for system, (start, stop) in enumerate(pairwise(starts)):
        points, periodic = positions[start:stop], pbc[system]
        box = cell[system]
        if not periodic.all():
            # Vectors along open axes may be anything, as here they mean nothing.
            box = complete_cell(np.where(periodic[:, None], box, 0.0))
        if is_large[system] and _is_sparse(points, box, periodic, cutoff):
            i, j, shift = _search_sparse(points, box, periodic, cutoff)
        else:
            i, j, shift = finder.compute(
                points=points, box=box, periodic=periodic, quantities="ijS"
            )
        # Unsigned and 32-bit integers, which torch does not index with.
        found.append([i.view(np.int64) + start, j.view(np.int64) + start, shift])
    columns = zip(*found, strict=True)
    i, j, shift = found[0] if len(found) == 1 else map(np.concatenate, columns)
    return i, j, shift.astype(np.int64)


def _is_sparse(
    positions: np.ndarray, box: np.ndarray, pbc: np.ndarray, cutoff: float
) -> bool:
    """Whether most bins of a cell list are empty.

    Then vesin takes seconds, even for a few atoms far apart in a wire.
    """
    planes = np.linalg.inv(box)
    span = np.where(pbc, 1.0, np.ptp(positions @ planes, axis=0))
    length = span / np.sqrt((planes * planes).sum(0))
    n_bins = np.maximum(length / cutoff, 1.0).prod()
    return bool(n_bins > _BINS_TO_SPARE + len(positions))


def _search_sparse(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float
) -> Sequence[np.ndarray]:
    index = torch.zeros(len(positions), dtype=torch.int64)
    found = search_on_device(
        torch.from_numpy(positions),
        torch.from_numpy(cell[None]),
        torch.from_numpy(pbc[None]),
        index,
        cutoff,
    )
    return [part.numpy() for part in found]


_NO_PAIRS = (
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros((0, 3), np.int32),
)


def search_on_device(
    positions: Float[Tensor, "n_atoms 3"],
    cell: Float[Tensor, "n_systems 3 3"],
    pbc: Bool[Tensor, "n_systems 3"],
    system_index: Int[Tensor, " n_atoms"],
    cutoff: float,
    targets_at_once: int = _TARGETS_AT_ONCE,
) -> tuple[Int[Tensor, " n_edges"], Int[Tensor, " n_edges"], Int[Tensor, "n_edges 3"]]:
    """Centers (ascending), neighbors and shifts of all pairs closer than `cutoff` (Å)."""
    bins = _Bins.of(positions.double(), cell.double(), pbc, system_index, cutoff)
    targets = (2 * bins.reach + 1).prod(1)[system_index]
    ends = torch.cumsum(targets, 0)
    total = int(targets.sum())
    marks = torch.arange(0, total, targets_at_once, device=positions.device)
    cuts = [*torch.searchsorted(ends, marks).tolist(), len(positions)]
    found = [
        bins.pairs(start, targets[start:stop], cutoff)
        for start, stop in pairwise(cuts)
        if stop > start
    ]
    if not found:
        none = system_index.new_zeros(0)
        return none, none, none.reshape(0, 3)
    centers, neighbors, shifts = (
        torch.cat(parts) for parts in zip(*found, strict=True)
    )
    return centers, neighbors, shifts


@dataclass(frozen=True, kw_only=True)
class _Bins:
    """Atoms sorted into bins.

    Attributes:
        positions: (n_atoms, 3) Å, moved into the cell along periodic axes.
        wraps: (n_atoms, 3) whole lattice vectors by which they were moved.
        cell, pbc, system: of the batch.
        place: (n_atoms, 3) bin of each atom.
        counts: (n_systems, 3) bins along each axis.
        first: (n_systems,) number of a structure's first bin.
        reach: (n_systems, 3) bins to look into on either side.
        order: (n_atoms,) atoms by number of their bin.
        numbers: (n_atoms,) those numbers, ascending.
    """

    positions: Tensor
    wraps: Tensor
    cell: Tensor
    pbc: Tensor
    system: Tensor
    place: Tensor
    counts: Tensor
    first: Tensor
    reach: Tensor
    order: Tensor
    numbers: Tensor

    @classmethod
    def of(
        cls, positions: Tensor, cell: Tensor, pbc: Tensor, system: Tensor, cutoff: float
    ) -> _Bins:
        planes = _reciprocal(_complete(cell, pbc))
        along = torch.einsum("ni,nki->nk", positions, planes[system])
        periodic = pbc[system]
        wraps = torch.where(periodic, along.floor(), 0.0)
        along = along - wraps
        # Along an axis without a period, bins fill the range of the atoms.
        index = system[:, None].expand(-1, 3)
        start = along.new_full((len(cell), 3), torch.inf)
        start = start.scatter_reduce(0, index, along, "amin")
        end = along.new_full((len(cell), 3), -torch.inf)
        end = end.scatter_reduce(0, index, along, "amax")
        start = torch.where(pbc, 0.0, start)
        span = torch.where(pbc, 1.0, end - start)
        length = span / planes.norm(dim=-1)
        counts = (length / (cutoff * _SLACK)).floor().clamp(1, _MOST_BINS)
        images = (cutoff * _SLACK * counts / length).ceil()
        reach = torch.where(pbc, images, (counts - 1.0).clamp(max=1.0))
        relative = (along - start[system]) / span.clamp(min=1e-9)[system]
        counts = counts.long()
        place = (relative * counts[system]).floor().long()
        place = torch.minimum(place.clamp(min=0), counts[system] - 1)
        sizes = counts.prod(1)
        first = torch.cumsum(sizes, 0) - sizes
        number = first[system] + _number(place, counts[system])
        numbers, order = torch.sort(number, stable=True)
        return cls(
            positions=positions - torch.einsum("ni,nij->nj", wraps, cell[system]),
            wraps=wraps.long(),
            cell=cell,
            pbc=pbc,
            system=system,
            place=place,
            counts=counts,
            first=first,
            reach=reach.long(),
            order=order,
            numbers=numbers,
        )

    def pairs(
        self, start: int, targets: Tensor, cutoff: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Those whose center is atom `start` or one of the next.

        Args:
            start: the first center.
            targets: how many bins to look into for each center.
            cutoff: Å.
        """
        centers, position = _expand(targets)
        centers = centers + start
        system = self.system[centers]
        reach, counts = self.reach[system], self.counts[system]
        steps: list[Tensor] = []
        for axis in (2, 1, 0):
            width = 2 * reach[:, axis] + 1
            steps.insert(0, position % width - reach[:, axis])
            position = position // width
        place = self.place[centers] + torch.stack(steps, 1)
        images = torch.div(place, counts, rounding_mode="floor")
        exists = (self.pbc[system] | (images == 0)).all(1)
        number = self.first[system] + _number(place - images * counts, counts)
        first = torch.searchsorted(self.numbers, number)
        last = torch.searchsorted(self.numbers, number, right=True)
        target, member = _expand(torch.where(exists, last - first, 0))
        neighbors = self.order[first[target] + member]
        centers, images = centers[target], images[target]
        offsets = torch.einsum(
            "ni,nij->nj", images.double(), self.cell[self.system[centers]]
        )
        vectors = self.positions[neighbors] + offsets - self.positions[centers]
        near = (vectors * vectors).sum(1) < cutoff * cutoff
        near &= (centers != neighbors) | (images != 0).any(1)
        centers, neighbors, images = centers[near], neighbors[near], images[near]
        shifts = images + self.wraps[centers] - self.wraps[neighbors]
        return centers, neighbors, shifts


def _number(place: Tensor, counts: Tensor) -> Tensor:
    """Number of a bin within its structure."""
    return (place[:, 0] * counts[:, 1] + place[:, 1]) * counts[:, 2] + place[:, 2]


def _expand(counts: Int[Tensor, " n"]) -> tuple[Tensor, Tensor]:
    """Row k counts[k] times: the row, and the place among those of this row."""
    total = int(counts.sum())
    rows = torch.arange(len(counts), device=counts.device)
    rows = rows.repeat_interleave(counts, output_size=total)
    starts = torch.cumsum(counts, 0) - counts
    return rows, torch.arange(total, device=counts.device) - starts[rows]


def _complete(cell: Tensor, pbc: Tensor) -> Tensor:
    """The cell with unit vectors for non-periodic axes, normal to all other vectors."""
    rows = list(torch.where(pbc[..., None], cell, 0.0).unbind(1))
    unit = torch.eye(3, dtype=cell.dtype, device=cell.device)
    for k in range(3):
        a, b = rows[(k + 1) % 3], rows[(k + 2) % 3]
        alone = a + b  # Where one of them is still missing, it is zero.
        least = unit[alone.abs().argmin(1)]
        missing = ((a == 0).all(1) | (b == 0).all(1))[:, None]
        normal = torch.linalg.cross(
            torch.where(missing, alone, a), torch.where(missing, least, b)
        )
        none = (alone == 0).all(1, keepdim=True) & missing
        normal = torch.where(none, unit[k].expand_as(normal), normal)
        normal = normal / normal.norm(dim=1, keepdim=True)
        rows[k] = torch.where(pbc[:, k, None], rows[k], normal)
    return torch.stack(rows, 1)


def _reciprocal(rows: Tensor) -> Tensor:
    """(n_systems, 3, 3) vector k times lattice vector l is 1 for k = l, else 0."""
    a, b, c = rows.unbind(1)
    normals = torch.stack(
        [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)],
        1,
    )
    volume = (a * normals[:, 0]).sum(1)
    return normals / volume[:, None, None]
