import itertools

import numpy as np
import pytest

from gnndesign.search.fronts import hypervolume, hypervolumes, pareto_front


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 4])
def test_the_front_is_what_nothing_beats(n_objectives):
    random = np.random.default_rng(n_objectives)
    # Few different values, so that there are equal ones.
    costs = random.integers(0, 6, (80, n_objectives)).astype(float)
    expected = [
        k
        for k, p in enumerate(costs)
        if not any((q <= p).all() and (q < p).any() for q in costs)
    ]
    found = pareto_front(costs)
    assert sorted(found) == expected
    assert (np.diff(costs[found, 0]) >= 0).all()


@pytest.mark.parametrize("n_objectives", [2, 3, 4])
def test_the_hypervolume_is_that_of_the_union_of_boxes(n_objectives):
    random = np.random.default_rng(n_objectives)
    size = 6
    for _ in range(20):
        costs = random.integers(0, size + 2, (7, n_objectives)).astype(float)
        reference = np.full(n_objectives, float(size))
        # Whole numbers: count the unit cubes that some point dominates.
        cubes = itertools.product(range(size), repeat=n_objectives)
        expected = sum(bool((costs <= np.array(cube)).all(1).any()) for cube in cubes)
        assert hypervolume(costs, reference) == pytest.approx(expected)


def test_it_grows_point_by_point():
    random = np.random.default_rng(7)
    costs = random.random((40, 3))
    costs[[3, 17]] = np.nan
    reference = np.full(3, 0.9)
    found = hypervolumes(costs, reference)
    known = np.isfinite(costs).all(1)
    expected = [hypervolume(costs[:n][known[:n]], reference) for n in range(1, 41)]
    assert found == pytest.approx(np.array(expected))
    assert (np.diff(found) >= 0).all()
    assert found[3] == found[2]


def test_nothing_has_no_volume():
    assert hypervolume(np.empty((0, 2)), np.ones(2)) == 0
    assert hypervolume(np.full((3, 2), 2.0), np.ones(2)) == 0
    assert len(pareto_front(np.empty((0, 3)))) == 0
