"""What the quasi-harmonic approximation says of a crystal."""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from jaxtyping import Float, Int

from gnndesign.properties.base import Quantity, quantities_of

_ROOM_TEMPERATURE_K = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeGruneisen:
    """How the frequencies of the modes change with the volume, γ = -(V/ω) ∂ω/∂V.

    Attributes:
        volume: Å³ of the primitive cell, where they are taken.
        weights: (n_q,) number of equivalent q-points of the mesh.
        frequencies_THz: (n_q, n_bands).
        parameters: (n_q, n_bands) γ; NaN of sound waves without a frequency.
    """

    volume: float
    weights: Int[np.ndarray, " n_q"]
    frequencies_THz: Float[np.ndarray, "n_q n_bands"]
    parameters: Float[np.ndarray, "n_q n_bands"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuasiHarmonicResult:
    """Thermal expansion and what follows from it, at constant pressure.

    Extensive quantities are of the primitive cell or a mole of them; divided by
    `n_atoms`, of atoms.

    Attributes:
        atoms: the structure at rest that the volumes were made from.
        n_atoms: of the primitive cell.
        sampled_volumes: (n_volumes,) Å³ of the primitive cell, ascending.
        sampled_energies: (n_volumes,) eV, of the atoms at rest.
        free_energies: (n, n_volumes) eV, with that of the phonons and p V.
        temperatures_K: (n,) from 0 on.
        volumes: (n,) Å³ of the primitive cell at equilibrium.
        gibbs_free_energy: (n,) eV.
        bulk_modulus_GPa: (n,) isothermal.
        thermal_expansion_per_K: (n,) (1/V) dV/dT; a third of it is that of a length in
            a cubic crystal.
        heat_capacity_P_J_per_mol_K: (n,) at constant pressure.
        entropy_J_per_mol_K: (n,).
        gruneisen: (n,) thermodynamic, β B V / C_V; NaN at 0 K.
        modes: Grüneisen parameters of the modes.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    n_atoms: int
    sampled_volumes: Float[np.ndarray, " n_volumes"]
    sampled_energies: Float[np.ndarray, " n_volumes"]
    free_energies: Float[np.ndarray, "n n_volumes"]
    temperatures_K: Float[np.ndarray, " n"]
    volumes: Float[np.ndarray, " n"]
    gibbs_free_energy: Float[np.ndarray, " n"]
    bulk_modulus_GPa: Float[np.ndarray, " n"]
    thermal_expansion_per_K: Float[np.ndarray, " n"]
    heat_capacity_P_J_per_mol_K: Float[np.ndarray, " n"]
    entropy_J_per_mol_K: Float[np.ndarray, " n"]
    gruneisen: Float[np.ndarray, " n"]
    modes: ModeGruneisen
    notes: tuple[str, ...] = ()

    def at(self, curve: Float[np.ndarray, " n"], temperature_K: float) -> float:
        """A curve at a temperature, between those computed; NaN beyond them."""
        found = np.interp(
            temperature_K, self.temperatures_K, curve, left=np.nan, right=np.nan
        )
        return float(found)

    @property
    def thermal_expansion_300K_per_K(self) -> float:
        """Of the volume."""
        return self.at(self.thermal_expansion_per_K, _ROOM_TEMPERATURE_K)

    @property
    def heat_capacity_P_per_atom_300K_J_per_mol_K(self) -> float:
        """Of a mole of atoms."""
        curve = self.heat_capacity_P_J_per_mol_K / self.n_atoms
        return self.at(curve, _ROOM_TEMPERATURE_K)

    @property
    def bulk_modulus_300K_GPa(self) -> float:
        """Isothermal."""
        return self.at(self.bulk_modulus_GPa, _ROOM_TEMPERATURE_K)

    @property
    def gruneisen_300K(self) -> float:
        """Thermodynamic."""
        return self.at(self.gruneisen, _ROOM_TEMPERATURE_K)

    @property
    def volume_per_atom_300K(self) -> float:
        """Å³."""
        return self.at(self.volumes / self.n_atoms, _ROOM_TEMPERATURE_K)

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        rows = (
            (
                "Thermal expansion (volume) at 300 K",
                "1/K",
                "thermal_expansion_300K_per_K",
            ),
            (
                "C_P at 300 K",
                "J/(K mol atoms)",
                "heat_capacity_P_per_atom_300K_J_per_mol_K",
            ),
            ("Bulk modulus at 300 K", "GPa", "bulk_modulus_300K_GPa"),
            ("Grüneisen parameter at 300 K", "", "gruneisen_300K"),
            ("Volume at 300 K", "Å³/atom", "volume_per_atom_300K"),
        )
        return quantities_of(self, rows)
