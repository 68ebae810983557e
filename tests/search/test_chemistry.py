import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnndesign.errors import ParameterError, StructureError
from gnndesign.search.chemistry import (
    formula_mass,
    price_USD_per_kg,
    supply_risk_hhi,
)
from gnndesign.search.element_data import prices_USD_per_kg


def test_a_formula_weighs_what_its_atoms_weigh():
    # IUPAC 2021 standard atomic weights: Sr 87.62, Ti 47.867, O 15.999.
    mass = formula_mass({"Sr": 1, "Ti": 1, "O": 3})
    assert mass == pytest.approx(87.62 + 47.867 + 3 * 15.999, abs=1e-2)


def test_the_price_is_weighted_by_mass_and_not_by_atoms():
    hydride = {"Hf": 1, "H": 2}
    by_hand = (178.49 * 900 + 2 * 1.008 * 1.39) / (178.49 + 2 * 1.008)
    assert price_USD_per_kg(hydride) == pytest.approx(by_hand, rel=1e-4)


def test_the_supply_risk_is_pymatgens():
    from pymatgen.analysis.hhi import HHIModel

    for formula, composition in {
        "Bi2Te3": {"Bi": 2, "Te": 3},
        "NaCl": {"Na": 1, "Cl": 1},
        "LaCoO3": {"La": 1, "Co": 1, "O": 3},
    }.items():
        produced, reserved = HHIModel().get_hhi(formula)
        assert supply_risk_hhi(composition) == pytest.approx(produced, rel=1e-4)
        assert supply_risk_hhi(composition, of_reserves=True) == pytest.approx(
            reserved, rel=1e-4
        )


@given(
    st.dictionaries(
        st.sampled_from(["Fe", "Ni", "O", "Pt", "Si"]),
        st.floats(1e-3, 1e3),
        min_size=1,
    ),
    st.floats(1e-2, 1e2),
)
def test_a_price_is_between_those_of_the_elements_however_much_there_is(parts, factor):
    prices = [price_USD_per_kg({symbol: 1}) for symbol in parts]
    price = price_USD_per_kg(parts)
    assert min(prices) * (1 - 1e-9) <= price <= max(prices) * (1 + 1e-9)
    more = {symbol: amount * factor for symbol, amount in parts.items()}
    assert price_USD_per_kg(more) == pytest.approx(price)


def test_dear_and_cheap_elements_are_in_their_order():
    order = ["Fe", "Al", "Ti", "Ag", "Pt", "Rh"]
    prices = [price_USD_per_kg({symbol: 1}) for symbol in order]
    assert prices == sorted(prices)
    assert math.isnan(prices_USD_per_kg()[0])


@pytest.mark.parametrize("symbol", ["Pm", "Po", "Fr"])
def test_an_element_nobody_trades_has_no_price(symbol):
    with pytest.raises(StructureError, match=f"No price is known of {symbol}"):
        price_USD_per_kg({symbol: 1, "O": 1})
    # Where there is none of it, nothing has to be paid.
    assert price_USD_per_kg({symbol: 0, "O": 1}) == pytest.approx(0.154)


def test_an_element_without_an_index_is_named():
    with pytest.raises(StructureError, match="No supply risk index is known of H"):
        supply_risk_hhi({"Li": 1, "H": 1})


def test_nonsense_has_neither_mass_nor_price():
    with pytest.raises(ParameterError, match="'Xx' is not the symbol"):
        formula_mass({"Xx": 1})
    with pytest.raises(StructureError, match="has no atoms"):
        price_USD_per_kg({"Fe": 0})
    with pytest.raises(StructureError, match="Wanted a number of atoms"):
        price_USD_per_kg({"Fe": -1})
