"""Changes that change nothing physical: distances, handedness, order."""

import ase
import ase.build
import numpy as np
import pytest

from gnndesign.errors import ParameterError
from gnndesign.structures.transformation import Transformation


@pytest.fixture
def water():
    return ase.Atoms("OH2", [[0.0, 0.0, 0.1], [0.8, 0.0, -0.5], [-0.7, 0.1, -0.5]])


def test_a_quarter_turn_about_z_takes_x_to_y():
    turned = Transformation(axis="z", angle=90.0).apply(ase.Atoms("H", [[1, 0, 2]]))
    np.testing.assert_allclose(turned.positions, [[0, 1, 2]], atol=1e-12)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_rotations_are_proper_and_mirrors_are_not(axis):
    turn = Transformation(axis=axis, angle=33.0)
    assert np.linalg.det(turn.matrix) == pytest.approx(1.0)
    np.testing.assert_allclose(turn.matrix @ turn.matrix.T, np.eye(3), atol=1e-12)
    mirror = Transformation(axis=axis, angle=33.0, mirrored=True)
    assert np.linalg.det(mirror.matrix) == pytest.approx(-1.0)


def test_distances_and_the_volume_stay(water):
    crystal = water.copy()
    crystal.set_cell([[4.0, 0.3, 0], [0, 5, 0], [0.2, 0, 6]])
    crystal.pbc = True
    change = Transformation(axis="y", angle=-70.0, shift=3.0, mirrored=True, cyclic=1)
    changed = change.apply(crystal)
    order = change.order(crystal)
    np.testing.assert_allclose(
        changed.get_all_distances(mic=True),
        crystal.get_all_distances(mic=True)[np.ix_(order, order)],
        atol=1e-10,
    )
    assert changed.get_volume() == pytest.approx(crystal.get_volume())
    assert changed.pbc.all()


def test_a_circle_of_labels_stays_within_each_element():
    benzene = ase.build.molecule("C6H6")
    changed = Transformation(cyclic=1).apply(benzene)
    assert list(changed.symbols) == list(benzene.symbols)
    np.testing.assert_array_equal(changed.positions[0], benzene.positions[1])
    np.testing.assert_array_equal(changed.positions[5], benzene.positions[0])
    np.testing.assert_array_equal(changed.positions[11], benzene.positions[6])


def test_forces_go_with_the_atoms(water):
    center = water.positions.mean(0)
    change = Transformation(axis="x", angle=50.0, swapped=(1, 2), mirrored=True)
    # Forces away from the center are positions about it.
    wanted = change.forces(water, water.positions - center)
    changed = change.apply(water)
    np.testing.assert_allclose(
        wanted, changed.positions - changed.positions.mean(0), atol=1e-12
    )


def test_what_cannot_be_swapped_is_refused(water):
    with pytest.raises(ParameterError, match="one element"):
        Transformation(swapped=(0, 1)).apply(water)
    with pytest.raises(ParameterError, match="0 to 2"):
        Transformation(swapped=(1, 3)).apply(water)
    with pytest.raises(ParameterError, match="axis"):
        Transformation(axis="w")
    with pytest.raises(ParameterError, match="degrees"):
        Transformation(angle=float("nan"))
