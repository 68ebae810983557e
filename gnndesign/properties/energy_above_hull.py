"""Energy above the hull of a crystal, with competing phases of the same potential."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import ase
from annotated_types import Interval

from gnndesign.disk import cache_folder
from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import End, Property, Steps
from gnndesign.properties.bounds import check_bounds
from gnndesign.properties.competing_phases import (
    Competitor,
    filled_prototypes,
    known_compounds,
    polymorphs,
)
from gnndesign.properties.hull import HullResult, Phase, hull
from gnndesign.properties.kept import KeptEnergies
from gnndesign.properties.materials_project import (
    PROVENANCE,
    known_compound,
    reduced_formula,
    stable_compounds,
)
from gnndesign.properties.references import elemental_references
from gnndesign.properties.relaxed import refuse_all_but_crystals
from gnndesign.properties.work import Relaxing, not_converged
from gnndesign.simulation.base import Status
from gnndesign.structures.library import prototype

SIMPLE_PROTOTYPES = (
    "rocksalt",
    "cscl",
    "zincblende",
    "L1_0",
    "fluorite",
    "rutile",
    "cdi2",
    "L1_2",
    "perovskite",
    "heusler",
)
"""Small cells that many compounds have; what `EnergyAboveHull` tries."""

_MOST_NAMED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyAboveHull(Property[HullResult]):
    """How much a crystal gains by falling apart into other phases.

    All phases are relaxed with the same potential in the same queue, and kept on disk by
    its checksum, so that energies of two potentials never meet on a hull.

    Attributes:
        competing: structures that compete; those with elements that the crystal has not
            are passed over.
        prototypes: names of prototypes (see `gnndesign.prototype`) that are filled with
            the crystal's elements in every way and compete too; an element competes
            with its polymorphs of the library. Empty for none.
        most_atoms_of_known: what the Materials Project calls stable competes in every
            prototype of its stoichiometry that has at most so many atoms in its
            primitive cell, see `competing_phases`; 0 for none.
        relaxing: how all of them are relaxed.
    """

    kind: ClassVar[str] = "energy_above_hull"
    title: ClassVar[str] = "Energy above the hull"

    competing: tuple[ase.Atoms, ...] = ()
    prototypes: tuple[str, ...] = SIMPLE_PROTOTYPES
    most_atoms_of_known: Annotated[int, Interval(ge=0, le=1000)] = 14
    relaxing: Relaxing = field(default_factory=Relaxing)

    def __post_init__(self) -> None:
        check_bounds(self)
        for atoms in self.competing:
            refuse_all_but_crystals(atoms, "place on a hull")
        for name in self.prototypes:
            prototype(name)
        if self.relaxing.cell != "full":
            raise ParameterError(
                "Wanted relaxing with cell='full', so that every phase has its own "
                f"shape, got {self.relaxing.cell!r}."
            )

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only crystals are on a hull."""
        refuse_all_but_crystals(atoms, "energy above the hull")

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[HullResult]:
        """Relax all phases together, and find the hull."""
        elements = frozenset(atoms.get_chemical_symbols())
        given = [
            Competitor.of(other, "given")
            for other in self.competing
            if elements.issuperset(other.get_chemical_symbols())
        ]
        # A stable compound in a small prototype is there twice.
        others: dict[str, Competitor] = {}
        for competitor in (*given, *self._library(elements)):
            others.setdefault(self._key(competitor), competitor)
        kept, own = yield from self._energies(atoms, others, potential)
        references = yield from elemental_references(sorted(elements), potential)
        checksum = potential.card.checksum
        phases = [_phase(Competitor.of(atoms, "structure"), own, checksum)]
        phases += [
            Phase(
                formula=symbol,
                amounts={symbol: 1},
                energy_per_atom=energy,
                origin="element",
                checksum=checksum,
            )
            for symbol, energy in references.items()
        ]
        left_out: list[str] = []
        for key, other in others.items():
            energy = kept[key]["energy_per_atom"]
            if energy is None:
                left_out.append(f"{other.formula} ({other.label})")
            else:
                phases.append(_phase(other, energy, checksum))
        known = known_compound(atoms)
        return hull(
            phases,
            dft_decomposition_energy_per_atom=(
                None if known is None else known.decomposition_energy_per_atom
            ),
            notes=tuple(_notes(elements, phases, left_out, compared=known is not None)),
        )

    def _energies(
        self, atoms: ase.Atoms, others: Mapping[str, Competitor], potential: Potential
    ) -> Steps[tuple[dict[str, Any], float]]:
        """What is kept of the competitors, and the energy per atom of the structure."""
        store = KeptEnergies(cache_folder() / "phases", potential.card)
        kept = store.read()
        new = {key: c for key, c in others.items() if _is_new(c, kept.get(key))}
        ends = yield self.relaxing.work([atoms, *(c.build() for c in new.values())])
        if ends[0].status is not Status.CONVERGED:
            raise not_converged(ends[0], "structure", self.relaxing.max_force)
        for competitor, end in zip(new.values(), ends[1:], strict=True):
            if competitor.origin == "given" and end.status is not Status.CONVERGED:
                what = f"competing phase {competitor.formula}"
                raise not_converged(end, what, self.relaxing.max_force)
        if new:
            entries = zip(new, map(_kept, ends[1:]), strict=True)
            kept = store.add(dict(entries))
        return kept, ends[0].energy / len(atoms)

    def _library(self, elements: frozenset[str]) -> list[Competitor]:
        if len(elements) == 1:
            return polymorphs(*elements) if self.prototypes else []
        return [
            *filled_prototypes(sorted(elements), self.prototypes),
            *known_compounds(elements, self.most_atoms_of_known),
        ]

    def _key(self, competitor: Competitor) -> str:
        how = hashlib.sha256(repr(self.relaxing).encode()).hexdigest()[:16]
        return f"{competitor.key}-{how}"


def _phase(competitor: Competitor, energy: float, checksum: str) -> Phase:
    return Phase(
        formula=competitor.formula,
        amounts=competitor.amounts,
        energy_per_atom=energy,
        origin=competitor.origin,
        checksum=checksum,
        label=competitor.label,
    )


def _is_new(competitor: Competitor, entry: dict[str, Any] | None) -> bool:
    """Whether it is to be relaxed; what was given is tried again, to say what fails."""
    failed = entry is not None and entry["energy_per_atom"] is None
    return entry is None or (failed and competitor.origin == "given")


def _kept(end: End) -> dict[str, Any]:
    """Of what does not converge no energy is kept, but that it does not."""
    converged = end.status is Status.CONVERGED
    return {
        "energy_per_atom": end.energy / len(end.atoms) if converged else None,
        "formula": reduced_formula(end.atoms),
        "status": end.status.name,
    }


def _notes(
    elements: frozenset[str],
    phases: Sequence[Phase],
    left_out: Sequence[str],
    *,
    compared: bool,
) -> list[str]:
    notes = [
        f"The hull knows {len(phases)} phases; one that is not among them may lie lower."
    ]
    if left_out:
        notes.append(
            f"Left out, since their relaxations did not converge: {_named(left_out)}."
        )
    present = {phase.formula for phase in phases}
    missing = [f for f in stable_compounds(elements) if f not in present]
    if missing:
        notes.append(
            "Stable in the Materials Project, but in no form on this hull: "
            f"{_named(missing)}. Give them as competing phases."
        )
    if compared:
        notes.append(PROVENANCE)
    return notes


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
