"""Phonons of a crystal: bands, density of states, thermal properties, imaginary modes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import ase
import numpy as np
from annotated_types import Interval
from jaxtyping import Float, Int

from gnndesign.errors import StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Steps
from gnndesign.properties.bounds import (
    Count,
    Length,
    Symprec,
    Temperature,
    check_bounds,
)
from gnndesign.properties.force_constants import ForceConstants, force_constants
from gnndesign.properties.phonon_bands import (
    PhononMesh,
    band_structure,
    density_of_states,
    sample_mesh,
    thermodynamics,
)
from gnndesign.properties.phonon_modes import (
    PhononMode,
    imaginary_modes,
)
from gnndesign.properties.phonon_result import PhononResult
from gnndesign.properties.phonon_supercell import chosen_supercell, given_supercell
from gnndesign.properties.polarity import NO_SPLITTING_NOTE, is_polar
from gnndesign.properties.work import Relaxing, equilibrium

_LARGE_RESIDUAL = 0.01


def tight_relaxing() -> Relaxing:
    """Phonons ask for a crystal at rest, in its own symmetry."""
    return Relaxing(max_force=1e-3, fix_symmetry=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phonons(Property[PhononResult]):
    """Harmonic phonons by displaced supercells, through phonopy.

    Potentials of short reach have no macroscopic electric field, so that the splitting
    of longitudinal and transverse optical modes at the zone's center is missing; a note
    says so of polar crystals, see `PhononResult.lacks_splitting`.

    Attributes:
        supercell: repeats of the structure's cell along its vectors, or a (3, 3) matrix
            whose rows are the supercell's vectors; None to choose it.
        min_length: Å, of every vector of a chosen supercell.
        max_atoms: of a chosen supercell, which is shorter rather than larger.
        even_supercell: whether a chosen supercell repeats the conventional cell an even
            number of times, so that modes of the zone's boundary fit into it.
        displacement: Å.
        relaxing: how the crystal is brought to rest; None to take it as it is.
        symprec: Å, within which the symmetry of the crystal at rest is found.
        n_band_points: q-points along the path, about.
        mesh_length: Å; the mesh has this times |b| points along a reciprocal vector b.
        max_temperature_K: of the thermal properties, from 0 on.
        temperature_step_K: of the thermal properties.
        imaginary_threshold_THz: a frequency below minus this is imaginary; what is
            smaller comes from single precision and interpolation.
    """

    kind: ClassVar[str] = "phonons"
    title: ClassVar[str] = "Phonons"

    supercell: Sequence[int] | Sequence[Sequence[int]] | None = None
    min_length: Length = 10.0
    max_atoms: Count = 300
    even_supercell: bool = False
    displacement: Annotated[float, Interval(ge=1e-4, le=0.2)] = 0.015
    relaxing: Relaxing | None = field(default_factory=tight_relaxing)
    symprec: Symprec = 1e-4
    n_band_points: Annotated[int, Interval(ge=1, le=100000)] = 300
    mesh_length: Length = 60.0
    max_temperature_K: Temperature = 1000.0
    temperature_step_K: Temperature = 10.0
    imaginary_threshold_THz: Annotated[float, Interval(ge=0, le=100)] = 0.1

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.supercell is not None:
            given_supercell(self.supercell)

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only a crystal has phonons."""
        refuse_what_is_no_crystal(atoms)

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[PhononResult]:
        """Relax, displace, find the force constants, and what follows from them."""
        crystal = yield from equilibrium(atoms, self.relaxing)
        ((constants, phonon),) = yield from self.force_constants([crystal])
        found = self.result(crystal, constants, phonon)
        return replace(found, notes=(*found.notes, *said_of_phonons(potential)))

    def force_constants(
        self,
        crystals: Sequence[ase.Atoms],
        supercell: Int[np.ndarray, "3 3"] | None = None,
    ) -> Steps[list[tuple[ForceConstants, Any]]]:
        """Force constants of crystals at rest, all in one work.

        Args:
            crystals: at rest.
            supercell: (3, 3) of all of them; None for each its own.

        Returns:
            With the `phonopy.Phonopy` of each.
        """
        own = [
            self.supercell_of(crystal) if supercell is None else supercell
            for crystal in crystals
        ]
        return (
            yield from force_constants(
                crystals, own, displacement=self.displacement, symprec=self.symprec
            )
        )

    def supercell_of(self, crystal: ase.Atoms) -> Int[np.ndarray, "3 3"]:
        """(3, 3) the supercell given, or the one chosen for a crystal."""
        if self.supercell is not None:
            return given_supercell(self.supercell)
        return chosen_supercell(
            crystal,
            min_length=self.min_length,
            max_atoms=self.max_atoms,
            even=self.even_supercell,
            symprec=self.symprec,
        )

    @property
    def temperatures_K(self) -> Float[np.ndarray, " n"]:
        """(n,) of the thermal properties."""
        step = self.temperature_step_K
        return np.arange(0.0, self.max_temperature_K + 0.5 * step, step)

    def result(
        self, crystal: ase.Atoms, constants: ForceConstants, phonon: Any
    ) -> PhononResult:
        """All that follows from force constants.

        Args:
            crystal: at rest.
            constants: of the crystal.
            phonon: the `phonopy.Phonopy` that has them.
        """
        mesh = sample_mesh(phonon, self.mesh_length)
        frequencies = mesh.frequencies_THz
        lowest = int(frequencies.min(axis=1).argmin())
        imaginary = (frequencies < -self.imaginary_threshold_THz).sum(axis=1)
        exact = imaginary_modes(constants, self.imaginary_threshold_THz)
        primitive = constants.primitive
        return PhononResult(
            atoms=crystal,
            primitive=primitive,
            force_constants=constants,
            bands=band_structure(phonon, primitive, self.n_band_points),
            density_of_states=density_of_states(phonon),
            thermal=thermodynamics(phonon, self.temperatures_K),
            max_frequency_THz=float(frequencies.max()),
            min_frequency_THz=float(frequencies.min()),
            min_frequency_q_point=mesh.q_points[lowest],
            n_imaginary=int(imaginary @ mesh.weights),
            n_modes=int(frequencies.shape[1] * mesh.weights.sum()),
            worst_mode=exact[0] if exact else None,
            notes=self._notes(crystal, constants, mesh, exact),
        )

    def _notes(
        self,
        crystal: ase.Atoms,
        constants: ForceConstants,
        mesh: PhononMesh,
        exact: list[PhononMode],
    ) -> tuple[str, ...]:
        notes: list[str] = []
        lengths = np.linalg.norm(
            constants.supercell_matrix @ crystal.cell.array, axis=1
        )
        if self.supercell is None and lengths.min() < self.min_length - 1e-3:
            notes.append(
                f"A supercell of at most {self.max_atoms} atoms is only "
                f"{lengths.min():.1f} Å long where {self.min_length:g} Å were wanted."
            )
        if constants.residual_force > _LARGE_RESIDUAL:
            notes.append(
                f"The crystal is not at rest: a force of {constants.residual_force:.3f} "
                "eV/Å was subtracted."
            )
        frequencies = mesh.frequencies_THz
        count = (frequencies < -self.imaginary_threshold_THz).sum(axis=1)
        share = count @ mesh.weights / (frequencies.shape[1] * mesh.weights.sum())
        if share or exact:
            notes.append(_instability(share, mesh, exact))
        if is_polar(crystal):
            notes.append(NO_SPLITTING_NOTE)
        return tuple(notes)


