"""Dopants and vacancies in a crystal."""

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
from gnndesign.search.arrangement import place_apart
from gnndesign.search.charge_neutrality import oxidation_states
from gnndesign.search.charges import check_symbol
from gnndesign.search.descriptors import standardized
from gnndesign.search.features import composition_features
from gnndesign.search.filters import Filter, checked_filters, none_left, sift
from gnndesign.search.ingredients import Ingredients
from gnndesign.search.mixtures import formula_of
from gnndesign.search.pool import Pool
from gnndesign.search.space import Candidate, Space, set_fields
from gnndesign.structures.convert import atoms_from_dict, atoms_to_dict

NO_DOPANT = "none"
"""Option of the parameter "dopant" where there are no dopant atoms."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DefectSpace(Space):
    """A host crystal with some atoms replaced by a dopant and some left out.

    Parameters are the dopant, and the numbers of dopant atoms and of vacancies in the
    supercell. Defects sit as far from each other and from their images as can be
    (`gnndesign.search.arrangement.place_apart`), the same every time; atoms of one element
    count as alike, even where symmetry tells them apart. A `ChargeNeutrality` filter keeps
    dopants whose charge the vacancies make up for: Zr30Y2O63.

    Attributes:
        host: the crystal, periodic; from JSON the dictionary of
            `gnndesign.structures.convert.atoms_to_dict`.
        supercell: repetitions of the host along its cell vectors.
        site: chemical symbol of the host's atoms that dopants replace.
        dopants: chemical symbols.
        n_dopants: numbers of dopant atoms in the supercell; 0 for the host itself.
        concentrations: instead of `n_dopants`, fractions of the atoms of the site.
        vacancy: chemical symbol of the host's atoms that are left out.
        n_vacancies: numbers of atoms left out of the supercell.
        filters: what to leave out, in the order in which to apply it.

    Raises:
        ParameterError: a host that is not periodic, elements it does not have, numbers or
            concentrations that its supercell cannot have, or no candidate left.
    """

    host: ase.Atoms | Mapping[str, Any]
    site: str
    dopants: Sequence[str]
    n_dopants: Sequence[int] = ()
    concentrations: Sequence[float] = ()
    vacancy: str = ""
    n_vacancies: Sequence[int] = (0,)
    supercell: Sequence[int] = (1, 1, 1)
    filters: Sequence[Filter | Mapping[str, Any]] = ()
    crystal: ase.Atoms = field(init=False, repr=False)
    _pool: Pool = field(init=False, repr=False)
    _removed: Mapping[str, int] = field(init=False, repr=False)
    _amounts: Float[ndarray, "n_candidates n_elements"] = field(init=False, repr=False)
    _symbols: tuple[str, ...] = field(init=False, repr=False)

    kind: ClassVar[str] = "defect"

    def __post_init__(self) -> None:
        host = (
            self.host
            if isinstance(self.host, ase.Atoms)
            else atoms_from_dict(self.host)
        )
        if not host.pbc.all() or len(self.supercell) != 3 or min(self.supercell) < 1:
            raise ParameterError(
                "Wanted a periodic host and three positive repetitions, got pbc="
                f"{host.pbc.tolist()} and supercell={tuple(self.supercell)}."
            )
        crystal = host.repeat(tuple(self.supercell))
        set_fields(
            self,
            host=host,
            crystal=crystal,
            supercell=tuple(self.supercell),
            dopants=tuple(check_symbol(symbol) for symbol in self.dopants),
            n_dopants=tuple(self.n_dopants),
            concentrations=tuple(self.concentrations),
            n_vacancies=tuple(self.n_vacancies),
            filters=checked_filters(self.filters),
        )
        _check(self)
        choices = [
            (dopant, n, v)
            for dopant, n in _substitutions(self)
            for v in self.n_vacancies
        ]
        symbols, amounts = _compositions(self, choices)
        ingredients, places = Ingredients.of_compositions(symbols, amounts)
        rows, removed = sift(checked_filters(self.filters), ingredients, places)
        if not len(rows):
            raise ParameterError(none_left(self.n_combinations, removed))
        options = _options(self)
        table = [
            [options[name].index(c) for name, c in zip(options, choice, strict=True)]
            for choice in choices
        ]
        pool = Pool(options=options, places=np.array(table, dtype=np.uint16)[rows])
        set_fields(
            self,
            _pool=pool,
            _removed=MappingProxyType(removed),
            _symbols=symbols,
            _amounts=amounts[rows],
        )

    @property
    def pool(self) -> Pool:
        """The candidates, as a dopant and two numbers of atoms."""
        return self._pool

    @property
    def n_combinations(self) -> int:
        """Number of dopants and numbers of atoms, the host itself counted once."""
        return len(_substitutions(self)) * len(self.n_vacancies)

    @property
    def removed(self) -> Mapping[str, int]:
        """How many combinations each filter left out."""
        return self._removed

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur in a candidate, in alphabetical order."""
        there = self._amounts.max(0).tolist()
        found = zip(self._symbols, there, strict=True)
        return tuple(sorted(symbol for symbol, most in found if most > 0))

    def candidate(self, index: int) -> Candidate:
        """The candidate at a place of the pool."""
        row = self._amounts[index].astype(int).tolist()
        numbers = {s: n for s, n in zip(self._symbols, row, strict=True) if n}
        divisor = math.gcd(*numbers.values())
        ingredients, places = Ingredients.of_compositions(
            self._symbols, self._amounts[index : index + 1]
        )
        composition = {symbol: n // divisor for symbol, n in numbers.items()}
        return Candidate(
            formula=formula_of(composition),
            choices=MappingProxyType(self.pool.choices(index)),
            composition=MappingProxyType(composition),
            oxidation_states=oxidation_states(
                checked_filters(self.filters), ingredients, places[0]
            ),
        )

    def build(self, candidate: Candidate) -> ase.Atoms:
        """The supercell with its defects, the host's atoms where they were."""
        dopant, n_dopants, n_vacancies = _choice(candidate.choices)
        atoms = self.crystal.copy()
        symbols = np.array(atoms.symbols)
        sites = np.flatnonzero(symbols == self.site).tolist()
        leaving = np.flatnonzero(symbols == self.vacancy).tolist()
        replaced, removed = place_apart(
            atoms, [(sites, n_dopants), (leaving, n_vacancies)]
        )
        for index in replaced:
            atoms[index].symbol = dopant
        del atoms[list(removed)]
        return atoms

    def features(self) -> Float[ndarray, "n_candidates n_features"]:
        """Numbers about the composition, see `features.composition_features`."""
        ingredients, places = Ingredients.of_compositions(self._symbols, self._amounts)
        vacancies = self.pool.places[:, -1:].astype(float)
        columns = [composition_features(ingredients, places), vacancies]
        return standardized(np.concatenate(columns, axis=1))

    def to_dict(self) -> dict[str, Any]:
        """What defines the space, as JSON would have it."""
        host = (
            self.host
            if isinstance(self.host, ase.Atoms)
            else atoms_from_dict(self.host)
        )
        return {
            "kind": self.kind,
            "host": atoms_to_dict(host),
            "site": self.site,
            "dopants": list(self.dopants),
            "n_dopants": list(self.n_dopants),
            "concentrations": list(self.concentrations),
            "vacancy": self.vacancy,
            "n_vacancies": list(self.n_vacancies),
            "supercell": list(self.supercell),
            "filters": [rule.to_dict() for rule in checked_filters(self.filters)],
        }


def _check(space: DefectSpace) -> None:
    """The supercell can have what is asked for.

    Raises:
        ParameterError: it cannot.
    """
    symbols = list(space.crystal.symbols)
    for symbol in (space.site, *([space.vacancy] if space.vacancy else [])):
        if symbol not in symbols:
            raise ParameterError(
                f"The host {space.crystal.get_chemical_formula()} has no {symbol}."
            )
    if not space.dopants or {space.site} & {*space.dopants}:
        raise ParameterError(
            f"Wanted dopants other than {space.site}, which they replace; got "
            f"{', '.join(space.dopants) or 'none'}."
        )
    if bool(space.n_dopants) == bool(space.concentrations):
        raise ParameterError("Wanted either n_dopants or concentrations.")
    for what in (space.dopants, _numbers(space), space.n_vacancies):
        if len(set(what)) < max(len(what), 1):
            raise ParameterError(f"Wanted different entries, at least one; got {what}.")
    if any(space.n_vacancies) and not space.vacancy:
        raise ParameterError("Say with vacancy which element's atoms are left out.")
    most, gone = max(_numbers(space)), max(space.n_vacancies)
    free = symbols.count(space.site) - (gone if space.vacancy == space.site else 0)
    if min(*_numbers(space), *space.n_vacancies) < 0 or most > free:
        raise ParameterError(
            f"The supercell has {symbols.count(space.site)} {space.site} atoms; it cannot "
            f"have {most} replaced and {gone} {space.vacancy or 'atoms'} left out."
        )
    if space.vacancy and gone > symbols.count(space.vacancy):
        raise ParameterError(
            f"The supercell has {symbols.count(space.vacancy)} {space.vacancy} atoms; it "
            f"cannot have {gone} left out."
        )


def _numbers(space: DefectSpace) -> tuple[int, ...]:
    """Numbers of dopant atoms, however they were given.

    Raises:
        ParameterError: a concentration that is no whole number of atoms.
    """
    if space.n_dopants:
        return tuple(space.n_dopants)
    n_sites = list(space.crystal.symbols).count(space.site)
    for fraction in space.concentrations:
        if abs(fraction * n_sites - round(fraction * n_sites)) > 1e-3:
            raise ParameterError(
                f"A fraction {fraction:g} of {n_sites} {space.site} atoms is no whole "
                f"number. Give multiples of {1 / n_sites:.4g}, or another supercell."
            )
    return tuple(round(fraction * n_sites) for fraction in space.concentrations)


def _substitutions(space: DefectSpace) -> list[tuple[str, int]]:
    """Dopants and their numbers; without dopant atoms the dopant does not matter."""
    numbers = _numbers(space)
    pairs = itertools.product(space.dopants, (n for n in numbers if n))
    return [*([(NO_DOPANT, 0)] if 0 in numbers else []), *pairs]


def _options(space: DefectSpace) -> dict[str, tuple[str | int, ...]]:
    none = (NO_DOPANT,) if 0 in _numbers(space) else ()
    return {
        "dopant": (*none, *space.dopants),
        "n_dopants": _numbers(space),
        "n_vacancies": tuple(space.n_vacancies),
    }


def _choice(choices: Mapping[str, Any]) -> tuple[str, int, int]:
    return (
        str(choices["dopant"]),
        int(choices["n_dopants"]),
        int(choices["n_vacancies"]),
    )


def _compositions(
    space: DefectSpace, choices: Sequence[tuple[str, int, int]]
) -> tuple[tuple[str, ...], Float[ndarray, "n_choices n_elements"]]:
    """Atoms in the supercell; a dopant stands after the element that it replaces."""
    own = list(dict.fromkeys(space.crystal.symbols))
    at = own.index(space.site) + 1
    foreign = [symbol for symbol in space.dopants if symbol not in own]
    symbols = (*own[:at], *foreign, *own[at:])
    column = {symbol: index for index, symbol in enumerate(symbols)}
    host: Integer[ndarray, " n"] = np.array(
        [list(space.crystal.symbols).count(symbol) for symbol in own]
    )
    amounts = np.zeros((len(choices), len(symbols)))
    amounts[:, [column[symbol] for symbol in own]] = host
    for row, (dopant, n_dopants, n_vacancies) in enumerate(choices):
        if n_dopants:
            amounts[row, column[space.site]] -= n_dopants
            amounts[row, column[dopant]] += n_dopants
        if n_vacancies:
            amounts[row, column[space.vacancy]] -= n_vacancies
    return symbols, amounts
