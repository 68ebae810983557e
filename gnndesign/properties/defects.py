"""Formation energies of neutral point defects.

    E_f = E_defect - E_supercell - Σ_i n_i μ_i

with n_i atoms of element i added (negative where they are taken away) and μ_i its
chemical potential (S. B. Zhang and J. E. Northrup, Phys. Rev. Lett. 67, 2339 (1991),
without charge).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import ase
import numpy as np

from gnndesign.errors import ConvergenceError, ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps
from gnndesign.properties.bounds import Length, Symprec, check_bounds
from gnndesign.properties.defect_cells import DefectCell, DefectKind, defect_cells
from gnndesign.properties.references import elemental_references
from gnndesign.properties.relaxed import (
    refuse_all_but_crystals,
    relaxed_energy,
    relaxed_where_possible,
)
from gnndesign.properties.work import Relaxing
from gnndesign.structures.supercells import (
    shortest_image_distance,
    supercell_of_length,
)
from gnndesign.structures.symmetry import conventional_cell

_RICH = (
    "Chemical potentials are the energies of the elements with the same potential: the "
    "limit of growth rich in each of them. In equilibrium with a compound they lie lower, "
    "by up to its formation energy per atom of that element."
)
_NEUTRAL = (
    "The defects are neutral and have no levels in a gap: a potential without electrons "
    "knows no charge states."
)
_HARD_TO_FIND = (
    "Interstitials start in the voids of the crystal; split ones (dumbbells) are found "
    "only where a relaxation falls into them."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointDefect:
    """A defect and its energy.

    Attributes:
        name: "v_Cu", "Al_Cu" or "i_C", and the site where there are several.
        kind: "vacancy", "substitution" or "interstitial".
        site: what is known of the place, such as "Wyckoff 4a" or "6 neighbors".
        multiplicity: number of such sites in the conventional cell.
        formation_energy: eV.
        larger_cell_energy: eV in the larger supercell; None where none was asked for.
        added: number of atoms of each element added, negative for those taken away.
        atoms: relaxed, in the supercell.
    """

    name: str
    kind: DefectKind
    site: str
    multiplicity: int
    formation_energy: float
    larger_cell_energy: float | None
    added: Mapping[str, int]
    atoms: ase.Atoms


@dataclass(frozen=True, slots=True, kw_only=True)
class PointDefectsResult:
    """Point defects of a crystal.

    Attributes:
        host: the relaxed crystal.
        defects: in order of energy, lowest first.
        chemical_potentials: eV by chemical symbol.
        n_atoms: of the perfect supercell.
        image_distance: Å between a defect and its nearest image.
        larger_n_atoms: of the larger supercell; None where there is none.
        notes: what to know beside the numbers.
    """

    host: ase.Atoms
    defects: tuple[PointDefect, ...]
    chemical_potentials: Mapping[str, float]
    n_atoms: int
    image_distance: float
    larger_n_atoms: int | None
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table, a row each."""
        return tuple(
            Quantity(
                name=f"Formation energy of {defect.name}",
                value=defect.formation_energy,
                unit="eV",
                key=f"formation_energy_{defect.name.replace(' ', '_')}",
            )
            for defect in self.defects
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PointDefects(Property[PointDefectsResult]):
    """Vacancies, substitutions and interstitials on all inequivalent sites.

    All of them are relaxed in one batch, at the fixed cell of the relaxed crystal, and
    so is the perfect supercell they are compared with.

    Attributes:
        vacancies: whether each kind of atom is taken away.
        substitutions: elements that take the place of each kind of atom.
        interstitials: elements that go into the voids.
        min_length: Å between opposite faces of the supercell at least.
        larger_length: Å of a second, larger supercell to compare with; None for none.
        relaxing: how the crystal is relaxed; None takes it as it is.
        relaxing_defects: how atoms around a defect relax; None leaves them in place.
        min_radius: Å from a void to its nearest atom at least.
        symprec: Å, within which sites are equivalent.
    """

    kind: ClassVar[str] = "point_defects"
    title: ClassVar[str] = "Point defects"

    vacancies: bool = True
    substitutions: tuple[str, ...] = ()
    interstitials: tuple[str, ...] = ()
    min_length: Length = 10.0
    larger_length: Length | None = None
    relaxing: Relaxing | None = field(default_factory=Relaxing)
    relaxing_defects: Relaxing | None = field(
        default_factory=lambda: Relaxing(cell=None, max_force=0.02)
    )
    min_radius: Length = 1.0
    symprec: Symprec = 1e-2

    def __post_init__(self) -> None:
        check_bounds(self)
        if not (self.vacancies or self.substitutions or self.interstitials):
            raise ParameterError(
                "Wanted vacancies, substitutions or interstitials, got none of them."
            )
        if self.larger_length is not None and self.larger_length <= self.min_length:
            raise ParameterError(
                f"Wanted larger_length above min_length = {self.min_length} Å, got "
                f"{self.larger_length}."
            )
        if self.relaxing_defects is not None and self.relaxing_defects.cell is not None:
            raise ParameterError(
                "Wanted relaxing_defects with cell=None, since a defect is dilute, got "
                f"{self.relaxing_defects.cell!r}."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only crystals have sites."""
        refuse_all_but_crystals(atoms, "point defects of a crystal")

    def steps(
        self, atoms: ase.Atoms, potential: Potential
    ) -> Steps[PointDefectsResult]:
        """Relax the crystal, then all defects together."""
        host, energy = yield from relaxed_energy(atoms, self.relaxing)
        cell = conventional_cell(host, self.symprec)
        lengths = [self.min_length]
        if self.larger_length is not None:
            lengths.append(self.larger_length)
        supercells = [supercell_of_length(cell, length) for length in lengths]
        several = [
            defect_cells(
                cell,
                supercell,
                vacancies=self.vacancies,
                substitutions=self.substitutions,
                interstitials=self.interstitials,
                min_radius=self.min_radius,
                symprec=self.symprec,
            )
            for supercell in supercells
        ]
        structures = [
            structure
            for supercell, defects in zip(supercells, several, strict=True)
            for structure in (supercell, *(d.atoms for d in defects))
        ]
        names = [
            f"{name} in {len(supercell)} atoms"
            for supercell, defects in zip(supercells, several, strict=True)
            for name in ("perfect crystal", *(d.name for d in defects))
        ]
        ends, left_out = yield from relaxed_where_possible(
            structures, names, self.relaxing_defects
        )
        symbols = {symbol for d in several[0] for symbol in d.added}
        potentials = yield from _chemical_potentials(host, energy, symbols, potential)
        relaxed = [None if end is None else (end.atoms, end.energy) for end in ends]
        n = 1 + len(several[0])
        found = _formation_energies(several[0], relaxed[:n], potentials)
        larger = (
            _formation_energies(several[1], relaxed[n:], potentials)
            if len(several) > 1
            else {}
        )
        defects = tuple(
            PointDefect(
                name=d.name,
                kind=d.kind,
                site=d.site,
                multiplicity=d.multiplicity,
                formation_energy=found[d.name][1],
                larger_cell_energy=larger[d.name][1] if d.name in larger else None,
                added=d.added,
                atoms=found[d.name][0],
            )
            for d in several[0]
            if d.name in found
        )
        return PointDefectsResult(
            host=host,
            defects=tuple(sorted(defects, key=lambda d: d.formation_energy)),
            chemical_potentials=potentials,
            n_atoms=len(supercells[0]),
            image_distance=shortest_image_distance(supercells[0]),
            larger_n_atoms=len(supercells[1]) if len(supercells) > 1 else None,
            notes=(*self._notes(host, supercells, defects), *left_out),
        )

    def _notes(
        self,
        host: ase.Atoms,
        supercells: Sequence[ase.Atoms],
        defects: Sequence[PointDefect],
    ) -> list[str]:
        distance = shortest_image_distance(supercells[0])
        size = (
            f"Supercell of {len(supercells[0])} atoms at fixed cell: a defect is "
            f"{distance:.1f} Å from its images, whose elastic pull makes an error that "
            "falls as one over the volume."
        )
        notes = [size]
        changes = [
            abs(d.larger_cell_energy - d.formation_energy)
            for d in defects
            if d.larger_cell_energy is not None
        ]
        if changes:
            notes.append(
                f"In a supercell of {len(supercells[1])} atoms the energies differ by "
                f"at most {max(changes):.3f} eV."
            )
        else:
            notes.append("Set larger_length to see how much the size matters.")
        if len(set(host.numbers.tolist())) > 1:
            notes += [_RICH, _NEUTRAL]
        return [*notes, _HARD_TO_FIND] if self.interstitials else notes


def _chemical_potentials(
    host: ase.Atoms, energy: float, symbols: set[str], potential: Potential
) -> Steps[dict[str, float]]:
    """Of the elements; that of an elemental crystal is its own, whatever its phase."""
    own = set(host.get_chemical_symbols())
    known = {own.pop(): energy / len(host)} if len(own) == 1 else {}
    others = sorted(symbols - set(known))
    references: dict[str, float] = {}
    if others:
        references = yield from elemental_references(others, potential)
    return {**{s: e for s, e in known.items() if s in symbols}, **references}


def _formation_energies(
    defects: Sequence[DefectCell],
    relaxed: Sequence[tuple[ase.Atoms, float] | None],
    potentials: Mapping[str, float],
) -> dict[str, tuple[ase.Atoms, float]]:
    """Relaxed structure and formation energy in eV, by name."""
    if relaxed[0] is None:
        raise ConvergenceError(
            "The perfect supercell did not converge, so there is nothing to compare "
            "defects with. Allow more steps or a larger force."
        )
    perfect = relaxed[0][1]
    found: dict[str, tuple[ase.Atoms, float]] = {}
    for defect, end in zip(defects, relaxed[1:], strict=True):
        if end is not None:
            exchanged = sum(n * potentials[s] for s, n in defect.added.items())
            found[defect.name] = end[0], float(np.float64(end[1]) - perfect - exchanged)
    if not found:
        raise ConvergenceError("No defect converged. Allow more steps.")
    return found
