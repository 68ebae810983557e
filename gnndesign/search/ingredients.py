"""What the options of a space put into a candidate, for arithmetic on whole columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers
from jaxtyping import Bool, Float, Integer, UInt64
from numpy import ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ingredients:
    """The atoms that each option of each slot brings, so that candidates are their sums.

    A slot is a site, or an element whose amount varies. A candidate is a row of whole
    numbers, its option of each slot; what it consists of is the sum over the slots.

    Attributes:
        names: of the slots.
        elements: chemical symbols that occur.
        amounts: for each slot (n_options, n_elements) atoms per formula unit.
    """

    names: tuple[str, ...]
    elements: tuple[str, ...]
    amounts: tuple[Float[ndarray, "_ n_elements"], ...]

    @classmethod
    def of_sites(
        cls, sites: Mapping[str, Sequence[Mapping[str, float]]]
    ) -> Ingredients:
        """From atoms by chemical symbol, for each option of each site."""
        options = [part for parts in sites.values() for part in parts]
        elements = sorted({symbol for part in options for symbol in part})
        column = {symbol: index for index, symbol in enumerate(elements)}
        amounts: list[ndarray] = []
        for parts in sites.values():
            table = np.zeros((len(parts), len(elements)))
            for row, part in enumerate(parts):
                for symbol, amount in part.items():
                    table[row, column[symbol]] += amount
            amounts.append(table)
        return cls(names=tuple(sites), elements=tuple(elements), amounts=tuple(amounts))

    @classmethod
    def of_compositions(
        cls,
        elements: Sequence[str],
        compositions: Float[ndarray, "n_rows n_elements"],
    ) -> tuple[Ingredients, Integer[ndarray, "n_rows n_slots"]]:
        """From a table of compositions: a slot an element; with the candidates' rows."""
        names = tuple(elements)
        amounts: list[ndarray] = []
        columns: list[ndarray] = []
        for index in range(len(names)):
            found, places = np.unique(compositions[:, index], return_inverse=True)
            table = np.zeros((len(found), len(names)))
            table[:, index] = found
            amounts.append(table)
            columns.append(places)
        made = cls(names=names, elements=names, amounts=tuple(amounts))
        return made, np.stack(columns, axis=1)

    @property
    def numbers(self) -> Integer[ndarray, " n_elements"]:
        """Atomic numbers of the elements."""
        return np.array([atomic_numbers[symbol] for symbol in self.elements])

    def only(self, row: Integer[ndarray, " n_slots"]) -> Ingredients:
        """With one option a slot: those of a candidate, whose row is now all 0."""
        chosen = zip(self.amounts, row.tolist(), strict=True)
        return Ingredients(
            names=self.names,
            elements=self.elements,
            amounts=tuple(table[place : place + 1] for table, place in chosen),
        )

    def parts(self, slot: int, option: int) -> dict[str, float]:
        """Atoms by chemical symbol of one option."""
        row = self.amounts[slot][option].tolist()
        return {s: n for s, n in zip(self.elements, row, strict=True) if n > 0.0}

    def sums(
        self,
        places: Integer[ndarray, "n_rows n_slots"],
        values: Float[ndarray, " n_elements"],
    ) -> Float[ndarray, " n_rows"]:
        """Sum over a candidate's atoms; NaN where an atom's value is."""
        total = np.zeros(len(places))
        for column, table in enumerate(self.amounts):
            per_option = np.where(table > 0.0, table * values, 0.0).sum(1)
            total += per_option[places[:, column]]
        return total

    def compositions(
        self, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Float[ndarray, "n_rows n_elements"]:
        """Atoms of each element in each candidate."""
        total = np.zeros((len(places), len(self.elements)))
        for column, table in enumerate(self.amounts):
            total += table[places[:, column]]
        return total

    def count_among(
        self, places: Integer[ndarray, "n_rows n_slots"], symbols: Iterable[str]
    ) -> Integer[ndarray, " n_rows"]:
        """How many of some elements each candidate holds."""
        asked = set(symbols)
        wanted = [index for index, s in enumerate(self.elements) if s in asked]
        only = tuple(np.ascontiguousarray(table[:, wanted]) for table in self.amounts)
        return _union(only, places)

    def element_counts(
        self, places: Integer[ndarray, "n_rows n_slots"]
    ) -> Integer[ndarray, " n_rows"]:
        """Number of different elements in each candidate."""
        return _union(self.amounts, places)

    def repeats(
        self, places: Integer[ndarray, "n_rows n_slots"], slots: Sequence[int]
    ) -> Bool[ndarray, " n_rows"]:
        """Whether an element is in more than one of some slots."""
        seen = np.zeros((len(places), _N_WORDS), dtype=np.uint64)
        repeated = np.zeros(len(places), dtype=bool)
        for slot in slots:
            own = _bits(self.amounts[slot])[places[:, slot]]
            repeated |= (seen & own).any(1)
            seen |= own
        return repeated


_N_WORDS = 2
"""Words of 64 bits that hold a bit for each of 103 elements."""


def _union(
    tables: Sequence[Float[ndarray, "_ n_elements"]],
    places: Integer[ndarray, "n_rows n_slots"],
) -> Integer[ndarray, " n_rows"]:
    """Number of elements that at least one of the chosen options has."""
    seen = np.zeros((len(places), _N_WORDS), dtype=np.uint64)
    for column, table in enumerate(tables):
        seen |= _bits(table)[places[:, column]]
    return np.bitwise_count(seen).sum(1, dtype=np.int64)


def _bits(table: Float[ndarray, "n_options n_elements"]) -> UInt64[ndarray, "n 2"]:
    """One bit an element that is there."""
    words = np.zeros((len(table), _N_WORDS), dtype=np.uint64)
    for index in range(table.shape[1]):
        bit = np.uint64(1) << np.uint64(index % 64)
        words[table[:, index] > 0.0, index // 64] |= bit
    return words
