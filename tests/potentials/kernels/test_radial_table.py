"""A table of radial weights is as good as it says, and ends where it must."""

import numpy as np
import pytest
import torch
from small_networks import own_potential

from gnndesign.errors import CheckpointError
from gnndesign.potentials.kernels.lowering import lower
from gnndesign.potentials.kernels.radial_table import SHORTEST, tabulate
from gnndesign.potentials.radial import PolynomialEnvelope, XPLOREnvelope

TOLERANCE = 1e-6
ENVELOPES = {"polynomial": PolynomialEnvelope(p=6), "xplor": XPLOREnvelope(onset=3.3)}


def exact(radial, distances):
    """Values and slopes of a radial function, by automatic differentiation."""
    r = torch.from_numpy(distances)
    slopes = torch.autograd.functional.jacobian(
        lambda x: radial(x).sum(0), r, vectorize=False
    )
    return radial(r).numpy(), slopes.T.numpy()


@pytest.fixture(scope="module", params=ENVELOPES)
def lowered(request):
    """A small random network of two layers."""
    potential = own_potential(
        self_connection="linear", envelope=ENVELOPES[request.param]
    )
    return lower(potential.network, potential.parameters)


@pytest.fixture(scope="module")
def radials(lowered):
    return [layer.radial for layer in lowered.layers]


@pytest.fixture(scope="module")
def tables(lowered, radials):
    return tabulate(radials, lowered.breaks, TOLERANCE)


@pytest.fixture(scope="module")
def distances(lowered):
    return np.random.default_rng(3).uniform(SHORTEST, lowered.cutoff, 4000)


def test_the_error_claimed_is_the_error_seen(tables, radials, distances):
    for table, radial in zip(tables, radials, strict=True):
        assert 0 < table.slope_error <= TOLERANCE
        found = table(distances)
        claims = (table.error, table.slope_error)
        for seen, true, claimed in zip(
            found, exact(radial, distances), claims, strict=True
        ):
            error = np.abs(seen - true).max() / np.abs(true).max()
            # The largest is looked for on a grid and at random, hence not equal.
            assert 0.5 * claimed < error < 1.2 * claimed


def test_a_finer_tolerance_makes_a_finer_table(tables, lowered, radials):
    finer = tabulate(radials, lowered.breaks, TOLERANCE / 100)
    assert max(table.slope_error for table in finer) <= TOLERANCE / 100
    assert finer[0].grid.n_nodes > 2 * tables[0].grid.n_nodes


def test_all_layers_share_one_grid(tables):
    assert all(table.grid == tables[0].grid for table in tables)


def test_slopes_are_the_derivative_of_the_values(tables, distances):
    step = 1e-6
    nodes = tables[0].grid.nodes
    inside = distances[np.abs(distances[:, None] - nodes).min(1) > 2 * step]
    for table in tables:
        ends = [table(inside + sign * step)[0] for sign in (1, -1)]
        slopes = table(inside)[1]
        np.testing.assert_allclose(
            (ends[0] - ends[1]) / (2 * step), slopes, atol=1e-8 * np.abs(slopes).max()
        )


def test_values_and_slopes_have_no_step_at_a_node(tables):
    nodes = tables[0].grid.nodes[1:-1]
    for table in tables:
        left, right = table(nodes - 1e-12), table(nodes + 1e-12)
        for before, after in zip(left, right, strict=True):
            np.testing.assert_allclose(before, after, rtol=0, atol=1e-9)


def test_the_cutoff_and_what_lies_beyond_have_no_value_and_no_slope(tables, lowered):
    beyond = np.array([lowered.cutoff, lowered.cutoff + 1e-9, lowered.cutoff + 2.0])
    for table in tables:
        for found in table(beyond):
            assert not found.any()
        # And approach that smoothly.
        value, slope = table(np.array([lowered.cutoff - 1e-5]))
        assert np.abs(value).max() < 1e-8
        assert np.abs(slope).max() < 1e-3


def test_distances_below_the_first_node_are_refused(tables):
    for table in tables:
        value, _ = table(np.array([SHORTEST]))
        assert np.abs(value).max() > 0
        with pytest.raises(ValueError, match=r"begins at 0.5 Å, got 0.4999 Å"):
            table(np.array([2.0, SHORTEST - 1e-4]))


def test_the_onset_of_an_envelope_is_a_node():
    potential = own_potential(
        self_connection="linear", envelope=XPLOREnvelope(onset=3.3)
    )
    lowered = lower(potential.network, potential.parameters)
    assert lowered.breaks == (3.3, 4.0)
    radial = lowered.layers[0].radial
    (table,) = tabulate([radial], lowered.breaks, TOLERANCE)
    assert 3.3 in table.grid.nodes
    near = np.linspace(3.25, 3.35, 501)
    scale = np.abs(table.slopes).max()
    seen = np.abs(table(near)[1] - exact(radial, near)[1]).max() / scale
    assert seen < 1.2 * TOLERANCE
    # Were it none, the step of the second derivative would want far more of them.
    (unaware,) = tabulate([radial], (4.0,), TOLERANCE)
    assert unaware.grid.n_nodes > 2 * table.grid.n_nodes


def test_nodes_are_ascending_and_as_many_as_said(tables, lowered):
    grid = tables[0].grid
    assert len(grid.nodes) == grid.n_nodes == sum(grid.counts) + 1
    assert (np.diff(grid.nodes) > 0).all()
    assert grid.nodes[0] == SHORTEST
    assert grid.nodes[-1] == lowered.cutoff
    assert set(grid.breaks) <= set(grid.nodes)


@pytest.mark.parametrize(
    "radial",
    [
        lambda r: torch.abs(r - 2.345)[:, None] * (4 - r)[:, None] ** 3,
        lambda r: torch.sin(2e4 * r)[:, None],
    ],
    ids=["kink", "too many waves"],
)
def test_a_rough_function_is_refused(radial):
    with pytest.raises(CheckpointError, match=r"too rough between .* plain network"):
        tabulate([radial], (4.0,), TOLERANCE)


def test_a_cubic_is_reproduced_to_rounding():
    def cubic(r):
        return torch.stack([(4 - r) ** 3, r * (4 - r) ** 2], 1)

    (table,) = tabulate([cubic], (4.0,))
    r = np.linspace(SHORTEST, 4.0, 777)
    for found, true in zip(table(r), exact(cubic, r), strict=True):
        np.testing.assert_allclose(found, true, rtol=0, atol=1e-12)
