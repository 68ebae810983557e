"""What is wrong with a data set: structures that come twice, labels out of line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import ase
import numpy as np
from jaxtyping import Float

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import find_neighbors
from gnndesign.training.baseline import energy_above_baseline
from gnndesign.training.dataset import Dataset
from gnndesign.units import EV_PER_A3_TO_GPA

_REACH = 6.0
"""Å; up to here distances are compared. Of open structures all are."""

_SAME_ENERGY = 2e-5
"""eV an atom; one calculation done twice, or done for a turned cell, is nearer."""

_STEEPEST = 1.72
"""Largest slope of (1 - x²)³."""

Distances = dict[tuple[int, int], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Structures that are one structure: moved, turned, mirrored, in another order.

    Attributes:
        indices: their places in the data set, ascending.
        energy_spread: eV an atom, between their largest and their smallest energy; NaN
            where fewer than two have one.
        agree: whether the energies are those of one structure, to 1 meV an atom.
    """

    indices: tuple[int, ...]
    energy_spread: float
    agree: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """A label far from those of the other structures.

    Attributes:
        index: place in the data set.
        what: "energy per atom", "largest force" or "stress".
        value: of this structure.
        unit: of `value`, `median` and `spread`.
        median: of all structures.
        spread: robust standard deviation of all structures, 1.4826 times the median
            distance from the median.
        z: (value - median) / spread; of forces and stress with their logarithms.
    """

    index: int
    what: str
    value: float
    unit: str
    median: float
    spread: float
    z: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}


def duplicates(dataset: Dataset, *, tolerance: float = 1e-3) -> list[Duplicates]:
    """Structures that come more than once, by their distances between atoms.

    Two structures are the same where, for each pair of elements, the sorted lists of
    all distances (up to 6 Å through periodic images) are, to twice the tolerance. This
    is blind to where atoms are wrapped to, to their order, to moving, turning and
    mirroring, and to which of its equivalent cells a crystal has.

    Args:
        dataset: labels are not compared, but see `Duplicates.agree`.
        tolerance: Å, by which an atom may be off.

    Raises:
        ParameterError: a tolerance that is not between 0 and 0.1 Å.
    """
    if not 0.0 < tolerance <= 0.1:
        raise ParameterError(f"Wanted a tolerance up to 0.1 Å, got {tolerance}.")
    keys, windows = _densities(dataset, tolerance)
    labels = _clusters(dataset, keys, windows, tolerance)
    found: list[Duplicates] = []
    for label in np.flatnonzero(np.bincount(labels) > 1).tolist():
        places = np.flatnonzero(labels == label)
        energy = dataset.energy[places] / len(dataset.structures[label])
        known = energy[~np.isnan(energy)]
        spread = float(np.ptp(known)) if len(known) > 1 else np.nan
        found.append(
            Duplicates(
                indices=tuple(places.tolist()),
                energy_spread=spread,
                agree=not spread > 1e-3,
            )
        )
    return found


def same_structures(dataset: Dataset) -> list[int]:
    """A label for each structure, the same for the same structure and energy.

    As `duplicates`, but only structures of equal energy are compared (without energies:
    of equal density of neighbors), which is fast.
    """
    keys = dataset.energy / dataset.atoms_per_structure
    windows = np.full(len(dataset), _SAME_ENERGY)
    unknown = np.isnan(keys)
    if unknown.any():
        places = np.flatnonzero(unknown)
        keys[places], windows[places] = _densities(dataset.select(places), 1e-3)
    return _clusters(dataset, keys, windows, 1e-3).tolist()


def outliers(dataset: Dataset, *, threshold: float = 8.0) -> list[Outlier]:
    """Labels far from the others, by the robust z-score; the farthest first.

    z = (x - median) / (1.4826 median |x - median|), B. Iglewicz and D. Hoaglin, "How
    to Detect and Handle Outliers" (1993). x is the energy per atom after the baseline
    of `fit_baseline`, and the decadic logarithm of the largest force and of the largest
    component of the stress, of which only large ones count.

    Args:
        dataset: with five labels of a kind at least; fewer are not judged.
        threshold: |z| beyond which a label is named.
    """
    if not threshold > 0:
        raise ParameterError(f"Wanted a threshold above zero, got {threshold}.")
    energy = energy_above_baseline(dataset) / dataset.atoms_per_structure
    forces = np.array(
        [
            np.nan if f is None else np.linalg.norm(f, axis=1).max()
            for f in dataset.forces
        ]
    )
    stress = np.abs(dataset.stress).max((1, 2)) * EV_PER_A3_TO_GPA
    found = [
        *_far(energy, "energy per atom", "eV", threshold),
        *_far(forces, "largest force", "eV/Å", threshold, least=0.05),
        *_far(stress, "stress", "GPa", threshold, least=0.1),
    ]
    return sorted(found, key=lambda one: -abs(one.z))


