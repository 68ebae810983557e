"""Long lists of structures, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ase

ATOMS_AT_ONCE = 1024
"""So many in one batch: enough to be fast, and it fits into any memory."""


def in_portions(
    structures: Sequence[ase.Atoms], *, atoms_at_once: int = ATOMS_AT_ONCE
) -> Iterator[list[ase.Atoms]]:
    """Neighboring structures of so many atoms together at most, or one that has more."""
    portion: list[ase.Atoms] = []
    n_atoms = 0
    for atoms in structures:
        if portion and n_atoms + len(atoms) > atoms_at_once:
            yield portion
            portion, n_atoms = [], 0
        portion.append(atoms)
        n_atoms += len(atoms)
    if portion:
        yield portion
