"""Which atoms are drawn as bonded."""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from ase.data import covalent_radii
from jaxtyping import Bool, Float, Int
from vesin import NeighborList

# H He, B to Ne, Si to Ar, Ge to Kr, Te to Xe, At Rn.
_NONMETALS = np.isin(
    np.arange(len(covalent_radii)),
    [1, 2, *range(5, 11), *range(14, 19), *range(32, 37), *range(52, 55), 85, 86],
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bonds:
    """Pairs of bonded atoms, each once.

    Attributes:
        first: (n_bonds,) index of one atom.
        second: (n_bonds,) index of the other.
        vector: (n_bonds, 3) Å, from the first atom to the bonded image of the second.
        crosses_face: (n_bonds,) whether that image lies in another cell.
    """

    first: Int[np.ndarray, " n_bonds"]
    second: Int[np.ndarray, " n_bonds"]
    vector: Float[np.ndarray, "n_bonds 3"]
    crosses_face: Bool[np.ndarray, " n_bonds"]


def find_bonds(atoms: ase.Atoms, *, tolerance: float = 1.15) -> Bonds:
    """Bonds of a structure with finite positions, through its periodic faces too.

    Two atoms are bonded if they are nearer than `tolerance` times the sum of their
    covalent radii (Cordero et al., Dalton Trans. 2832, 2008). A metal atom whose
    nearest partner is a nonmetal counts as a cation, and two cations are not bonded:
    no Sr-Ti sticks in SrTiO3.

    Args:
        atoms: the structure; a periodic axis without a lattice vector is ignored.
        tolerance: dimensionless.
    """
    numbers = atoms.numbers
    radii = covalent_radii[numbers]
    if len(atoms) == 0:
        nobody = np.zeros(0, dtype=np.int64)
        return Bonds(
            first=nobody,
            second=nobody,
            vector=np.zeros((0, 3)),
            crosses_face=np.zeros(0, dtype=bool),
        )
    periodic = atoms.pbc & (atoms.cell.lengths() > 1e-3)
    search = NeighborList(
        cutoff=2 * tolerance * float(radii.max()), full_list=False, n_threads=1
    )
    first, second, shift, vector, distance = search.compute(
        atoms.positions, atoms.cell.complete().array, periodic, "ijSDd"
    )
    first, second = first.astype(np.int64), second.astype(np.int64)
    ratio = distance / (radii[first] + radii[second])
    # Coinciding atoms have no bond direction.
    keep = (ratio < tolerance) & (distance > 1e-3)
    reach = np.where(keep, distance, np.inf)
    keep &= ~_between_cations(numbers, first, second, reach)
    return Bonds(
        first=first[keep],
        second=second[keep],
        vector=vector[keep],
        crosses_face=np.any(shift[keep] != 0, axis=1, keepdims=False),
    )


def _between_cations(
    numbers: Int[np.ndarray, " n_atoms"],
    first: Int[np.ndarray, " n_pairs"],
    second: Int[np.ndarray, " n_pairs"],
    distance: Float[np.ndarray, " n_pairs"],
) -> Bool[np.ndarray, " n_pairs"]:
    nonmetal = _NONMETALS[numbers]
    if nonmetal.all() or not nonmetal.any():
        return np.zeros(len(first), dtype=bool)
    nearest_nonmetal = np.full(len(numbers), np.inf)
    nearest_metal = np.full(len(numbers), np.inf)
    for atom, partner in ((first, second), (second, first)):
        to_nonmetal = nonmetal[partner]
        np.minimum.at(nearest_nonmetal, atom[to_nonmetal], distance[to_nonmetal])
        np.minimum.at(nearest_metal, atom[~to_nonmetal], distance[~to_nonmetal])
    cation = ~nonmetal & (nearest_nonmetal < nearest_metal)
    return cation[first] & cation[second]
