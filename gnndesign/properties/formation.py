"""Formation energy against the elements, and cohesive energy against single atoms.

    E_f = (E - Σ_i n_i μ_i) / N        E_c = (Σ_i n_i E_i^atom - E) / N

with n_i atoms of element i among the N of the cell, μ_i the energy per atom of the
element's ground state and E_i^atom the energy of its isolated atom, all of the same
potential.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import ase

from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps
from gnndesign.properties.materials_project import PROVENANCE, known_compound
from gnndesign.properties.references import (
    ISOLATED_ATOMS_NOTE,
    elemental_references,
    isolated_atoms,
)
from gnndesign.properties.relaxed import refuse_all_but_crystals, relaxed_energy
from gnndesign.properties.work import Relaxing


@dataclass(frozen=True, slots=True, kw_only=True)
class FormationResult:
    """Formation energy of a crystal.

    Attributes:
        atoms: the relaxed structure.
        formation_energy_per_atom: eV/atom, negative where it is gained.
        energy_per_atom: eV/atom.
        reference_energies: eV/atom of the elements, by chemical symbol.
        dft_formation_energy_per_atom: eV/atom of the Materials Project for the ground
            state of this composition; None where it is not known or not at hand.
        checksum: of the potential whose energies all but the last are.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    formation_energy_per_atom: float
    energy_per_atom: float
    reference_energies: Mapping[str, float]
    dft_formation_energy_per_atom: float | None
    checksum: str
    notes: tuple[str, ...] = ()

    @property
    def difference_to_dft_per_atom(self) -> float | None:
        """eV/atom, this minus the Materials Project; None where that is not known."""
        if self.dft_formation_energy_per_atom is None:
            return None
        return self.formation_energy_per_atom - self.dft_formation_energy_per_atom

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        own = Quantity(
            name="Formation energy",
            value=self.formation_energy_per_atom,
            unit="eV/atom",
            key="formation_energy_per_atom",
        )
        if self.difference_to_dft_per_atom is None:
            return (own,)
        difference = Quantity(
            name="Difference to the DFT formation energy",
            value=self.difference_to_dft_per_atom,
            unit="eV/atom",
            key="difference_to_dft_per_atom",
        )
        return own, difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Formation(Property[FormationResult]):
    """Energy of formation from the elements in their ground states.

    The elements are those of the library, relaxed with the same potential; no correction
    for gases or mixed levels of theory is applied. Where the table of the Materials
    Project is at hand (see `materials_project`), its value stands beside.

    Attributes:
        relaxing: how the structure is relaxed; None takes it as it is.
    """

    kind: ClassVar[str] = "formation"
    title: ClassVar[str] = "Formation energy"

    relaxing: Relaxing | None = field(default_factory=Relaxing)

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only crystals are compared with the elements."""
        refuse_all_but_crystals(atoms, "formation energy of a crystal")

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[FormationResult]:
        """Relax, and subtract the elements."""
        relaxed, energy = yield from relaxed_energy(atoms, self.relaxing)
        symbols = relaxed.get_chemical_symbols()
        references = yield from elemental_references(sorted(set(symbols)), potential)
        elements = sum(references[symbol] for symbol in symbols)
        known = known_compound(relaxed)
        return FormationResult(
            atoms=relaxed,
            formation_energy_per_atom=(energy - elements) / len(symbols),
            energy_per_atom=energy / len(symbols),
            reference_energies=references,
            dft_formation_energy_per_atom=(
                None if known is None else known.formation_energy_per_atom
            ),
            checksum=potential.card.checksum,
            notes=() if known is None else (PROVENANCE,),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CohesionResult:
    """Cohesive energy.

    Attributes:
        atoms: the relaxed structure.
        cohesive_energy_per_atom: eV/atom to take it apart into atoms, positive where
            it is bound.
        energy_per_atom: eV/atom.
        atom_energies: eV of isolated atoms, by chemical symbol.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    cohesive_energy_per_atom: float
    energy_per_atom: float
    atom_energies: Mapping[str, float]
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        return (
            Quantity(
                name="Cohesive energy",
                value=self.cohesive_energy_per_atom,
                unit="eV/atom",
                key="cohesive_energy_per_atom",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohesion(Property[CohesionResult]):
    """Energy that a structure loses when it is taken apart into atoms.

    Attributes:
        relaxing: how the structure is relaxed; None takes it as it is. A molecule has
            no cell to relax: `Relaxing(cell=None)`.
    """

    kind: ClassVar[str] = "cohesion"
    title: ClassVar[str] = "Cohesive energy"

    relaxing: Relaxing | None = field(default_factory=Relaxing)

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[CohesionResult]:
        """Relax, and subtract from the atoms."""
        del potential
        relaxed, energy = yield from relaxed_energy(atoms, self.relaxing)
        symbols = relaxed.get_chemical_symbols()
        energies = yield from isolated_atoms(sorted(set(symbols)))
        single = sum(energies[symbol] for symbol in symbols)
        return CohesionResult(
            atoms=relaxed,
            cohesive_energy_per_atom=(single - energy) / len(symbols),
            energy_per_atom=energy / len(symbols),
            atom_energies=energies,
            notes=(ISOLATED_ATOMS_NOTE,),
        )
