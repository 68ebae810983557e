"""Finds oxidation states with which candidates are neutral, for all of them at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy import ndarray

from gnndesign.search.charges import Charging, chargings_of
from gnndesign.search.ingredients import Ingredients

_NEUTRAL = 1e-6
"""Charges per formula unit below this are rounding."""

_BLOCK = 65_536
"""Rows that are solved together, so that they stay in the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Charges:
    """Oxidation states of candidates: for each row the first choice that is neutral.

    Attributes:
        ingredients: what the options are made of.
        places: (n_rows, n_slots) the candidates.
        chosen: (n_rows, n_slots) which of the `chargings` of its option; -1 in a row that
            cannot be neutral.
        share: (n_rows,) where elements mix two states, how far from the lower to the
            higher, 0 to 1.
        chargings: ways to charge each option of each slot.
    """

    ingredients: Ingredients
    places: Integer[ndarray, "n_rows n_slots"]
    chosen: Integer[ndarray, "n_rows n_slots"]
    share: Float[ndarray, " n_rows"]
    chargings: tuple[tuple[tuple[Charging, ...], ...], ...]

    @property
    def neutral(self) -> Bool[ndarray, " n_rows"]:
        """Which rows can be neutral."""
        return self.chosen.min(1, initial=0) >= 0

    def of_elements(self, row: int, slot: int) -> dict[str, float]:
        """Mean state by chemical symbol on one slot of a neutral row."""
        options = self.chargings[slot][int(self.places[row, slot])]
        states = options[int(self.chosen[row, slot])].states
        share = float(self.share[row])
        return {s: low + share * (high - low) for s, (low, high) in states.items()}

    def mean(self) -> Float[ndarray, "n_rows n_slots"]:
        """Mean state of the atoms on each slot; NaN in rows that cannot be neutral."""
        table = np.full(self.chosen.shape, math.nan)
        rows = np.flatnonzero(self.neutral)
        for slot, amounts in enumerate(self.ingredients.amounts):
            low = _table(self.chargings[slot], "low")
            high = _table(self.chargings[slot], "high")
            at = self.places[rows, slot], self.chosen[rows, slot]
            charge = low[at] + self.share[rows] * (high[at] - low[at])
            table[rows, slot] = charge / np.maximum(amounts.sum(1), 1e-12)[at[0]]
        return table


def neutral_charges(
    ingredients: Ingredients,
    places: Integer[ndarray, "n_rows n_slots"],
    *,
    states: Mapping[str, Sequence[int]],
    mixed_valence: bool = False,
) -> Charges:
    """Give every slot of every candidate oxidation states that add up to zero.

    The first choice is taken in the order of the states, last slot fastest; choices
    without mixed valence come before those with it. Every positive element is less
    electronegative (Pauling) than every negative one; elements without an
    electronegativity are not asked.

    Args:
        ingredients: what the options are made of.
        places: option of each slot, a row a candidate.
        states: states by chemical symbol; pymatgen's common ones where not given.
        mixed_valence: whether an element that `mixes_states` may have two states of the
            same sign, next to each other in its list, in any proportion.
    """
    chargings = tuple(
        tuple(
            chargings_of(
                ingredients.parts(slot, option), states, mixed_valence=mixed_valence
            )
            if option in used
            else ()
            for option in range(len(ingredients.amounts[slot]))
        )
        for slot, used in enumerate(map(_used, places.T))
    )
    chosen = np.full(places.shape, -1, dtype=np.int16)
    share = np.zeros(len(places))
    solver = _Solver(chargings)
    for start in range(0, len(places), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(places)))
        solver.solve(places[rows], chosen[rows[0] : rows[-1] + 1])
        found = rows[chosen[rows].min(1, initial=0) >= 0]
        share[found] = solver.share(places[found], chosen[found])
    return Charges(
        ingredients=ingredients,
        places=places,
        chosen=chosen,
        share=share,
        chargings=chargings,
    )


def _table(options: Sequence[Sequence[Charging]], name: str) -> ndarray:
    """(n_options, most choices) one number of each charging, NaN where there is none."""
    most = max((len(ways) for ways in options), default=0)
    table = np.full((len(options), max(most, 1)), math.nan)
    for row, ways in enumerate(options):
        table[row, : len(ways)] = [getattr(way, name) for way in ways]
    return table


def _used(column: Integer[ndarray, " n_rows"]) -> set[int]:
    """Options that occur: a single candidate needs no others charged."""
    return set(np.flatnonzero(np.bincount(column)).tolist())


class _Solver:
    """Tries all choices for all rows at once, one slot after the other."""

    def __init__(self, chargings: Sequence[Sequence[Sequence[Charging]]]) -> None:
        self._low = [_table(options, "low") for options in chargings]
        self._high = [_table(options, "high") for options in chargings]
        self._cation = [_table(options, "cation") for options in chargings]
        self._anion = [_table(options, "anion") for options in chargings]

    def solve(self, places: ndarray, chosen: ndarray) -> None:
        """Write the first neutral choice of each row into `chosen`."""
        pure = [np.where(h > w, math.nan, w) for w, h in self._pairs()]
        everything = np.arange(len(places))
        self._descend(pure, pure, places, chosen, everything, (), None)
        if any((high > low).any() for low, high in self._pairs()):
            left = np.flatnonzero(chosen.min(1, initial=0) < 0)
            self._descend(self._low, self._high, places, chosen, left, (), None)

    def share(self, places: ndarray, chosen: ndarray) -> ndarray:
        """How far neutral rows go from the lower to the higher state."""
        low, high = (
            sum(
                (t[places[:, k], chosen[:, k]] for k, t in enumerate(tables)),
                start=np.zeros(len(places)),
            )
            for tables in (self._low, self._high)
        )
        width = np.asarray(high) - np.asarray(low)
        return np.where(width > 0.0, -low / np.where(width > 0.0, width, 1.0), 0.0)

    def _pairs(self) -> list[tuple[ndarray, ndarray]]:
        return list(zip(self._low, self._high, strict=True))

    def _descend(
        self,
        lows: Sequence[ndarray],
        highs: Sequence[ndarray],
        places: ndarray,
        chosen: ndarray,
        rows: ndarray,
        choice: tuple[int, ...],
        charges: tuple[ndarray, ndarray] | None,
    ) -> None:
        """Charge the next slot in every way; `charges` are those of the slots before."""
        slot = len(choice)
        zero = np.zeros(len(rows))
        low, high = charges or (zero, zero)
        if slot == len(lows):
            neutral = (low <= _NEUTRAL) & (high >= -_NEUTRAL)
            found = rows[neutral & (chosen[rows].min(1, initial=0) < 0)]
            found = found[self._ordered(places[found], choice)]
            chosen[found] = choice
            return
        options = places[rows, slot]
        for way in range(lows[slot].shape[1]):
            own_low, own_high = (
                lows[slot][:, way][options],
                highs[slot][:, way][options],
            )
            there = np.flatnonzero(~np.isnan(own_low))
            if len(there):
                self._descend(
                    lows,
                    highs,
                    places,
                    chosen,
                    rows[there],
                    (*choice, way),
                    (low[there] + own_low[there], high[there] + own_high[there]),
                )

    def _ordered(self, places: ndarray, choice: tuple[int, ...]) -> ndarray:
        """Whether all that is positive is less electronegative than all that is not."""
        cation = np.full(len(places), -math.inf)
        anion = np.full(len(places), math.inf)
        for slot, way in enumerate(choice):
            cation = np.maximum(cation, self._cation[slot][places[:, slot], way])
            anion = np.minimum(anion, self._anion[slot][places[:, slot], way])
        return cation < anion
