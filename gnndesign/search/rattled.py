"""Whether a structure is at a minimum: relaxed again from rattled copies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import ase
import numpy as np

from gnndesign.errors import ConvergenceError, ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import End, Property, Quantity, Steps
from gnndesign.properties.work import Relaxing
from gnndesign.simulation.base import Status
from gnndesign.structures.edit import rattle
from gnndesign.structures.symmetry import primitive_cell, space_group

_SYMPREC = 0.05
"""Å; what is relaxed to some 0.01 eV/Å is off its symmetry by hundredths of an Å."""

_USABLE = (Status.CONVERGED, Status.STEP_LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RattledResult:
    """Where a structure and its rattled copies end.

    Attributes:
        atoms: the structure, relaxed as it was given.
        lowest: the lowest of it and its copies; a primitive cell where it has one.
        energy_gain_per_atom: eV/atom, by how much that is below; zero or positive.
        space_group: of the structure, relaxed; empty for a molecule.
        lowest_space_group: of the lowest.
        n_copies: how many were relaxed.
        n_ended: how many of them converged.
        n_atoms: of the largest copy.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    lowest: ase.Atoms
    energy_gain_per_atom: float
    space_group: str
    lowest_space_group: str
    n_copies: int
    n_ended: int
    n_atoms: int
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        return (
            Quantity(
                name="Energy gained from rattled copies",
                value=self.energy_gain_per_atom,
                unit="eV/atom",
                key="energy_gain_per_atom",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rattled(Property[RattledResult]):
    """What a structure falls to when its symmetry no longer holds it.

    A relaxation keeps the symmetry it begins with, and cannot leave its cell: a cubic
    perovskite stays cubic where its octahedra would tilt. Copies with displaced atoms in
    a strained and, where it is small, multiplied cell are free to.

    Attributes:
        n_copies: rattled in the multiplied cell, each with random numbers of its own;
            one more in the cell as it is, where the other is larger.
        stdev: Å, of the displacement of every coordinate.
        strain: standard deviation of the strains of a copy's cell.
        seed: of the random numbers.
        most_atoms: of a multiplied cell.
        relaxing: how the structure is relaxed; one that is not a crystal keeps its cell.
        relaxing_copies: how the copies are.
    """

    kind: ClassVar[str] = "rattled"
    title: ClassVar[str] = "Relaxation from rattled copies"

    n_copies: int = 3
    stdev: float = 0.1
    strain: float = 0.01
    seed: int = 0
    most_atoms: int = 40
    relaxing: Relaxing = field(default_factory=Relaxing)
    relaxing_copies: Relaxing = field(default_factory=lambda: Relaxing(max_steps=500))

    def __post_init__(self) -> None:
        if self.n_copies < 1 or not 0 < self.stdev < 1 or not 0 <= self.strain < 0.1:
            raise ParameterError(
                "Wanted n_copies >= 1, stdev between 0 and 1 Å and strain between 0 and "
                f"0.1, got {self.n_copies}, {self.stdev} and {self.strain}."
            )

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[RattledResult]:
        """Relax the structure, then its copies together."""
        del potential
        relaxing = fitting(self.relaxing, atoms)
        (end,) = yield from relaxing.steps([atoms], "structure")
        copies = self._copies(end.atoms)
        ends = yield fitting(self.relaxing_copies, atoms).work(copies)
        usable = [e for e in ends if e.status in _USABLE and np.isfinite(e.energy)]
        if not usable:
            raise ConvergenceError(
                f"None of the {len(copies)} rattled copies could be relaxed: "
                f"{ends[0].message}"
            )
        return self._result(end, ends, usable)

    def _copies(self, atoms: ase.Atoms) -> list[ase.Atoms]:
        repeats = multiples(atoms, self.most_atoms)
        large = atoms.repeat(repeats)
        starts = [large] * self.n_copies
        if len(large) > len(atoms):
            starts.append(atoms)
        return [
            _rattled(start, self.stdev, self.strain, self.seed + place)
            for place, start in enumerate(starts)
        ]

    def _result(self, end: End, ends: list[End], usable: list[End]) -> RattledResult:
        own = end.energy / len(end.atoms)
        lowest = min(usable, key=lambda e: e.energy / len(e.atoms))
        gain = own - lowest.energy / len(lowest.atoms)
        notes: list[str] = []
        n_ended = sum(e.status is Status.CONVERGED for e in ends)
        if n_ended < len(ends):
            notes.append(
                f"{len(ends) - n_ended} of the {len(ends)} rattled copies did not "
                "converge; what they gain is at least what is said."
            )
        found = lowest.atoms if gain > 0 else end.atoms
        return RattledResult(
            atoms=end.atoms,
            lowest=_primitive(found),
            energy_gain_per_atom=max(gain, 0.0),
            space_group=_symbol(end.atoms),
            lowest_space_group=_symbol(found),
            n_copies=len(ends),
            n_ended=n_ended,
            n_atoms=max(len(e.atoms) for e in ends),
            notes=tuple(notes),
        )


def multiples(atoms: ase.Atoms, most_atoms: int) -> tuple[int, int, int]:
    """Which vectors of a small crystal to double, the shortest ones first.

    All three, if that is at most `most_atoms`, or two, or one, or none.
    """
    order = np.argsort(atoms.cell.lengths(), kind="stable")
    for n_doubled in (3, 2, 1):
        repeats = [1, 1, 1]
        for axis in order[:n_doubled]:
            repeats[int(axis)] = 2
        if atoms.pbc.all() and len(atoms) * 2**n_doubled <= most_atoms:
            return repeats[0], repeats[1], repeats[2]
    return 1, 1, 1


def fitting(relaxing: Relaxing, atoms: ase.Atoms) -> Relaxing:
    """The same; what is no crystal has no cell to relax."""
    return relaxing if atoms.pbc.all() else replace(relaxing, cell=None)


def _rattled(atoms: ase.Atoms, stdev: float, strain: float, seed: int) -> ase.Atoms:
    copy = atoms.copy()
    if atoms.pbc.all():
        amounts = np.random.default_rng([seed, 1]).normal(scale=strain, size=(3, 3))
        cell = copy.cell.array @ (np.eye(3) + (amounts + amounts.T) / 2)
        copy.set_cell(cell, scale_atoms=True)
    return rattle(copy, stdev, seed)


def _symbol(atoms: ase.Atoms) -> str:
    if not atoms.pbc.all():
        return ""
    try:
        return space_group(atoms, _SYMPREC).symbol
    except StructureError:
        return "P1"


def _primitive(atoms: ase.Atoms) -> ase.Atoms:
    """Of a multiplied cell that has not used its freedom."""
    if not atoms.pbc.all():
        return atoms
    try:
        small = primitive_cell(atoms, _SYMPREC)
    except StructureError:
        return atoms
    return small if len(small) < len(atoms) else atoms
