"""What stresses under strain say of a crystal: its elastic tensor and the rest."""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from jaxtyping import Float, Real

from gnndesign.errors import FitError, StructureError
from gnndesign.properties.base import Quantity, quantities_of
from gnndesign.properties.elastic_moduli import (
    ElasticModuli,
    debye_temperature,
    elastic_moduli,
    is_stable,
    mandel_to_voigt,
    sound_velocities,
    to_mandel,
    young_moduli,
)

_MOST_RESIDUAL = 0.1
"""Of the stresses: a polynomial that misses by more describes something else."""

_WORTH_A_NOTE = 0.02
"""Of the stresses: a change by the symmetry that a person should know of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticityResult:
    """The elastic tensor and what is read off it.

    Attributes:
        atoms: the crystal at rest, turned into the standard orientation of its system
            (IEEE Standard on Piezoelectricity 176 (1987)), in which the tensor is.
        stiffness_GPa: (6, 6) in Voigt's order xx, yy, zz, yz, xz, xy, with engineering
            shear strains; symmetric, and of the symmetry of the crystal's point group.
        is_stable: whether every small strain costs energy.
        moduli: averages over orientations.
        longitudinal_velocity_m_per_s: of sound, averaged; NaN if unstable, and so the
            next two.
        transverse_velocity_m_per_s: of sound, averaged.
        debye_temperature_K: from the velocities of sound.
        strains: (n_copies, 3, 3) Green and Lagrange's, of the copies; the first is zero.
        stresses_GPa: (n_copies, 3, 3) Cauchy's, of the copies, positive under tension.
        fit_residual: root mean square of what the polynomials miss, as a fraction of
            the stresses.
        symmetrization_change: root mean square by which the symmetry of the point group
            and of the indices changed the derivatives, as a fraction of them.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    stiffness_GPa: Float[np.ndarray, "6 6"]
    is_stable: bool
    moduli: ElasticModuli
    longitudinal_velocity_m_per_s: float
    transverse_velocity_m_per_s: float
    debye_temperature_K: float
    strains: Float[np.ndarray, "n_copies 3 3"]
    stresses_GPa: Float[np.ndarray, "n_copies 3 3"]
    fit_residual: float
    symmetrization_change: float
    notes: tuple[str, ...] = ()

    @property
    def residual_stress_GPa(self) -> Float[np.ndarray, "3 3"]:
        """(3, 3) at zero strain, positive under tension."""
        return self.stresses_GPa[0]

    @property
    def bulk_modulus_GPa(self) -> float:
        """Hill's average; NaN if unstable, as all the others."""
        return self.moduli.bulk_hill_GPa

    @property
    def shear_modulus_GPa(self) -> float:
        """Hill's average."""
        return self.moduli.shear_hill_GPa

    @property
    def young_modulus_GPa(self) -> float:
        """Of Hill's averages."""
        return self.moduli.young_GPa

    @property
    def poisson_ratio(self) -> float:
        """Of Hill's averages."""
        return self.moduli.poisson_ratio

    @property
    def universal_anisotropy(self) -> float:
        """Of Ranganathan and Ostoja-Starzewski; 0 if isotropic."""
        return self.moduli.universal_anisotropy

    def young_modulus_GPa_along(
        self, directions: Real[np.ndarray, "*n 3"]
    ) -> Float[np.ndarray, "*n"]:
        """(...) GPa of a pull along directions (..., 3) in the frame of `atoms`.

        Raises:
            StructureError: the crystal is unstable and does not bear a pull.
        """
        if not self.is_stable:
            raise StructureError(
                f"{self.atoms.get_chemical_formula('metal')} is elastically unstable "
                "and has no Young's modulus. Relax it along the unstable strain first."
            )
        return young_moduli(self.stiffness_GPa, directions)

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        rows = (
            ("Bulk modulus (Hill)", "GPa", "bulk_modulus_GPa"),
            ("Shear modulus (Hill)", "GPa", "shear_modulus_GPa"),
            ("Young's modulus", "GPa", "young_modulus_GPa"),
            ("Poisson's ratio", "", "poisson_ratio"),
            ("Universal anisotropy", "", "universal_anisotropy"),
            ("Debye temperature", "K", "debye_temperature_K"),
        )
        return quantities_of(self, rows)