def _far(
    values: Float[np.ndarray, " n"],
    what: str,
    unit: str,
    threshold: float,
    *,
    least: float | None = None,
) -> Iterator[Outlier]:
    """Outliers; with a `least` number, below which all is one, of logarithms, upwards."""
    known = ~np.isnan(values)
    if known.sum() < 5:
        return
    x = values if least is None else np.log10(np.maximum(values, least))
    median = float(np.median(x[known]))
    distance = np.abs(x - median)
    # Where more than half are equal, their mean distance says how far others are.
    spread = 1.4826 * float(np.median(distance[known]))
    spread = spread or 1.2533 * float(distance[known].mean())
    if spread < 1e-9:
        return
    z = (x - median) / spread
    is_far = known & ((z if least is not None else np.abs(z)) > threshold)
    for index in np.flatnonzero(is_far).tolist():
        yield Outlier(
            index=index,
            what=what,
            value=float(values[index]),
            unit=unit,
            median=float(np.median(values[known])),
            spread=1.4826
            * float(np.median(np.abs(values - np.median(values[known]))[known])),
            z=float(z[index]),
        )


def _densities(dataset: Dataset, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """A number that is the same for the same structure, and how far noise moves it.

    (1/N) Σ_ij (1 - r_ij²/R²)³ with R = 6 Å.
    """
    keys, windows = np.zeros(len(dataset)), np.zeros(len(dataset))
    for k, atoms in enumerate(dataset.structures):
        distances = np.concatenate([np.zeros(0), *_distances(atoms).values()])
        ratio = distances[distances < _REACH] / _REACH
        keys[k] = ((1.0 - ratio**2) ** 3).sum() / len(atoms)
        per_atom = len(ratio) / len(atoms)
        windows[k] = 2.0 * tolerance * per_atom * _STEEPEST / _REACH + 1e-9
    return keys, windows


def _clusters(
    dataset: Dataset, keys: np.ndarray, windows: np.ndarray, tolerance: float
) -> np.ndarray:
    """(n_structures,) the first place of the same structure."""
    labels = np.arange(len(dataset))
    buckets: dict[bytes, list[int]] = {}
    for place, atoms in enumerate(dataset.structures):
        formula = np.sort(atoms.numbers).astype("<i2").tobytes()
        kind = formula + (b"?" if np.isnan(dataset.energy[place]) else b"")
        buckets.setdefault(kind, []).append(place)

    @lru_cache(maxsize=256)
    def distances(place: int) -> Distances:
        return _distances(dataset.structures[place])

    for places in buckets.values():
        order = sorted(places, key=lambda k: keys[k])
        for n, a in enumerate(order):
            for b in order[n + 1 :]:
                if keys[b] - keys[a] > windows[a]:
                    break
                one, other = sorted((labels[a], labels[b]))
                if one != other and _alike(distances(a), distances(b), tolerance):
                    labels[labels == other] = one
    return labels


def _distances(atoms: ase.Atoms) -> Distances:
    """Sorted distances by pair of elements; Å."""
    reach = _REACH
    if not atoms.pbc.any():
        reach = max(reach, float(np.linalg.norm(np.ptp(atoms.positions, axis=0))) + 1.0)
    batch = AtomicBatch.from_atoms(atoms)
    edges = find_neighbors(batch, reach)
    length = np.sqrt(edges.squared_distances(batch).numpy())
    one = atoms.numbers[edges.centers.numpy()]
    other = atoms.numbers[edges.neighbors.numpy()]
    kinds = one * 120 + other
    return {
        (kind // 120, kind % 120): np.sort(length[kinds == kind])
        for kind in np.unique(kinds[one <= other]).tolist()
    }


def _alike(one: Distances, other: Distances, tolerance: float) -> bool:
    nothing = np.zeros(0)
    for pair in one.keys() | other.keys():
        a, b = one.get(pair, nothing), other.get(pair, nothing)
        n = min(len(a), len(b))
        if n and np.abs(a[:n] - b[:n]).max() > 2.0 * tolerance:
            return False
        # A pair at the end of the reach may be within it in one of the two only.
        rest = a[n:] if len(a) > n else b[n:]
        if len(rest) and rest[0] < _REACH - 2.0 * tolerance:
            return False
    return True
