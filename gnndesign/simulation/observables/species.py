"""Per-atom arrays with the atoms of a species side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from jaxtyping import Float, Int

from gnndesign.simulation.observables.moment import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeciesOrder:
    """The atoms of a structure sorted by species.

    Attributes:
        order: (n_atoms,) places of the atoms in the structure.
        starts: (n_species,) where a species begins.
        numbers: (n_species,) atoms of each.
        symbols: (n_species,) chemical symbols, by atomic number.
        masses: (n_atoms,) amu, sorted.
    """

    order: Int[np.ndarray, " n_atoms"]
    starts: Int[np.ndarray, " n_species"]
    numbers: Int[np.ndarray, " n_species"]
    symbols: tuple[str, ...]
    masses: Float[np.ndarray, " n_atoms"]

    @classmethod
    def of(cls, moment: Moment) -> SpeciesOrder:
        """The order for a structure."""
        return cls.from_content(
            {"atomic_numbers": moment.atomic_numbers, "masses": moment.masses}
        )

    @classmethod
    def from_content(cls, content: dict[str, np.ndarray]) -> SpeciesOrder:
        """The order for atoms with these "atomic_numbers" and "masses"."""
        elements = content["atomic_numbers"]
        order = np.argsort(elements, kind="stable")
        species, starts, numbers = np.unique(
            elements[order], return_index=True, return_counts=True
        )
        return cls(
            order=order,
            starts=starts,
            numbers=numbers,
            symbols=tuple(chemical_symbols[z] for z in species),
            masses=np.array(content["masses"], dtype=float)[order],
        )

    @property
    def ranges(self) -> list[slice]:
        """(n_species,) where the atoms of each are."""
        ends = self.starts + self.numbers
        return [slice(a, b) for a, b in zip(self.starts, ends, strict=True)]

    def without_drift(self, vectors: np.ndarray) -> np.ndarray:
        """Velocities or displacements (n_atoms, 3) relative to the centre of mass.

        An atom that does not move at all is held fast, and holds the others; then
        nothing is taken away.
        """
        # Looking at all components at once is faster, and usually enough.
        if not vectors.all() and not vectors.any(1).all():
            return vectors
        return vectors - self.masses @ vectors / self.masses.sum()