def fitted(
    atoms: ase.Atoms,
    directions: Float[np.ndarray, "n_strains 3 3"],
    slopes: Float[np.ndarray, "n_strains 3 3"],
    turns: Float[np.ndarray, "n_operations 3 3"],
    *,
    strains: Float[np.ndarray, "n_copies 3 3"],
    stresses_GPa: Float[np.ndarray, "n_copies 3 3"],
    fit_residual: float,
) -> ElasticityResult:
    """The tensor that gives these derivatives of the stress, least squares.

    Args:
        atoms: the crystal, in the frame of the strains.
        directions: (n_strains, 3, 3) symmetric, no unit.
        slopes: (n_strains, 3, 3) GPa, derivative of the stress along each.
        turns: (n_operations, 3, 3) the point group, see `point_group`; a strain and its
            stress are turned by all of them.
        strains: that the derivatives are from, see `ElasticityResult`.
        stresses_GPa: likewise.
        fit_residual: likewise.

    Raises:
        FitError: the derivatives are not to be trusted, or the strains do not span all.
    """
    name = atoms.get_chemical_formula("metal")
    if not fit_residual <= _MOST_RESIDUAL:
        raise FitError(
            f"Stresses of {name} miss polynomials of the strain by "
            f"{fit_residual:.0%}, wanted at most {_MOST_RESIDUAL:.0%}. Take smaller "
            "strains, or relax more tightly; a crystal that is unstable (look at its "
            "phonons) falls to another structure when it is strained."
        )
    # Of unit length, and in Mandel's notation, all strains weigh alike in any frame:
    # six of them give the mean over the point group, which keeps Voigt's averages.
    lengths = np.linalg.norm(directions, axis=(1, 2), keepdims=True)
    directions, slopes = directions / lengths, slopes / lengths
    known = to_mandel(turned(directions, turns)).reshape(-1, 6)
    wanted = to_mandel(turned(slopes, turns)).reshape(-1, 6)
    transposed, _, rank, _ = np.linalg.lstsq(known, wanted, rcond=1e-6)
    if rank < 6:
        raise FitError(f"{len(directions)} strains leave some of {name} undetermined.")
    symmetric = 0.5 * (transposed + transposed.T)
    stiffness = mandel_to_voigt(symmetric)
    missed = to_mandel(directions) @ symmetric - to_mandel(slopes)
    change = float(np.linalg.norm(missed) / np.linalg.norm(slopes))
    moduli = elastic_moduli(stiffness)
    longitudinal, transverse = sound_velocities(moduli, atoms)
    return ElasticityResult(
        atoms=atoms,
        stiffness_GPa=stiffness,
        is_stable=is_stable(stiffness),
        moduli=moduli,
        longitudinal_velocity_m_per_s=longitudinal,
        transverse_velocity_m_per_s=transverse,
        debye_temperature_K=debye_temperature(longitudinal, transverse, atoms),
        strains=strains,
        stresses_GPa=stresses_GPa,
        fit_residual=fit_residual,
        symmetrization_change=change,
        notes=_notes(stiffness, change),
    )


def _notes(stiffness: Float[np.ndarray, "6 6"], change: float) -> tuple[str, ...]:
    notes: list[str] = []
    lowest = np.linalg.eigvalsh(stiffness).min()
    if lowest <= 0:
        notes.append(
            f"Elastically unstable: a strain has the stiffness {lowest:.1f} GPa, so "
            "there is another structure of lower energy; Reuss's and Hill's averages "
            "have no meaning."
        )
    if change > _WORTH_A_NOTE:
        notes.append(
            f"The crystal's symmetry changed the derivatives by {change:.1%}; relax "
            "to smaller forces, or look whether strained copies change phase."
        )
    return tuple(notes)


def turned(
    tensors: Float[np.ndarray, "n 3 3"], turns: Float[np.ndarray, "n_operations 3 3"]
) -> Float[np.ndarray, "n_operations n 3 3"]:
    """Symmetric tensors after all operations; a vector v goes to v @ turn."""
    return np.einsum("gki,nkl,glj->gnij", turns, tensors, turns)
