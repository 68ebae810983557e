"""Quasi-harmonic approximation: phonons at several volumes, through phonopy.

At every temperature the free energy of the lattice and its harmonic phonons is fitted
to an equation of state and is least at the volume of equilibrium (A. Togo et al., Phys.
Rev. B 81, 174301 (2010)):

    G(T, p) = min over V of [ E(V) + F_phonon(T, V) + p V ]
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import ase
import numpy as np
from annotated_types import Interval
from jaxtyping import Float

from gnndesign.errors import FitError, ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Steps
from gnndesign.properties.bounds import Pressure, Temperature, check_bounds
from gnndesign.properties.force_constants import ForceConstants
from gnndesign.properties.phonon_bands import sample_mesh
from gnndesign.properties.phonon_modes import imaginary_modes
from gnndesign.properties.phonons import (
    Phonons,
    refuse_what_is_no_crystal,
    said_of_phonons,
)
from gnndesign.properties.quasi_harmonic_result import (
    ModeGruneisen,
    QuasiHarmonicResult,
)
from gnndesign.properties.work import AS_GIVEN, Relaxing, equilibrium
from gnndesign.units import EV_PER_A3_TO_GPA, EV_TO_J_PER_MOL

_COARSE = 0.4
"""Of the mesh of the free energies: every point of it is drawn."""

_FORMS = {"vinet": "vinet", "birch-murnaghan": "birch_murnaghan"}
_ROOM_TEMPERATURE_K = 300.0
_RESOLVED_THZ = 0.05
"""Sound waves of lower frequency have no trustworthy Grüneisen parameter."""


_Strain = Annotated[float, Interval(ge=-0.3, le=0.3)]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuasiHarmonic(Property[QuasiHarmonicResult]):
    """Thermal expansion and what follows from it.

    Attributes:
        phonons: how they are found at every volume, and the structure at rest that the
            volumes are made from.
        n_volumes: evenly spaced.
        min_strain: of the smallest volume, as a fraction.
        max_strain: of the largest volume; what is hot is large.
        form: of the equation of state, "vinet" or "birch-murnaghan".
        pressure_GPa: positive under compression.
        max_temperature_K: from 0 on.
        temperature_step_K: at most 20 for good derivatives.
        at_each: how atoms and the cell's shape follow at each volume; None to scale
            their coordinates alone.
    """

    kind: ClassVar[str] = "quasi_harmonic"
    title: ClassVar[str] = "Thermal expansion (quasi-harmonic)"

    phonons: Phonons = field(default_factory=Phonons)
    n_volumes: Annotated[int, Interval(ge=5, le=100)] = 7
    min_strain: _Strain = -0.03
    max_strain: _Strain = 0.06
    form: str = "vinet"
    pressure_GPa: Pressure = 0.0
    max_temperature_K: Temperature = 1000.0
    temperature_step_K: Temperature = 10.0
    at_each: Relaxing | None = field(
        default_factory=lambda: Relaxing(
            cell="constant_volume", max_force=1e-3, fix_symmetry=True
        )
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.min_strain >= self.max_strain:
            raise ParameterError(
                f"Wanted min_strain < max_strain, got {self.min_strain} and "
                f"{self.max_strain}."
            )
        if self.form not in _FORMS:
            raise ParameterError(f"Wanted form in {tuple(_FORMS)}, got {self.form!r}.")
        if 4 * self.temperature_step_K > self.max_temperature_K:
            raise ParameterError(
                "Wanted temperature_step_K at most a fourth of "
                f"max_temperature_K, got {self.temperature_step_K} and "
                f"{self.max_temperature_K}."
            )
        if self.at_each is not None and self.at_each.cell not in (
            None,
            "constant_volume",
        ):
            raise ParameterError(
                "Wanted at_each with cell=None or 'constant_volume', which keep the "
                f"volume, got {self.at_each.cell!r}."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only a crystal has phonons."""
        refuse_what_is_no_crystal(atoms)

    def steps(
        self, atoms: ase.Atoms, potential: Potential
    ) -> Steps[QuasiHarmonicResult]:
        """Relax, scale, relax at each volume, displace all of them, fit."""
        start = yield from equilibrium(atoms, self.phonons.relaxing)
        strains = np.linspace(self.min_strain, self.max_strain, self.n_volumes)
        copies = [_scaled(start, 1.0 + float(strain)) for strain in strains]
        relaxing = self.at_each or AS_GIVEN
        ends = yield from relaxing.steps(copies, "copy at volume")
        # The same supercell at every volume, so that what it lacks cancels.
        supercell = self.phonons.supercell_of(start)
        found = yield from self.phonons.force_constants(
            [end.atoms for end in ends], supercell
        )
        return self._result(start, found, said_of_phonons(potential))

    def _result(
        self,
        atoms: ase.Atoms,
        sampled: Sequence[tuple[ForceConstants, Any]],
        notes: tuple[str, ...],
    ) -> QuasiHarmonicResult:
        for constants, phonon in sampled:
            self._refuse_imaginary(constants, phonon)
        n_atoms = len(sampled[0][0].primitive)
        volumes = np.array([one.primitive.get_volume() for one, _ in sampled])
        energies = np.array([one.energy_per_atom * n_atoms for one, _ in sampled])
        phonons = [phonon for _, phonon in sampled]
        found = self._fitted(phonons, energies)
        keep, left = _inside(volumes, found, atoms.get_chemical_formula("metal"))
        central = _nearest(volumes, found, keep)
        joule = EV_TO_J_PER_MOL
        gruneisen = np.array(found.gruneisen_parameters)
        gruneisen[0] = np.nan
        return QuasiHarmonicResult(
            atoms=atoms,
            n_atoms=n_atoms,
            sampled_volumes=volumes,
            sampled_energies=energies,
            free_energies=np.array(found.helmholtz_volume)[keep],
            temperatures_K=np.array(found.temperatures)[keep],
            volumes=np.array(found.equilibrium_volumes)[keep],
            gibbs_free_energy=np.array(found.gibbs_free_energies)[keep],
            bulk_modulus_GPa=np.array(found.bulk_moduli)[keep] * EV_PER_A3_TO_GPA,
            thermal_expansion_per_K=np.array(found.thermal_expansion)[keep],
            heat_capacity_P_J_per_mol_K=(
                np.array(found.heat_capacity_P.heat_capacities)[keep] * joule
            ),
            entropy_J_per_mol_K=np.array(found.entropy_temperature)[keep] * joule,
            gruneisen=gruneisen[keep],
            modes=mode_gruneisen(
                phonons[central - 1 : central + 2],
                self._mesh(phonons[central].primitive.cell, _COARSE),
            ),
            notes=(*left, *notes),
        )

    def _refuse_imaginary(self, constants: ForceConstants, phonon: Any) -> None:
        threshold = self.phonons.imaginary_threshold_THz
        exact = imaginary_modes(constants, threshold)
        mesh = sample_mesh(phonon, self.phonons.mesh_length)
        lowest = float(mesh.frequencies_THz.min())
        if exact or lowest < -threshold:
            lowest = min([lowest, *(mode.frequency_THz for mode in exact)])
            raise StructureError(
                f"At {constants.primitive.get_volume():.2f} Å³ a primitive cell, "
                f"{constants.unit_cell.get_chemical_formula('metal')} has imaginary "
                f"modes (down to {lowest:.2f} THz), so it has no free energy there. "
                "Follow the mode to a stable structure, or take smaller strains."
            )

    def _fitted(self, phonons: list[Any], energies: Float[np.ndarray, " n"]) -> Any:
        """The `phonopy.QHAResult`."""
        from phonopy import run_qha
        from phonopy.phonon.mesh import MeshSymmetryFallbackWarning

        step = self.temperature_step_K
        # Differences cost the last one.
        temperatures = np.arange(0.0, self.max_temperature_K + 1.5 * step, step)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "EOS fitting failed")
            warnings.filterwarnings("ignore", "Lattice parameter")
            warnings.simplefilter("ignore", MeshSymmetryFallbackWarning)
            try:
                return run_qha(
                    phonons,
                    temperatures=temperatures,
                    internal_energies=energies,
                    mesh=self._mesh(phonons[0].primitive.cell),
                    pressure=self.pressure_GPa,
                    eos=_FORMS[self.form],
                    exclude_gamma_acoustic=True,
                )
            except (RuntimeError, UserWarning) as error:
                raise FitError(
                    f"No {self.form} equation of state goes through the free energies: "
                    f"{error} Take a range of volumes with the minimum inside."
                ) from error

    def _mesh(self, cell: Float[np.ndarray, "3 3"], finer: float = 1.0) -> list[int]:
        """Three odd numbers, the same for all volumes: the mesh must not jump."""
        reciprocal = np.linalg.norm(np.linalg.inv(cell), axis=0)
        wanted = finer * self.phonons.mesh_length * reciprocal
        return [max(1, round(number)) | 1 for number in wanted.tolist()]


