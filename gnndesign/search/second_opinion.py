"""What two potentials say of the same structure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import ase
import numpy as np
from jaxtyping import Float

from gnndesign.errors import StructureError
from gnndesign.potentials.base import Card, Potential
from gnndesign.properties.base import Property, Quantity, Steps
from gnndesign.properties.references import elemental_references
from gnndesign.properties.work import Relaxing, evaluated
from gnndesign.search.rattled import fitting, multiples
from gnndesign.structures.edit import rattle


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one potential says.

    Attributes:
        atoms: relaxed with it.
        volume_per_atom: Å³ of that; NaN for what is no crystal.
        formation_energy_per_atom: eV/atom of that against the elements relaxed with it;
            NaN where an element has no reference or it is no crystal.
        forces: (n_frames, n_atoms, 3) eV/Å, of rattled copies of what was given, in a
            multiplied cell where it is small.
        notes: what to know beside the numbers.
    """

    atoms: ase.Atoms
    volume_per_atom: float
    formation_energy_per_atom: float
    forces: Float[np.ndarray, "n_frames n_atoms 3"]
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        return (
            Quantity(
                name="Formation energy",
                value=self.formation_energy_per_atom,
                unit="eV/atom",
                key="formation_energy_per_atom",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOpinion(Property[Opinion]):
    """Relax, and evaluate rattled copies; the same copies whatever the potential is.

    Attributes:
        n_frames: rattled copies.
        stdev: Å, of their displacements.
        seed: of them.
        most_atoms: of a multiplied cell, see `multiples`.
        relaxing: how the structure is relaxed.
    """

    kind: ClassVar[str] = "opinion"
    title: ClassVar[str] = "Opinion of a potential"

    n_frames: int = 3
    stdev: float = 0.1
    seed: int = 0
    most_atoms: int = 40
    relaxing: Relaxing = field(default_factory=Relaxing)

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[Opinion]:
        """Relax, look up the elements, evaluate."""
        relaxing = fitting(self.relaxing, atoms)
        (end,) = yield from relaxing.steps([atoms], "structure")
        # A single atom in its cell feels no force wherever it is.
        large = atoms.repeat(multiples(atoms, self.most_atoms))
        frames = [
            rattle(large, self.stdev, self.seed + place)
            for place in range(self.n_frames)
        ]
        ends = yield from evaluated(frames, "rattled copy")
        symbols = atoms.get_chemical_symbols()
        is_crystal = bool(atoms.pbc.all())
        formation, notes = np.nan, ()
        if is_crystal:
            try:
                energies = yield from elemental_references(
                    sorted(set(symbols)), potential
                )
                elements = sum(energies[symbol] for symbol in symbols)
                formation = (end.energy - elements) / len(symbols)
            except StructureError as error:
                notes = (str(error),)
        return Opinion(
            atoms=end.atoms,
            volume_per_atom=float(end.atoms.cell.volume) / len(atoms)
            if is_crystal
            else np.nan,
            formation_energy_per_atom=float(formation),
            forces=np.array([e.forces for e in ends]),
            notes=notes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """How far a second potential is from the first.

    Attributes:
        potential: name of the second.
        checksum: of the second.
        force_difference: root mean square difference of the forces on the same rattled
            copies, as a fraction of the root mean square force of both: what energies
            that are corrected in different ways cannot hide.
        volume_difference: relative, the second minus the first; NaN for a molecule.
        formation_energy_per_atom: eV/atom, of the second against its own elements; NaN
            where it has none.
        formation_energy_difference: eV/atom, the second minus the first; likewise.
        same_level_of_theory: whether both potentials' cards state the same one. If not,
            formation energies differ by the corrections, too.
    """

    potential: str
    checksum: str
    force_difference: float
    volume_difference: float
    formation_energy_per_atom: float
    formation_energy_difference: float
    same_level_of_theory: bool


def disagreement(
    first: Opinion, second: Opinion, card: Card, other_card: Card
) -> Disagreement:
    """Compare two opinions of one structure.

    Args:
        first: of the potential of the search.
        second: of the other.
        card: of the potential of the search.
        other_card: of the other.
    """
    scale = np.sqrt((np.mean(first.forces**2) + np.mean(second.forces**2)) / 2)
    missed = np.sqrt(np.mean((first.forces - second.forces) ** 2))
    own, other = first.formation_energy_per_atom, second.formation_energy_per_atom
    return Disagreement(
        potential=other_card.name,
        checksum=other_card.checksum,
        force_difference=float(missed / scale) if scale else 0.0,
        volume_difference=second.volume_per_atom / first.volume_per_atom - 1.0,
        formation_energy_per_atom=other,
        formation_energy_difference=other - own,
        same_level_of_theory=card.level_of_theory == other_card.level_of_theory,
    )
