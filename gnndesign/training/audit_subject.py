"""What is audited: a potential, a few structures, and how much work to put in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ase
import numpy as np

from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.potentials.conformance.copies import free_copy
from gnndesign.potentials.conformance.tolerance import TOLERANCE, Tolerance
from gnndesign.potentials.portions import in_portions


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """How much work an audit does.

    Attributes:
        n_random: random rotations, translations and orders of the atoms.
        ascent_steps: of each search for the worst rotation.
        ascent_starts: number of such searches.
        loop_radius: Å, of the circle on which every atom goes around.
        loop_points: at which forces are computed on it.
        nve_steps: of molecular dynamics at constant energy.
        timestep_fs: of it; None for 0.5 with hydrogen and 1 without.
        temperature_K: at its start.
    """

    n_random: int = 4
    ascent_steps: int = 12
    ascent_starts: int = 3
    loop_radius: float = 0.1
    loop_points: int = 24
    nve_steps: int = 400
    timestep_fs: float | None = None
    temperature_K: float = 300.0

    def __post_init__(self) -> None:
        counts = (self.n_random, self.ascent_starts)
        if min(counts) < 1 or self.ascent_steps < 0 or self.loop_points < 8:
            raise ParameterError(
                "Wanted n_random and ascent_starts >= 1, ascent_steps >= 0 and "
                f"loop_points >= 8, got {counts}, {self.ascent_steps} and "
                f"{self.loop_points}."
            )
        if self.nve_steps < 40 or not (self.loop_radius > 0 and self.temperature_K > 0):
            raise ParameterError(
                "Wanted nve_steps >= 40, loop_radius > 0 Å and temperature_K > 0, got "
                f"{self.nve_steps}, {self.loop_radius} and {self.temperature_K}."
            )


class Subject:
    """A potential, the structures it is audited with, and what it says of them.

    Attributes:
        potential: it.
        structures: copies without constraints.
        settings: how much work to do.
        rng: of everything that is drawn.
        notes: what a measurement has to say beside its numbers.
        energy: (n_structures,) eV, at rest.
        forces: of each structure (n_atoms, 3) eV/Å, at rest.
    """

    def __init__(
        self,
        potential: Potential,
        structures: Sequence[ase.Atoms],
        settings: AuditSettings,
        seed: int,
    ) -> None:
        self.potential, self.settings, self.seed = potential, settings, seed
        self.notes: list[str] = []
        self.structures = [free_copy(atoms) for atoms in structures]
        self.rng = np.random.default_rng(seed)
        self.energy, self.forces = self.predict(self.structures)

    @property
    def tolerance(self) -> Tolerance:
        """What rounding explains."""
        return TOLERANCE[self.potential.dtype]

    def predict(
        self, structures: Sequence[ase.Atoms]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Energies (n,) eV, and the forces of each structure, eV/Å.

        Raises:
            GNNDesignError: the potential cannot take a structure.
        """
        energies: list[np.ndarray] = []
        forces: list[np.ndarray] = []
        for part in in_portions(structures):
            prediction = self.potential.compute(part)
            energies.append(prediction.energy.cpu().double().numpy())
            ends = np.cumsum([len(atoms) for atoms in part])[:-1]
            forces += np.split(prediction.forces.cpu().double().numpy(), ends)
        return np.concatenate(energies), forces

    def compare(
        self,
        changed: Callable[[int, ase.Atoms], ase.Atoms],
        expected: Callable[[int, np.ndarray], np.ndarray],
    ) -> tuple[float, float]:
        """How far from the same energy and the forces expected after a change.

        Args:
            changed: place and structure to another of as many atoms.
            expected: place and forces at rest to those after the change.

        Returns:
            Largest difference of energies, eV an atom, and of the force on an atom,
            eV/Å.
        """
        copies = [changed(k, atoms) for k, atoms in enumerate(self.structures)]
        energy, forces = self.predict(copies)
        sizes = np.array([len(atoms) for atoms in copies])
        apart = [
            np.linalg.norm(f - expected(k, self.forces[k]), axis=1).max()
            for k, f in enumerate(forces)
        ]
        return float((np.abs(energy - self.energy) / sizes).max()), float(max(apart))
