import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition, Element

from gnndesign.errors import ParameterError
from gnndesign.search.charge_neutrality import ChargeNeutrality
from gnndesign.search.charges import common_states, mixes_states
from gnndesign.search.chemistry import price_USD_per_kg, supply_risk_hhi
from gnndesign.search.element_filters import (
    TOXIC_ELEMENTS,
    Contains,
    DoesNotContain,
    NoRadioactive,
    NoToxic,
    NumberOfElements,
)
from gnndesign.search.filters import FILTER_KINDS, filter_from_dict
from gnndesign.search.hume_rothery import HumeRothery
from gnndesign.search.ingredients import Ingredients
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.supply_filters import Price, SupplyRisk
from gnndesign.search.tolerance_factor import ToleranceFactor

A = ("Na", "K", "Sr", "La", "Pb", "Bi", "Cs", "Tl", "Pm", "Eu")
B = ("Ti", "Fe", "Mn", "Nb", "Sn", "Pb", "Be", "Tc", "Rh", "Al")
X = ("O", "S", "Cl", "F", "H")


def perovskites(*filters, a=A, b=B, x=X, **options):
    return PrototypeSpace(
        prototype="perovskite",
        sites={"A": a, "B": b, "X": x},
        filters=filters,
        **{"charge_neutral": False, **options},
    )


def table_of(*compositions):
    """Ingredients and rows of compositions given by chemical symbol."""
    elements = sorted({symbol for c in compositions for symbol in c})
    amounts = np.array(
        [[c.get(s, 0.0) for s in elements] for c in compositions], dtype=float
    )
    return Ingredients.of_compositions(elements, amounts)


def keeps(rule, *compositions):
    return rule.keeps(*table_of(*compositions)).tolist()


def electronegativity(symbol):
    return float(Element(symbol).X)


def can_be_neutral(sites, states_of, *, mixed_valence=False):
    """In plain Python: (symbol, atoms) on each site; what the filter promises."""

    def ways(symbol):
        known = sorted(states_of(symbol))
        pure = [(q, q) for q in known]
        if not mixed_valence or not mixes_states(symbol):
            return pure
        return pure + [(p, q) for p, q in itertools.pairwise(known) if p * q > 0]

    for choice in itertools.product(*(ways(symbol) for symbol, _ in sites)):
        low = sum(n * q for (_, n), (q, _) in zip(sites, choice, strict=True))
        high = sum(n * q for (_, n), (_, q) in zip(sites, choice, strict=True))
        given = [
            (electronegativity(s), q)
            for (s, _), (q, _) in zip(sites, choice, strict=True)
        ]
        cations = [x for x, q in given if q > 0]
        anions = [x for x, q in given if q < 0]
        ordered = not cations or not anions or max(cations) < min(anions)
        if low <= 0 <= high and ordered:
            return True
    return False


def brute_force(rules):
    """How many of the perovskites each rule leaves out, in plain Python, and the rest."""
    left = [c for c in itertools.product(A, B, X) if len(set(c)) == 3]
    removed = {"an element on two sites": len(A) * len(B) * len(X) - len(left)}
    for title, rule in rules.items():
        passed = [c for c in left if rule(*c)]
        removed[title] = len(left) - len(passed)
        left = passed
    return removed, {f"{a}{b}{x}3" for a, b, x in left}


def amounts(a, b, x):
    return {a: 1, b: 1, x: 3}


