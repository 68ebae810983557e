"""Linear least squares of any number of rows in the memory of a square matrix."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import solve_triangular


class LeastSquares:
    """min_x |A x - b|², where rows of A and b come a few at a time.

    Rows are folded into the triangular factor R of A = Q R, and Qᵀ b (G. Golub and
    C. Van Loan, Matrix Computations, 4th ed., sections 5.3 and 6.5): the condition number
    of A is not squared, as it is in AᵀA.
    """

    def __init__(self, n_columns: int) -> None:
        self._columns = n_columns
        self._waiting: list[np.ndarray] = []

    def add(
        self, rows: Float[np.ndarray, "n n_columns"], values: Float[np.ndarray, " n"]
    ) -> None:
        """Ask that these rows times x be these values."""
        self._waiting.append(np.column_stack([rows, values]))
        if sum(map(len, self._waiting)) > 5 * self._columns:
            self._fold()

    def solve(self) -> Float[np.ndarray, " n_columns"]:
        """x, for rows of full rank."""
        self._fold()
        n, triangle = self._columns, self._waiting[0]
        return solve_triangular(triangle[:n, :n], triangle[:n, n])

    def _fold(self) -> None:
        rows = torch.from_numpy(np.concatenate(self._waiting))
        self._waiting = [torch.linalg.qr(rows, mode="r").R.numpy()]
