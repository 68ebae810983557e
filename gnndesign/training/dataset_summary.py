"""A data set in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols

from gnndesign.units import EV_PER_A3_TO_GPA

if TYPE_CHECKING:
    from gnndesign.training.dataset import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """A data set in numbers; a range is the least and the largest, None without any.

    Attributes:
        source: where it came from.
        level_of_theory: what the labels were computed with.
        checksum: SHA-256 of the content.
        n_structures: number of structures.
        n_atoms: number of atoms in all of them.
        atoms_per_structure: range.
        elements: number of atoms by chemical symbol.
        groups: number of structures by group.
        n_periodic: structures that are periodic along all three axes.
        n_without_energy: structures.
        n_without_forces: structures.
        n_without_stress: structures, among them those that can have none.
        energy_per_atom: range, eV.
        force_component: range, eV/Å.
        force_rms: root mean square of the components, eV/Å.
        pressure_GPa: range; minus a third of the trace of the stress.
        volume_per_atom: range over the periodic structures, Å³.
    """

    source: str
    level_of_theory: str
    checksum: str
    n_structures: int
    n_atoms: int
    atoms_per_structure: tuple[int, int]
    elements: dict[str, int]
    groups: dict[str, int]
    n_periodic: int
    n_without_energy: int
    n_without_forces: int
    n_without_stress: int
    energy_per_atom: tuple[float, float] | None
    force_component: tuple[float, float] | None
    force_rms: float | None
    pressure_GPa: tuple[float, float] | None
    volume_per_atom: tuple[float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }


def summarize(dataset: Dataset) -> DatasetSummary:
    """Counts and ranges of a data set."""
    forces = [part for part in dataset.forces if part is not None]
    components = np.concatenate(forces).ravel() if forces else np.zeros(0)
    periodic = [atoms for atoms in dataset.structures if atoms.pbc.all()]
    counts = dataset.composition.sum(0).astype(int).tolist()
    sizes = dataset.atoms_per_structure
    pressure = -np.trace(dataset.stress, axis1=1, axis2=2) / 3.0 * EV_PER_A3_TO_GPA
    return DatasetSummary(
        source=dataset.source,
        level_of_theory=dataset.level_of_theory,
        checksum=dataset.checksum,
        n_structures=len(dataset),
        n_atoms=dataset.n_atoms,
        atoms_per_structure=(int(sizes.min()), int(sizes.max())),
        elements={
            chemical_symbols[z]: n
            for z, n in zip(dataset.elements, counts, strict=True)
        },
        groups=dict(sorted(Counter(dataset.groups).items())),
        n_periodic=len(periodic),
        n_without_energy=int(np.isnan(dataset.energy).sum()),
        n_without_forces=len(dataset) - len(forces),
        n_without_stress=int(np.isnan(dataset.stress).any((1, 2)).sum()),
        energy_per_atom=_range(dataset.energy / sizes),
        force_component=_range(components),
        force_rms=float(np.sqrt((components**2).mean())) if forces else None,
        pressure_GPa=_range(pressure),
        volume_per_atom=_range(np.array([a.cell.volume / len(a) for a in periodic])),
    )


def _range(values: np.ndarray) -> tuple[float, float] | None:
    known = values[~np.isnan(values)]
    return (float(known.min()), float(known.max())) if known.size else None
