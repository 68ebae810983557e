"""Many structures: as many at a time as there is room for."""

import numpy as np
import pytest
from ase.build import bulk

from gnndesign.properties import compute as module
from gnndesign.properties.compute import Computation, compute
from gnndesign.properties.equation_of_state import EquationOfState
from gnndesign.properties.outcomes import PropertyStatus
from gnndesign.properties.structure_summary import StructureSummary

CRYSTALS = [bulk("Ar", a=a) for a in (5.1, 5.15, 5.2, 5.25, 5.3)]


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(module, "TOGETHER", 2)


@pytest.mark.usefixtures("few")
def test_what_waits_for_room_comes_out_the_same(monkeypatch, lennard_jones):
    properties = [EquationOfState(), StructureSummary()]
    waited = compute(properties, CRYSTALS, lennard_jones)
    monkeypatch.undo()
    at_once = compute(properties, CRYSTALS, lennard_jones)
    assert [(o.structure, o.kind) for o in waited] == [
        (place, how.kind) for place in range(5) for how in properties
    ]
    for one, other in zip(waited, at_once, strict=True):
        assert one.status is other.status is PropertyStatus.COMPUTED
        assert [q.value for q in one.result.quantities()] == pytest.approx(
            [q.value for q in other.result.quantities()], rel=1e-9
        )


@pytest.mark.usefixtures("few")
def test_no_more_are_on_their_way_than_said(lennard_jones):
    computation = Computation(EquationOfState(), CRYSTALS, lennard_jones)
    done, open_ones = [], []
    for progress in computation.iterate():
        done.append(progress.done)
        open_ones.append(len(computation._plans))
        assert progress.total == 5
    assert max(open_ones) == 2
    # One after the other, not all at the end.
    assert set(done) >= {0, 5}
    assert len(set(done)) > 3
    assert np.all(np.diff(done) >= 0)


@pytest.mark.usefixtures("few")
def test_stopping_ends_those_that_never_began(lennard_jones):
    computation = Computation(EquationOfState(), CRYSTALS, lennard_jones)
    (*_, last) = computation.iterate(lambda: len(computation.outcomes) >= 1)
    assert last.done == last.total == 5
    states = [computation.outcomes[place, 0].status for place in range(5)]
    assert PropertyStatus.COMPUTED in states
    assert states.count(PropertyStatus.STOPPED) >= 3
    assert set(states) == {PropertyStatus.COMPUTED, PropertyStatus.STOPPED}


@pytest.mark.usefixtures("few")
def test_one_that_has_no_such_property_keeps_no_other_waiting(lennard_jones):
    molecules = [bulk("Ar", a=5.2) for _ in range(4)]
    for atoms in molecules[:3]:
        atoms.pbc = False
    outcomes = compute(EquationOfState(), molecules, lennard_jones)
    states = [outcome.status for outcome in outcomes]
    assert states == [PropertyStatus.FAILED] * 3 + [PropertyStatus.COMPUTED]
