"""Sharing structures out to disjoint parts."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np

from gnndesign.errors import ParameterError


def sizes_of(sizes: Sequence[int | float], n: int) -> list[int]:
    """Numbers of structures: whole numbers as they are, fractions of `n` rounded so
    that parts of the whole add up to it.

    Raises:
        ParameterError: none, not positive, or more than there are.
    """
    if not sizes or any(not size > 0 for size in sizes):
        raise ParameterError(f"Wanted sizes above zero, got {list(sizes)}.")
    shares = [size if isinstance(size, Integral) else size * n for size in sizes]
    ends = np.floor(np.cumsum(shares) + 0.5 + 1e-9).astype(int)
    counts = np.diff(ends, prepend=0).tolist()
    if sum(shares) > n + 1e-6 or min(counts) < 1:
        raise ParameterError(
            f"Cannot split {n} structures into parts of {list(sizes)}: they would be "
            f"{counts}. Ask for at least one in each and {n} in all at most; "
            "fractions are written with a point (0.8)."
        )
    return counts


def parts_of(
    sizes: Sequence[int], labels: Sequence[object], seed: int
) -> list[list[int]]:
    """Ascending places for each part; equal labels come into one part.

    Bundles of equal labels are taken in random order, the large ones first, each to
    the part that lacks most and has room. A bundle that fits nowhere is left over if
    something has to be, else it makes the part that lacks most too large.
    """
    bundles: dict[object, list[int]] = {}
    for place, label in enumerate(labels):
        bundles.setdefault(label, []).append(place)
    members = list(bundles.values())
    order: list[int] = np.random.default_rng(seed).permutation(len(members)).tolist()
    order.sort(key=lambda k: -len(members[k]))
    lacking = np.array(sizes, dtype=float)
    spare = len(labels) - int(lacking.sum())
    parts: list[list[int]] = [[] for _ in sizes]
    for k in order:
        size = len(members[k])
        # An empty part comes first: a group may be larger than any part.
        wanted = np.where([bool(part) for part in parts], lacking / sizes, 2.0)
        part = int(np.where(lacking > 0, wanted, -np.inf).argmax())
        if size > lacking[part] and (fits := np.flatnonzero(lacking >= size)).size:
            part = int(fits[lacking[fits].argmax()])
        is_too_large = size > lacking[part] and bool(parts[part])
        if lacking[part] <= 0 or (is_too_large and spare >= size):
            spare -= size
            continue
        lacking[part] -= size
        parts[part] += members[k]
    return [sorted(part) for part in parts]
