"""Elements that share a lattice in any proportion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
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
from gnndesign.search.simplex import count_on_simplex, points_on_simplex, steps_in_one
from gnndesign.search.site_structures import build_on_sites
from gnndesign.search.sites import atoms_per_formula, site_counts, site_labels
from gnndesign.search.space import Candidate, Space, set_fields
from gnndesign.structures.library import prototype

MOST_COMPOSITIONS = 5_000_000
"""A space with more compositions than this, before filters, is refused."""

_ARRANGEMENTS = ("quasirandom", "random")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlloySpace(Space):
    """All compositions of an alloy on a grid, each built as a disordered cell.

    The fractions of the elements are multiples of the step, within their bounds, and add
    up to one. Each element is a parameter whose options are its fractions; the rule that
    they add up is kept by the pool. The volume of a cell is the mean of those of the
    elements, weighted by their fractions (Vegard's rule).

    Attributes:
        lattice: "fcc", "bcc", "hcp" or another prototype of the library.
        elements: chemical symbols to mix.
        step: of the fractions; 1/step is a whole number.
        minimum: smallest fraction by chemical symbol, 0 where not given.
        maximum: largest fraction by chemical symbol, 1 where not given.
        n_sites: shared sites in the cell that is built; every composition must be a whole
            number of atoms there.
        site: label of the site that is shared (see `gnndesign.search.sites`), where the
            prototype has several.
        others: element on each other site: {"X": "O"} for the oxide of a rocksalt alloy.
        arrangement: "quasirandom" for special quasirandom structures, whose neighbors are
            as in a random alloy (`gnndesign.search.quasirandom`), or "random".
        seed: of the arrangement.
        filters: what to leave out, in the order in which to apply it.

    Raises:
        ParameterError: fewer than two elements, a step that does not divide one, bounds
            that leave nothing, more than five million compositions, a cell in which
            the step is not a whole number of atoms, or unknown sites.
        StructureError: unknown prototype.
    """

    lattice: str
    symbols: Sequence[str]
    step: float = 0.125
    minimum: Mapping[str, float] = field(default_factory=dict[str, float])
    maximum: Mapping[str, float] = field(default_factory=dict[str, float])
    n_sites: int = 16
    site: str = ""
    others: Mapping[str, str] = field(default_factory=dict[str, str])
    arrangement: str = "quasirandom"
    seed: int = 0
    filters: Sequence[Filter | Mapping[str, Any]] = ()
    _pool: Pool = field(init=False, repr=False, compare=False)
    _removed: Mapping[str, int] = field(init=False, repr=False, compare=False)
    _slots: Integer[ndarray, "n_candidates n_slots"] = field(
        init=False, repr=False, compare=False
    )
    ingredients: Ingredients = field(init=False, repr=False, compare=False)

    kind: ClassVar[str] = "alloy"

    def __post_init__(self) -> None:
        set_fields(
            self,
            symbols=_checked_symbols(self.symbols),
            filters=checked_filters(self.filters),
            site=self.site or next(iter(site_labels(self.lattice))),
            minimum=dict(self.minimum),
            maximum=dict(self.maximum),
            others=dict(self.others),
        )
        _check_cell(self)
        if self.n_combinations > MOST_COMPOSITIONS:
            raise ParameterError(
                f"The steps allow {self.n_combinations:,} compositions; at most "
                f"{MOST_COMPOSITIONS:,} can be listed. Give a larger step."
            )
        if not self.n_combinations:
            raise ParameterError(
                f"No fractions of {', '.join(self.symbols)} in steps of {self.step:g} add "
                "up to 1 within their bounds. Widen the bounds."
            )
        bounds, total = _bounds(self), steps_in_one(self.step)
        lows = np.array([low for low, _ in bounds])
        places = points_on_simplex(bounds, total) - lows
        set_fields(self, ingredients=_ingredients(self))
        others = np.zeros((len(places), len(self.others)), dtype=places.dtype)
        slots = np.concatenate([places, others], axis=1)
        rules = checked_filters(self.filters)
        rows, removed = sift(rules, self.ingredients, slots)
        if not len(rows):
            raise ParameterError(none_left(self.n_combinations, removed))
        set_fields(
            self,
            _removed=MappingProxyType(removed),
            _slots=slots[rows],
            _pool=Pool(options=_options(self), places=places[rows].astype(np.uint16)),
        )

    @property
    def pool(self) -> Pool:
        """The candidates, as fractions of the elements."""
        return self._pool

    @property
    def n_combinations(self) -> int:
        """Number of compositions on the grid, within the bounds, before any filter."""
        return count_on_simplex(_bounds(self), steps_in_one(self.step))

    @property
    def removed(self) -> Mapping[str, int]:
        """How many compositions each filter left out."""
        return self._removed

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur in a candidate, in alphabetical order."""
        return self.ingredients.present(self._slots)

    def candidate(self, index: int) -> Candidate:
        """The candidate at a place of the pool."""
        choices = self.pool.choices(index)
        shares = _shares(self, choices)
        per_formula = atoms_per_formula(self.lattice)
        amounts: dict[str, Fraction] = {}
        for label, n_atoms in per_formula.items():
            entry = shares if label == self.site else {self.others[label]: Fraction(1)}
            for symbol, share in entry.items():
                amounts[symbol] = amounts.get(symbol, Fraction()) + n_atoms * share
        return Candidate(
            formula=formula_of(amounts),
            choices=MappingProxyType(choices),
            composition=MappingProxyType({s: float(n) for s, n in amounts.items()}),
            oxidation_states=oxidation_states(
                checked_filters(self.filters), self.ingredients, self._slots[index]
            ),
        )

    def build(self, candidate: Candidate) -> ase.Atoms:
        """A disordered cell of the candidate, not relaxed.

        Raises:
            StructureError: no volume can be guessed for one of the elements.
        """
        entries = {
            label: {self.others[label]: Fraction(1)}
            for label in atoms_per_formula(self.lattice)
            if label != self.site
        }
        return build_on_sites(
            self.lattice,
            {**entries, self.site: _shares(self, candidate.choices)},
            n_cells=self.n_sites // _in_primitive(self),
            arrangement=self.arrangement,
            seed=self.seed,
        )

    def features(self) -> Float[ndarray, "n_candidates n_features"]:
        """Numbers about the composition, see `features.composition_features`."""
        return standardized(composition_features(self.ingredients, self._slots))

    def to_dict(self) -> dict[str, Any]:
        """What defines the space, as JSON would have it."""
        return {
            "kind": self.kind,
            "lattice": self.lattice,
            "symbols": list(self.symbols),
            "step": self.step,
            "minimum": dict(self.minimum),
            "maximum": dict(self.maximum),
            "n_sites": self.n_sites,
            "site": self.site,
            "others": dict(self.others),
            "arrangement": self.arrangement,
            "seed": self.seed,
            "filters": [rule.to_dict() for rule in checked_filters(self.filters)],
        }


def _checked_symbols(symbols: Sequence[str]) -> tuple[str, ...]:
    checked = tuple(check_symbol(symbol) for symbol in symbols)
    if len(set(checked)) < max(len(checked), 2):
        raise ParameterError(
            f"Wanted at least two different elements to mix, got {', '.join(checked)}."
        )
    return checked


def _check_cell(space: AlloySpace) -> None:
    """Sites, bounds and the number of atoms fit each other.

    Raises:
        ParameterError: they do not.
    """
    labels = tuple(site_labels(space.lattice))
    if space.site not in labels or {*space.others} != {*labels} - {space.site}:
        raise ParameterError(
            f"Prototype '{space.lattice}' has the sites {', '.join(labels)}; got "
            f"{space.site} to share and others={space.others}. Name the site to share and "
            "an element for every other one."
        )
    for symbol in space.others.values():
        check_symbol(symbol)
    unknown = ({*space.minimum} | {*space.maximum}) - {*space.symbols}
    if unknown:
        raise ParameterError(
            f"Bounds are given for {', '.join(sorted(unknown))}, which is not among "
            f"{', '.join(space.symbols)}."
        )
    if space.arrangement not in _ARRANGEMENTS:
        raise ParameterError(
            f"Unknown arrangement '{space.arrangement}'; known: {', '.join(_ARRANGEMENTS)}."
        )
    each = _in_primitive(space)
    if space.n_sites < 1 or space.n_sites % each:
        raise ParameterError(
            f"Wanted n_sites to be a multiple of the {each} shared sites in the primitive "
            f"cell of {space.lattice}, got {space.n_sites}."
        )
    n_steps = steps_in_one(space.step)
    if space.n_sites % n_steps:
        fitting = [n for n in range(2, space.n_sites + 1) if space.n_sites % n == 0]
        unit = math.lcm(n_steps, each)
        raise ParameterError(
            f"Steps of {space.step:g} are no whole number of atoms on {space.n_sites} sites. "
            f"Steps that are: {', '.join(f'{1 / n:.4g}' for n in fitting)}; or "
            f"n_sites={unit * math.ceil(space.n_sites / unit)}."
        )


def _in_primitive(space: AlloySpace) -> int:
    """Shared sites in the primitive cell."""
    counts = site_counts(prototype(space.lattice), site_labels(space.lattice))
    return counts[space.site]


def _bounds(space: AlloySpace) -> list[tuple[int, int]]:
    """Steps of each element at least and at most."""
    n_steps = steps_in_one(space.step)
    return [
        (
            max(math.ceil(space.minimum.get(symbol, 0.0) * n_steps - 1e-6), 0),
            min(math.floor(space.maximum.get(symbol, 1.0) * n_steps + 1e-6), n_steps),
        )
        for symbol in space.symbols
    ]


def _options(space: AlloySpace) -> dict[str, tuple[float, ...]]:
    n_steps = steps_in_one(space.step)
    return {
        symbol: tuple(k / n_steps for k in range(low, high + 1))
        for symbol, (low, high) in zip(space.symbols, _bounds(space), strict=True)
    }


def _ingredients(space: AlloySpace) -> Ingredients:
    """A slot for each element of the alloy, and one for each other site."""
    per_formula = atoms_per_formula(space.lattice)
    shared = per_formula[space.site]
    return Ingredients.of_sites(
        {
            **{
                symbol: [{symbol: shared * x} for x in fractions]
                for symbol, fractions in _options(space).items()
            },
            **{
                # Not the label alone, which may be that of boron or yttrium.
                f"site {label}": [{symbol: float(per_formula[label])}]
                for label, symbol in space.others.items()
            },
        }
    )


def _shares(space: AlloySpace, choices: Mapping[str, Any]) -> dict[str, Fraction]:
    """Exact fraction of each element that is there."""
    n_steps = steps_in_one(space.step)
    exact = {
        s: Fraction(round(float(choices[s]) * n_steps), n_steps) for s in space.symbols
    }
    return {symbol: share for symbol, share in exact.items() if share}
