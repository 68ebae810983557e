import numpy as np
import plotly.graph_objects as go
import pytest

from gnndesign.errors import ParameterError
from gnndesign.plots.search import plot_search, search_traces, update_search_plot
from gnndesign.properties.work import Relaxing
from gnndesign.search.measures import Density, LatticeConstant
from gnndesign.search.study import iterate_search, search_compositions


@pytest.fixture
def one(space, toy):
    return search_compositions(space, LatticeConstant().near(4.1), toy(), 8)


@pytest.fixture
def two(space, toy):
    objectives = [LatticeConstant().near(4.1), Density()]
    return search_compositions(space, objectives, toy(), 12)


def test_points_carry_their_trial_and_the_line_the_best_so_far(one):
    figure = plot_search(one)
    line, points = figure.data
    assert list(points.customdata) == [trial.number for trial in one.trials]
    values = [t.values["lattice_constant_deviation"] for t in one.trials]
    assert list(points.y) == values
    assert list(line.y) == [min(values[: k + 1]) for k in range(len(values))]
    assert "lattice constant deviation (Å)" in figure.layout.yaxis.title.text
    assert figure.layout.xaxis.title.text == "trial"
    assert all("trial" in text and "Å" in text for text in points.text)
    # Readable on light and dark pages: nothing is painted behind it.
    assert (
        figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    )


def test_the_line_rises_where_more_is_better(small_space, toy):
    result = search_compositions(small_space, Density().maximized(), toy(), 6)
    best = search_traces(result).best_y
    assert (np.diff(best) >= 0).all()
    assert best[-1] == result.best(1)[0].values["density"]


def test_two_objectives_are_drawn_against_each_other_with_their_front(two):
    figure = plot_search(two)
    front, points = figure.data
    assert len(points.x) == 12
    assert figure.layout.xaxis.title.text == "lattice constant deviation (Å)"
    assert figure.layout.yaxis.title.text == "density (g/cm³)"
    assert list(zip(front.x, front.y, strict=True)) == [
        tuple(trial.values.values()) for trial in two.best(None)
    ]


def test_one_of_two_objectives_can_be_chosen(two):
    figure = plot_search(two, ["density"])
    assert figure.layout.yaxis.title.text == "density (g/cm³)"
    with pytest.raises(ParameterError, match="one or two of the objectives"):
        plot_search(two, ["beauty"])


def test_a_figure_grows_in_place(space, toy):
    steps = iterate_search(space, LatticeConstant().near(4.1), toy(), 8, batch_size=4)
    progress = next(steps)
    figure = plot_search(progress.result)
    assert len(figure.data[1].x) == progress.n_done
    progress = next(steps)
    update_search_plot(figure, progress.result)
    assert len(figure.data[1].x) == len(figure.data[1].customdata) == progress.n_done
    steps.close()


def test_a_search_without_values_is_an_empty_figure(small_space, toy):
    result = search_compositions(small_space, Density(), toy(broken=["O"]), 3)
    figure = plot_search(result)
    assert isinstance(figure, go.Figure)
    assert len(figure.data[1].x) == 0


def test_what_did_not_converge_is_an_open_symbol(small_space, toy):
    result = search_compositions(
        small_space, Density(), toy(), 2, relaxing=Relaxing(max_steps=1, max_force=1e-6)
    )
    figure = plot_search(result)
    assert set(figure.data[1].marker.symbol) == {"circle-open"}
    assert "not converged" in figure.data[1].text[0]
