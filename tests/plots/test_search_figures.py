import itertools

import numpy as np
import pytest
from ase.data import atomic_numbers, chemical_symbols
from pymatgen.core import Element
from search_results import (
    FORMATION,
    MODULUS,
    alloy_search,
    made_result,
    made_trial,
    perovskite_search,
)

from gnndesign.errors import ParameterError
from gnndesign.plots.element_contributions import (
    element_contributions,
    place_in_table,
    plot_elements,
)
from gnndesign.plots.parallel_coordinates import plot_parallel_coordinates
from gnndesign.plots.search import FIGURES, draw_search, figures_of
from gnndesign.plots.search_history import (
    best_of_random_draws,
    plot_history,
    plot_hypervolume,
)
from gnndesign.plots.ternary import plot_ternary
from gnndesign.search.trials import TrialStatus

ONE = perovskite_search(objectives=(FORMATION,))
TWO = perovskite_search(objectives=(FORMATION, MODULUS))
ALLOY = alloy_search()


@pytest.mark.parametrize("probability", [0.05, 0.5, 0.95])
def test_the_best_of_random_draws_is_that_of_all_possible_draws(probability):
    costs = np.array([3.0, 1.0, np.inf, 2.0, 5.0, np.inf, 4.0])
    found = best_of_random_draws(costs, probability)
    for n in range(1, 8):
        best = np.sort([min(draw) for draw in itertools.combinations(costs, n)])
        shares = np.array([(best <= value).mean() for value in best])
        expected = best[np.argmax(shares >= probability - 1e-12)]
        assert found[n - 1] == expected


def test_many_draws_are_quick_and_end_at_the_best():
    costs = np.random.default_rng(0).random(20_000)
    found = best_of_random_draws(costs, 0.5)
    assert found[-1] == costs.min()
    assert (np.diff(found) <= 0).all()
    # The median of the best of n numbers from 0 to 1 is 1 - 2**(-1 / n).
    assert found[99] == pytest.approx(1 - 2 ** (-1 / 100), rel=0.1)
    assert len(best_of_random_draws(costs[:0], 0.5)) == 0


def test_the_history_says_what_it_compares_with():
    figure = plot_history(ONE)
    band, median, best, points = figure.data
    assert "same trials in random order" in median.name
    assert "90 % band" in median.name
    assert band.fill == "toself"
    values = [t.values["formation_energy"] for t in ONE.feasible]
    assert best.y[-1] == median.y[-1] == min(values)
    assert list(points.customdata) == [trial.number for trial in ONE.feasible]
    # Failed and pruned trials took an evaluation.
    assert len(best.x) == len(ONE.trials)


def test_a_search_that_knows_the_answer_is_below_the_band():
    trials = [made_trial(k, {"formation_energy": -3 + 0.01 * k}) for k in range(100)]
    _, median, best, _ = plot_history(made_result(trials)).data
    assert (np.array(best.y) == -3).all()
    assert (np.array(median.y)[:30] > -3).all()


def test_hypervolumes_end_at_one_and_the_point_that_gains_is_marked():
    band, median, found = plot_hypervolume(TWO).data
    assert found.y[-1] == median.y[-1] == 1
    gains = np.diff(found.y, prepend=0) > 0
    assert ((np.array(found.marker.size) > 0) == gains).all()
    assert len(band.x) == 2 * len(found.x)
    with pytest.raises(ParameterError, match="two objectives or more"):
        plot_hypervolume(ONE)


def test_every_element_has_a_place_of_its_own_in_its_group():
    places = {s: place_in_table(s) for s in chemical_symbols[1:119]}
    assert len(set(places.values())) == 118
    for symbol, (row, column) in places.items():
        element = Element(symbol)
        if element.is_lanthanoid or element.is_actinoid:
            continue
        assert (row + 1, column + 1) == (element.row, element.group)
    assert places["La"] == (8, 2)
    assert places["Yb"] == (8, 15)
    assert places["No"] == (9, 15)
    assert places["Lu"] == (5, 2)


