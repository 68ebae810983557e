"""Where atoms go that share a kind of site: supercells, and places far apart in them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import ase
import numpy as np
from ase.build import make_supercell
from ase.geometry import minkowski_reduce
from jaxtyping import Float, Int
from numpy import ndarray

_EXPONENT = 6
"""Of the repulsion between atoms that are placed: steep, so that the nearest pair counts."""


def compact_supercell(atoms: ase.Atoms, n_cells: int) -> ase.Atoms:
    """The supercell of a number of cells whose nearest images are farthest apart.

    Among all supercells of that size (Hermite normal forms; Hart and Forcade, Phys. Rev.
    B 77, 224115 (2008)), described by its shortest vectors. Among equals the first.
    """
    if n_cells == 1:
        return atoms.copy()
    best: tuple[float, ndarray] | None = None
    for normal_form in _normal_forms(n_cells):
        reduced, steps = minkowski_reduce(normal_form @ atoms.cell.array)
        shortest = float(np.linalg.norm(reduced, axis=1).min())
        if best is None or shortest > best[0] * (1 + 1e-9):
            best = shortest, np.asarray(steps) @ normal_form
    if best is None:
        raise AssertionError
    made = make_supercell(atoms, best[1])
    made.wrap()
    return made


def _normal_forms(determinant: int) -> list[Int[ndarray, "3 3"]]:
    forms: list[ndarray] = []
    for a in range(1, determinant + 1):
        if determinant % a:
            continue
        for b in range(1, determinant // a + 1):
            if (determinant // a) % b:
                continue
            c = determinant // (a * b)
            forms += [
                np.array([[a, 0, 0], [d, b, 0], [e, f, c]])
                for d, e, f in itertools.product(range(a), range(a), range(b))
            ]
    return forms


def place_apart(
    atoms: ase.Atoms, wanted: Sequence[tuple[Sequence[int], int]]
) -> list[tuple[int, ...]]:
    """Choose atoms far from each other and from each other's images, always the same.

    Minimizes the sum over pairs of chosen atoms and all images of 1/distance^6: one
    after the other where it adds least, then exchanges with free atoms while they help.
    Not always the best of all arrangements, always one that no single exchange betters.

    Args:
        atoms: a periodic cell.
        wanted: for each kind, indices to choose from and how many to choose.

    Returns:
        Indices that were chosen of each kind, ascending.
    """
    pool = sorted({index for sites, _ in wanted for index in sites})
    repulsion = _repulsion(atoms, pool)
    row_of = {index: row for row, index in enumerate(pool)}
    kinds = [kind for kind, (_, n) in enumerate(wanted) for _ in range(n)]
    allowed = [[row_of[index] for index in sorted(sites)] for sites, _ in wanted]
    chosen: list[int] = []
    for kind in kinds:
        free = [row for row in allowed[kind] if row not in chosen]
        chosen.append(free[_first_lowest(repulsion[free][:, chosen].sum(1))])
    for _ in range(len(chosen)):
        if not _exchange(chosen, [allowed[kind] for kind in kinds], repulsion):
            break
    return [
        tuple(sorted(pool[r] for r, k in zip(chosen, kinds, strict=True) if k == kind))
        for kind in range(len(wanted))
    ]


def _exchange(
    chosen: list[int],
    allowed: Sequence[Sequence[int]],
    repulsion: Float[ndarray, "n n"],
) -> bool:
    """Move each chosen atom to where it is repelled least; whether any moved."""
    moved = False
    for place, row in enumerate(chosen):
        others = [other for k, other in enumerate(chosen) if k != place]
        free = [row, *(r for r in allowed[place] if r not in chosen)]
        best = free[_first_lowest(repulsion[free][:, others].sum(1))]
        if best != row:
            chosen[place] = best
            moved = True
    return moved


def _first_lowest(values: Float[ndarray, " n"]) -> int:
    """The first of the lowest values, rounding aside."""
    return int(np.flatnonzero(values <= values.min() * (1 + 1e-9))[0])


def _repulsion(atoms: ase.Atoms, rows: Sequence[int]) -> Float[ndarray, "n n"]:
    """1/distance^6 between atoms and all images within two cells, in reduced units."""
    scale = (atoms.cell.volume / len(atoms)) ** (1 / 3)
    shifts = (
        np.array(list(itertools.product(range(-2, 3), repeat=3))) @ atoms.cell.array
    )
    positions = atoms.positions[list(rows)]
    table = np.zeros((len(rows), len(rows)))
    for index, position in enumerate(positions):
        apart = (positions - position)[:, None] + shifts
        distances = np.linalg.norm(apart, axis=2) / scale
        # An atom and its own images are as far apart wherever it is.
        distances[index] = np.inf
        table[index] = (distances**-_EXPONENT).sum(1)
    return table
