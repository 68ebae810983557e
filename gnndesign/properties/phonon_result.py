"""What is known of a crystal's phonons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
from jaxtyping import Float

from gnndesign.properties.base import Quantity, quantities_of
from gnndesign.properties.force_constants import ForceConstants
from gnndesign.properties.phonon_bands import (
    HarmonicThermodynamics,
    PhononBands,
    PhononDensityOfStates,
)
from gnndesign.properties.phonon_modes import (
    PhononMode,
    frames,
    mode_at,
    nearest_commensurate,
    repeats_of,
)
from gnndesign.properties.polarity import is_polar
from gnndesign.units import BOLTZMANN_EV_PER_K, PLANCK_EV_PER_THZ

_ROOM_TEMPERATURE_K = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhononResult:
    """Harmonic phonons.

    Attributes:
        atoms: the crystal whose phonons these are.
        primitive: its primitive cell, which frequencies and eigenvectors are of.
        force_constants: from which any other frequency follows.
        bands: along the standard path.
        density_of_states: of the primitive cell.
        thermal: thermal properties at constant volume.
        max_frequency_THz: the highest on the mesh.
        min_frequency_THz: the lowest on the mesh; negative for an imaginary one.
        min_frequency_q_point: (3,) where that is.
        n_imaginary: number of imaginary modes on the mesh.
        n_modes: number of all modes on the mesh.
        worst_mode: the imaginary mode of the largest frequency among those that fit into
            the supercell; None where there is none.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    primitive: ase.Atoms
    force_constants: ForceConstants
    bands: PhononBands
    density_of_states: PhononDensityOfStates
    thermal: HarmonicThermodynamics
    max_frequency_THz: float
    min_frequency_THz: float
    min_frequency_q_point: Float[np.ndarray, " 3"]
    n_imaginary: int
    n_modes: int
    worst_mode: PhononMode | None
    notes: tuple[str, ...] = ()

    @property
    def is_stable(self) -> bool:
        """Whether no mode is imaginary, on the mesh or where it is exact."""
        return self.n_imaginary == 0 and self.worst_mode is None

    @property
    def lacks_splitting(self) -> bool:
        """Whether longitudinal optical modes would be higher with an electric field.

        True of compounds that are not of metals alone; metals among them have none.
        """
        return is_polar(self.atoms)

    @property
    def imaginary_fraction(self) -> float:
        """Of the modes on the mesh."""
        return self.n_imaginary / self.n_modes

    @property
    def max_frequency_K(self) -> float:
        """The highest frequency as the temperature hν / k, as Debye's is."""
        return self.max_frequency_THz * PLANCK_EV_PER_THZ / BOLTZMANN_EV_PER_K

    @property
    def zero_point_energy_meV_per_atom(self) -> float:
        """Of all real modes."""
        return 1e3 * self.thermal.zero_point_energy / self.thermal.n_atoms

    @property
    def heat_capacity_per_atom_300K_J_per_mol_K(self) -> float:
        """C_V at 300 K of a mole of atoms."""
        curve = self.thermal.heat_capacity_per_atom_J_per_mol_K
        return self.thermal.at(curve, _ROOM_TEMPERATURE_K)

    @property
    def entropy_per_atom_300K_J_per_mol_K(self) -> float:
        """Vibrational, at 300 K of a mole of atoms."""
        curve = self.thermal.entropy_per_atom_J_per_mol_K
        return self.thermal.at(curve, _ROOM_TEMPERATURE_K)

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        rows = (
            ("Highest frequency", "THz", "max_frequency_THz"),
            ("Lowest frequency (negative: imaginary)", "THz", "min_frequency_THz"),
            ("Imaginary share of the modes", "", "imaginary_fraction"),
            (
                "C_V at 300 K",
                "J/(K mol atoms)",
                "heat_capacity_per_atom_300K_J_per_mol_K",
            ),
            (
                "Entropy at 300 K",
                "J/(K mol atoms)",
                "entropy_per_atom_300K_J_per_mol_K",
            ),
            ("Zero-point energy", "meV/atom", "zero_point_energy_meV_per_atom"),
            ("Highest frequency as a temperature", "K", "max_frequency_K"),
        )
        return quantities_of(self, rows)

    def mode(
        self,
        q_point: Sequence[float] | Float[np.ndarray, " 3"],
        band: int,
        *,
        amplitude: float = 0.3,
        n_frames: int = 24,
        max_repeats: int = 6,
    ) -> list[ase.Atoms]:
        """One period of a mode, to be animated.

        Args:
            q_point: (3,) in reciprocal primitive vectors.
            band: from 0, in ascending order of the frequencies.
            amplitude: Å, of the atom that moves farthest.
            n_frames: of the period.
            max_repeats: most primitive cells along each axis. A q-point that does not
                fit into them is moved to the nearest one that does.

        Returns:
            Frames in the smallest supercell that the mode fits into.

        Raises:
            ParameterError: no such band, or nothing to show.
        """
        near = np.array(q_point, dtype=float)
        exact = nearest_commensurate(near, repeats_of(near, max_repeats))
        mode = mode_at(self.force_constants, exact, band)
        return frames(mode, self.primitive, amplitude=amplitude, n_frames=n_frames)
