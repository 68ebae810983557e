"""Structures that compete with a crystal: prototypes of the library, filled.

Two sources. A few small prototypes take the elements in every way, whether anyone has
made the compound or not. And what the Materials Project calls stable takes every
prototype of its stoichiometry that is not too large: Al2O3 that of corundum, TiO2 those
of rutile, anatase and some forty others, the lowest of which counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, permutations, product
from math import gcd

import ase

from gnndesign.properties.hull import Origin
from gnndesign.properties.kept import fingerprint
from gnndesign.properties.materials_project import (
    amounts,
    stable_compositions,
    written_formula,
)
from gnndesign.structures.build import build_crystal
from gnndesign.structures.convert import to_pymatgen
from gnndesign.structures.library import (
    Prototype,
    elemental_polymorphs,
    list_prototypes,
    prototype,
)

_MOST_POLYMORPHS = 5

_BIXBYITE = "AB3C6_cI80_206_a_d_e"
"""Tried although it is large: the structure of Sc2O3, Y2O3, In2O3 and of half of the
oxides of the rare earths."""

_SHARED = (_BIXBYITE, "spinel")
"""Prototypes of three elements that compounds of two have as well, one element on both
sites of the metals: Y2O3, Fe3O4, Co3O4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Competitor:
    """A structure that may compete.

    Attributes:
        key: equal for equal structures, from one process to the next.
        amounts: number of atoms of each element in the reduced formula.
        origin: where it comes from, see `Phase`.
        label: what it is called, such as the name of a prototype.
        build: makes the structure, not relaxed. Most competitors of a search were
            relaxed before, and to build them all would take longer than to look them up.
    """

    key: str
    amounts: Mapping[str, int]
    origin: Origin
    label: str
    build: Callable[[], ase.Atoms]

    @property
    def formula(self) -> str:
        """Reduced."""
        return written_formula(self.amounts)

    @classmethod
    def of(cls, atoms: ase.Atoms, origin: Origin, label: str = "") -> Competitor:
        """A structure that is there already."""
        return cls(
            key=fingerprint(atoms),
            amounts=amounts(atoms),
            origin=origin,
            label=label,
            build=atoms.copy,
        )


def polymorphs(symbol: str) -> list[Competitor]:
    """Of an element: those of the library but the lowest, which is its reference."""
    found = elemental_polymorphs(symbol)[1:_MOST_POLYMORPHS]
    return [
        Competitor.of(atoms, "library", f"polymorph {place}")
        for place, atoms in enumerate(found, 2)
    ]


def filled_prototypes(
    elements: Sequence[str], names: Iterable[str]
) -> list[Competitor]:
    """Prototypes with elements on their sites in every way that is a crystal of its own.

    Args:
        elements: chemical symbols.
        names: of prototypes, see `gnndesign.prototype`.
    """
    return [
        _filled(kind, order, label=name)
        for name in names
        for kind in (prototype(name),)
        for choice in combinations(sorted(elements), len(kind.species))
        for order in permutations(choice)
        if _is_first(kind, order)
    ]


def known_compounds(elements: frozenset[str], most_atoms: int) -> list[Competitor]:
    """Compounds of the elements that the Materials Project calls stable.

    Args:
        elements: chemical symbols.
        most_atoms: in the primitive cell of a prototype that is tried; 0 for none.

    Returns:
        Each in all prototypes of its stoichiometry; none where the library has none.
    """
    return [
        _filled(kind, order, label=kind.mineral or kind.aflow)
        for composition in stable_compositions(elements)
        if len(composition) > 1 and most_atoms > 0
        for kind in _of_stoichiometry(tuple(sorted(composition.values())))
        if len(kind.symbols) <= most_atoms or kind.aflow == _BIXBYITE
        for order in _orders(kind, composition)
        if _is_first(kind, order)
    ]


def _filled(kind: Prototype, order: Sequence[str], *, label: str) -> Competitor:
    counts = _counts(order, kind)
    divisor = gcd(*counts.values())
    reduced = {symbol: count // divisor for symbol, count in counts.items()}

    def build() -> ase.Atoms:
        formula = "".join(f"{symbol}{count}" for symbol, count in counts.items())
        sites = dict(zip(kind.species, order, strict=True))
        return build_crystal(formula, kind, sites=sites)

    return Competitor(
        key=f"{_fingerprint(kind)}-{'-'.join(order)}",
        amounts=dict(sorted(reduced.items())),
        origin="library",
        label=label,
        build=build,
    )


@cache
def _fingerprint(kind: Prototype) -> str:
    return fingerprint(kind.to_atoms())


@cache
def _of_stoichiometry(numbers: tuple[int, ...]) -> tuple[Prototype, ...]:
    """Prototypes that compounds with these numbers of atoms, ascending, can have."""
    own = (
        kind for kind in list_prototypes() if _numbers(kind.species, kind) == numbers
    )
    shared = (
        kind for kind in map(prototype, _SHARED) if _numbers("MMO", kind) == numbers
    )
    return *own, *shared


def _numbers(order: Sequence[str], kind: Prototype) -> tuple[int, ...]:
    counts = _counts(order, kind)
    divisor = gcd(*counts.values())
    return tuple(sorted(count // divisor for count in counts.values()))


def _counts(order: Sequence[str], kind: Prototype) -> dict[str, int]:
    """Atoms of each element, where `order` is on the sites of the prototype."""
    counts: dict[str, int] = {}
    for symbol, site in zip(order, kind.species, strict=True):
        counts[symbol] = counts.get(symbol, 0) + kind.symbols.count(site)
    return counts


def _orders(
    kind: Prototype, composition: Mapping[str, int]
) -> Iterator[tuple[str, ...]]:
    """All ways to put elements on the sites that make a compound."""
    n_formulas = len(kind.symbols) / sum(composition.values())
    wanted = {symbol: n_formulas * count for symbol, count in composition.items()}
    if len(kind.species) == len(composition):
        ways = permutations(composition)
    else:
        ways = product(composition, repeat=len(kind.species))
    return (order for order in ways if _counts(order, kind) == wanted)


def _is_first(kind: Prototype, order: tuple[str, ...]) -> bool:
    """Whether it is the first, by the alphabet, of the orders that make one crystal."""
    return all(order <= tuple(order[k] for k in way) for way in _exchanges(kind))


@cache
def _exchanges(kind: Prototype) -> tuple[tuple[int, ...], ...]:
    """Ways to exchange the sites of a prototype that leave it the same crystal."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(primitive_cell=False)
    counts = [kind.symbols.count(site) for site in kind.species]
    found: list[tuple[int, ...]] = []
    for way in permutations(range(len(counts))):
        if way == tuple(sorted(way)) or [counts[k] for k in way] != counts:
            continue
        exchanged = kind.to_atoms()
        new = {site: kind.species[way[k]] for k, site in enumerate(kind.species)}
        exchanged.symbols = [new[symbol] for symbol in kind.symbols]
        crystals = map(to_pymatgen, (kind.to_atoms(), exchanged))
        if matcher.fit(*crystals):  # pyright: ignore[reportArgumentType]
            found.append(way)
    return tuple(found)
