"""From an elastic tensor to what is read off it: averages, stability, sound, Young's E.

Tensors are 6x6 matrices in Voigt's order xx, yy, zz, yz, xz, xy; shear strains are
engineering ones, twice the component of the strain tensor: stress = C strain.

Averages over the orientations of grains (R. Hill, Proc. Phys. Soc. A 65, 349 (1952)):
Voigt's from the stiffness C, Reuss's from the compliance S = C⁻¹, Hill's their mean.

    9 K_V  = (C11 + C22 + C33) + 2 (C12 + C23 + C13)
    15 G_V = (C11 + C22 + C33) - (C12 + C23 + C13) + 3 (C44 + C55 + C66)
    1/K_R  = (S11 + S22 + S33) + 2 (S12 + S23 + S13)
    15/G_R = 4 (S11 + S22 + S33) - 4 (S12 + S23 + S13) + 3 (S44 + S55 + S66)

    E = 9 K G / (3 K + G),   ν = (3 K - 2 G) / (6 K + 2 G)

Universal anisotropy (S. I. Ranganathan, M. Ostoja-Starzewski, Phys. Rev. Lett. 101,
055504 (2008)), 0 for an isotropic crystal: A = 5 G_V / G_R + K_V / K_R - 6.

Debye temperature from the mean velocity of sound (O. L. Anderson, J. Phys. Chem. Solids
24, 909 (1963)), N atoms in the volume V of mass M, ρ = M / V:

    v_l = √((K + 4/3 G) / ρ),   v_t = √(G / ρ),   3 / v_m³ = 1 / v_l³ + 2 / v_t³
    θ = h / k_B (3 N / (4 π V))^(1/3) v_m
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import ase
import numpy as np
from jaxtyping import Float, Real
from scipy.constants import atomic_mass, h, k

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Voigt's order."""

_ROWS, _COLUMNS = np.array(VOIGT).T
_SHEAR = np.sqrt([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticModuli:
    """Averages of an elastic tensor; what an unstable crystal does not have is NaN.

    Attributes:
        bulk_voigt_GPa: K_V.
        bulk_reuss_GPa: K_R.
        bulk_hill_GPa: their mean.
        shear_voigt_GPa: G_V.
        shear_reuss_GPa: G_R.
        shear_hill_GPa: their mean.
        young_GPa: E, of Hill's averages.
        poisson_ratio: of Hill's averages.
        universal_anisotropy: 0 if isotropic.
    """

    bulk_voigt_GPa: float
    bulk_reuss_GPa: float
    bulk_hill_GPa: float
    shear_voigt_GPa: float
    shear_reuss_GPa: float
    shear_hill_GPa: float
    young_GPa: float
    poisson_ratio: float
    universal_anisotropy: float


def is_stable(stiffness: Float[np.ndarray, "6 6"]) -> bool:
    """Whether every small strain costs energy: all eigenvalues are positive.

    The general form of Born's criteria (F. Mouhat, F.-X. Coudert, Phys. Rev. B 90,
    224104 (2014)).
    """
    return bool(np.linalg.eigvalsh(stiffness).min() > 0.0)


def elastic_moduli(stiffness: Float[np.ndarray, "6 6"]) -> ElasticModuli:
    """Averages of a stiffness in GPa."""
    bulk_voigt = stiffness[:3, :3].mean()
    normal, mixed, shear = _sums(stiffness)
    shear_voigt = (normal - mixed + 3 * shear) / 15
    bulk_reuss = shear_reuss = math.nan
    if is_stable(stiffness):
        compliance = np.linalg.inv(stiffness)
        bulk_reuss = 1 / compliance[:3, :3].sum()
        normal, mixed, shear = _sums(compliance)
        shear_reuss = 15 / (4 * normal - 4 * mixed + 3 * shear)
    bulk = 0.5 * (bulk_voigt + bulk_reuss)
    shear = 0.5 * (shear_voigt + shear_reuss)
    return ElasticModuli(
        bulk_voigt_GPa=float(bulk_voigt),
        bulk_reuss_GPa=float(bulk_reuss),
        bulk_hill_GPa=float(bulk),
        shear_voigt_GPa=float(shear_voigt),
        shear_reuss_GPa=float(shear_reuss),
        shear_hill_GPa=float(shear),
        young_GPa=float(9 * bulk * shear / (3 * bulk + shear)),
        poisson_ratio=float((3 * bulk - 2 * shear) / (6 * bulk + 2 * shear)),
        universal_anisotropy=float(
            5 * shear_voigt / shear_reuss + bulk_voigt / bulk_reuss - 6
        ),
    )


def sound_velocities(moduli: ElasticModuli, atoms: ase.Atoms) -> tuple[float, float]:
    """Longitudinal and transverse, m/s, averaged over directions; NaN if unstable."""
    density = atoms.get_masses().sum() * atomic_mass / (atoms.get_volume() * 1e-30)
    bulk, shear = moduli.bulk_hill_GPa * 1e9, moduli.shear_hill_GPa * 1e9
    return math.sqrt((bulk + 4 / 3 * shear) / density), math.sqrt(shear / density)


def debye_temperature(
    longitudinal: float, transverse: float, atoms: ase.Atoms
) -> float:
    """K, of velocities of sound in m/s."""
    mean = (3 / (longitudinal**-3 + 2 * transverse**-3)) ** (1 / 3)
    per_volume = len(atoms) / (atoms.get_volume() * 1e-30)
    return float(h / k * (3 * per_volume / (4 * math.pi)) ** (1 / 3) * mean)


def young_moduli(
    stiffness: Float[np.ndarray, "6 6"], directions: Real[np.ndarray, "*n 3"]
) -> Float[np.ndarray, "*n"]:
    """(...) GPa of a pull along directions: 1 / E = S_ijkl n_i n_j n_k n_l.

    Args:
        stiffness: (6, 6) GPa.
        directions: (..., 3), of any length but zero.
    """
    units = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    # As a stress in Voigt's order, whose shear components are not doubled.
    pull = units[..., _ROWS] * units[..., _COLUMNS]
    compliance = np.linalg.inv(stiffness)
    return np.asarray(1 / np.einsum("...i,ij,...j->...", pull, compliance, pull))


def to_mandel(tensors: Float[np.ndarray, "*n 3 3"]) -> Float[np.ndarray, "*n 6"]:
    """(..., 6) of symmetric tensors, shear components times √2, so that lengths stay.

    (J. Mandel, Int. J. Solids Struct. 1, 273 (1965).)
    """
    return tensors[..., _ROWS, _COLUMNS] * _SHEAR


def mandel_to_voigt(stiffness: Float[np.ndarray, "6 6"]) -> Float[np.ndarray, "6 6"]:
    """The stiffness between stresses and strains in Voigt's notation."""
    return stiffness / np.outer(_SHEAR, _SHEAR)


def _sums(matrix: Float[np.ndarray, "6 6"]) -> tuple[float, float, float]:
    """Of the normal, mixed normal and shear constants."""
    mixed = matrix[0, 1] + matrix[1, 2] + matrix[0, 2]
    diagonal = matrix.diagonal()
    return float(diagonal[:3].sum()), float(mixed), float(diagonal[3:].sum())
