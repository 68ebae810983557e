"""Any ASE calculator as a `Potential`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from ase.calculators.calculator import Calculator, PropertyNotImplementedError

from gnndesign.batch import AtomicBatch
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Card, Potential, Prediction


class ASEPotential(Potential):
    """Evaluates the structures of a batch one after the other with an ASE calculator.

    Args:
        calculator: computes energy and forces, and stress where a cell is relaxed.
        elements: atomic numbers it may be used for; all, unless told otherwise,
            because ASE calculators do not say.
        name: shown on the card.
    """

    cutoff = None

    def __init__(
        self,
        calculator: Calculator,
        *,
        elements: Sequence[int] = tuple(range(1, 119)),
        name: str | None = None,
    ) -> None:
        self.calculator = calculator
        self.device = torch.device("cpu")
        kind = f"{type(calculator).__module__}.{type(calculator).__qualname__}"
        parameters = calculator.parameters or {}
        defined_by = f"{kind} {sorted(parameters.items())!r}"
        self.card = Card(
            name=name or type(calculator).__name__,
            title=kind,
            licence="that of the calculator",
            level_of_theory="unknown to gnndesign",
            training_data="unknown to gnndesign",
            n_parameters=None,
            elements=tuple(sorted(elements)),
            cutoff=None,
            checksum=hashlib.sha256(defined_by.encode()).hexdigest(),
            citation="that of the calculator",
            notes=("Structures are computed one by one, at the calculator's speed.",),
        )

    def predict(self, batch: AtomicBatch, edges: NeighborList | None) -> Prediction:
        """Evaluate a batch; `edges` is not used. Stress is zero without a volume."""
        del edges
        energies: list[float] = []
        forces: list[np.ndarray] = []
        stresses: list[np.ndarray] = []
        for atoms in batch.to_atoms():
            periodic = bool(atoms.pbc.all())
            # Some calculators raise when asked for the stress of a molecule.
            wanted = ["energy", "forces", *(["stress"] if periodic else [])]
            self.calculator.calculate(atoms, wanted)
            results = self.calculator.results
            energies.append(float(results["energy"]))
            # Some calculators write the next structure's forces into the same array.
            forces.append(np.array(results["forces"]))
            stresses.append(self._stress() if periodic else np.zeros((3, 3)))

        def tensor(values: object) -> torch.Tensor:
            return torch.as_tensor(values, dtype=batch.positions.dtype)

        return Prediction(
            energy=tensor(energies),
            atomic_energies=None,
            forces=tensor(np.concatenate(forces)),
            stress=tensor(np.stack(stresses)),
        )

    def _stress(self) -> np.ndarray:
        stress = self.calculator.results.get("stress")
        if stress is None:
            raise PropertyNotImplementedError(
                f"The ASE calculator {self.card.name} gives no stress. Choose one that "
                "does for periodic structures."
            )
        stress = np.asarray(stress)
        if stress.shape == (3, 3):
            return stress
        xx, yy, zz, yz, xz, xy = stress
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
