"""Elements on the sites of a prototype."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any, ClassVar

import ase
import numpy as np
from jaxtyping import Float, Integer, UInt16
from numpy import ndarray

from gnndesign.errors import ParameterError
from gnndesign.search.charge_neutrality import ChargeNeutrality, oxidation_states
from gnndesign.search.features import site_features
from gnndesign.search.filters import Filter, checked_filters, none_left, sift
from gnndesign.search.ingredients import Ingredients
from gnndesign.search.mixtures import formula_of, parse_entry
from gnndesign.search.pool import Pool
from gnndesign.search.site_structures import build_on_sites
from gnndesign.search.sites import (
    atoms_per_formula,
    checked_sites,
    checked_ties,
    site_labels,
)
from gnndesign.search.space import Candidate, Space, set_fields

MOST_COMBINATIONS = 20_000_000
"""A space with more combinations than this, before filters, is refused."""

_BLOCK = 2_000_000
"""Combinations that are looked at together."""

REPEATED = "an element on two sites"
"""What `removed` calls combinations with an element on two sites that are not tied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrototypeSpace(Space):
    """All allowed choices of elements on the sites of a prototype.

    A candidate has one entry on each site, and no element on two sites unless they are
    tied. An entry is an element, or several that share the site: "Sr0.5Ba0.5" is built
    as an ordered arrangement, each element's atoms as far apart as can be, in the
    smallest supercell that holds it, the most compact one of its size.

    Attributes:
        prototype: name in `gnndesign.structures.library`, "perovskite" for example.
        sites: allowed entries by site label, see `gnndesign.search.sites.site_labels`:
            A, B and X in a perovskite. One entry is a fixed site.
        tied: for a site without entries of its own, the site whose choice it repeats:
            {"B": "A"} gives a spinel the same element on both cation sites.
        filters: what else to leave out, in the order in which to apply it.
        charge_neutral: short for a `ChargeNeutrality` filter before the others; without
            effect if `filters` has one.
        oxidation_states: states by chemical symbol for that filter.
        pool: all allowed candidates, in the order of the product of the sites. A tied
            site is no parameter.
        atoms_on: by label of all sites, tied ones too, atoms in a formula unit.
        rules: the filters that are applied.
        ingredients: what the entries bring to each site.

    Raises:
        ParameterError: unknown or missing site, no or unknown elements, an entry twice
            on one site, no candidate left, more than twenty million combinations, or a
            filter that means nothing here.
        StructureError: unknown prototype.
    """

    prototype: str
    sites: Mapping[str, Sequence[str]]
    charge_neutral: bool = True
    oxidation_states: Mapping[str, Sequence[int]] = field(
        default_factory=dict[str, Any]
    )
    tied: Mapping[str, str] = field(default_factory=dict[str, str])
    filters: Sequence[Filter | Mapping[str, Any]] = ()
    _pool: Pool = field(init=False, repr=False, compare=False)
    _removed: Mapping[str, int] = field(init=False, repr=False, compare=False)
    atoms_on: Mapping[str, int] = field(init=False, repr=False, compare=False)
    rules: tuple[Filter, ...] = field(init=False, repr=False, compare=False)
    ingredients: Ingredients = field(init=False, repr=False, compare=False)

    kind: ClassVar[str] = "prototype"

    def __post_init__(self) -> None:
        labels = site_labels(self.prototype)
        ties = checked_ties(self.prototype, tuple(labels), self.tied)
        free = [label for label in labels if label not in ties]
        sites = checked_sites(self.prototype, free, self.sites)
        given = checked_filters(self.filters)
        neutrality = ChargeNeutrality(oxidation_states=self.oxidation_states)
        asked = self.charge_neutral and neutrality.title not in {f.title for f in given}
        set_fields(
            self,
            sites=sites,
            tied=ties,
            filters=given,
            oxidation_states=neutrality.oxidation_states,
            atoms_on=atoms_per_formula(self.prototype),
            rules=(neutrality, *given) if asked else given,
        )
        if self.n_combinations > MOST_COMBINATIONS:
            raise ParameterError(
                f"The sites allow {self.n_combinations:,} combinations; at most "
                f"{MOST_COMBINATIONS:,} can be listed. Give fewer elements."
            )
        set_fields(self, ingredients=_ingredients(self))
        kept, removed = _enumerate(self)
        set_fields(self, _removed=MappingProxyType(removed))
        if not len(kept):
            message = none_left(self.n_combinations, removed, _hint(self.rules))
            raise ParameterError(message)
        set_fields(self, _pool=Pool(options=sites, places=kept))

    @property
    def pool(self) -> Pool:
        """The candidates, as choices of entries."""
        return self._pool

    @property
    def n_combinations(self) -> int:
        """Number of combinations before anything is left out."""
        return math.prod(len(entries) for entries in self.sites.values())

    @property
    def removed(self) -> Mapping[str, int]:
        """How many combinations repeat an element, then how many each filter left out."""
        return self._removed

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur in a candidate, in alphabetical order."""
        return self.ingredients.present(_slots(self, self.pool.places))

    def candidate(self, index: int) -> Candidate:
        """The candidate at a place of the pool."""
        choices = {label: str(e) for label, e in self.pool.choices(index).items()}
        amounts: dict[str, Fraction] = {}
        for label, n_atoms in self.atoms_on.items():
            entry = parse_entry(choices[self.tied.get(label, label)])
            for symbol, share in entry.items():
                amounts[symbol] = amounts.get(symbol, Fraction()) + n_atoms * share
        # Tied sites may make the formula unit smaller: Fe, not Fe2.
        if all(amount.denominator == 1 for amount in amounts.values()):
            divisor = math.gcd(*(int(amount) for amount in amounts.values()))
            amounts = {symbol: amount / divisor for symbol, amount in amounts.items()}
        (row,) = _slots(self, self.pool.places[index : index + 1])
        return Candidate(
            formula=formula_of(amounts),
            choices=MappingProxyType(choices),
            composition=MappingProxyType({s: _number(n) for s, n in amounts.items()}),
            oxidation_states=oxidation_states(self.rules, self.ingredients, row),
        )

    def features(self) -> Float[ndarray, "n_candidates n_features"]:
        """Numbers about the elements on the sites, see `features.site_features`."""
        places = _slots(self, self.pool.places)
        charges = next(
            (
                rule.charges(self.ingredients, places)
                for rule in self.rules
                if isinstance(rule, ChargeNeutrality)
            ),
            None,
        )
        return site_features(self.ingredients, places, charges)

    def build(self, candidate: Candidate) -> ase.Atoms:
        """The candidate's crystal, not relaxed, with a lattice guessed from radii.

        Raises:
            StructureError: the library has no way to build it.
        """
        entries = {
            label: parse_entry(str(candidate.choices[self.tied.get(label, label)]))
            for label in self.atoms_on
        }
        return build_on_sites(self.prototype, entries)

    def to_dict(self) -> dict[str, Any]:
        """What defines the space, as JSON would have it."""
        return {
            "kind": self.kind,
            "prototype": self.prototype,
            "sites": {label: list(entries) for label, entries in self.sites.items()},
            "charge_neutral": self.charge_neutral,
            "oxidation_states": {s: list(q) for s, q in self.oxidation_states.items()},
            "tied": dict(self.tied),
            "filters": [rule.to_dict() for rule in checked_filters(self.filters)],
        }


def _ingredients(space: PrototypeSpace) -> Ingredients:
    """What the entries bring to each site, tied ones too."""
    return Ingredients.of_sites(
        {
            label: [
                {symbol: float(n * share) for symbol, share in parse_entry(e).items()}
                for e in space.sites[space.tied.get(label, label)]
            ]
            for label, n in space.atoms_on.items()
        }
    )


def _slots(
    space: PrototypeSpace, places: Integer[ndarray, "n_rows n_parameters"]
) -> Integer[ndarray, "n_rows n_sites"]:
    """Options of all sites from those of the parameters: tied sites repeat theirs."""
    free = list(space.sites)
    return places[
        :, [free.index(space.tied.get(label, label)) for label in space.atoms_on]
    ]


def _enumerate(
    space: PrototypeSpace,
) -> tuple[UInt16[ndarray, "n_candidates n_parameters"], dict[str, int]]:
    """Places in the options of what is allowed, and how many were left out for what."""
    sizes = tuple(len(entries) for entries in space.sites.values())
    free = [list(space.atoms_on).index(label) for label in space.sites]
    removed = {REPEATED: 0, **{rule.title: 0 for rule in space.rules}}
    kept: list[ndarray] = []
    for start in range(0, space.n_combinations, _BLOCK):
        numbers = np.arange(start, min(start + _BLOCK, space.n_combinations))
        places = np.stack(np.unravel_index(numbers, sizes), axis=1).astype(np.uint16)
        repeated = space.ingredients.repeats(_slots(space, places), free)
        removed[REPEATED] += int(repeated.sum())
        places = places[~repeated]
        rows, counts = sift(space.rules, space.ingredients, _slots(space, places))
        for title, count in counts.items():
            removed[title] += count
        kept.append(places[rows])
    return np.concatenate(kept), removed


def _number(amount: Fraction) -> float:
    """A whole number where it is one."""
    return int(amount) if amount.denominator == 1 else float(amount)


def _hint(rules: Sequence[Filter]) -> str:
    if not any(isinstance(rule, ChargeNeutrality) for rule in rules):
        return ""
    return (
        " To be charge neutral with more elements, give further oxidation_states, or "
        "charge_neutral=False."
    )