RULES = {
    "charge neutrality": (
        ChargeNeutrality(),
        lambda a, b, x: can_be_neutral([(a, 1), (b, 1), (x, 3)], common_states),
    ),
    "no radioactive elements": (
        NoRadioactive(),
        lambda *c: not {"Tc", "Pm"} & set(c),
    ),
    "no toxic elements": (NoToxic(), lambda *c: not set(TOXIC_ELEMENTS) & set(c)),
    "contains Sr or Fe": (
        Contains(elements=("Sr", "Fe")),
        lambda *c: "Sr" in c or "Fe" in c,
    ),
    "contains Sr and Fe": (
        Contains(elements=("Sr", "Fe"), all_of_them=True),
        lambda *c: "Sr" in c and "Fe" in c,
    ),
    "does not contain S or Cl": (
        DoesNotContain(elements=("S", "Cl")),
        lambda *c: "S" not in c and "Cl" not in c,
    ),
    "price at most 30 USD/kg": (
        Price(at_most=30.0),
        # Promethium is not traded.
        lambda *c: "Pm" not in c and price_USD_per_kg(amounts(*c)) <= 30.0,
    ),
    "supply risk at most 3000 (production)": (
        SupplyRisk(at_most=3000.0),
        # Neither hydrogen nor technetium has an index.
        lambda *c: not {"H", "Tc"} & set(c) and supply_risk_hhi(amounts(*c)) <= 3000.0,
    ),
    "supply risk at most 2000 (reserves)": (
        SupplyRisk(at_most=2000.0, of_reserves=True),
        lambda *c: (
            not {"H", "Tc"} & set(c)
            and supply_risk_hhi(amounts(*c), of_reserves=True) <= 2000.0
        ),
    ),
}


@pytest.mark.parametrize("title", RULES)
def test_every_filter_leaves_out_what_brute_force_leaves_out(title):
    rule, by_hand = RULES[title]
    assert rule.title == title
    space = perovskites(rule)
    removed, left = brute_force({title: by_hand})
    assert dict(space.removed) == removed
    assert {space.candidate(i).formula for i in range(len(space))} == left
    assert 0 < removed[title] < 500


@settings(max_examples=25, deadline=None)
@given(st.permutations(list(RULES)).map(lambda titles: titles[:3]))
def test_filters_count_in_the_order_in_which_they_are_applied(titles):
    removed, left = brute_force({t: RULES[t][1] for t in titles})
    rules = [RULES[title][0] for title in titles]
    if not left:
        with pytest.raises(ParameterError, match="None of the 500 combinations"):
            perovskites(*rules)
        return
    space = perovskites(*rules)
    assert list(space.removed.items()) == list(removed.items())
    assert sum(space.removed.values()) + len(space) == space.n_combinations == 500


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    data=st.data(),
    mixed_valence=st.booleans(),
)
def test_neutrality_is_that_of_brute_force_for_any_stoichiometry(
    counts, data, mixed_valence
):
    pool = ["Fe", "Mn", "Eu", "Sn", "O", "S", "N", "Cl", "Na", "Ti", "He"]
    symbols = [data.draw(st.sampled_from(pool)) for _ in counts]
    sites = list(zip(symbols, counts, strict=True))
    ingredients = Ingredients.of_sites(
        {str(k): [{symbol: n}] for k, (symbol, n) in enumerate(sites)}
    )
    rule = ChargeNeutrality(mixed_valence=mixed_valence)
    row = np.zeros((1, len(sites)), dtype=np.uint16)
    charges = rule.charges(ingredients, row)
    wanted = can_be_neutral(sites, common_states, mixed_valence=mixed_valence)
    assert bool(charges.neutral[0]) == wanted
    if wanted:
        total = charges.mean()[0] @ np.array(counts)
        assert total == pytest.approx(0.0, abs=1e-9)


def test_smact_agrees_on_what_is_neutral():
    # SMACT 4.0.2 with its own list of states of 2014, given to both.
    smact = pytest.importorskip("smact")
    screening = pytest.importorskip("smact.screening")
    elements = (
        "Li",
        "Ca",
        "Al",
        "Ti",
        "Fe",
        "Cu",
        "Zn",
        "Sn",
        "N",
        "O",
        "S",
        "F",
        "Cl",
    )
    states = {s: smact.Element(s).oxidation_states_smact14 for s in elements}
    rule = ChargeNeutrality(oxidation_states=states)
    compositions = [
        dict(zip(chosen, counts, strict=True))
        for chosen in itertools.permutations(elements, 2)
        for counts in ((1, 1), (1, 2), (2, 3), (1, 3), (3, 4))
    ] + [
        dict(zip(chosen, (1, 1, 3), strict=True))
        for chosen in itertools.islice(itertools.permutations(elements, 3), 0, None, 7)
    ]
    wanted = [
        screening.smact_validity(
            Composition(c), include_alloys=False, oxidation_states_set="smact14"
        )
        for c in compositions
    ]
    assert len(compositions) == 1026
    assert 100 < sum(wanted) < 900
    assert keeps(rule, *compositions) == wanted


