"""Which of several costs nothing else beats."""

from __future__ import annotations

import numpy as np


def undominated(costs: np.ndarray) -> np.ndarray:
    """(n,) True for rows that no other row is as good as everywhere and better once.

    In O(n log n + n n_front) time and O(n) memory.
    """
    n = len(costs)
    kept = np.zeros(n, dtype=bool)
    # A row is only beaten by one that stands before it in this order.
    left = np.lexsort(costs.T[::-1])
    while len(left):
        first = costs[left[0]]
        rows = costs[left]
        kept[left[(rows == first).all(1)]] = True
        left = left[(rows < first).any(1)]
    return kept
