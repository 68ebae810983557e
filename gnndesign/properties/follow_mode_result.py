"""What came of following the imaginary modes of a crystal."""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from jaxtyping import Float

from gnndesign.properties.base import Quantity, quantities_of
from gnndesign.properties.phonon_result import PhononResult
from gnndesign.structures.symmetry import SpaceGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedRound:
    """One time down the imaginary modes of a crystal.

    Attributes:
        space_group: of the unstable crystal.
        q_point: (3,) of the worst mode, in reciprocal primitive vectors.
        frequency_THz: of the worst mode, negative.
        n_imaginary: number of imaginary modes that fit into the supercell.
        energies_meV_per_atom: (n_starts,) of what the starts relaxed to, above the
            unstable crystal; NaN of what did not converge.
        space_groups: of what the starts relaxed to; None of what did not converge.
    """

    space_group: SpaceGroup
    q_point: Float[np.ndarray, " 3"]
    frequency_THz: float
    n_imaginary: int
    energies_meV_per_atom: Float[np.ndarray, " n_starts"]
    space_groups: tuple[SpaceGroup | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowModeResult:
    """Where the imaginary modes of a crystal lead.

    Attributes:
        start: phonons of the crystal at rest in its own symmetry.
        end: phonons of the structure of lowest energy that was found.
        start_space_group: of the one.
        space_group: of the other.
        energy_gain_meV_per_atom: by which the energy fell.
        rounds: one after the other; none of a crystal that was stable.
        notes: what to know beside the numbers.
    """

    start: PhononResult
    end: PhononResult
    start_space_group: SpaceGroup
    space_group: SpaceGroup
    energy_gain_meV_per_atom: float
    rounds: tuple[FollowedRound, ...]
    notes: tuple[str, ...] = ()

    @property
    def atoms(self) -> ase.Atoms:
        """The structure of lowest energy."""
        return self.end.atoms

    @property
    def is_stable(self) -> bool:
        """Whether it has no imaginary modes."""
        return self.end.is_stable

    @property
    def space_group_number(self) -> int:
        """1 to 230, of the structure of lowest energy."""
        return self.space_group.number

    @property
    def start_min_frequency_THz(self) -> float:
        """The lowest of the crystal that was given."""
        return self.start.min_frequency_THz

    @property
    def min_frequency_THz(self) -> float:
        """The lowest of the structure that was found."""
        return self.end.min_frequency_THz

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        rows = (
            ("Energy gain", "meV/atom", "energy_gain_meV_per_atom"),
            ("Space group number of the end", "", "space_group_number"),
            ("Lowest frequency of the start", "THz", "start_min_frequency_THz"),
            ("Lowest frequency of the end", "THz", "min_frequency_THz"),
        )
        return quantities_of(self, rows)
