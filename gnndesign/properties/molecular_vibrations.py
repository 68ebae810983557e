"""Vibrations of molecules, and the thermochemistry of their ideal gas.

Harmonic modes of the mass-weighted Hessian, in the space that is left when the rigid
translations and rotations are projected out of it (E. B. Wilson, J. C. Decius and P. C.
Cross, Molecular Vibrations (McGraw-Hill, 1955)).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import ase
import numpy as np
from annotated_types import Ge, Interval
from jaxtyping import Float

from gnndesign.errors import ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import (
    End,
    Property,
    Quantity,
    Steps,
    quantities_of,
)
from gnndesign.properties.bounds import Count, Positive, Temperature, check_bounds
from gnndesign.properties.molecular_thermochemistry import (
    IdealGas,
    ideal_gas,
    rigid_motions,
)
from gnndesign.properties.work import Relaxing, equilibrium, evaluated
from gnndesign.units import FS, PLANCK_EV_PER_THZ, THZ_TO_PER_CM

_ROOM_TEMPERATURE_K = 298.15


@dataclass(frozen=True, slots=True, kw_only=True)
class MolecularVibrationsResult:
    """Harmonic vibrations of a molecule.

    Attributes:
        atoms: the molecule at rest.
        energy: eV, without the zero-point energy.
        frequencies_THz: (n_modes,) ascending, negative for imaginary ones; 3 n - 6 of
            them, 3 n - 5 of a linear molecule, none of an atom.
        displacements: (n_modes, n_atoms, 3) how the atoms move, without unit; the atom
            that moves farthest moves by 1.
        is_linear: whether all atoms are in one line.
        ideal_gas: thermochemistry; None where the molecule is not at a minimum.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    energy: float
    frequencies_THz: Float[np.ndarray, " n_modes"]
    displacements: Float[np.ndarray, "n_modes n_atoms 3"]
    is_linear: bool
    ideal_gas: IdealGas | None
    notes: tuple[str, ...] = ()

    @property
    def wavenumbers_per_cm(self) -> Float[np.ndarray, " n_modes"]:
        """(n_modes,) cm^-1, negative for imaginary ones."""
        return self.frequencies_THz * THZ_TO_PER_CM

    @property
    def n_imaginary(self) -> int:
        """Number of imaginary modes; 1 at a transition state."""
        return int((self.frequencies_THz < 0).sum())

    @property
    def zero_point_energy(self) -> float:
        """Σ hν / 2 over the real modes, eV."""
        real = self.frequencies_THz[self.frequencies_THz > 0]
        return 0.5 * PLANCK_EV_PER_THZ * float(real.sum())

    @property
    def highest_wavenumber_per_cm(self) -> float:
        """NaN of an atom, which has no mode."""
        waves = self.wavenumbers_per_cm
        return float(waves.max()) if len(waves) else float("nan")

    @property
    def gibbs_correction_298K(self) -> float:
        """Free energy at 298.15 K less the potential energy, eV; NaN off a minimum."""
        if self.ideal_gas is None:
            return float("nan")
        free = self.ideal_gas.free_energy
        return self.ideal_gas.at(free, _ROOM_TEMPERATURE_K) - self.energy

    @property
    def entropy_298K_J_per_mol_K(self) -> float:
        """Of the ideal gas at 298.15 K; NaN off a minimum."""
        if self.ideal_gas is None:
            return float("nan")
        entropy = self.ideal_gas.entropy_J_per_mol_K
        return self.ideal_gas.at(entropy, _ROOM_TEMPERATURE_K)

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        rows = (
            ("Zero-point energy", "eV", "zero_point_energy"),
            ("Highest wavenumber", "1/cm", "highest_wavenumber_per_cm"),
            ("Imaginary modes", "", "n_imaginary"),
            ("Free energy correction at 298.15 K", "eV", "gibbs_correction_298K"),
            ("Entropy at 298.15 K", "J/(K mol)", "entropy_298K_J_per_mol_K"),
        )
        return quantities_of(self, rows)

    def mode(
        self, mode: int, *, amplitude: float = 0.3, n_frames: int = 24
    ) -> list[ase.Atoms]:
        """One period of a mode, to be animated.

        Args:
            mode: from 0, in ascending order of the frequencies.
            amplitude: Å, of the atom that moves farthest.
            n_frames: of the period; the last is followed by the first again.

        Raises:
            ParameterError: no such mode.
        """
        if not 0 <= mode < len(self.frequencies_THz) or n_frames < 1:
            raise ParameterError(
                f"Wanted a mode in 0 to {len(self.frequencies_THz) - 1} and n_frames >= "
                f"1, got {mode} and {n_frames}."
            )
        moved: list[ase.Atoms] = []
        for phase in 2 * np.pi * np.arange(n_frames) / n_frames:
            frame = self.atoms.copy()
            frame.positions += amplitude * np.cos(phase) * self.displacements[mode]
            moved.append(frame)
        return moved


