"""Dissociation curve: the energy of two atoms against their distance.

It shows what a potential trained on crystals makes of bonds that are short, stretched or
broken. The tortuosity (Y. Chiang et al., MLIP Arena, 2025) is the way that the energy
goes up and down, in units of what a curve with one minimum would need:

    Σ |E_{i+1} - E_i| / (|E_first - E_min| + |E_last - E_min|)

It is 1 for a curve that falls to its minimum and rises from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar

import ase
import numpy as np
from annotated_types import Interval
from ase.data import covalent_radii
from jaxtyping import Float

from gnndesign.errors import ConvergenceError, ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import (
    End,
    Property,
    Quantity,
    Steps,
    Work,
    quantities_of,
)
from gnndesign.properties.bounds import Positive, check_bounds
from gnndesign.simulation.base import Status
from gnndesign.simulation.single_point import SinglePoint

SHORTEST = 0.6
"""Of the sum of the covalent radii, at which curves begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DissociationResult:
    """Energy of two atoms against their distance.

    Attributes:
        atoms: the pair at the distance of lowest energy.
        distances: (n,) Å, ascending.
        energies: (n,) eV.
        forces: (n,) eV/Å that push the atoms apart, minus the slope of the energy.
        bond_length: Å, of the lowest energy; parabola through the three lowest points.
        well_depth: eV, how much lower that is than the largest distance; negative
            where the pair repels.
        tortuosity: see above; 1 is smooth.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    distances: Float[np.ndarray, " n"]
    energies: Float[np.ndarray, " n"]
    forces: Float[np.ndarray, " n"]
    bond_length: float
    well_depth: float
    tortuosity: float
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        rows = (
            ("Bond length", "Å", "bond_length"),
            ("Well depth", "eV", "well_depth"),
            ("Tortuosity", "", "tortuosity"),
        )
        return quantities_of(self, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dissociation(Property[DissociationResult]):
    """Energy of two atoms against their distance.

    Attributes:
        distances: Å; ascending; empty for `n_points` between `shortest` and `longest`.
        shortest: as a fraction of the sum of the covalent radii; no potential is asked
            about atoms nearer than half of it.
        longest: Å.
        n_points: number of distances, evenly spaced in their logarithm.
    """

    kind: ClassVar[str] = "dissociation"
    title: ClassVar[str] = "Dissociation curve"

    distances: tuple[Positive, ...] = ()
    shortest: Annotated[float, Interval(gt=0.5, lt=1)] = SHORTEST
    longest: Annotated[float, Interval(ge=3, le=1000)] = 6.0
    n_points: Annotated[int, Interval(ge=5, le=10000)] = 60

    def __post_init__(self) -> None:
        check_bounds(self)
        object.__setattr__(self, "distances", tuple(map(float, self.distances)))
        given = self.distances or (1.0, 2.0, 3.0, 4.0, 5.0)
        if len(given) < 5 or not given[0] > 0 or not (np.diff(given) > 0).all():
            raise ParameterError(
                "Wanted at least 5 distances above 0 Å, ascending, got "
                f"{', '.join(f'{d:.3g}' for d in given[:8])}."
            )

    def grid(self, atoms: ase.Atoms) -> Float[np.ndarray, " n"]:
        """(n,) Å, the distances of a pair."""
        if self.distances:
            return np.array(self.distances)
        shortest = self.shortest * covalent_radii[atoms.numbers].sum()
        return np.geomspace(shortest, self.longest, self.n_points)

    def refuse(self, atoms: ase.Atoms) -> None:
        """It is of two atoms."""
        if len(atoms) != 2 or atoms.pbc.any():
            raise StructureError(
                f"{atoms.get_chemical_formula('metal')} is not a molecule of two "
                "atoms, so it has no dissociation curve. Wanted two atoms, not "
                "periodic."
            )

    def steps(
        self, atoms: ase.Atoms, potential: Potential
    ) -> Steps[DissociationResult]:
        """Evaluate the pair at all distances."""
        del potential
        grid = self.grid(atoms)
        pairs: list[ase.Atoms] = []
        for distance in grid:
            pair = ase.Atoms(
                numbers=atoms.numbers, positions=[[0, 0, 0], [distance, 0, 0]]
            )
            pairs.append(pair)
        ends = yield Work(stepper=SinglePoint(), structures=pairs)
        good = _good_range(ends)
        cut = good != slice(0, len(ends))
        grid, ends = grid[good], ends[good]
        energies = np.array([end.energy for end in ends])
        lowest = int(energies.argmin())
        climbs = energies[0] + energies[-1] - 2 * energies[lowest]
        return DissociationResult(
            atoms=ends[lowest].atoms,
            distances=grid,
            energies=energies,
            forces=np.array([end.forces[1, 0] for end in ends]),
            bond_length=_parabola_minimum(grid, energies, lowest),
            well_depth=float(energies[-1] - energies[lowest]),
            tortuosity=float(np.abs(np.diff(energies)).sum() / max(climbs, 1e-12)),
            notes=_notes(lowest, grid, cut=cut),
        )


def _good_range(ends: Sequence[End]) -> slice:
    """The longest range of distances at which the pair could be evaluated."""
    bad = [k for k, end in enumerate(ends) if end.status is not Status.FINISHED]
    limits = [-1, *bad, len(ends)]
    length, start = max((after - at, at + 1) for at, after in pairwise(limits))
    if length - 1 < 5:
        raise ConvergenceError(
            f"The pair could be evaluated at {length - 1} distances in a row; wanted "
            f"at least 5. {ends[bad[-1]].message}"
        )
    return slice(start, start + length - 1)


def _parabola_minimum(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], lowest: int
) -> float:
    """Where the parabola through the lowest point and its neighbors is lowest."""
    if not 0 < lowest < len(x) - 1:
        return float(x[lowest])
    part = slice(lowest - 1, lowest + 2)
    curvature, slope, _ = np.polyfit(x[part] - x[lowest], y[part], 2)
    return float(x[lowest] - slope / (2 * curvature))


def _notes(lowest: int, grid: Float[np.ndarray, " n"], *, cut: bool) -> tuple[str, ...]:
    notes: list[str] = []
    if cut:
        notes.append(
            f"Could be evaluated from {grid[0]:.3g} to {grid[-1]:.3g} Å alone; the "
            "well's depth is counted from there."
        )
    if lowest == len(grid) - 1:
        notes.append("The pair repels at all distances: there is no bond.")
    if lowest == 0:
        notes.append(
            "The energy is lowest at the shortest distance: the potential does not "
            "repel there, and atoms may fall into each other."
        )
    return tuple(notes)