def test_an_element_is_worth_the_mean_of_its_trials():
    trials = [
        made_trial(0, {"formation_energy": -3.0}, a="Sr"),
        made_trial(1, {"formation_energy": -1.0}, a="Ba"),
        made_trial(2, {"formation_energy": -2.0}, a="Sr", b="Zr"),
        made_trial(3, {"formation_energy": -9.0}, a="K", constraints={"hull": 1.0}),
    ]
    found = {e.symbol: e for e in element_contributions(made_result(trials))}
    assert set(found) == {"O", "Ti", "Zr", "Sr", "Ba"}
    assert found["Sr"].mean == -2.5
    assert found["Sr"].mean_difference == pytest.approx(-0.5)
    assert (found["Sr"].best, found["Sr"].best_trial) == (-3.0, 0)
    assert found["Sr"].standard_deviation == pytest.approx(np.sqrt(0.5))
    assert found["O"].n_trials == 3
    assert found["O"].mean_difference == 0


def test_the_periodic_table_shows_all_elements_and_colors_those_that_occur():
    others, used = plot_elements(ONE).data
    texts = [text for row in used.text for text in row if text]
    assert any("<b>Sr</b>" in text for text in texts)
    n_others = sum(bool(text) for row in others.text for text in row)
    assert n_others + len(texts) == 118
    place = place_in_table("Ti")
    best = min(
        (t for t in ONE.feasible if "Ti" in t.formula),
        key=lambda t: t.values["formation_energy"],
    )
    assert used.customdata[place] == best.number
    # Low is good here and blue is good everywhere; RdBu ends in blue.
    assert used.reversescale
    assert not plot_elements(TWO, "bulk_modulus").data[1].reversescale
    assert plot_elements(ONE, by="best").data[1].z[place] == pytest.approx(
        best.values["formation_energy"]
    )


def test_an_alloy_is_a_point_of_the_triangle():
    (points,) = plot_ternary(ALLOY).data
    trial = ALLOY.trial(points.customdata[5])
    fractions = (points.a[5], points.b[5], points.c[5])
    assert fractions == pytest.approx([trial.choices[s] for s in ("Al", "Ti", "Ni")])
    assert points.marker.color[5] == trial.values["formation_energy"]
    ringed = np.array(points.marker.line.width) > 0
    assert points.customdata[int(np.argmax(ringed))] == ALLOY.best(1)[0].number
    assert ringed.sum() == 1


def test_perovskites_have_no_fractions_to_draw():
    with pytest.raises(ParameterError, match="fractions vary"):
        plot_ternary(ONE)
    with pytest.raises(ParameterError, match="three different"):
        plot_ternary(ALLOY, elements=("Al", "Al", "Ni"))


def test_parallel_coordinates_lead_from_the_choice_to_the_value():
    figure = plot_parallel_coordinates(TWO)
    titles = [a.text.replace("<br>", " ") for a in figure.layout.annotations if a.y > 1]
    # X is oxygen in all of them: no choice.
    assert titles == [
        "A",
        "B",
        "energy above hull (eV/atom) missed by",
        "formation energy (eV/atom)",
        "bulk modulus (GPa)",
    ]
    (points,) = (t for t in figure.data if t.customdata is not None)
    assert set(points.customdata) == {
        trial.number for trial in (*TWO.feasible, *TWO.infeasible)
    }
    best = TWO.best(1)[0].number
    heights = np.array(points.y)[np.array(points.customdata) == best]
    assert heights[3] == 0
    # Elements by atomic number from below.
    below = sorted(
        {t.choices["A"] for t in TWO.feasible}, key=lambda s: atomic_numbers[s]
    )
    on_first = {a.text: a.y for a in figure.layout.annotations if a.x == 0 and a.y <= 1}
    assert sorted(below, key=lambda s: on_first[s]) == below


def test_draws_what_there_is():
    assert figures_of(ONE) == ("trials", "history", "parallel_coordinates", "elements")
    assert set(FIGURES) - set(figures_of(TWO)) == {"ternary"}
    assert "ternary" in figures_of(ALLOY)
    for result in (ONE, TWO, ALLOY):
        for kind in figures_of(result):
            figure = draw_search(result, kind)
            assert figure.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"
            assert any(trace.customdata is not None for trace in figure.data)
    with pytest.raises(ParameterError, match="one of the figures"):
        draw_search(ONE, "cake")


def test_a_search_that_found_nothing_has_empty_figures():
    nothing = made_result([made_trial(0, {}, status=TrialStatus.DIVERGED)])
    for kind in figures_of(nothing):
        draw_search(nothing, kind)
    two = made_result([], objectives=(FORMATION, MODULUS))
    for kind in figures_of(two):
        draw_search(two, kind)