def test_magnetite_is_neutral_with_mixed_valence_alone():
    iron = {"A": ("Fe",), "X": ("O", "F")}
    tied = {"prototype": "spinel", "sites": iron, "tied": {"B": "A"}}
    pure = PrototypeSpace(**tied)
    # With a state of its own on each site, Fe2+ on A and Fe3+ on B do it.
    assert [pure.candidate(i).formula for i in range(len(pure))] == ["Fe3O4"]
    assert pure.candidate(0).oxidation_states == {"A": 2, "B": 3, "X": -2}
    # With one state for all iron it takes both.
    magnetite = {"Fe": 3, "O": 4}
    assert keeps(ChargeNeutrality(), magnetite) == [False]
    mixed = ChargeNeutrality(mixed_valence=True)
    assert keeps(mixed, magnetite) == [True]
    ingredients, row = table_of(magnetite)
    means = mixed.charges(ingredients, row).mean()[0]
    states = dict(zip(ingredients.names, means, strict=True))
    assert states == pytest.approx({"Fe": 8 / 3, "O": -2})


def test_only_neighboring_states_of_one_sign_are_mixed():
    mixed = ChargeNeutrality(mixed_valence=True)
    # Sodium has one state; nitrogen's -3 and +3 do not mix, nor do its +3 and +5.
    assert keeps(mixed, {"Na": 3, "O": 2}, {"N": 1, "O": 2}) == [False, False]
    bismuth = {"Bi": (3, 5)}
    # BaBiO3 holds Bi3+ and Bi5+ (Cox and Sleight, Solid State Commun. 19, 969 (1976)).
    barium_bismuthate = {"Ba": 1, "Bi": 1, "O": 3}
    for switch in (False, True):
        rule = ChargeNeutrality(oxidation_states=bismuth, mixed_valence=switch)
        assert keeps(rule, barium_bismuthate) == [switch]


def test_a_number_of_elements_counts_each_once():
    compositions = ({"Fe": 1}, {"Fe": 1, "O": 1}, {"Na": 1, "Cl": 1, "O": 3})
    assert keeps(NumberOfElements(at_most=1), *compositions) == [True, False, False]
    assert keeps(NumberOfElements(at_least=2), *compositions) == [False, True, True]
    pair = NumberOfElements(at_least=2, at_most=2)
    assert keeps(pair, *compositions) == [False, True, False]


def test_a_tolerance_factor_is_that_of_shannons_radii():
    # Radii in Å: Sr2+ XII 1.44, Ba2+ XII 1.61, Ca2+ XII 1.34, Ti4+ VI 0.605, O2- VI 1.40.
    space = perovskites(a=("Sr", "Ba", "Ca"), b=("Ti",), x=("O",))
    places = space.pool.places
    goldschmidt = ToleranceFactor(factor="goldschmidt").factors(
        space.ingredients, places
    )
    bartel = ToleranceFactor(factor="bartel").factors(space.ingredients, places)
    for index, radius in enumerate((1.44, 1.61, 1.34)):
        t = (radius + 1.40) / (math.sqrt(2) * (0.605 + 1.40))
        ratio = radius / 0.605
        tau = 1.40 / 0.605 - 2 * (2 - ratio / math.log(ratio))
        assert goldschmidt[index] == pytest.approx(t, abs=1e-6)
        assert bartel[index] == pytest.approx(tau, abs=1e-6)


def test_known_perovskites_pass_and_other_structures_do_not():
    # Experimental outcome as in Bartel et al. 2019, table S1: ilmenites and pyroxenes fail.
    made = {("Sr", "Ti"), ("La", "Al"), ("K", "Ta"), ("Ca", "Zr")}
    not_made = {("Mg", "Si"), ("Li", "V"), ("Mg", "Ge")}
    for pairs, passes in ((made, True), (not_made, False)):
        for a, b in pairs:
            space = perovskites(a=(a,), b=(b,), x=("O",), charge_neutral=True)
            rule = ToleranceFactor()
            assert rule.keeps(space.ingredients, space.pool.places).tolist() == [passes]


