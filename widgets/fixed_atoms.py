"""Which atoms must not move, as a person types it."""

from __future__ import annotations

import re

import ase
import numpy as np
from ase.constraints import FixAtoms
from ase.data import atomic_numbers

from gnndesign.errors import StructureError

_WANTED = (
    'indices from 0 ("0-7, 12"), elements ("Cu"), or tags of the structure ("tag 1")'
)


def with_fixed_atoms(atoms: ase.Atoms, text: str) -> ase.Atoms:
    """A copy in which the atoms that are meant do not move, beside those fixed already.

    Args:
        atoms: not modified.
        text: indices, ranges, elements and tags between commas.

    Raises:
        StructureError: something that cannot be understood, or means no atom.
    """
    chosen = np.zeros(len(atoms), dtype=bool)
    for word in filter(None, (part.strip() for part in text.split(","))):
        meant = _meant(atoms, word)
        if not meant.any():
            raise StructureError(
                f"Fixed atoms: no atom of {atoms.get_chemical_formula('metal')} "
                f"({len(atoms)} atoms) is meant by '{word}'. Give {_WANTED}."
            )
        chosen |= meant
    copy = atoms.copy()
    if chosen.any():
        copy.set_constraint([*copy.constraints, FixAtoms(mask=chosen)])
    return copy


def _meant(atoms: ase.Atoms, word: str) -> np.ndarray:
    """(n_atoms,) mask."""
    index = np.arange(len(atoms))
    if found := re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", word):
        first, last = int(found[1]), int(found[2] or found[1])
        return (index >= first) & (index <= last)
    if found := re.fullmatch(r"tag\s*(-?\d+)", word):
        return atoms.get_tags() == int(found[1])
    if word in atomic_numbers:
        return atoms.numbers == atomic_numbers[word]
    raise StructureError(f"Fixed atoms: '{word}' is not understood. Give {_WANTED}.")