def _instability(share: float, mesh: PhononMesh, exact: list[PhononMode]) -> str:
    lowest = mesh.frequencies_THz.min(axis=1)
    q_point = np.round(mesh.q_points[int(lowest.argmin())], 3)
    said = (
        f"{100 * share:.2g} % of the modes are imaginary, the lowest at "
        f"{lowest.min():.2f} THz, q = {q_point.tolist()}: thermal properties are those of "
        "the other modes alone."
    )
    if not exact:
        return (
            f"{said} None fits into the supercell, so it may be the interpolation; take "
            "a larger supercell."
        )
    worst = exact[0]
    return (
        f"{said} The crystal is not stable: the worst mode that fits into the supercell "
        f"is at {worst.frequency_THz:.2f} THz, q = {np.round(worst.q_point, 3).tolist()}; "
        "follow it to a stable structure."
    )


def refuse_what_is_no_crystal(atoms: ase.Atoms) -> None:
    """Say no to what is not periodic.

    Raises:
        StructureError: it is not periodic in three directions.
    """
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        raise StructureError(
            f"{atoms.get_chemical_formula('metal')} is not periodic in three directions, "
            "so it has no phonons. Wanted a crystal; a molecule has vibrations."
        )


def said_of_phonons(potential: Potential) -> tuple[str, ...]:
    """What the card of a potential says of its phonons."""
    return tuple(note for note in potential.card.notes if "phonon" in note)
