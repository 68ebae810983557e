import json

import pytest

from gnndesign.errors import ParameterError
from gnndesign.simulation.schedule import Ramp, schedule


def test_a_ramp_comes_back_from_json():
    text = json.dumps({"times_fs": [0, 2500.0], "values": [300, 1200.0]})
    found = schedule(json.loads(text), "temperature_K", low=0.0)
    assert found == Ramp((0.0, 2500.0), (300.0, 1200.0))
    assert found.at(1250.0) == 750.0


@pytest.mark.parametrize(
    "points", [{}, {"times_fs": [0.0]}, {"times_fs": 0, "values": 1}]
)
def test_what_is_no_ramp_says_what_was_wanted(points):
    with pytest.raises(ParameterError, match="times_fs"):
        schedule(points, "temperature_K", low=0.0)
