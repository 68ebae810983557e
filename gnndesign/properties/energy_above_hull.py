"""Energy above the hull of a crystal, with competing phases of the same potential."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from typing import Any, ClassVar

import ase

from gnndesign.disk import cache_folder
from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import End, Property, Steps
from gnndesign.properties.hull import HullResult, Origin, Phase, hull
from gnndesign.properties.kept import KeptEnergies, fingerprint
from gnndesign.properties.materials_project import (
    PROVENANCE,
    amounts,
    known_compound,
    reduced_formula,
    stable_compounds,
)
from gnndesign.properties.references import elemental_references
from gnndesign.properties.relaxed import refuse_all_but_crystals
from gnndesign.properties.work import Relaxing, not_converged
from gnndesign.simulation.base import Status
from gnndesign.structures.build import build_crystal
from gnndesign.structures.convert import to_pymatgen
from gnndesign.structures.library import Prototype, elemental_polymorphs, prototype

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

_MOST_POLYMORPHS = 5
_MOST_NAMED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Competitor:
    """A structure that may compete."""

    atoms: ase.Atoms
    origin: Origin
    label: str


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
        relaxing: how all of them are relaxed.
    """

    kind: ClassVar[str] = "energy_above_hull"
    title: ClassVar[str] = "Energy above the hull"

    competing: tuple[ase.Atoms, ...] = ()
    prototypes: tuple[str, ...] = SIMPLE_PROTOTYPES
    relaxing: Relaxing = field(default_factory=Relaxing)

    def __post_init__(self) -> None:
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
            _Competitor(atoms=other, origin="given", label="")
            for other in self.competing
            if elements.issuperset(other.get_chemical_symbols())
        ]
        others = [*given, *self._library(sorted(elements))]
        kept, own = yield from self._energies(atoms, others, potential)
        references = yield from elemental_references(sorted(elements), potential)
        checksum = potential.card.checksum
        phases = [_phase(atoms, own, "structure", checksum)]
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
        for other in others:
            energy = kept[self._key(other.atoms)]["energy_per_atom"]
            if energy is None:
                left_out.append(f"{reduced_formula(other.atoms)} ({other.label})")
            else:
                origin, label = other.origin, other.label
                phases.append(_phase(other.atoms, energy, origin, checksum, label))
        known = known_compound(atoms)
        return hull(
            phases,
            dft_decomposition_energy_per_atom=(
                None if known is None else known.decomposition_energy_per_atom
            ),
            notes=tuple(_notes(elements, phases, left_out, compared=known is not None)),
        )

    def _energies(
        self, atoms: ase.Atoms, others: Sequence[_Competitor], potential: Potential
    ) -> Steps[tuple[dict[str, Any], float]]:
        """What is kept of the competitors, and the energy per atom of the structure."""
        store = KeptEnergies(cache_folder() / "phases", potential.card)
        kept = store.read()
        new = {
            key: c for c in others if _is_new(c, kept.get(key := self._key(c.atoms)))
        }
        ends = yield self.relaxing.work([atoms, *(c.atoms for c in new.values())])
        if ends[0].status is not Status.CONVERGED:
            raise not_converged(ends[0], "structure", self.relaxing.max_force)
        for competitor, end in zip(new.values(), ends[1:], strict=True):
            if competitor.origin == "given" and end.status is not Status.CONVERGED:
                what = f"competing phase {reduced_formula(competitor.atoms)}"
                raise not_converged(end, what, self.relaxing.max_force)
        if new:
            entries = zip(new, map(_kept, ends[1:]), strict=True)
            kept = store.add(dict(entries))
        return kept, ends[0].energy / len(atoms)

    def _library(self, elements: Sequence[str]) -> list[_Competitor]:
        if not self.prototypes:
            return []
        if len(elements) == 1:
            polymorphs = elemental_polymorphs(elements[0])[1:_MOST_POLYMORPHS]
            return [
                _Competitor(atoms=p, origin="library", label=f"polymorph {place}")
                for place, p in enumerate(polymorphs, 2)
            ]
        found: list[_Competitor] = []
        for name in self.prototypes:
            kind = prototype(name)
            for choice in combinations(elements, len(kind.species)):
                found += [
                    _Competitor(atoms=atoms, origin="library", label=name)
                    for atoms in _fillings(kind, choice)
                ]
        return found

    def _key(self, atoms: ase.Atoms) -> str:
        how = hashlib.sha256(repr(self.relaxing).encode()).hexdigest()[:16]
        return f"{fingerprint(atoms)}-{how}"


def _fillings(kind: Prototype, elements: Sequence[str]) -> list[ase.Atoms]:
    """A prototype with its sites filled in every way that is a crystal of its own."""
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure

    matcher = StructureMatcher(primitive_cell=False)
    found: dict[str, list[Structure]] = {}
    built: list[ase.Atoms] = []
    for order in permutations(elements):
        sites = dict(zip(kind.species, order, strict=True))
        counts = {sites[s]: kind.symbols.count(s) for s in kind.species}
        formula = "".join(f"{symbol}{count}" for symbol, count in counts.items())
        atoms = build_crystal(formula, kind, sites=sites)
        crystal = to_pymatgen(atoms)
        assert isinstance(crystal, Structure)
        alike = found.setdefault(reduced_formula(atoms), [])
        if not any(matcher.fit(crystal, other) for other in alike):
            alike.append(crystal)
            built.append(atoms)
    return built


def _phase(
    atoms: ase.Atoms, energy: float, origin: Origin, checksum: str, label: str = ""
) -> Phase:
    return Phase(
        formula=reduced_formula(atoms),
        amounts=amounts(atoms),
        energy_per_atom=energy,
        origin=origin,
        checksum=checksum,
        label=label,
    )


def _is_new(competitor: _Competitor, entry: dict[str, Any] | None) -> bool:
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
