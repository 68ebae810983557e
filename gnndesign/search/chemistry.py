"""What a composition weighs, costs, and how safe its supply is."""

from __future__ import annotations

from collections.abc import Mapping

from ase.data import atomic_numbers
from jaxtyping import Float
from numpy import ndarray

from gnndesign.errors import StructureError
from gnndesign.search.charges import check_symbol
from gnndesign.search.element_data import masses, prices_USD_per_kg, supply_risks_hhi


def formula_mass(composition: Mapping[str, float]) -> float:
    """Mass in amu of the atoms of a composition, sum of amount times atomic mass.

    Args:
        composition: atoms by chemical symbol; fractions are welcome.

    Raises:
        ParameterError: not a chemical element.
        StructureError: no atoms, or a negative number of them.
    """
    return sum(_masses_by_symbol(composition).values())


def price_USD_per_kg(composition: Mapping[str, float]) -> float:
    """Price in USD/kg of the elements of a composition, with nothing for making it.

    The mean of the elements' prices, weighted by mass. Prices are those of around 2020
    (`gnndesign.search.element_data`) and uncertain by a factor of two or so, since
    purities differ and markets move: good to tell hafnium from zirconium, no offer.

    Args:
        composition: atoms by chemical symbol; fractions are welcome.

    Raises:
        ParameterError: not a chemical element.
        StructureError: no atoms, or an element that is not traded.
    """
    return _mean_by_mass(composition, prices_USD_per_kg(), "price")


def supply_risk_hhi(
    composition: Mapping[str, float], *, of_reserves: bool = False
) -> float:
    """Herfindahl-Hirschman index of a composition, 0 to 10,000, weighted by mass.

    For an element, the sum of the squared shares in percent that countries have in its
    production. 10,000 says that one country has it all; below 1,500 counts as a
    competitive market, above 2,500 as highly concentrated. Gaultois et al., Chem. Mater.
    25, 2911 (2013).

    Args:
        composition: atoms by chemical symbol; fractions are welcome.
        of_reserves: shares of the known reserves instead of the production.

    Raises:
        ParameterError: not a chemical element.
        StructureError: no atoms, or an element without an index, such as hydrogen.
    """
    indices = supply_risks_hhi(of_reserves=of_reserves)
    return _mean_by_mass(composition, indices, "supply risk index")


def _masses_by_symbol(composition: Mapping[str, float]) -> dict[str, float]:
    if not composition or any(not n >= 0.0 for n in composition.values()):
        raise StructureError(
            f"Wanted a number of atoms by chemical symbol, got {dict(composition)}."
        )
    weights = {
        symbol: amount * float(masses()[atomic_numbers[check_symbol(symbol)]])
        for symbol, amount in composition.items()
        if amount > 0.0
    }
    if not weights:
        raise StructureError(f"The composition {dict(composition)} has no atoms.")
    return weights


def _mean_by_mass(
    composition: Mapping[str, float], values: Float[ndarray, " 104"], what: str
) -> float:
    weights = _masses_by_symbol(composition)
    total = 0.0
    for symbol, weight in weights.items():
        value = float(values[atomic_numbers[symbol]])
        if not value >= 0.0:
            raise StructureError(
                f"No {what} is known of {symbol}. Leave {symbol} out of the space, or "
                "search without this objective."
            )
        total += weight * value
    return total / sum(weights.values())
