"""How much of a cell is still the crystal that it was built from.

    q = mean over G of | 1/N Σ_j exp(i G · r_j) |

over the shortest strong reciprocal lattice vectors G of the crystal, which follow the
cell: 1 in the ideal crystal, less by its vibrations, about 0 in a liquid, and in between
where a part of the cell is crystal.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import ase
import numpy as np
from jaxtyping import Float, Int

_LARGEST_INDEX = 3
_STRONG = 0.7
_N_VECTORS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CrystalOrder:
    """The order of a supercell.

    Attributes:
        indices: (n_vectors, 3) of the vectors G in the supercell.
        ideal: what the sum over atoms gives in the ideal crystal, of 1 at most.
    """

    indices: Int[np.ndarray, "n_vectors 3"]
    ideal: float

    @classmethod
    def of(cls, unit_cell: ase.Atoms, repeats: tuple[int, int, int]) -> CrystalOrder:
        """Of a crystal repeated along its lattice vectors."""
        whole = range(-_LARGEST_INDEX, _LARGEST_INDEX + 1)
        # Of G and -G, which say the same, the first.
        candidates = np.array(
            [hkl for hkl in product(whole, repeat=3) if hkl > (0,) * 3]
        )
        waves = np.exp(2j * np.pi * unit_cell.get_scaled_positions() @ candidates.T)
        strength = abs(waves.mean(0))
        strong = np.flatnonzero(strength > _STRONG * strength.max())
        reciprocal = np.linalg.inv(unit_cell.cell.array).T
        lengths = np.linalg.norm(candidates[strong] @ reciprocal, axis=1)
        chosen = strong[lengths.argsort(kind="stable")[:_N_VECTORS]]
        return cls(
            indices=candidates[chosen] * np.array(repeats),
            ideal=float(strength[chosen].mean()),
        )

    def __call__(
        self,
        positions: Float[np.ndarray, "n_atoms 3"],
        cell: Float[np.ndarray, "3 3"],
    ) -> float:
        """Q, relative to the ideal crystal."""
        scaled = positions @ np.linalg.inv(cell)
        waves = np.exp(2j * np.pi * scaled @ self.indices.T)
        return float(abs(waves.mean(0)).mean()) / self.ideal
