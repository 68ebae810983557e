"""A `Potential` as an ASE calculator, so that other people's scripts run on it."""

from __future__ import annotations

from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from gnndesign.potentials.base import Potential


class PotentialCalculator(Calculator):
    """Energy, free energy (equal to it), forces, stress and energies of one structure.

    Magnetic moments (µB) are given by potentials that have them.
    Stress is given for structures that are periodic along all three axes; others
    raise ASE's PropertyNotImplementedError when asked for it.
    """

    implemented_properties = [  # noqa: RUF012 - so declared by ASE
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
    ]

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self.potential = potential
        if potential.has_magnetic_moments:
            self.implemented_properties = [*self.implemented_properties, "magmoms"]

    def check_state(self, atoms: ase.Atoms, tol: float = 0.0) -> list[str]:
        """What has changed since the last calculation, of what the energy depends on.

        ASE's own compares six arrays with a tolerance; this one costs a tenth and
        takes every change for one.
        """
        del tol
        last = self.atoms
        if last is None or len(last) != len(atoms):
            return list(all_changes)
        same = {
            "numbers": np.array_equal(last.numbers, atoms.numbers),
            "positions": np.array_equal(last.positions, atoms.positions),
            "cell": np.array_equal(last.cell.array, atoms.cell.array),
            "pbc": np.array_equal(last.pbc, atoms.pbc),
        }
        return [name for name, equal in same.items() if not equal]

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill `results`; called by ASE.

        Raises:
            UnsupportedElementError: the potential does not know an element.
            StructureError: the structure cannot be used, or the potential's answer is
                not finite.
        """
        super().calculate(atoms, properties, system_changes)
        prediction = self.potential.compute(self.atoms)
        energy = float(prediction.energy[0])
        results: dict[str, Any] = {
            "energy": energy,
            "free_energy": energy,
            "forces": prediction.forces.cpu().numpy(),
        }
        if prediction.atomic_energies is not None:
            results["energies"] = prediction.atomic_energies.cpu().numpy()
        if prediction.magnetic_moments_muB is not None:
            results["magmoms"] = prediction.magnetic_moments_muB.cpu().numpy()
        if self.atoms is not None and self.atoms.pbc.all():
            stress = prediction.stress[0].cpu().numpy()
            results["stress"] = full_3x3_to_voigt_6_stress(stress)
        self.results = results