def _inside(
    volumes: Float[np.ndarray, " n_volumes"], found: Any, name: str
) -> tuple[slice, tuple[str, ...]]:
    """Temperatures at which the volume is between those computed, and what to say."""
    low, high = volumes.min(), volumes.max()
    volume = found.equilibrium_volumes
    within = (low < volume) & (volume < high)
    n_within = len(within) if within.all() else int(within.argmin())
    if n_within < 4:
        raise FitError(
            f"At 0 K and with its zero-point motion the volume of {name} is "
            f"{volume[0]:.2f} Å³ a primitive cell, not well between {low:.2f} and "
            f"{high:.2f}. Take other strains."
        )
    if n_within == len(within):
        return slice(None), ()
    last = found.temperatures[n_within - 1]
    said = (
        f"Above {last:.0f} K the volume leaves the range that was computed: take a "
        "larger max_strain for what is hotter."
    )
    return slice(0, n_within), (said,)


def _nearest(volumes: Float[np.ndarray, " n_volumes"], found: Any, keep: slice) -> int:
    """The volume, with neighbors, that is nearest to that of room temperature."""
    temperatures = np.asarray(found.temperatures)[keep]
    at = int(np.abs(temperatures - _ROOM_TEMPERATURE_K).argmin())
    near = int(np.abs(volumes - found.equilibrium_volumes[at]).argmin())
    return min(max(near, 1), len(volumes) - 2)