@dataclass(frozen=True, slots=True, kw_only=True)
class MolecularVibrations(Property[MolecularVibrationsResult]):
    """Vibrations of a molecule by central differences of the forces.

    Attributes:
        displacement: Å, of every atom along every axis, to both sides.
        relaxing: how the molecule is brought to rest; None to take it as it is, as a
            transition state must be.
        pressure_bar: of the ideal gas.
        max_temperature_K: of the ideal gas.
        temperature_step_K: of the ideal gas, from this on.
        symmetry_number: rotations that bring the molecule onto itself; None to find it.
        spin: total electronic spin, 0.5 for one unpaired electron; None to take it from
            the initial magnetic moments.
    """

    kind: ClassVar[str] = "molecular_vibrations"
    title: ClassVar[str] = "Vibrations of a molecule"

    displacement: Annotated[float, Interval(ge=1e-4, le=0.1)] = 0.01
    relaxing: Relaxing | None = field(
        default_factory=lambda: Relaxing(cell=None, max_force=1e-3)
    )
    pressure_bar: Positive = 1.0
    max_temperature_K: Temperature = 1000.0
    temperature_step_K: Temperature = 10.0
    symmetry_number: Count | None = None
    spin: Annotated[float, Ge(0)] | None = None

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.relaxing is not None and self.relaxing.cell is not None:
            raise ParameterError(
                "Wanted relaxing with cell=None, since a molecule has no cell, got "
                f"{self.relaxing.cell!r}."
            )
        if self.temperature_step_K > self.max_temperature_K:
            raise ParameterError(
                "Wanted temperature_step_K <= max_temperature_K, got "
                f"{self.temperature_step_K} and {self.max_temperature_K}."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only a free molecule has rotations to be left out."""
        name = atoms.get_chemical_formula("metal")
        if atoms.pbc.any():
            raise StructureError(
                f"{name} is periodic along {atoms.pbc.tolist()}. Wanted a molecule, "
                "atoms.pbc = False; a crystal has phonons."
            )
        if atoms.constraints:
            raise StructureError(
                f"{name} has constraints, which keep atoms from vibrating. Remove them."
            )

    def steps(
        self, atoms: ase.Atoms, potential: Potential
    ) -> Steps[MolecularVibrationsResult]:
        """Relax, displace, diagonalize."""
        del potential
        molecule = yield from equilibrium(atoms, self.relaxing)
        copies = [molecule.copy(), *_displaced(molecule, self.displacement)]
        ends = yield from evaluated(copies, "displaced copy")
        hessian = _hessian(ends[1:], self.displacement)
        frequencies, displacements = _modes(molecule, hessian)
        temperatures = np.arange(
            self.temperature_step_K,
            self.max_temperature_K + 0.5 * self.temperature_step_K,
            self.temperature_step_K,
        )
        n_imaginary = int((frequencies < 0).sum())
        gas = None
        if not n_imaginary:
            gas = ideal_gas(
                molecule,
                ends[0].energy,
                frequencies,
                temperatures,
                pressure_bar=self.pressure_bar,
                symmetry_number=self.symmetry_number,
                spin=self.spin,
            )
        return MolecularVibrationsResult(
            atoms=molecule,
            energy=ends[0].energy,
            frequencies_THz=frequencies,
            displacements=displacements,
            is_linear=len(rigid_motions(molecule)) == 5,
            ideal_gas=gas,
            notes=tuple(_notes(molecule, ends[0], n_imaginary, gas)),
        )


def _displaced(molecule: ase.Atoms, displacement: float) -> Iterable[ase.Atoms]:
    """Atom by atom, axis by axis, forth and back."""
    for atom in range(len(molecule)):
        for axis in range(3):
            for sign in (1, -1):
                copy = molecule.copy()
                copy.positions[atom, axis] += sign * displacement
                yield copy


def _hessian(ends: list[End], displacement: float) -> Float[np.ndarray, "n n"]:
    """(3 n_atoms, 3 n_atoms) eV/Å², symmetric."""
    forces = np.array([np.ravel(end.forces) for end in ends], dtype=float)
    hessian = (forces[1::2] - forces[::2]) / (2 * displacement)
    return 0.5 * (hessian + hessian.T)


def _modes(
    molecule: ase.Atoms, hessian: Float[np.ndarray, "n n"]
) -> tuple[Float[np.ndarray, " n_modes"], Float[np.ndarray, "n_modes n_atoms 3"]]:
    rigid = rigid_motions(molecule)
    # The rest of an orthonormal basis that begins with the rigid motions.
    basis = np.linalg.svd(rigid)[2][len(rigid) :]
    roots = np.repeat(np.sqrt(molecule.get_masses()), 3)
    inner = basis @ (hessian / np.outer(roots, roots)) @ basis.T
    squares, vectors = np.linalg.eigh(inner)
    frequencies = np.sign(squares) * np.sqrt(np.abs(squares)) * FS * 1e3 / (2 * np.pi)
    moves = ((vectors.T @ basis) / roots).reshape(-1, len(molecule), 3)
    longest = np.linalg.norm(moves, axis=-1).max(axis=-1, initial=0.0)
    return frequencies, moves / longest[:, None, None]


def _notes(
    molecule: ase.Atoms, at_rest: End, n_imaginary: int, gas: IdealGas | None
) -> Iterable[str]:
    if at_rest.max_force > 0.02:
        yield (
            f"The molecule is not at rest (a force of {at_rest.max_force:.3f} eV/Å): its "
            "frequencies mean little."
        )
    if n_imaginary == 1:
        yield "One mode is imaginary: a transition state, without thermochemistry."
    elif n_imaginary > 1:
        yield (
            f"{n_imaginary} modes are imaginary: neither a minimum nor a transition "
            "state. Relax it from another start."
        )
    if gas is not None and len(molecule) > 1:
        yield (
            f"Ideal gas with symmetry number {gas.symmetry_number} and spin "
            f"{gas.spin:g}; torsions are taken for harmonic."
        )
