"""Lattice thermal conductivity by phonon-phonon scattering, through phono3py.

Relaxation-time approximation of the Boltzmann equation (A. Togo, L. Chaput and I.
Tanaka, Phys. Rev. B 91, 094306 (2015)), over the modes λ of N q-points:

    κ = 1/(N V) Σ_λ C_λ v_λ ⊗ v_λ τ_λ
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import ase
import numpy as np
from annotated_types import Interval
from jaxtyping import Float

from gnndesign.errors import (
    MissingDependencyError,
    ParameterError,
    StructureError,
)
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps
from gnndesign.properties.bounds import (
    Count,
    Length,
    Symprec,
    Temperature,
    check_bounds,
)
from gnndesign.properties.force_constants import from_phonopy, to_phonopy
from gnndesign.properties.phonon_supercell import chosen_supercell, given_supercell
from gnndesign.properties.phonons import (
    refuse_what_is_no_crystal,
    said_of_phonons,
    tight_relaxing,
)
from gnndesign.properties.work import Relaxing, equilibrium, evaluated

_ROOM_TEMPERATURE_K = 300.0
_VOIGT = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermalConductivityResult:
    """Lattice thermal conductivity.

    Attributes:
        atoms: the crystal at rest.
        temperatures_K: (n,).
        conductivity_W_per_m_K: (n, 3, 3) κ.
        mesh: q-points along each reciprocal vector.
        n_displacements: number of displaced supercells.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    temperatures_K: Float[np.ndarray, " n"]
    conductivity_W_per_m_K: Float[np.ndarray, "n 3 3"]
    mesh: tuple[int, int, int]
    n_displacements: int
    notes: tuple[str, ...] = ()

    @property
    def mean_conductivity_W_per_m_K(self) -> Float[np.ndarray, " n"]:
        """(n,) a third of the trace, as of a powder."""
        return np.trace(self.conductivity_W_per_m_K, axis1=1, axis2=2) / 3

    @property
    def conductivity_300K_W_per_m_K(self) -> float:
        """The mean at 300 K; NaN where that was not asked for."""
        found = np.interp(
            _ROOM_TEMPERATURE_K,
            self.temperatures_K,
            self.mean_conductivity_W_per_m_K,
            left=np.nan,
            right=np.nan,
        )
        return float(found)

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        return (
            Quantity(
                name="Lattice thermal conductivity at 300 K",
                value=self.conductivity_300K_W_per_m_K,
                unit="W/(m K)",
                key="conductivity_300K_W_per_m_K",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermalConductivity(Property[ThermalConductivityResult]):
    """Lattice thermal conductivity by force constants of second and third order.

    Pairs of atoms are displaced, so the supercells are many: tens for a crystal of high
    symmetry, thousands for one of low symmetry. All go into one work.

    Attributes:
        supercell: repeats of the structure's cell along its vectors, or a (3, 3) matrix
            whose rows are the supercell's vectors; None to choose it.
        min_length: Å, of every vector of a chosen supercell.
        max_atoms: of a chosen supercell, which is shorter rather than larger.
        max_displacements: a crystal that needs more is refused.
        displacement: Å.
        relaxing: how the crystal is brought to rest; None to take it as it is.
        symprec: Å, within which the symmetry of the crystal at rest is found.
        mesh_length: Å; the mesh has this times |b| points along a reciprocal vector b.
        temperatures_K: ascending.
        isotopes: whether the natural mixture of isotopes scatters too.
        imaginary_threshold_THz: a frequency below minus this is imaginary.
    """

    kind: ClassVar[str] = "thermal_conductivity"
    title: ClassVar[str] = "Lattice thermal conductivity"

    supercell: Sequence[int] | Sequence[Sequence[int]] | None = None
    min_length: Length = 8.0
    max_atoms: Count = 200
    max_displacements: Count = 5000
    displacement: Annotated[float, Interval(ge=1e-3, le=0.2)] = 0.03
    relaxing: Relaxing | None = field(default_factory=tight_relaxing)
    symprec: Symprec = 1e-4
    mesh_length: Length = 40.0
    temperatures_K: Sequence[Temperature] = tuple(
        float(t) for t in range(100, 1001, 50)
    )
    isotopes: bool = False
    imaginary_threshold_THz: Annotated[float, Interval(ge=0, le=100)] = 0.1

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.supercell is not None:
            given_supercell(self.supercell)
        temperatures = np.array(self.temperatures_K, dtype=float)
        if not len(temperatures) or (np.diff([0.0, *temperatures]) <= 0).any():
            raise ParameterError(
                f"Wanted ascending temperatures above 0 K, got {self.temperatures_K}."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only a crystal has phonons; and phono3py must be there.

        Raises:
            StructureError: no crystal.
            MissingDependencyError: phono3py is not installed.
        """
        refuse_what_is_no_crystal(atoms)
        try:
            import phono3py  # noqa: F401 # pyright: ignore[reportUnusedImport]
        except ImportError as error:
            raise MissingDependencyError(
                "Thermal conductivity needs phono3py: pip install "
                "'gnndesign[conductivity]'."
            ) from error

    def steps(
        self, atoms: ase.Atoms, potential: Potential
    ) -> Steps[ThermalConductivityResult]:
        """Relax, displace pairs, and let the phonons scatter."""
        crystal = yield from equilibrium(atoms, self.relaxing)
        phonon = self._phono3py(crystal)
        phonon.generate_displacements(distance=self.displacement)
        displaced = phonon.supercells_with_displacements
        if len(displaced) > self.max_displacements:
            raise StructureError(
                f"{crystal.get_chemical_formula('metal')} needs {len(displaced)} "
                f"displaced supercells, more than max_displacements = "
                f"{self.max_displacements}. Its symmetry is low; allow more, or take a "
                "smaller supercell."
            )
        cells = [from_phonopy(cell) for cell in (phonon.supercell, *displaced)]
        ends = yield from evaluated(cells, "displaced supercell")
        at_rest, *forces = (np.asarray(end.forces, dtype=float) for end in ends)
        phonon.forces = np.array(forces) - at_rest
        phonon.produce_fc3()
        phonon.symmetrize_fc3()
        phonon.symmetrize_fc2()
        conductivity = self._conductivity(phonon, crystal)
        a, b, c = (int(number) for number in phonon.mesh_numbers)
        return ThermalConductivityResult(
            atoms=crystal,
            temperatures_K=np.array(self.temperatures_K, dtype=float),
            conductivity_W_per_m_K=conductivity,
            mesh=(a, b, c),
            n_displacements=len(displaced),
            notes=(
                "Relaxation-time approximation, three-phonon scattering alone"
                + (" and isotopes." if self.isotopes else "."),
                *said_of_phonons(potential),
            ),
        )

    def _phono3py(self, crystal: ase.Atoms) -> Any:
        from phono3py import Phono3py
        from phonopy.structure.cells import guess_primitive_matrix

        if crystal.has("masses"):
            raise StructureError(
                "Wanted atoms of natural masses; isotopes=True lets the natural mixture "
                "scatter."
            )
        supercell = (
            given_supercell(self.supercell)
            if self.supercell is not None
            else chosen_supercell(
                crystal,
                min_length=self.min_length,
                max_atoms=self.max_atoms,
                symprec=self.symprec,
            )
        )
        unit_cell = to_phonopy(crystal)
        return Phono3py(
            unit_cell,
            supercell_matrix=supercell.T,
            primitive_matrix=guess_primitive_matrix(unit_cell, symprec=self.symprec),
            symprec=self.symprec,
        )

    def _conductivity(
        self, phonon: Any, crystal: ase.Atoms
    ) -> Float[np.ndarray, "n 3 3"]:
        phonon.mesh_numbers = self.mesh_length
        phonon.init_phph_interaction()
        phonon.run_phonon_solver()
        frequencies, _, _ = phonon.get_phonon_data()
        if frequencies.min() < -self.imaginary_threshold_THz:
            raise StructureError(
                f"{crystal.get_chemical_formula('metal')} has imaginary modes (down to "
                f"{frequencies.min():.2f} THz), so no conductivity. Follow the mode to a "
                "stable structure, or take a larger supercell."
            )
        phonon.run_thermal_conductivity(
            temperatures=np.array(self.temperatures_K, dtype=float),
            is_isotope=self.isotopes,
        )
        found = np.asarray(phonon.thermal_conductivity.kappa)[0]
        return found[:, _VOIGT]
