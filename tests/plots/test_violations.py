import pytest

from gnndesign.errors import ParameterError
from gnndesign.plots.violations import worst_rotations


def test_worst_rotations_are_a_box_a_potential_and_zero_can_be_drawn():
    figure = worst_rotations({"free": [3.0, 5.0], "equivariant": [0.0, 1e-7]})
    assert [trace.name for trace in figure.data] == ["free", "equivariant"]
    assert list(figure.data[1].y) == [1e-9, 1e-7]
    assert figure.layout.yaxis.type == "log"
    with pytest.raises(ParameterError, match="got none"):
        worst_rotations({})
