"""Arrangements of an alloy's atoms in which neighbors are as in a random one."""

from __future__ import annotations

from collections.abc import Mapping

import ase
import numpy as np
from ase.neighborlist import neighbor_list
from jaxtyping import Float, Int, Integer
from numpy import ndarray

_SHELLS = 3
"""Shells of neighbors that should look random, the k-th with weight 1/k²."""

_SAME_SHELL = 0.05
"""Distances that differ by less than this share of themselves belong to one shell."""

_N_RANDOM = 1000
_MOST_EXCHANGES = 100


def quasirandom_symbols(
    sublattice: ase.Atoms, numbers: Mapping[str, int], *, seed: int = 0
) -> list[str]:
    """A special quasirandom arrangement (Zunger et al., Phys. Rev. Lett. 65, 353 (1990)).

    Minimizes how far pairs in the first three shells of neighbors, images counted, are
    from those of a random alloy,

        sum_k 1/k^2 sum_ab |N_ab(k) - n_a n_b z_k / n| / (n z_k)

    with N_ab(k) the ordered pairs of elements a and b in shell k, of z_k neighbors, and
    n_a of n atoms of element a: the best of a thousand random arrangements, then the best
    exchange of two atoms while there is one that helps. The same every time.

    Args:
        sublattice: the periodic cell with the sites to fill and nothing else.
        numbers: atoms by chemical symbol, as many as there are sites.
        seed: of the random arrangements.

    Returns:
        Chemical symbols of the sites.
    """
    symbols = [symbol for symbol, n in numbers.items() for _ in range(n)]
    kinds = {symbol: kind for kind, symbol in enumerate(numbers)}
    ordered = np.array([kinds[symbol] for symbol in symbols])
    shells = _shells(sublattice)
    random = np.random.default_rng(seed)
    tried = random.permuted(np.tile(ordered, (_N_RANDOM, 1)), axis=1)
    costs = _costs(tried, shells)
    best, cost = tried[costs.argmin()], float(costs.min())
    first, second = np.triu_indices(len(best), 1)
    for _ in range(_MOST_EXCHANGES):
        differ = best[first] != best[second]
        i, j = first[differ], second[differ]
        if not len(i):
            break
        tried = np.tile(best, (len(i), 1))
        rows = np.arange(len(i))
        tried[rows, i], tried[rows, j] = best[j], best[i]
        costs = _costs(tried, shells)
        if costs.min() > cost - 1e-9:
            break
        best, cost = tried[costs.argmin()], float(costs.min())
    return [list(numbers)[kind] for kind in best.tolist()]


def random_symbols(numbers: Mapping[str, int], *, seed: int = 0) -> list[str]:
    """A random arrangement of atoms, the same for the same seed."""
    symbols = [symbol for symbol, n in numbers.items() for _ in range(n)]
    order = np.random.default_rng(seed).permutation(len(symbols))
    return [symbols[index] for index in order.tolist()]


def _shells(sublattice: ase.Atoms) -> list[Float[ndarray, "n n"]]:
    """For each shell how often each site has each other, or its images, as a neighbor."""
    n = len(sublattice)
    # Wide enough for three shells of any lattice of this density.
    reach = 2.2 * (sublattice.cell.volume / n) ** (1 / 3)
    i, j, distances = neighbor_list("ijd", sublattice, reach)
    ordered = np.sort(distances)
    gaps = np.diff(ordered) > _SAME_SHELL * ordered[:-1]
    ends = [*ordered[:-1][gaps].tolist(), float(ordered[-1])][:_SHELLS]
    tables: list[ndarray] = []
    start = 0.0
    for end in ends:
        inside = (distances > start) & (distances <= end)
        table = np.zeros((n, n))
        np.add.at(table, (i[inside], j[inside]), 1.0)
        tables.append(table)
        start = end
    return tables


def _costs(
    kinds: Integer[ndarray, "n_tried n"], shells: list[Float[ndarray, "n n"]]
) -> Float[ndarray, " n_tried"]:
    """How far the pairs of each arrangement are from those of a random alloy."""
    n_kinds = int(kinds.max()) + 1
    chosen = (kinds[:, :, None] == np.arange(n_kinds)).astype(float)
    numbers: Int[ndarray, " n_kinds"] = np.bincount(kinds[0], minlength=n_kinds)
    costs = np.zeros(len(kinds))
    for shell, table in enumerate(shells, start=1):
        neighbors = np.tensordot(chosen, table, axes=(1, 0)).transpose(0, 2, 1)
        pairs = np.matmul(chosen.transpose(0, 2, 1), neighbors)
        random = np.outer(numbers, numbers) * (table.sum() / len(table) ** 2)
        costs += np.abs(pairs - random).sum((1, 2)) / table.sum() / shell**2
    return costs
