"""The order of pairs: by center, then neighbor, then shift.

However pairs were found, in which reference geometry and in whose company: in one order
sums over them are the same to the last bit.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Tensor

_LARGEST_KEY = 1 << 63


def in_order(
    centers: Int[Tensor, " n_edges"],
    neighbors: Int[Tensor, " n_edges"],
    shifts: Int[Tensor, "n_edges 3"],
) -> tuple[Int[Tensor, " n_edges"], Int[Tensor, " n_edges"], Int[Tensor, "n_edges 3"]]:
    """The same pairs, in order."""
    if len(centers) == 0:
        return centers, neighbors, shifts
    columns = [centers, neighbors, *shifts.unbind(1)]
    low = torch.stack([column.min() for column in columns]).tolist()
    high = torch.stack([column.max() for column in columns]).tolist()
    widths = [b - a + 1 for a, b in zip(low, high, strict=True)]
    if math.prod(widths) < _LARGEST_KEY:
        key = centers - low[0]
        for column, least, width in zip(columns[1:], low[1:], widths[1:], strict=True):
            key = key * width + (column - least)
        order = torch.argsort(key)
    else:
        # Atoms far outside of their cells: one number does not hold it all.
        order = torch.arange(len(centers), device=centers.device)
        for column in reversed(columns):
            order = order[torch.argsort(column[order], stable=True)]
    found = (part.index_select(0, order) for part in (centers, neighbors, shifts))
    centers, neighbors, shifts = found
    return centers, neighbors, shifts
