import numpy as np
import plotly.graph_objects as go
import pytest
from search_results import (
    DENSITY,
    FORMATION,
    MODULUS,
    made_result,
    made_trial,
    perovskite_search,
)

from gnndesign.errors import ParameterError
from gnndesign.plots.search import plot_search, search_traces, update_search_plot
from gnndesign.search.trials import TrialStatus
from gnndesign.search.trust import TrustFlag


@pytest.fixture
def one():
    return perovskite_search(objectives=(FORMATION,))


@pytest.fixture
def two():
    return perovskite_search(objectives=(FORMATION, MODULUS))


@pytest.fixture
def three():
    return perovskite_search()


def test_points_carry_their_trial_and_the_line_the_best_so_far(one):
    figure = plot_search(one)
    line, points, _ = figure.data
    assert list(points.customdata) == [trial.number for trial in one.feasible]
    values = [t.values["formation_energy"] for t in one.feasible]
    assert list(points.y) == values
    assert list(line.y) == [min(values[: k + 1]) for k in range(len(values))]
    assert figure.layout.yaxis.title.text == "formation energy (eV/atom)"
    assert figure.layout.xaxis.title.text == "trial"
    assert all("trial" in text and "eV/atom" in text for text in points.text)
    # Readable on light and dark pages: nothing is painted behind it.
    assert (
        figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    )


def test_the_line_rises_where_more_is_better():
    result = perovskite_search(objectives=(MODULUS,))
    best = search_traces(result).best_y
    assert (np.diff(best) >= 0).all()
    assert best[-1] == result.best(1)[0].values["bulk_modulus"]


def test_two_objectives_are_drawn_against_each_other_with_their_front(two):
    figure = plot_search(two)
    front, points, _ = figure.data
    assert len(points.x) == len(two.feasible)
    assert figure.layout.xaxis.title.text == "formation energy (eV/atom)"
    assert figure.layout.yaxis.title.text == "bulk modulus (GPa)"
    assert front.mode == "lines"
    assert list(zip(front.x, front.y, strict=True)) == [
        tuple(trial.values.values()) for trial in two.best(None)
    ]


def test_the_third_objective_is_the_color_and_the_front_is_ringed(three):
    figure = plot_search(three)
    rings, points, _ = figure.data
    assert list(points.marker.color) == [t.values["density"] for t in three.feasible]
    assert figure.layout.coloraxis.colorbar.title.text == "density (g/cm³)"
    # Less is better here, and brighter is better everywhere.
    assert figure.layout.coloraxis.reversescale
    assert rings.mode == "markers"
    assert list(rings.x) == [t.values["formation_energy"] for t in three.best(None)]


def test_one_of_several_objectives_can_be_chosen(three):
    figure = plot_search(three, ["density"])
    assert figure.layout.yaxis.title.text == "density (g/cm³)"
    with pytest.raises(ParameterError, match="one to three of the objectives"):
        plot_search(three, ["beauty"])


def test_what_misses_a_constraint_is_a_cross_and_never_the_best(two):
    missed = plot_search(two).data[2]
    drawn = [t for t in two.infeasible if t.values]
    assert list(missed.customdata) == [trial.number for trial in drawn]
    assert "misses energy above hull by" in missed.text[0]
    assert missed.marker.symbol == "x-thin"
    n_hidden = len(two.infeasible) - len(drawn)
    assert n_hidden > 0
    assert f"({len(drawn)}, {n_hidden} without values)" in missed.name
    best = made_trial(99, {"formation_energy": -9.0}, constraints={"hull": 0.1})
    worse = made_trial(98, {"formation_energy": -1.0}, constraints={"hull": -0.1})
    result = made_result([worse, best])
    assert list(plot_search(result).data[0].y) == [-1.0]
    assert list(plot_search(result).data[2].y) == [-9.0]


def test_a_search_without_constraints_shows_no_crosses():
    result = made_result([made_trial(0, {"formation_energy": -1.0})])
    assert not plot_search(result).data[2].visible


def test_a_figure_grows_in_place(one):
    figure = plot_search(made_result(one.trials[:20]))
    n_before = len(figure.data[1].x)
    update_search_plot(figure, one)
    assert len(figure.data[1].x) == len(figure.data[1].customdata) > n_before


def test_a_search_without_values_is_an_empty_figure():
    failed = made_trial(0, {}, status=TrialStatus.DIVERGED)
    for objectives in ((FORMATION,), (FORMATION, DENSITY, MODULUS)):
        figure = plot_search(made_result([failed], objectives))
        assert isinstance(figure, go.Figure)
        assert len(figure.data[1].x) == 0


def test_what_did_not_converge_is_an_open_symbol():
    trial = made_trial(
        0, {"formation_energy": -1.0}, status=TrialStatus.STEP_LIMIT, max_force=0.3
    )
    figure = plot_search(made_result([trial]))
    assert set(figure.data[1].marker.symbol) == {"circle-open"}
    assert "not converged" in figure.data[1].text[0]


def test_flags_are_in_the_hover_text(one):
    number = one.feasible[3].number
    flag = TrustFlag(level="warning", words="falls lower", sentence="It does.")
    texts = plot_search(one, flags={number: (flag,)}).data[1].text
    assert [k for k, text in enumerate(texts) if "⚠ falls lower" in text] == [3]