def mode_gruneisen(phonons: Sequence[Any], mesh: Sequence[int]) -> ModeGruneisen:
    """Mode Grüneisen parameters of three neighboring volumes, at the middle one."""
    from phonopy import PhonopyGruneisen
    from phonopy.phonon.mesh import MeshSymmetryFallbackWarning

    smaller, middle, larger = phonons
    gruneisen = PhonopyGruneisen(middle, larger, smaller)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MeshSymmetryFallbackWarning)
        gruneisen.set_mesh(mesh)
    found = gruneisen.get_mesh()
    assert found is not None
    _, weights, frequencies, _, parameters = found
    resolved = np.abs(frequencies) > _RESOLVED_THZ
    return ModeGruneisen(
        volume=float(middle.primitive.volume),
        weights=np.array(weights, dtype=np.int64),
        frequencies_THz=np.array(frequencies),
        parameters=np.where(resolved, parameters, np.nan),
    )


def _scaled(atoms: ase.Atoms, fraction: float) -> ase.Atoms:
    """A copy with a volume changed by a factor."""
    copy = atoms.copy()
    constraints, copy.constraints = copy.constraints, []
    copy.set_cell(atoms.cell.array * fraction ** (1 / 3), scale_atoms=True)
    copy.constraints = constraints
    return copy
