"""Whether a structure is one that is known already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import ase

from gnndesign.properties.materials_project import reduced_formula
from gnndesign.structures.convert import to_pymatgen
from gnndesign.structures.library import elemental_polymorphs, list_prototypes


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownStructure:
    """A structure that is known.

    Attributes:
        name: what a person calls it.
        atoms: the structure.
    """

    name: str
    atoms: ase.Atoms


def matching_structures(
    atoms: ase.Atoms, given: Sequence[KnownStructure | ase.Atoms] = ()
) -> tuple[str, ...]:
    """Names of the known structures that a crystal is.

    The library has the compounds that its 287 prototypes are named after, and the
    polymorphs of the elements; compared by pymatgen's StructureMatcher, which takes
    crystals of different volumes as alike.

    Args:
        atoms: the crystal, relaxed.
        given: further known structures; one without a name is called by its formula.
    """
    from pymatgen.analysis.structure_matcher import StructureMatcher

    if not atoms.pbc.all():
        return ()
    matcher = StructureMatcher()
    own, formula = to_pymatgen(atoms), reduced_formula(atoms)
    candidates = [*map(_named, given), *_library(atoms, formula)]
    return tuple(
        known.name
        for known in candidates
        if known.atoms.pbc.all()
        and reduced_formula(known.atoms) == formula
        and matcher.fit(own, to_pymatgen(known.atoms))  # pyright: ignore[reportArgumentType]
    )


def _library(atoms: ase.Atoms, formula: str) -> Iterable[KnownStructure]:
    symbols = set(atoms.get_chemical_symbols())
    for kind in list_prototypes():
        if set(kind.species) == symbols:
            name = kind.mineral or kind.strukturbericht or kind.aflow
            yield KnownStructure(name=f"{name} ({formula})", atoms=kind.to_atoms())
    if len(symbols) == 1:
        for place, known in enumerate(elemental_polymorphs(*symbols), start=1):
            yield KnownStructure(name=f"{formula}, polymorph {place}", atoms=known)


def _named(known: KnownStructure | ase.Atoms) -> KnownStructure:
    if isinstance(known, KnownStructure):
        return known
    return KnownStructure(name=reduced_formula(known), atoms=known)
