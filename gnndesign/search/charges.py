"""Oxidation states that make a composition neutral."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Mapping, Sequence

from ase.data import atomic_numbers
from pymatgen.core import Element

from gnndesign.errors import ParameterError


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
def _electronegativity(symbol: str) -> float:
    with warnings.catch_warnings():
        # Pymatgen warns where there is none and returns NaN, which compares false.
        warnings.simplefilter("ignore", UserWarning)
        return float(Element(symbol).X)


def neutral_states(
    elements: Sequence[str], counts: Sequence[int], states: Mapping[str, Sequence[int]]
) -> tuple[int, ...] | None:
    """One oxidation state an element, with which the composition is neutral.

    Args:
        elements: chemical symbols, one a site.
        counts: number of atoms on each site.
        states: the oxidation states to choose from, by chemical symbol.

    Returns:
        The first choice that adds up to zero, with every positive element less
        electronegative than every negative one; None where there is none.
    """
    for choice in itertools.product(*(states[element] for element in elements)):
        if sum(n * q for n, q in zip(counts, choice, strict=True)) != 0:
            continue
        signed = list(zip(elements, choice, strict=True))
        positive = [_electronegativity(e) for e, q in signed if q > 0]
        negative = [_electronegativity(e) for e, q in signed if q < 0]
        if not positive or not negative or max(positive) < min(negative):
            return choice
    return None