def test_a_tolerance_factor_leaves_out_what_has_none():
    space = perovskites(ToleranceFactor(at_most=1e9), a=A, b=B, x=("O",))
    for candidate in map(space.candidate, range(len(space))):
        sites = [
            (s, 3 if label == "X" else 1) for label, s in candidate.choices.items()
        ]
        assert can_be_neutral(sites, common_states)
    with pytest.raises(ParameterError, match="wants the sites A, B, X"):
        PrototypeSpace(
            prototype="rocksalt",
            sites={"A": ["Mg"], "X": ["O"]},
            filters=[ToleranceFactor()],
        )


def test_the_cantor_alloy_is_a_solid_solution_by_hume_rothery():
    cantor = dict.fromkeys(("Co", "Cr", "Fe", "Mn", "Ni"), 1.0)
    # VEC 8 of Guo et al. 2011: 9 + 6 + 8 + 7 + 10 over 5.
    assert keeps(HumeRothery(valence_electrons_at_least=8.0), cantor) == [True]
    assert keeps(HumeRothery(valence_electrons_at_least=8.001), cantor) == [False]
    # AlZr has a size mismatch of half the difference of its radii over their mean.
    delta = (1.60 - 1.43) / (1.60 + 1.43)
    alloy = {"Al": 2, "Zr": 2}
    assert keeps(HumeRothery(size_mismatch_at_most=delta + 1e-6), alloy) == [True]
    assert keeps(HumeRothery(size_mismatch_at_most=delta - 1e-6), alloy) == [False]
    # Pauling: Al 1.61, Zr 1.33.
    spread = HumeRothery(electronegativity_spread_at_most=0.139)
    assert keeps(spread, alloy, {"Al": 1}) == [False, True]
    high = HumeRothery(size_mismatch_at_most=None, valence_electrons_at_most=6.87)
    assert keeps(high, {"Nb": 1, "Mo": 1, "Ta": 1, "W": 1}, cantor) == [True, False]


EVERY = [
    *(rule for rule, _ in RULES.values()),
    ChargeNeutrality(oxidation_states={"Ni": (2, 3)}, mixed_valence=True),
    NumberOfElements(at_least=2, at_most=4),
    ToleranceFactor(factor="goldschmidt", a="B", oxidation_states={"Ni": (3,)}),
    HumeRothery(valence_electrons_at_most=7.0),
]


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.title)
def test_a_filter_goes_through_json_and_back(rule):
    data = json.loads(json.dumps(rule.to_dict()))
    assert filter_from_dict(data) == rule
    assert {rule.kind for rule in EVERY} == set(FILTER_KINDS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "cheap"}, "Unknown kind of filter 'cheap'"),
        ({"kind": "price"}, "Wanted the entries of Price"),
        ({"kind": "price", "at_most": 0.0}, "above 0 USD/kg"),
        ({"kind": "supply_risk", "at_most": 2e4}, "up to 10,000"),
        ({"kind": "contains", "elements": []}, "at least one chemical symbol"),
        ({"kind": "contains", "elements": ["Xx"]}, "'Xx' is not the symbol"),
        ({"kind": "number_of_elements", "at_least": 0}, "1 <= at_least"),
        ({"kind": "hume_rothery", "size_mismatch_at_most": None}, "at least one limit"),
        ({"kind": "tolerance_factor", "factor": "mine"}, "Unknown tolerance factor"),
        (
            {"kind": "tolerance_factor", "at_least": 2, "at_most": 1},
            "Exchange the limits",
        ),
        (
            {"kind": "charge_neutrality", "oxidation_states": {"Fe": [2.5]}},
            "whole oxidation states of Fe",
        ),
    ],
)
def test_a_filter_without_meaning_is_refused(data, message):
    with pytest.raises(ParameterError, match=message):
        filter_from_dict(data)


def test_a_filter_given_twice_is_refused():
    with pytest.raises(ParameterError, match="more than once"):
        perovskites(Price(at_most=5.0), Price(at_most=5.0))
