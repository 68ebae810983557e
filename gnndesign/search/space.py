"""What a search may choose: elements on the sites of a prototype, charge neutral or all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import ase

from gnndesign.errors import ParameterError
from gnndesign.search.charges import check_symbol, common_states, neutral_states
from gnndesign.search.sites import site_counts, site_labels
from gnndesign.structures.build import build_crystal
from gnndesign.structures.library import prototype

MOST_COMBINATIONS = 1_000_000
"""A space with more combinations than this, neutral or not, is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One choice of elements.

    Attributes:
        formula: elements in the order of the sites, reduced: "SrTiO3".
        sites: element by site label, in the order of the prototype.
        oxidation_states: state by site label that make it neutral; None where
            neutrality was not asked for.
    """

    formula: str
    sites: Mapping[str, str]
    oxidation_states: Mapping[str, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrototypeSpace:
    """All allowed choices of elements on the sites of a prototype.

    A candidate has one element on each site and no element on two sites. With
    `charge_neutral` it is kept only if each site can be given one of the oxidation states
    of its element, the same on all atoms of the site, so that

        sum over sites of (atoms on the site) x (state) = 0

    and every element with a positive state is less electronegative (Pauling) than every
    element with a negative one, as in SMACT's test. Mixed valence on one site is not
    considered. The states are pymatgen's common oxidation states, a short list: Ni3+,
    V3+, Ti3+ and Cu+ are not on it, so LaNiO3 is left out unless `oxidation_states` says
    {"Ni": [2, 3]}. Without `charge_neutral`, nothing but repeated elements is left out.

    Attributes:
        prototype: name in `gnndesign.structures.library`, "perovskite" for example.
        sites: allowed chemical symbols by site label, see
            `gnndesign.search.sites.site_labels`: A, B and X in a perovskite.
        charge_neutral: whether to leave out what cannot be neutral.
        oxidation_states: states by chemical symbol, instead of pymatgen's.
        candidates: all allowed candidates, in the order of the product of the sites.

    Raises:
        ParameterError: unknown or missing site, no or unknown elements, an element twice
            on one site, no candidate left, or more than a million combinations.
        StructureError: unknown prototype.
    """

    prototype: str
    sites: Mapping[str, Sequence[str]]
    charge_neutral: bool = True
    oxidation_states: Mapping[str, Sequence[int]] = field(
        default_factory=dict[str, Any]
    )
    candidates: tuple[Candidate, ...] = field(init=False, repr=False, compare=False)
    _places: Mapping[tuple[str, ...], int] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        labels = site_labels(self.prototype)
        counts = site_counts(prototype(self.prototype), labels)
        ordered = _checked_sites(self.prototype, counts, self.sites)
        states = {check_symbol(s): tuple(q) for s, q in self.oxidation_states.items()}
        object.__setattr__(self, "sites", ordered)
        object.__setattr__(self, "oxidation_states", states)
        candidates = tuple(_enumerate(self, counts))
        if not candidates:
            raise ParameterError(_why_empty(self))
        object.__setattr__(self, "candidates", candidates)
        places = {tuple(c.sites.values()): i for i, c in enumerate(candidates)}
        object.__setattr__(self, "_places", places)

    def __len__(self) -> int:
        """Number of candidates, exact."""
        return len(self.candidates)

    @property
    def n_combinations(self) -> int:
        """Number of combinations before anything is left out."""
        return math.prod(len(elements) for elements in self.sites.values())

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur in a candidate, in alphabetical order."""
        return tuple(sorted({s for c in self.candidates for s in c.sites.values()}))

    def find(self, sites: Mapping[str, str]) -> int | None:
        """Place of a choice of elements in `candidates`; None where it is not allowed."""
        return self._places.get(tuple(sites[label] for label in self.sites))

    def index_of(self, sites: Mapping[str, str]) -> int:
        """Place of a choice of elements in `candidates`.

        Raises:
            ParameterError: it is not allowed.
        """
        place = self.find(sites)
        if place is None:
            raise ParameterError(
                f"{dict(sites)} is not among the {len(self)} candidates of this space."
            )
        return place

    def neighbors_of(self, index: int) -> Iterator[int]:
        """Places of the candidates that differ from candidate `index` at one site."""
        own = tuple(self.candidates[index].sites.values())
        for position, elements in enumerate(self.sites.values()):
            for element in elements:
                other = (*own[:position], element, *own[position + 1 :])
                place = self._places.get(other)
                if place is not None and place != index:
                    yield place

    def build(self, candidate: Candidate) -> ase.Atoms:
        """The candidate's crystal, not relaxed, with a lattice guessed from radii.

        Raises:
            StructureError: the library has no way to build it.
        """
        labels = site_labels(self.prototype)
        own = {labels[label]: element for label, element in candidate.sites.items()}
        return build_crystal(candidate.formula, self.prototype, sites=own)

    def to_dict(self) -> dict[str, Any]:
        """What defines the space, as JSON would have it."""
        return {
            "prototype": self.prototype,
            "sites": {label: list(elements) for label, elements in self.sites.items()},
            "charge_neutral": self.charge_neutral,
            "oxidation_states": {s: list(q) for s, q in self.oxidation_states.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PrototypeSpace:
        """The space that `to_dict` described.

        Raises:
            ParameterError: an entry is missing or unknown.
        """
        try:
            return cls(**data)
        except TypeError as error:
            raise ParameterError(
                f"Wanted the entries of PrototypeSpace.to_dict(), got {sorted(data)}."
            ) from error


def _checked_sites(
    name: str, counts: Mapping[str, int], sites: Mapping[str, Sequence[str]]
) -> Mapping[str, tuple[str, ...]]:
    if set(sites) != set(counts):
        raise ParameterError(
            f"Prototype '{name}' has the sites {', '.join(counts)}; "
            f"got elements for {', '.join(sites) or 'none'}."
        )
    ordered: dict[str, tuple[str, ...]] = {}
    for label in counts:
        given = sites[label]
        elements = (given,) if isinstance(given, str) else tuple(given)
        if not elements:
            raise ParameterError(f"Site {label} has no elements; wanted at least one.")
        for symbol in elements:
            check_symbol(symbol)
        if len(set(elements)) < len(elements):
            twice = sorted({e for e in elements if elements.count(e) > 1})
            raise ParameterError(
                f"Site {label} lists {', '.join(twice)} more than once."
            )
        ordered[label] = elements
    n_combinations = math.prod(map(len, ordered.values()))
    if n_combinations > MOST_COMBINATIONS:
        raise ParameterError(
            f"The sites allow {n_combinations:,} combinations; at most "
            f"{MOST_COMBINATIONS:,} can be listed. Give fewer elements."
        )
    return MappingProxyType(ordered)


def _enumerate(space: PrototypeSpace, counts: Mapping[str, int]) -> Iterator[Candidate]:
    labels = list(space.sites)
    divisor = math.gcd(*counts.values())
    per_formula = [counts[label] // divisor for label in labels]
    known = {s: common_states(s) for elements in space.sites.values() for s in elements}
    known.update({s: tuple(q) for s, q in space.oxidation_states.items()})
    for elements in itertools.product(*space.sites.values()):
        if len(set(elements)) < len(elements):
            continue
        states = None
        if space.charge_neutral:
            states = neutral_states(elements, per_formula, known)
            if states is None:
                continue
        yield Candidate(
            formula=_formula(elements, per_formula),
            sites=MappingProxyType(dict(zip(labels, elements, strict=True))),
            oxidation_states=None
            if states is None
            else MappingProxyType(dict(zip(labels, states, strict=True))),
        )


def _formula(elements: Sequence[str], counts: Sequence[int]) -> str:
    return "".join(
        symbol + (str(count) if count > 1 else "")
        for symbol, count in zip(elements, counts, strict=True)
    )


def _why_empty(space: PrototypeSpace) -> str:
    if not space.charge_neutral:
        return "Every combination has an element on two sites. Give other elements."
    return (
        f"None of the {space.n_combinations} combinations is charge neutral with common "
        "oxidation states and an element of its own on every site. Give other elements, "
        "further oxidation_states, or charge_neutral=False."
    )
