import numpy as np
import pytest
from ase.build import bulk, molecule

from gnndesign.errors import ParameterError
from gnndesign.plots.properties import can_draw, draw
from gnndesign.properties.compute import compute
from gnndesign.properties.dissociation import Dissociation
from gnndesign.properties.equation_of_state import EquationOfState


def test_the_fit_goes_through_the_points(lennard_jones):
    result = compute(EquationOfState(), bulk("Ar"), lennard_jones)
    figure = draw(result)
    curve, points = figure.data
    on_curve = np.interp(points.x, curve.x, curve.y)
    assert on_curve == pytest.approx(np.asarray(points.y), abs=0.05)
    assert figure.layout.xaxis.title.text == "Volume (Å³/atom)"


def test_what_has_no_figure_is_named():
    class Nothing:
        notes = ()

        def quantities(self):
            return ()

    assert not can_draw(Nothing())
    with pytest.raises(ParameterError, match="got Nothing"):
        draw(Nothing())


def test_a_dissociation_curve_shows_its_well(sevennet_0):
    result = compute(Dissociation(), molecule("N2"), sevennet_0)
    figure = draw(result)
    (curve,) = figure.data
    low, high = figure.layout.yaxis.range
    assert low < min(curve.y) < -5 < 0 < high
    assert figure.layout.shapes[0].x0 == pytest.approx(result.bond_length)
