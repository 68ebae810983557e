import re

import ase
import numpy as np
import pytest
from ase.build import molecule

from gnndesign.errors import ParameterError, StructureError
from gnndesign.properties.compute import compute
from gnndesign.properties.dissociation import Dissociation

PAIR = ase.Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 4]])


def test_argon_has_the_minimum_of_lennard_jones(lennard_jones):
    result = compute(Dissociation(longest=8.0, n_points=200), PAIR, lennard_jones)
    assert result.bond_length == pytest.approx(2 ** (1 / 6) * 3.405, rel=2e-3)
    assert re.search(r"evaluated from 1\.\d+ to 8 Å", result.notes[0])
    # Down to the minimum and up again, nothing else.
    assert result.tortuosity == pytest.approx(1, abs=1e-6)
    slope = np.gradient(result.energies, result.distances, edge_order=2)
    inside = result.distances > 3.0
    assert result.forces[inside] == pytest.approx(-slope[inside], abs=2e-3)


def test_a_curve_that_goes_up_and_down_is_tortuous(sevennet_0):
    result = compute(Dissociation(), molecule("N2"), sevennet_0)
    assert result.bond_length == pytest.approx(1.1, abs=0.06)
    assert result.well_depth > 5
    assert result.tortuosity >= 1


def test_a_pair_that_only_falls_has_no_bond(lennard_jones):
    beyond = tuple(np.linspace(3.0, 3.6, 9))
    result = compute(Dissociation(distances=beyond), PAIR, lennard_jones)
    assert "repels" in result.notes[0]
    assert result.well_depth == 0


def test_what_is_no_pair_is_refused(lennard_jones):
    with pytest.raises(StructureError, match="two atoms"):
        compute(Dissociation(), molecule("H2O"), lennard_jones)
    with pytest.raises(ParameterError, match="ascending"):
        Dissociation(distances=(1, 2, 3, 4, 4))
    with pytest.raises(ParameterError, match=r"above 0\.5, below 1"):
        Dissociation(shortest=0.1)
