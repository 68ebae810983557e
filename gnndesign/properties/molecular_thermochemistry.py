"""The ideal gas of a molecule: rigid rotor, harmonic vibrations, through ASE.

C. J. Cramer, Essentials of Computational Chemistry (Wiley, 2004), ch. 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import ase
import numpy as np
from ase.thermochemistry import IdealGasThermo
from jaxtyping import Float

from gnndesign.structures.convert import to_pymatgen
from gnndesign.units import EV_TO_J_PER_MOL, PLANCK_EV_PER_THZ

_LINEAR = 1e-3
"""Smallest moment of inertia, of the largest, below which a molecule is linear."""

_SHAPES: Mapping[int, Literal["monatomic", "linear", "nonlinear"]] = {
    3: "monatomic",
    5: "linear",
    6: "nonlinear",
}
"""ASE's word for a molecule with so many rigid motions."""

_PASCAL_PER_BAR = 1e5


@dataclass(frozen=True, slots=True, kw_only=True)
class IdealGas:
    """Thermochemistry of an ideal gas of molecules.

    Attributes:
        temperatures_K: (n,).
        pressure_bar: of the gas.
        enthalpy: (n,) eV a molecule, with the potential energy.
        free_energy: (n,) Gibbs, eV a molecule, with the potential energy.
        entropy_J_per_mol_K: (n,).
        symmetry_number: rotations that bring the molecule onto itself.
        spin: total electronic spin.
    """

    temperatures_K: Float[np.ndarray, " n"]
    pressure_bar: float
    enthalpy: Float[np.ndarray, " n"]
    free_energy: Float[np.ndarray, " n"]
    entropy_J_per_mol_K: Float[np.ndarray, " n"]
    symmetry_number: int
    spin: float

    def at(self, curve: Float[np.ndarray, " n"], temperature_K: float) -> float:
        """A curve at a temperature, between those computed; NaN beyond them."""
        found = np.interp(
            temperature_K, self.temperatures_K, curve, left=np.nan, right=np.nan
        )
        return float(found)


def ideal_gas(
    molecule: ase.Atoms,
    energy: float,
    frequencies_THz: Float[np.ndarray, " n_modes"],
    temperatures_K: Float[np.ndarray, " n"],
    *,
    pressure_bar: float,
    symmetry_number: int | None,
    spin: float | None,
) -> IdealGas:
    """Thermochemistry of a molecule at a minimum.

    Args:
        molecule: gives masses and moments of inertia.
        energy: eV, potential.
        frequencies_THz: (n_modes,) all real.
        temperatures_K: (n,) above 0.
        pressure_bar: of the gas.
        symmetry_number: None to find it.
        spin: None to take it from the initial magnetic moments.
    """
    if symmetry_number is None:
        symmetry_number = rotational_symmetry_number(molecule)
    if spin is None:
        spin = abs(round(float(molecule.get_initial_magnetic_moments().sum()))) / 2
    thermo = IdealGasThermo(
        vib_energies=(PLANCK_EV_PER_THZ * frequencies_THz).tolist(),
        geometry=_SHAPES[len(rigid_motions(molecule))],
        potentialenergy=energy,
        atoms=molecule,
        symmetrynumber=symmetry_number,
        spin=spin,
        vib_selection="exact",
    )
    pressure = pressure_bar * _PASCAL_PER_BAR
    enthalpy = [thermo.get_enthalpy(t, verbose=False) for t in temperatures_K]
    entropy = [thermo.get_entropy(t, pressure, verbose=False) for t in temperatures_K]
    return IdealGas(
        temperatures_K=temperatures_K,
        pressure_bar=pressure_bar,
        enthalpy=np.array(enthalpy),
        free_energy=np.array(enthalpy) - temperatures_K * np.array(entropy),
        entropy_J_per_mol_K=np.array(entropy) * EV_TO_J_PER_MOL,
        symmetry_number=symmetry_number,
        spin=spin,
    )


def rotational_symmetry_number(molecule: ase.Atoms) -> int:
    """Number of rotations that bring a molecule onto itself, found by pymatgen."""
    from pymatgen.core import Molecule
    from pymatgen.symmetry.analyzer import PointGroupAnalyzer

    if len(molecule) == 1:
        return 1
    bare = ase.Atoms(molecule.numbers, molecule.positions)
    converted = to_pymatgen(bare)
    assert isinstance(converted, Molecule)
    analyzer = PointGroupAnalyzer(converted, tolerance=0.1)
    return int(analyzer.get_rotational_symmetry_number())


def rigid_motions(molecule: ase.Atoms) -> Float[np.ndarray, "n_rigid n"]:
    """Translations and rotations of a molecule, orthonormal in mass-weighted space.

    Returns:
        (n_rigid, 3 n_atoms): 6 of them, 5 of a linear molecule, 3 of an atom.
    """
    masses = molecule.get_masses()
    arms = molecule.positions - molecule.get_center_of_mass()
    roots = np.sqrt(masses)[:, None]
    translations = [np.broadcast_to(axis, arms.shape) for axis in np.eye(3)]
    _, axes = np.linalg.eigh(np.einsum("a,ai,aj->ij", masses, arms, arms))
    rotations = [np.cross(axis, arms) for axis in axes.T]
    # Their squared lengths are the moments of inertia.
    moments = np.array([(masses @ (r**2)).sum() for r in rotations])
    turning = moments > _LINEAR * max(moments.max(), np.finfo(float).tiny)
    motions = [roots * motion for motion in translations]
    if moments.max() > 0:
        kept = zip(rotations, turning, strict=True)
        motions += [roots * rotation for rotation, turns in kept if turns]
    flat = np.array([motion.ravel() for motion in motions])
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)
