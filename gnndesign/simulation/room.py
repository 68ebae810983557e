"""How much goes into one batch: a number of atoms, or what the memory allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase

from gnndesign.potentials.base import Potential
from gnndesign.simulation.cost import DEFAULT_REACH, CostModel, cost_of
from gnndesign.simulation.memory import memory_budget
from gnndesign.simulation.pair_count import count_pairs

_SURELY_FITS = 2**23
"""Bytes an atom that no potential here needs; fewer atoms are not worth measuring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What one batch may hold; a structure that needs more goes alone.

    Attributes:
        atoms: most atoms; None for any number.
        cost: what the potential needs on its device; None for no limit of memory.
        budget: bytes, where `cost` is given.
    """

    atoms: int | None = None
    cost: CostModel | None = None
    budget: int = 0

    @classmethod
    def of(cls, potential: Potential, structures: Sequence[ase.Atoms]) -> Room:
        """What the memory of the potential's device allows.

        What an atom needs is measured, once for a potential and a device, where the
        structures are not certain to fit.
        """
        budget = memory_budget(potential.device)
        if sum(map(len, structures)) * _SURELY_FITS < budget:
            return cls()
        return cls(cost=cost_of(potential), budget=budget)

    def share(self, atoms: ase.Atoms) -> float:
        """The part of the room that a structure takes."""
        share = 0.0 if self.atoms is None else len(atoms) / self.atoms
        if self.cost is None:
            return share
        pairs = count_pairs(atoms, self.cost.cutoff or DEFAULT_REACH)
        left = max(1.0, self.budget - self.cost.memory.fixed)
        needed = self.cost.bytes(len(atoms), pairs) - self.cost.memory.fixed
        return max(share, needed / left)
