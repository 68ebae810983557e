"""Elements on the sites of a prototype, charge neutral or all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import ase
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from gnndesign.errors import ParameterError
from gnndesign.search.charges import check_symbol, common_states, neutral_states
from gnndesign.search.descriptors import describe
from gnndesign.search.pool import Pool
from gnndesign.search.sites import site_counts, site_labels
from gnndesign.search.space import Candidate, Space
from gnndesign.structures.build import build_crystal
from gnndesign.structures.library import prototype

MOST_COMBINATIONS = 1_000_000
"""A space with more combinations than this, neutral or not, is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrototypeSpace(Space):
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
        pool: all allowed candidates, in the order of the product of the sites.

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
    _pool: Pool = field(init=False, repr=False, compare=False)
    _states: tuple[tuple[int, ...] | None, ...] = field(
        init=False, repr=False, compare=False
    )

    kind: ClassVar[str] = "prototype"

    def __post_init__(self) -> None:
        labels = site_labels(self.prototype)
        counts = site_counts(prototype(self.prototype), labels)
        ordered = _checked_sites(self.prototype, counts, self.sites)
        states = {check_symbol(s): tuple(q) for s, q in self.oxidation_states.items()}
        object.__setattr__(self, "sites", ordered)
        object.__setattr__(self, "oxidation_states", states)
        rows, neutral = _enumerate(self, counts)
        if not rows:
            raise ParameterError(_why_empty(self))
        pool = Pool(options=ordered, places=np.array(rows, dtype=np.uint16))
        object.__setattr__(self, "_pool", pool)
        object.__setattr__(self, "_states", neutral)

    @property
    def pool(self) -> Pool:
        """The candidates, as choices of elements."""
        return self._pool

    @property
    def removed(self) -> Mapping[str, int]:
        """All that is left out, for one reason or the other."""
        return {"charge neutrality": self.n_combinations - len(self)}

    @property
    def n_combinations(self) -> int:
        """Number of combinations before anything is left out."""
        return math.prod(len(elements) for elements in self.sites.values())

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur in a candidate, in alphabetical order."""
        columns = zip(self.pool.options.values(), self.pool.places.T, strict=True)
        found = {str(e[k]) for e, column in columns for k in np.unique(column)}
        return tuple(sorted(found))

    def candidate(self, index: int) -> Candidate:
        """The candidate at a place of the pool."""
        labels = site_labels(self.prototype)
        counts = site_counts(prototype(self.prototype), labels)
        divisor = math.gcd(*counts.values())
        sites = {label: str(e) for label, e in self.pool.choices(index).items()}
        per_formula = [counts[label] // divisor for label in sites]
        states = self._states[index]
        composition: dict[str, float] = {}
        for element, count in zip(sites.values(), per_formula, strict=True):
            composition[element] = composition.get(element, 0) + count
        return Candidate(
            formula=_formula(tuple(sites.values()), per_formula),
            choices=MappingProxyType(sites),
            composition=MappingProxyType(composition),
            oxidation_states=None
            if states is None
            else MappingProxyType(dict(zip(sites, states, strict=True))),
        )

    def features(self) -> Float[ndarray, "n_candidates n_features"]:
        """Numbers about the elements on the sites, see `descriptors.describe`."""
        names = list(self.pool.options.values())
        rows = [
            [str(e[k]) for e, k in zip(names, row, strict=True)]
            for row in self.pool.places.tolist()
        ]
        return describe(rows, self._states)

    def build(self, candidate: Candidate) -> ase.Atoms:
        """The candidate's crystal, not relaxed, with a lattice guessed from radii.

        Raises:
            StructureError: the library has no way to build it.
        """
        labels = site_labels(self.prototype)
        own = {
            labels[label]: str(element) for label, element in candidate.choices.items()
        }
        return build_crystal(candidate.formula, self.prototype, sites=own)

    def to_dict(self) -> dict[str, Any]:
        """What defines the space, as JSON would have it."""
        return {
            "kind": self.kind,
            "prototype": self.prototype,
            "sites": {label: list(elements) for label, elements in self.sites.items()},
            "charge_neutral": self.charge_neutral,
            "oxidation_states": {s: list(q) for s, q in self.oxidation_states.items()},
        }


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


def _enumerate(
    space: PrototypeSpace, counts: Mapping[str, int]
) -> tuple[list[list[int]], tuple[tuple[int, ...] | None, ...]]:
    """Places in the options and oxidation states of what is allowed."""
    divisor = math.gcd(*counts.values())
    per_formula = [counts[label] // divisor for label in space.sites]
    known = {s: common_states(s) for elements in space.sites.values() for s in elements}
    known.update({s: tuple(q) for s, q in space.oxidation_states.items()})
    rows: list[list[int]] = []
    neutral: list[tuple[int, ...] | None] = []
    options = [list(enumerate(elements)) for elements in space.sites.values()]
    for chosen in itertools.product(*options):
        elements = [element for _, element in chosen]
        if len(set(elements)) < len(elements):
            continue
        states = None
        if space.charge_neutral:
            states = neutral_states(elements, per_formula, known)
            if states is None:
                continue
        rows.append([place for place, _ in chosen])
        neutral.append(states)
    return rows, tuple(neutral)


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
