"""Harmonic force constants of crystals by displaced supercells, through phonopy.

The force on atom i when atom j is displaced by u (A. Togo and I. Tanaka, Scripta Mater.
108, 1 (2015)):

    F_i = - Φ_ij u_j

Phonopy finds the fewest displacements that the symmetry asks for.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
from jaxtyping import Complex, Float, Int

from gnndesign.errors import StructureError
from gnndesign.properties.base import End, Steps
from gnndesign.properties.work import evaluated


@dataclass(frozen=True, slots=True, kw_only=True)
class ForceConstants:
    """Force constants of a crystal, and all that its harmonic phonons need.

    Attributes:
        unit_cell: the crystal as it was given.
        supercell_matrix: (3, 3) the supercell's vectors, as rows, are this times those
            of the unit cell.
        primitive_matrix: (3, 3) the primitive vectors likewise.
        primitive: the primitive cell, whose phonons these are.
        values: (n_primitive, n_supercell, 3, 3) Φ in eV/Å², between the atoms of the
            primitive cell and all atoms of the supercell, both in phonopy's order.
        energy_per_atom: eV, of the crystal without displacements.
        residual_force: eV/Å, the longest force in the supercell without displacements;
            it was subtracted.
        n_displacements: number of displaced supercells.
        symprec: Å, within which the symmetry was found.
    """

    unit_cell: ase.Atoms
    supercell_matrix: Int[np.ndarray, "3 3"]
    primitive_matrix: Float[np.ndarray, "3 3"]
    primitive: ase.Atoms
    values: Float[np.ndarray, "n_primitive n_supercell 3 3"]
    energy_per_atom: float
    residual_force: float
    n_displacements: int
    symprec: float

    def phonopy(self, *, with_symmetry: bool = True) -> Any:
        """A new `phonopy.Phonopy` with these force constants.

        Args:
            with_symmetry: whether to look for the symmetry, which takes a second and
                saves many where a mesh of q-points is sampled.
        """
        phonon = new_phonopy(
            self.unit_cell,
            self.supercell_matrix,
            self.symprec,
            primitive=self.primitive_matrix,
            with_symmetry=with_symmetry,
        )
        phonon.force_constants = self.values
        return phonon

    def modes(
        self, q_points: Float[np.ndarray, "n_q 3"]
    ) -> tuple[
        Float[np.ndarray, "n_q n_bands"],
        Complex[np.ndarray, "n_q n_bands n_primitive 3"],
    ]:
        """Frequencies and eigenvectors at q-points.

        Args:
            q_points: (n_q, 3) in reciprocal primitive vectors.

        Returns:
            Frequencies in THz, ascending, negative for imaginary ones; eigenvectors of
            the dynamical matrix, normalized, such that atom j in the cell at R moves
            along Re[e_j exp(2πi q·(R + r_j))] / sqrt(m_j).
        """
        phonon = self.phonopy(with_symmetry=False)
        found = phonon.run_qpoints(q_points, with_eigenvectors=True)
        n_bands = found.frequencies.shape[1]
        vectors = np.swapaxes(found.eigenvectors, 1, 2)
        return found.frequencies, vectors.reshape(-1, n_bands, n_bands // 3, 3)


def force_constants(
    crystals: Sequence[ase.Atoms],
    supercells: Sequence[Int[np.ndarray, "3 3"]],
    *,
    displacement: float,
    symprec: float,
) -> Steps[list[tuple[ForceConstants, Any]]]:
    """Force constants of crystals; the supercells of all of them go into one work.

    Args:
        crystals: at rest: displacements are taken from where they are.
        supercells: one for each, (3, 3).
        displacement: Å.
        symprec: Å.

    Returns:
        For each crystal its force constants, and the `phonopy.Phonopy` that has them:
        to build it again takes as long as all the forces.

    Raises:
        ConvergenceError: one of the supercells cannot be evaluated.
        StructureError: atoms on top of each other.
    """
    phonons = [
        new_phonopy(atoms, supercell, symprec)
        for atoms, supercell in zip(crystals, supercells, strict=True)
    ]
    groups: list[list[ase.Atoms]] = []
    for phonon in phonons:
        phonon.generate_displacements(distance=displacement)
        cells = [phonon.supercell, *phonon.supercells_with_displacements]
        groups.append([from_phonopy(cell) for cell in cells])
    everything = [atoms for group in groups for atoms in group]
    ends = yield from evaluated(everything, "displaced supercell")
    results: list[tuple[ForceConstants, Any]] = []
    for atoms, phonon, group in zip(crystals, phonons, groups, strict=True):
        own, ends = ends[: len(group)], ends[len(group) :]
        results.append((_produced(atoms, phonon, own, symprec), phonon))
    return results


def _produced(
    atoms: ase.Atoms, phonon: Any, ends: list[End], symprec: float
) -> ForceConstants:
    at_rest, *displaced = (np.asarray(end.forces, dtype=float) for end in ends)
    phonon.forces = [forces - at_rest for forces in displaced]
    phonon.produce_force_constants(calculate_full_force_constants=False)
    # The sum rule and the order of differentiation; the space group is there already.
    phonon.symmetrize_force_constants(level=3)
    return ForceConstants(
        unit_cell=atoms,
        supercell_matrix=np.array(phonon.supercell_matrix.T, dtype=np.int64),
        primitive_matrix=np.array(phonon.primitive_matrix.T, dtype=float),
        primitive=from_phonopy(phonon.primitive),
        values=np.array(phonon.force_constants),
        energy_per_atom=ends[0].energy / len(at_rest),
        residual_force=float(np.linalg.norm(at_rest, axis=1).max()),
        n_displacements=len(displaced),
        symprec=symprec,
    )


def new_phonopy(
    atoms: ase.Atoms,
    supercell: Int[np.ndarray, "3 3"],
    symprec: float,
    *,
    primitive: Float[np.ndarray, "3 3"] | None = None,
    with_symmetry: bool = True,
) -> Any:
    """A `phonopy.Phonopy` of a crystal, without force constants yet.

    Args:
        atoms: a crystal; its masses count, its magnetic moments do not.
        supercell: (3, 3), rows.
        symprec: Å.
        primitive: (3, 3), rows; None to find it.
        with_symmetry: whether to look for the symmetry.

    Raises:
        StructureError: phonopy finds no symmetry in it.
    """
    from phonopy import Phonopy
    from phonopy.structure.cells import guess_primitive_matrix

    unit_cell = to_phonopy(atoms)
    try:
        # Its own columns are what our rows are.
        matrix = (
            guess_primitive_matrix(
                unit_cell, symprec=symprec, distinguish_symbol_index=True
            )
            if primitive is None
            else primitive.T
        )
        with warnings.catch_warnings():
            # A supercell of less symmetry than the crystal is the user's choice.
            warnings.filterwarnings("ignore", ".*Point group symmetries of supercell")
            return Phonopy(
                unit_cell,
                supercell_matrix=supercell.T,
                primitive_matrix=matrix,
                symprec=symprec,
                is_symmetry=with_symmetry,
                distinguish_symbol_index=True,
            )
    except (RuntimeError, AttributeError, TypeError) as error:
        raise StructureError(
            f"phonopy cannot use {atoms.get_chemical_formula('metal')}: {error}. Are "
            "two atoms on top of each other, or is it disordered within symprec?"
        ) from error


def to_phonopy(atoms: ase.Atoms) -> Any:
    """As `phonopy.structure.atoms.PhonopyAtoms`; isotopes become species."""
    from phonopy.structure.atoms import PhonopyAtoms

    masses = atoms.get_masses()
    symbols = atoms.get_chemical_symbols()
    if atoms.has("masses"):
        kinds = dict.fromkeys(zip(symbols, masses.tolist(), strict=True))
        number = {pair: place + 1 for place, pair in enumerate(kinds)}
        symbols = [
            f"{s}{number[s, m]}" for s, m in zip(symbols, masses.tolist(), strict=True)
        ]
    return PhonopyAtoms(
        symbols=symbols, masses=masses, cell=atoms.cell.array, positions=atoms.positions
    )


def from_phonopy(cell: Any) -> ase.Atoms:
    """A crystal of a `phonopy.structure.atoms.PhonopyAtoms`, in its order of atoms."""
    atoms = ase.Atoms(
        numbers=cell.numbers, positions=cell.positions, cell=cell.cell, pbc=True
    )
    if not np.allclose(atoms.get_masses(), cell.masses):
        atoms.set_masses(cell.masses)
    return atoms
