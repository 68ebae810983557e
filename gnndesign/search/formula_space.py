"""Free formulas over a set of elements, in every prototype that they fit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import ase
import numpy as np
from jaxtyping import Float, Integer
from numpy import ndarray

from gnndesign.errors import ParameterError
from gnndesign.search.charge_neutrality import oxidation_states
from gnndesign.search.charges import check_symbol
from gnndesign.search.descriptors import standardized
from gnndesign.search.features import composition_features
from gnndesign.search.filters import Filter, checked_filters, none_left, sift
from gnndesign.search.ingredients import Ingredients
from gnndesign.search.mixtures import formula_of
from gnndesign.search.pool import Pool
from gnndesign.search.prototype_exchanges import exchanges, prototype_names
from gnndesign.search.space import Candidate, Space, set_fields
from gnndesign.structures.build import build_crystal
from gnndesign.structures.library import Prototype, list_prototypes, prototype

MOST_ASSIGNMENTS = 20_000_000
"""A space with more assignments of elements to sites than this is refused."""

NO_SITE = "none"
"""Option of a site that the prototype of the candidate does not have."""

_SITES = "ABCDE"
_MOST_COLUMNS = 40
"""Prototypes that get a column of their own among the features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormulaSpace(Space):
    """All compounds of some elements in all prototypes of the library that fit.

    A candidate is a prototype and an element on each of its sites, no element on two.
    Parameters are "prototype" and "A" to "E", the sites in the order of the prototype's
    formula; a site that a prototype lacks is "none". Of assignments that make the same
    crystal (`gnndesign.search.prototype_exchanges`) one is listed, that in the order of
    the elements.

    Attributes:
        symbols: chemical symbols to choose from.
        n_elements: fewest and most elements of a formula.
        max_atoms: most atoms in the primitive cell.
        fractions: by chemical symbol, smallest and largest fraction of the atoms; an
            element with a smallest fraction above 0 is in every candidate.
        prototypes: names in `gnndesign.structures.library`; all of them where empty.
        filters: what to leave out, in the order in which to apply it.

    Raises:
        ParameterError: unknown or repeated elements, ranges that leave nothing, more than
            twenty million assignments, or no candidate left.
        StructureError: unknown prototype.
    """

    symbols: Sequence[str]
    n_elements: Sequence[int] = (2, 3)
    max_atoms: int = 12
    fractions: Mapping[str, Sequence[float]] = field(
        default_factory=dict[str, Sequence[float]]
    )
    prototypes: Sequence[str] = ()
    filters: Sequence[Filter | Mapping[str, Any]] = ()
    entries: tuple[Prototype, ...] = field(init=False, repr=False, compare=False)
    _n_combinations: int = field(init=False, repr=False, compare=False)
    _pool: Pool = field(init=False, repr=False, compare=False)
    _removed: Mapping[str, int] = field(init=False, repr=False, compare=False)

    kind: ClassVar[str] = "formula"

    def __post_init__(self) -> None:
        rules = checked_filters(self.filters)
        set_fields(
            self,
            symbols=tuple(check_symbol(symbol) for symbol in self.symbols),
            n_elements=tuple(self.n_elements),
            fractions={s: tuple(bounds) for s, bounds in self.fractions.items()},
            prototypes=tuple(self.prototypes),
            filters=rules,
        )
        _check(self)
        places = _matching(self)
        names, library = prototype_names(), list_prototypes()
        set_fields(self, entries=tuple(library[place] for place in places))
        removed = {rule.title: 0 for rule in rules}
        n_combinations = 0
        kept: list[ndarray] = []
        for number, place in enumerate(places):
            rows = _assignments(self, place)
            n_combinations += len(rows)
            chosen, counts = sift(rules, _ingredients(self, library[place]), rows)
            for title, count in counts.items():
                removed[title] += count
            table = np.full((len(chosen), _n_sites(self) + 1), len(self.symbols))
            table[:, 0] = number
            table[:, 1 : rows.shape[1] + 1] = rows[chosen]
            kept.append(table)
        set_fields(
            self, _n_combinations=n_combinations, _removed=MappingProxyType(removed)
        )
        table = np.concatenate(kept)
        if not len(table):
            raise ParameterError(none_left(n_combinations, removed))
        options: dict[str, tuple[str, ...]] = {
            "prototype": tuple(names[place] for place in places),
            **dict.fromkeys(_SITES[: _n_sites(self)], (*self.symbols, NO_SITE)),
        }
        set_fields(self, _pool=Pool(options=options, places=table.astype(np.uint16)))

    @property
    def pool(self) -> Pool:
        """The candidates, as a prototype and elements on its sites."""
        return self._pool

    @property
    def n_combinations(self) -> int:
        """Number of different compounds within the ranges, before any filter."""
        return self._n_combinations

    @property
    def removed(self) -> Mapping[str, int]:
        """How many compounds each filter left out."""
        return self._removed

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur in a candidate, in alphabetical order."""
        used = set(np.unique(self.pool.places[:, 1:]).tolist())
        return tuple(sorted(s for k, s in enumerate(self.symbols) if k in used))

    def candidate(self, index: int) -> Candidate:
        """The candidate at a place of the pool."""
        row = self.pool.places[index]
        entry = self.entries[int(row[0])]
        sites = row[1 : len(entry.species) + 1]
        ingredients = _ingredients(self, entry)
        parts = [ingredients.parts(k, place) for k, place in enumerate(sites.tolist())]
        composition = {s: int(n) for part in parts for s, n in part.items()}
        return Candidate(
            formula=formula_of(composition),
            choices=MappingProxyType(self.pool.choices(index)),
            composition=MappingProxyType(composition),
            oxidation_states=oxidation_states(
                checked_filters(self.filters), ingredients, sites
            ),
        )

    def build(self, candidate: Candidate) -> ase.Atoms:
        """The candidate's crystal, not relaxed, with a lattice guessed from radii.

        Raises:
            StructureError: the library has no way to build it.
        """
        names = self.pool.options["prototype"]
        entry = self.entries[names.index(candidate.choices["prototype"])]
        sites = {
            symbol: str(candidate.choices[site])
            for site, symbol in zip(_SITES, entry.species, strict=False)
        }
        return build_crystal(candidate.formula, entry, sites=sites)

    def features(self) -> Float[ndarray, "n_candidates n_features"]:
        """Numbers about the composition and the prototype.

        Those of `features.composition_features`; atoms in the primitive cell; and, for the
        prototypes with most candidates, whether it is this one.
        """
        numbers = self.pool.places[:, 0].astype(int)
        blocks: list[ndarray] = []
        for number, entry in enumerate(self.entries):
            rows = self.pool.places[numbers == number][:, 1 : len(entry.species) + 1]
            blocks.append(_ingredients(self, entry).compositions(rows))
        counts = np.bincount(numbers, minlength=len(self.entries))
        frequent = np.argsort(-counts, kind="stable")[:_MOST_COLUMNS]
        sizes = np.array([len(entry.symbols) for entry in self.entries], dtype=float)
        described = composition_features(
            *Ingredients.of_compositions(self.symbols, np.concatenate(blocks))
        )
        columns = [
            described,
            sizes[numbers][:, None],
            (numbers[:, None] == frequent).astype(float),
        ]
        return standardized(np.concatenate(columns, axis=1))

    def to_dict(self) -> dict[str, Any]:
        """What defines the space, as JSON would have it."""
        return {
            "kind": self.kind,
            "symbols": list(self.symbols),
            "n_elements": list(self.n_elements),
            "max_atoms": self.max_atoms,
            "fractions": {s: list(bounds) for s, bounds in self.fractions.items()},
            "prototypes": list(self.prototypes),
            "filters": [rule.to_dict() for rule in checked_filters(self.filters)],
        }


def _check(space: FormulaSpace) -> None:
    """Elements and ranges mean something.

    Raises:
        ParameterError: they do not.
    """
    if not space.symbols or len(set(space.symbols)) < len(space.symbols):
        raise ParameterError(
            f"Wanted different elements, at least one; got {', '.join(space.symbols)}."
        )
    if (
        len(space.n_elements) != 2
        or not 1 <= space.n_elements[0] <= space.n_elements[1]
    ):
        raise ParameterError(
            "Wanted fewest and most elements of a formula, such as (2, 3), got "
            f"{tuple(space.n_elements)}."
        )
    for symbol, bounds in space.fractions.items():
        if symbol not in space.symbols:
            raise ParameterError(
                f"A fraction is given for {symbol}, which is not among the elements."
            )
        if len(bounds) != 2 or not 0.0 <= bounds[0] <= bounds[1] <= 1.0:
            raise ParameterError(
                f"Wanted a smallest and a largest fraction of {symbol} between 0 and 1, "
                f"got {tuple(bounds)}."
            )


def _matching(space: FormulaSpace) -> list[int]:
    """Places in the library of the prototypes that fit the numbers.

    Raises:
        ParameterError: none does, or there are too many assignments.
    """
    library = list_prototypes()
    asked = [library.index(prototype(name)) for name in space.prototypes]
    fewest, most = space.n_elements
    places = [
        place
        for place in asked or range(len(library))
        if fewest <= len(library[place].species) <= min(most, len(space.symbols))
        and len(library[place].symbols) <= space.max_atoms
    ]
    if not places:
        raise ParameterError(
            f"No prototype has {fewest} to {most} of the {len(space.symbols)} elements and "
            f"at most {space.max_atoms} atoms in its primitive cell. Widen the ranges."
        )
    n_assignments = sum(
        len(space.symbols) ** len(library[place].species) for place in places
    )
    if n_assignments > MOST_ASSIGNMENTS:
        raise ParameterError(
            f"{len(space.symbols)} elements make {n_assignments:,} assignments on "
            f"{len(places)} prototypes; at most {MOST_ASSIGNMENTS:,} can be listed. Give "
            "fewer elements, atoms or prototypes."
        )
    return places


def _n_sites(space: FormulaSpace) -> int:
    return max(len(entry.species) for entry in space.entries)


def _per_formula(entry: Prototype) -> list[int]:
    """Atoms of each species in a formula unit."""
    counts = [entry.symbols.count(symbol) for symbol in entry.species]
    divisor = math.gcd(*counts)
    return [n // divisor for n in counts]


def _ingredients(space: FormulaSpace, entry: Prototype) -> Ingredients:
    """What each element brings to each site of a prototype."""
    amounts = np.eye(len(space.symbols))
    counts = _per_formula(entry)
    return Ingredients(
        names=tuple(_SITES[: len(counts)]),
        elements=tuple(space.symbols),
        amounts=tuple(amounts * n for n in counts),
    )


def _assignments(space: FormulaSpace, place: int) -> Integer[ndarray, "n_rows n_sites"]:
    """Elements on the sites of a prototype: different crystals, fractions in bounds."""
    entry = list_prototypes()[place]
    n_symbols, n_sites = len(space.symbols), len(entry.species)
    numbers = np.arange(n_symbols**n_sites)
    rows = np.stack(np.unravel_index(numbers, (n_symbols,) * n_sites), axis=1)
    kept = np.ones(len(rows), dtype=bool)
    for first, second in itertools.combinations(range(n_sites), 2):
        kept &= rows[:, first] != rows[:, second]
    counts = np.array(_per_formula(entry))
    for symbol, (low, high) in space.fractions.items():
        here = rows == space.symbols.index(symbol)
        fraction = (here * counts).sum(1) / counts.sum()
        kept &= (fraction >= low - 1e-9) & (fraction <= high + 1e-9)
    rows, numbers = rows[kept], numbers[kept]
    if n_sites > 1 and len(rows):
        powers = n_symbols ** np.arange(n_sites)[::-1]
        same = [rows[:, list(order)] @ powers for order in exchanges(place)]
        rows = rows[numbers == np.min(same, axis=0)]
    return rows
