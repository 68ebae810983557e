"""How much goes into one batch."""

from __future__ import annotations

from dataclasses import dataclass

import ase

from gnndesign.potentials.base import Potential


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What one batch may hold.

    Attributes:
        atoms: most atoms; a larger structure goes alone. None for any number.
    """

    atoms: int | None = None

    @classmethod
    def of(cls, potential: Potential) -> Room:
        """What the memory of the potential's device allows."""
        del potential
        return cls()

    def share(self, atoms: ase.Atoms) -> float:
        """The part of the room that a structure takes."""
        return 0.0 if self.atoms is None else len(atoms) / self.atoms
