"""What a potential says of labelled structures, beside what it should: `evaluate`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from gnndesign.potentials.base import Potential, Slopes
from gnndesign.potentials.trainable import TrainablePotential
from gnndesign.training.batches import LabeledBatch, TrainingSet
from gnndesign.training.dataset import Dataset
from gnndesign.training.loss import VOIGT
from gnndesign.units import EV_PER_A3_TO_GPA


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """How far a potential is from labels; NaN where there is no label.

    Attributes:
        energy_mae_meV, energy_rmse_meV: an atom.
        forces_mae_meV_per_A, forces_rmse_meV_per_A: of components.
        stress_mae_GPa, stress_rmse_GPa: of components.
        n_structures, n_atoms: that were looked at.
    """

    energy_mae_meV: float
    energy_rmse_meV: float
    forces_mae_meV_per_A: float
    forces_rmse_meV_per_A: float
    stress_mae_GPa: float
    stress_rmse_GPa: float
    n_structures: int
    n_atoms: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: None for NaN."""
        return {k: None if math.isnan(v) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Errors:
        """Back from `to_dict`."""
        numbers: dict[str, Any] = {
            k: math.nan if v is None else v for k, v in data.items()
        }
        return cls(**numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Found and wanted values, one row a label.

    Attributes:
        energy: (n_structures, 2) eV an atom, found and wanted; NaN without a label.
        forces: (n_components, 2) eV/Å, of atoms with labels.
        stress: (n_components, 2) GPa, of structures with labels.
        n_atoms: number of atoms looked at.
    """

    energy: Float[np.ndarray, "n_structures 2"]
    forces: Float[np.ndarray, "n_components 2"]
    stress: Float[np.ndarray, "n_stresses 2"]
    n_atoms: int

    @property
    def errors(self) -> Errors:
        """Mean absolute and root mean square errors."""

        def both(pairs: np.ndarray, unit: float) -> tuple[float, float]:
            difference = unit * (pairs[:, 0] - pairs[:, 1])
            difference = difference[np.isfinite(difference)]
            if not difference.size:
                return float("nan"), float("nan")
            return (
                float(np.abs(difference).mean()),
                float(np.sqrt((difference**2).mean())),
            )

        energy, forces = both(self.energy, 1e3), both(self.forces, 1e3)
        stress = both(self.stress, 1.0)
        return Errors(
            energy_mae_meV=energy[0],
            energy_rmse_meV=energy[1],
            forces_mae_meV_per_A=forces[0],
            forces_rmse_meV_per_A=forces[1],
            stress_mae_GPa=stress[0],
            stress_rmse_GPa=stress[1],
            n_structures=len(self.energy),
            n_atoms=self.n_atoms,
        )


EDGES_AT_ONCE = 20_000
"""In one call while labels are compared."""


def evaluate(potential: Potential, dataset: Dataset) -> Parity:
    """What any potential says of a data set, beside its labels.

    Raises:
        StructureError, UnsupportedElementError: a structure that it cannot take.
    """
    if isinstance(potential, TrainablePotential):
        return evaluate_set(potential, TrainingSet(dataset, potential))
    predictions = [potential.compute(atoms) for atoms in dataset.structures]
    pieces: list[_Piece] = []
    for index, (atoms, found) in enumerate(
        zip(dataset.structures, predictions, strict=True)
    ):
        forces = dataset.forces[index]
        pieces.append(
            _Piece(
                energy=(found.energy.cpu().numpy(), dataset.energy[index : index + 1]),
                sizes=np.array([len(atoms)]),
                forces=(
                    found.forces.cpu().numpy(),
                    np.full((len(atoms), 3), np.nan) if forces is None else forces,
                ),
                stress=(found.stress.cpu().numpy(), dataset.stress[index : index + 1]),
            )
        )
    return _parity(pieces)


def evaluate_set(potential: TrainablePotential[Any], structures: TrainingSet) -> Parity:
    """What a potential in training says, without building its fast form."""
    with_strain = bool(np.isfinite(structures.dataset.stress).any())

    def pieces() -> Iterable[_Piece]:
        for part in structures.in_order(EDGES_AT_ONCE):
            found = potential.labels(
                part.batch, part.edges, with_strain=with_strain, create_graph=False
            )
            yield _piece(part, found)

    return _parity(pieces())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Found and wanted of some structures."""

    energy: tuple[np.ndarray, np.ndarray]
    sizes: np.ndarray
    forces: tuple[np.ndarray, np.ndarray]
    stress: tuple[np.ndarray, np.ndarray]


def _piece(part: LabeledBatch, found: Slopes) -> _Piece:
    batch, labels = part.batch, part.labels

    def host(tensor: torch.Tensor) -> np.ndarray:
        return tensor.detach().double().cpu().numpy()

    energy = batch.sum_over_atoms(found.atomic_energies.detach().double())
    stress = found.strain / batch.volume[:, None, None]
    return _Piece(
        energy=(host(energy), host(labels.energy)),
        sizes=batch.atoms_per_system.cpu().numpy(),
        forces=(-host(found.positions), host(labels.forces)),
        stress=(host(stress), host(labels.stress)),
    )


def _parity(pieces: Iterable[_Piece]) -> Parity:
    energy: list[np.ndarray] = []
    forces: list[np.ndarray] = []
    stress: list[np.ndarray] = []
    n_atoms = 0
    for piece in pieces:
        n_atoms += int(piece.sizes.sum())
        energy.append(np.stack(piece.energy, 1) / piece.sizes[:, None])
        pairs = np.stack([part.ravel() for part in piece.forces], 1)
        forces.append(pairs[np.isfinite(pairs[:, 1])])
        six = [part[:, VOIGT[0], VOIGT[1]].ravel() for part in piece.stress]
        pairs = EV_PER_A3_TO_GPA * np.stack(six, 1)
        stress.append(pairs[np.isfinite(pairs[:, 1])])
    return Parity(
        energy=np.concatenate(energy),
        forces=np.concatenate(forces),
        stress=np.concatenate(stress),
        n_atoms=n_atoms,
    )
