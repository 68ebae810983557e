"""Violations are zero where a promise is kept, and seen where it is not."""

import ase.build
import numpy as np
import pytest

from gnndesign.errors import ParameterError
from gnndesign.potentials.architectures import new_potential
from gnndesign.structures.transformation import Transformation
from gnndesign.training.violations import rotation_curve, violation


@pytest.fixture(scope="module")
def benzene():
    atoms = ase.build.molecule("C6H6")
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.fixture(scope="module")
def networks(benzene):
    numbers = tuple(benzene.numbers.tolist())
    options = {"unconstrained": {}, "naive": {"atomic_numbers": numbers}}
    found = {
        name: new_potential(name, ["H", "C"], n_channels=8, **options.get(name, {}))
        for name in ("invariant", "unconstrained", "naive")
    }
    for potential in found.values():
        potential.network.double()
    return found


CHANGES = {
    "turn": Transformation(axis="x", angle=40.0),
    "shift": Transformation(shift=1.5),
    "relabel": Transformation(cyclic=1),
    "mirror": Transformation(mirrored=True, axis="y"),
}
KEPT = {
    "invariant": {"turn", "shift", "relabel", "mirror"},
    "unconstrained": {"shift", "relabel"},
    "naive": set[str](),
}


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("change", CHANGES)
def test_an_architecture_keeps_what_it_promises_and_no_more(
    networks, benzene, name, change
):
    found = violation(networks[name], benzene, CHANGES[change])
    if change in KEPT[name]:
        assert found.energy_change < 1e-10
        assert found.force_error < 1e-10
    else:
        assert found.energy_change > 1e-6
        assert found.force_error > 1e-6
    assert found.largest_force > 1e-4


def test_the_curve_of_a_turn_is_flat_only_for_the_invariant(networks, benzene):
    flat = rotation_curve(networks["invariant"], benzene, axis="y", n_angles=5)
    np.testing.assert_allclose(flat.change, 0.0, atol=1e-10)
    wavy = rotation_curve(networks["unconstrained"], benzene, axis="y", n_angles=5)
    # A full turn is no turn at all.
    assert wavy.change[-1] == pytest.approx(0.0, abs=1e-10)
    assert abs(wavy.change[2]) > 1e-6
    turned = Transformation(axis="y", angle=90.0)
    found = violation(networks["unconstrained"], benzene, turned)
    assert abs(wavy.change[1]) == pytest.approx(found.energy_change)
    with pytest.raises(ParameterError, match="two angles"):
        rotation_curve(networks["invariant"], benzene, n_angles=1)
