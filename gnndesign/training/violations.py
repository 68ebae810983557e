"""What a change that means nothing does to a potential's energy and forces.

Of one chosen change, to look at; `audit` looks for the worst of all.
"""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from jaxtyping import Float

from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.structures.transformation import Transformation


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A structure before and after a change that should change nothing.

    Attributes:
        energy: eV, before.
        changed_energy: eV, after.
        forces: (n_atoms, 3) eV/Å, after.
        wanted_forces: (n_atoms, 3) eV/Å, those before, changed as the structure was.
    """

    energy: float
    changed_energy: float
    forces: Float[np.ndarray, "n_atoms 3"]
    wanted_forces: Float[np.ndarray, "n_atoms 3"]

    @property
    def energy_change(self) -> float:
        """Size of the change of the energy, eV an atom."""
        return abs(self.changed_energy - self.energy) / len(self.forces)

    @property
    def force_error(self) -> float:
        """Error of the force on the atom that has most, eV/Å."""
        apart = np.linalg.norm(self.forces - self.wanted_forces, axis=1)
        return float(apart.max())

    @property
    def largest_force(self) -> float:
        """eV/Å, on any atom, before the change."""
        return float(np.linalg.norm(self.wanted_forces, axis=1).max())


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationCurve:
    """The energy of a structure as it turns.

    Attributes:
        axis: about which.
        angles: (n,) degrees, from 0 to 360.
        energy: (n,) eV, of the whole structure.
        n_atoms: of the structure.
    """

    axis: str
    angles: Float[np.ndarray, " n"]
    energy: Float[np.ndarray, " n"]
    n_atoms: int

    @property
    def change(self) -> Float[np.ndarray, " n"]:
        """(n,) eV an atom, against the structure as it was given."""
        return (self.energy - self.energy[0]) / self.n_atoms


def violation(
    potential: Potential, atoms: ase.Atoms, change: Transformation
) -> Violation:
    """Energy and forces before and after a change.

    Raises:
        ParameterError: the change is not one of these atoms.
        UnsupportedElementError, StructureError: the potential cannot take them.
    """
    pair = [Transformation().apply(atoms), change.apply(atoms)]
    found = potential.compute(pair)
    energy = found.energy.cpu().double().numpy()
    forces = found.forces.cpu().double().numpy()
    return Violation(
        energy=float(energy[0]),
        changed_energy=float(energy[1]),
        forces=forces[len(atoms) :],
        wanted_forces=change.forces(atoms, forces[: len(atoms)]),
    )


def rotation_curve(
    potential: Potential,
    atoms: ase.Atoms,
    *,
    axis: str = "z",
    n_angles: int = 37,
) -> RotationCurve:
    """The energy against the angle of a full turn, in one batch.

    Raises:
        ParameterError: an unknown axis, or fewer than two angles.
        UnsupportedElementError, StructureError: the potential cannot take the atoms.
    """
    if n_angles < 2:
        raise ParameterError(f"Wanted two angles or more, got {n_angles}.")
    angles = np.linspace(0.0, 360.0, n_angles)
    turned = [Transformation(axis=axis, angle=float(a)).apply(atoms) for a in angles]
    energy = potential.compute(turned).energy.cpu().double().numpy()
    return RotationCurve(axis=axis, angles=angles, energy=energy, n_atoms=len(atoms))
