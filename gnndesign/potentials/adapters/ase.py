"""Any ASE calculator as a `Potential`."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import Any

import ase
import numpy as np
import torch
from ase.calculators.calculator import (
    CalculationFailed,
    Calculator,
    PropertyNotImplementedError,
)

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ShapeError
from gnndesign.neighbors import NeighborList
from gnndesign.potentials.base import Card, Potential, Prediction


class ASEPotential(Potential):
    """Evaluates the structures of a batch one after the other with an ASE calculator.

    This is the slow path: nothing is batched, and all happens on the CPU's side.

    Args:
        calculator: computes energy, forces, and the stress of periodic structures.
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
        self.has_magnetic_moments = "magmoms" in calculator.implemented_properties
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
            notes=(
                "The slow path: one structure at a time, at the calculator's speed.",
                "It is not told of initial magnetic moments or charges.",
            ),
        )

    def predict(self, batch: AtomicBatch, edges: NeighborList | None) -> Prediction:
        """Evaluate a batch; `edges` is not used. Stress is zero without a volume.

        A structure for which the calculator fails (ASE's CalculationFailed) is given
        energy and forces that are not a number, with a warning that says why, so that
        the others of its batch go on.

        Raises:
            PropertyNotImplementedError: a structure is periodic along three axes, but
                the calculator gives no stress.
            ShapeError: forces or stress have another shape than ASE's.
        """
        del edges
        results = [self._results(atoms, k) for k, atoms in enumerate(batch.to_atoms())]

        def tensor(values: object) -> torch.Tensor:
            return torch.as_tensor(values, dtype=batch.positions.dtype)

        def joined(name: str) -> torch.Tensor:
            return tensor(np.concatenate([result[name] for result in results]))

        return Prediction(
            energy=tensor([result["energy"] for result in results]),
            atomic_energies=None,
            forces=joined("forces"),
            stress=tensor(np.stack([result["stress"] for result in results])),
            magnetic_moments_muB=joined("magmoms")
            if self.has_magnetic_moments
            else None,
        )

    def _results(self, atoms: ase.Atoms, index: int) -> dict[str, Any]:
        periodic = bool(atoms.pbc.all())
        wanted = ["energy", "forces"]
        # Some calculators raise when asked for the stress of a molecule.
        wanted += ["stress"] if periodic else []
        wanted += ["magmoms"] if self.has_magnetic_moments else []
        n_atoms = len(atoms)
        try:
            self.calculator.calculate(atoms, wanted)
        except CalculationFailed as error:
            warnings.warn(
                f"The ASE calculator {self.card.name} failed for structure {index} "
                f"({atoms.get_chemical_formula()}): {error}",
                stacklevel=2,
            )
            return {
                "energy": np.nan,
                "forces": np.full((n_atoms, 3), np.nan),
                "stress": np.full((3, 3), np.nan if periodic else 0.0),
                "magmoms": np.full(n_atoms, np.nan),
            }
        found = self.calculator.results
        return {
            "energy": np.asarray(found["energy"]).item(),
            "forces": self._array("forces", (n_atoms, 3)),
            "stress": self._stress() if periodic else np.zeros((3, 3)),
            # Nothing magnetic need be there.
            "magmoms": self._array("magmoms", (n_atoms,))
            if "magmoms" in found
            else np.zeros(n_atoms),
        }

    def _array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        # A copy: some calculators write the next structure's into the same array.
        array = np.array(self.calculator.results[name], dtype=float)
        if array.shape != shape:
            raise ShapeError(
                f"Wanted {name} of shape {shape} from the ASE calculator "
                f"{self.card.name}, got {array.shape}. Look at its `calculate`."
            )
        return array

    def _stress(self) -> np.ndarray:
        stress = self.calculator.results.get("stress")
        if stress is None:
            raise PropertyNotImplementedError(
                f"The ASE calculator {self.card.name} gives no stress. Choose one that "
                "does for periodic structures."
            )
        if np.shape(stress) == (3, 3):
            return self._array("stress", (3, 3))
        xx, yy, zz, yz, xz, xy = self._array("stress", (6,))
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
