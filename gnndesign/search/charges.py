"""Chemical symbols, and the oxidation states that atoms can have."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ase.data import atomic_numbers
from pymatgen.core import Element

from gnndesign.errors import ParameterError
from gnndesign.search.element_data import electronegativities


def check_symbol(symbol: str) -> str:
    """The symbol itself, if it is one of a chemical element.

    Raises:
        ParameterError: it is not.
    """
    if atomic_numbers.get(symbol, 0) == 0 or atomic_numbers[symbol] > 103:
        raise ParameterError(
            f"'{symbol}' is not the symbol of a chemical element (H to Lr)."
        )
    return symbol


@functools.cache
def common_states(symbol: str) -> tuple[int, ...]:
    """Pymatgen's common oxidation states of an element; empty for noble gases."""
    return tuple(int(state) for state in Element(symbol).common_oxidation_states)


@functools.cache
def mixes_states(symbol: str) -> bool:
    """Whether an element is known to have two oxidation states side by side.

    Elements with d or f electrons to give, and those whose s electrons stay or leave as a
    pair: In, Sn, Sb, Tl, Pb and Bi.
    """
    element = Element(symbol)
    return (
        element.is_transition_metal
        or element.is_lanthanoid
        or element.is_actinoid
        or symbol in {"In", "Sn", "Sb", "Tl", "Pb", "Bi"}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Charging:
    """One way to give the atoms of an option their states.

    Attributes:
        states: lowest and highest mean state by chemical symbol; equal, unless the
            element mixes two of them.
        low, high: charge of all atoms.
        cation: largest electronegativity of what is positive, minus infinity if nothing is.
        anion: smallest electronegativity of what is negative, infinity if nothing is.
    """

    states: Mapping[str, tuple[int, int]]
    low: float
    high: float
    cation: float
    anion: float


def chargings_of(
    parts: Mapping[str, float],
    states: Mapping[str, Sequence[int]],
    *,
    mixed_valence: bool,
) -> tuple[Charging, ...]:
    """All ways to charge the atoms of an option, those without mixed valence first."""
    ways: list[list[tuple[int, int]]] = []
    for symbol in parts:
        known = states.get(symbol, common_states(symbol))
        pairs = [(state, state) for state in known]
        if mixed_valence and mixes_states(symbol):
            steps = itertools.pairwise(sorted(set(known)))
            pairs += [(low, high) for low, high in steps if low * high > 0]
        ways.append(pairs)
    made = [_charging(parts, choice) for choice in itertools.product(*ways)]
    return tuple(sorted(made, key=lambda way: way.high > way.low))


def _charging(
    parts: Mapping[str, float], choice: Sequence[tuple[int, int]]
) -> Charging:
    cation, anion = -math.inf, math.inf
    for symbol, (low, high) in zip(parts, choice, strict=True):
        x = float(electronegativities()[atomic_numbers[symbol]])
        if math.isnan(x):
            continue
        if high > 0:
            cation = max(cation, x)
        if low < 0:
            anion = min(anion, x)
    charged = list(zip(parts.values(), choice, strict=True))
    return Charging(
        states=dict(zip(parts, choice, strict=True)),
        low=sum(n * low for n, (low, _) in charged),
        high=sum(n * high for n, (_, high) in charged),
        cation=cation,
        anion=anion,
    )
