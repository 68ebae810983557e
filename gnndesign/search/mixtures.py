"""Entries of a site: one element, or several that share it, such as "Sr0.5Ba0.5"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from gnndesign.errors import ParameterError
from gnndesign.search.charges import check_symbol

_LARGEST_DENOMINATOR = 16
_PART = re.compile(r"([A-Z][a-z]?)(\d*\.?\d+)")


def parse_entry(entry: str) -> Mapping[str, Fraction]:
    """Share of each element in an entry of a site, exact, adding up to 1.

    A decimal number is taken as the fraction with a denominator of at most 16 that it
    rounds, so that "La0.67Sr0.33" is two thirds of lanthanum.

    Raises:
        ParameterError: not elements, an element twice, or shares that do not add up to 1.
    """
    parts = _PART.findall(entry)
    if not parts or "".join(a + b for a, b in parts) != entry:
        return MappingProxyType({check_symbol(entry): Fraction(1)})
    shares: dict[str, Fraction] = {}
    for symbol, number in parts:
        if check_symbol(symbol) in shares:
            raise ParameterError(f"'{entry}' has {symbol} more than once.")
        share = Fraction(number).limit_denominator(_LARGEST_DENOMINATOR)
        if abs(float(share) - float(number)) > 0.005 or share <= 0:
            raise ParameterError(
                f"{number} of {symbol} in '{entry}' is not a fraction with a denominator "
                f"of at most {_LARGEST_DENOMINATOR}."
            )
        shares[symbol] = share
    total = sum(shares.values())
    if total != 1:
        raise ParameterError(
            f"The shares of '{entry}' add up to {float(total):g}; wanted 1, as in "
            "'Sr0.5Ba0.5'."
        )
    return MappingProxyType(shares)


def formula_of(composition: Mapping[str, float | Fraction]) -> str:
    """Symbols and numbers in the order given, a 1 left out: "Sr0.5Ba0.5TiO3"."""
    return "".join(
        symbol + ("" if amount == 1 else f"{float(amount):.4g}")
        for symbol, amount in composition.items()
    )
