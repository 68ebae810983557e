"""Changes to a structure. Each function returns a new one; the input stays as it is.

Changes of the cell are in `cells` and can be imported from here as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ase
import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from gnndesign.errors import ParameterError, StructureError
from gnndesign.structures.cells import add_vacuum, slab, strain, supercell

__all__ = [
    "add_vacuum",
    "delete",
    "displace",
    "make_vacancy",
    "rattle",
    "slab",
    "strain",
    "substitute",
    "supercell",
    "wrap",
]


def substitute(
    atoms: ase.Atoms,
    target: str | int | Sequence[int],
    new_symbol: str,
    *,
    count: int | None = None,
    fraction: float | None = None,
    seed: int = 0,
) -> ase.Atoms:
    """Replace atoms by another element.

    Args:
        atoms: the structure.
        target: an element symbol, or the index or indices of atoms.
        new_symbol: the element to put there; its magnetic moment starts from zero.
        count: how many of the target atoms to replace, chosen at random; all if
            neither `count` nor `fraction` is given.
        fraction: share of the target atoms to replace, 0 to 1, rounded to whole atoms.
        seed: of the choice.

    Raises:
        ParameterError: unknown element, `count` or `fraction` outside their range, or
            both given.
        StructureError: no such atoms.
    """
    number = atomic_numbers.get(new_symbol, 0)
    if number == 0:
        raise ParameterError(f"'{new_symbol}' is no element symbol; wanted e.g. 'Fe'.")
    chosen = _select(atoms, target)
    if count is not None and fraction is not None:
        raise ParameterError("Give count or fraction, not both.")
    if fraction is not None:
        if not 0.0 <= fraction <= 1.0:
            raise ParameterError(f"fraction must be from 0 to 1, got {fraction}.")
        count = round(fraction * len(chosen))
    if count is not None:
        if not 0 <= count <= len(chosen):
            raise ParameterError(
                f"count must be from 0 to {len(chosen)}, the number of target atoms; "
                f"got {count}."
            )
        random = np.random.default_rng(seed)
        chosen = np.sort(random.choice(chosen, size=count, replace=False))
    result = atoms.copy()
    result.numbers[chosen] = number
    if result.has("masses"):
        masses = result.get_masses()
        masses[chosen] = ase.Atoms([new_symbol]).get_masses()[0]
        result.set_array("masses", masses)
    for key in ("initial_magmoms", "initial_charges"):
        if result.has(key):
            result.arrays[key][chosen] = 0.0
    return result


def delete(atoms: ase.Atoms, target: str | int | Sequence[int]) -> ase.Atoms:
    """Remove atoms, named by element symbol or by index.

    Constraints follow the atoms that stay.

    Raises:
        StructureError: no such atoms, or none would be left.
    """
    chosen = _select(atoms, target)
    if len(chosen) == len(atoms):
        raise StructureError("This would remove every atom; wanted at least one left.")
    result = atoms.copy()
    del result[chosen.tolist()]
    return result


def make_vacancy(atoms: ase.Atoms, indices: int | Sequence[int]) -> ase.Atoms:
    """Remove atoms by index and keep everything else where it is.

    Raises:
        StructureError: no such atoms, or none would be left.
    """
    return delete(atoms, indices)


def rattle(atoms: ase.Atoms, stdev: float, seed: int = 0) -> ase.Atoms:
    """Displace every atom at random, normally distributed along x, y and z.

    Args:
        atoms: the structure; atoms under constraints stay on them.
        stdev: standard deviation of each coordinate in Å.
        seed: of the random numbers.

    Raises:
        ParameterError: negative `stdev`.
    """
    if not 0.0 <= stdev < np.inf:
        raise ParameterError(f"stdev must be at least 0 Å, got {stdev}.")
    result = atoms.copy()
    noise = np.random.default_rng(seed).normal(scale=stdev, size=(len(atoms), 3))
    result.set_positions(atoms.positions + noise)
    return result


def displace(
    atoms: ase.Atoms,
    target: str | int | Sequence[int],
    vector: Sequence[float] | Sequence[Sequence[float]] | NDArray[Any],
) -> ase.Atoms:
    """Move atoms by a vector (3,) in Å, or each by its own, (n_chosen, 3).

    Constraints do not hold them back: they are for dynamics, this is by hand.

    Raises:
        StructureError: no such atoms.
        ParameterError: not a finite vector.
    """
    chosen = _select(atoms, target)
    shift = np.asarray(vector, dtype=float)
    if shift.shape not in {(3,), (len(chosen), 3)} or not np.isfinite(shift).all():
        raise ParameterError(f"Wanted a vector of three numbers in Å, got {vector}.")
    result = atoms.copy()
    result.positions[chosen] += shift
    return result


def wrap(atoms: ase.Atoms) -> ase.Atoms:
    """Bring every atom into the cell, along the periodic axes.

    An atom within 1e-7 of a face, in fractional coordinates, is put at 0, not at 1.
    """
    result = atoms.copy()
    result.wrap()
    return result


def _select(atoms: ase.Atoms, target: str | int | Sequence[int]) -> NDArray[np.int64]:
    """Ascending indices of the atoms meant."""
    if isinstance(target, str):
        chosen = np.flatnonzero(atoms.numbers == atomic_numbers.get(target, 0))
        if len(chosen) == 0:
            raise StructureError(
                f"{atoms.get_chemical_formula()} has no {target} atoms to choose."
            )
        return chosen
    given: Any = np.atleast_1d(np.asarray(target))
    if given.ndim != 1 or len(given) == 0 or given.dtype.kind not in "iu":
        raise StructureError(
            f"Wanted an element symbol, an index or several indices, got {target!r}."
        )
    n = len(atoms)
    outside = given[(given < -n) | (given >= n)]
    if len(outside):
        raise StructureError(
            f"There is no atom {outside[0]}; the structure has {n}, numbered from 0 to "
            f"{n - 1}."
        )
    return np.unique(given % n).astype(np.int64)
