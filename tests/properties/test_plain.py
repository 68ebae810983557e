import json

import numpy as np
import pytest
from ase.build import bulk

from gnndesign.errors import CheckpointError
from gnndesign.properties.outcomes import PropertyStatus
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.work import Relaxing
from gnndesign.simulation.base import Status


def there_and_back(value):
    return from_plain(json.loads(json.dumps(to_plain(value), allow_nan=False)))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        0.1,
        float("inf"),
        "word",
        (1, ("a", 2.5)),
        {(1, 2): 0.5, "k": None},
        Status.CONVERGED,
        PropertyStatus.FAILED,
        Relaxing(max_force=1e-3),
    ],
)
def test_values_come_back_as_they_were(value):
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("kind", [float, np.float32, int, bool, complex])
def test_arrays_come_back_exactly(kind):
    array = np.array([[0.1, 0, 3], [1e-17, 2, 7]]).astype(kind)
    back = there_and_back(array)
    assert back.dtype == array.dtype
    assert (back == array).all()
    assert np.isnan(there_and_back(np.array([np.nan, 1.0]))[0])


def test_structures_come_back():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    assert there_and_back(atoms) == atoms


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "os:system", "fields": {}},
        {"type": "gnndesign.properties.plain:to_plain", "fields": {}},
        {"type": "gnndesign.simulation.base:Status", "fields": {}},
        {"member": "gnndesign.properties.work:Relaxing", "value": 1},
        {"nothing": 1},
        {},
    ],
)
def test_what_we_did_not_write_is_refused(bad):
    with pytest.raises(CheckpointError):
        from_plain(bad)
    with pytest.raises(TypeError):
        to_plain(object())
