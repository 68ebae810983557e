"""What of a cell must stay stays, and what may change comes to rest."""

import numpy as np
import pytest
from ase.build import bulk
from scipy.optimize import minimize_scalar

from gnndesign.simulation.relaxation import METHODS, relax
from gnndesign.units import EV_PER_A3_TO_GPA

PRESSURE_GPA = 0.2
MODES = ("isotropic", "constant_volume", "full")
OTHER_NAMES = {"fixed_shape": "isotropic", "fixed_volume": "constant_volume"}


@pytest.fixture(scope="module")
def skewed():
    """Argon in a strained cell, described by very skewed lattice vectors, rattled."""
    atoms = bulk("Ar", "fcc", 5.3) * (1, 1, 2)
    vectors = np.array([[1, 0, 0], [-2, 1, 0], [1, -1, 1]]) @ atoms.cell.array
    atoms.set_cell(vectors)
    strain = np.array([[0.02, 0.015, -0.01], [0.015, -0.02, 0.01], [-0.01, 0.01, 0.03]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.1, seed=2)
    assert max(abs(atoms.cell.angles() - 90.0)) > 45.0
    return atoms


def allowed_strains(cell, mode, fixed_axes):
    """Symmetric strains that keep the fixed vectors and what the mode keeps."""
    kept = cell[["abc".index(axis) for axis in fixed_axes]]
    free = np.eye(3) - np.linalg.pinv(kept) @ kept if fixed_axes else np.eye(3)
    if mode == "isotropic":
        return [free]
    strains = []
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        one = np.zeros((3, 3))
        one[i, j] = one[j, i] = 1.0
        inside = free @ one @ free
        if mode == "constant_volume":
            inside = inside - np.trace(inside) / np.trace(free) * free
        strains.append(inside)
    return strains


def slope(atoms, strain, potential):
    """eV: dH/dε of the enthalpy along a strain, from energies alone."""

    def enthalpy(amount):
        changed = atoms.copy()
        changed.set_cell(
            atoms.cell.array @ (np.eye(3) + amount * strain), scale_atoms=True
        )
        volume = changed.cell.volume * PRESSURE_GPA / EV_PER_A3_TO_GPA
        return float(potential.compute(changed).energy) + volume

    return (enthalpy(1e-4) - enthalpy(-1e-4)) / 2e-4


@pytest.mark.parametrize("fixed_axes", ["", "c", "ab"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS)
def test_what_must_stay_stays_and_the_rest_comes_to_rest(
    method, mode, fixed_axes, skewed, lennard_jones
):
    max_force = 5e-5
    result = relax(
        skewed,
        lennard_jones,
        cell=mode,
        fixed_axes=fixed_axes,
        pressure_GPa=PRESSURE_GPA,
        method=method,
        max_force=max_force,
        max_steps=2000,
    )
    assert result.converged
    before, after = skewed.cell.array, result.atoms.cell.array
    kept = ["abc".index(axis) for axis in fixed_axes]
    np.testing.assert_allclose(after[kept], before[kept], rtol=0, atol=1e-10)
    gradient = np.linalg.solve(before, after)
    if mode == "constant_volume":
        assert np.linalg.det(gradient) == pytest.approx(1.0, abs=1e-10)
    if mode == "isotropic":
        # Every free direction is stretched alike.
        stretch = np.linalg.svd(gradient)[1]
        lengths = np.sort(np.abs(stretch - 1.0))
        np.testing.assert_allclose(lengths[: len(kept)], 0.0, atol=1e-10)
        np.testing.assert_allclose(np.ptp(lengths[len(kept) :]), 0.0, atol=1e-10)
    only_shape_of_a_line = mode == "constant_volume" and fixed_axes == "ab"
    changes = np.abs(after - before).max()
    assert changes < 1e-10 if only_shape_of_a_line else changes > 1e-2
    assert np.linalg.norm(result.atoms.get_forces(), axis=1).max() <= max_force
    bound = 3.0 * len(skewed) * max_force
    for strain in allowed_strains(before, mode, fixed_axes):
        assert abs(slope(result.atoms, strain, lennard_jones)) < bound
    if mode != "full" or fixed_axes:
        others = allowed_strains(before, "full", "")
        left = [abs(slope(result.atoms, one, lennard_jones)) for one in others]
        assert max(left) > 10.0 * bound


@pytest.mark.parametrize("mode", MODES)
def test_all_methods_find_the_same_enthalpy(mode, skewed, lennard_jones):
    def enthalpy(method):
        result = relax(
            skewed,
            lennard_jones,
            cell=mode,
            fixed_axes="b",
            pressure_GPa=PRESSURE_GPA,
            method=method,
            max_force=1e-5,
            max_steps=2000,
        )
        volume = result.atoms.cell.volume * PRESSURE_GPA / EV_PER_A3_TO_GPA
        return result.energy + volume

    found = [enthalpy(method) for method in METHODS]
    assert max(found) - min(found) < 1e-7


@pytest.mark.parametrize("pressure_GPa", [-0.05, 0.0, 1.0])
@pytest.mark.parametrize("method", METHODS)
def test_the_volume_under_pressure_is_that_of_the_static_curve(
    method, pressure_GPa, lennard_jones
):
    start = bulk("Ar", "fcc", 5.1)

    def enthalpy(a):
        atoms = bulk("Ar", "fcc", a)
        energy = float(lennard_jones.compute(atoms).energy)
        return energy + atoms.cell.volume * pressure_GPa / EV_PER_A3_TO_GPA

    static = minimize_scalar(enthalpy, bounds=(4.5, 5.7), options={"xatol": 1e-9})
    for mode in ("isotropic", "full"):
        result = relax(
            start,
            lennard_jones,
            cell=mode,
            pressure_GPa=pressure_GPa,
            method=method,
            max_force=1e-6,
        )
        assert result.converged
        a = (4.0 * result.atoms.cell.volume) ** (1 / 3)
        assert a == pytest.approx(float(static.x), abs=2e-5)
        pressure = -np.trace(result.stress) / 3.0 * EV_PER_A3_TO_GPA
        assert pressure == pytest.approx(pressure_GPa, abs=1e-4)


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_mode_may_be_called_by_what_it_keeps(name, skewed, lennard_jones):
    one = relax(skewed, lennard_jones, cell=name, max_force=1e-3)
    other = relax(skewed, lennard_jones, cell=OTHER_NAMES[name], max_force=1e-3)
    np.testing.assert_array_equal(one.atoms.cell.array, other.atoms.cell.array)
    assert one.steps > 2


@pytest.mark.parametrize("method", METHODS)
def test_without_a_mode_the_cell_stays_as_it_is(method, skewed, lennard_jones):
    result = relax(skewed, lennard_jones, method=method, max_force=1e-4)
    assert result.converged
    np.testing.assert_array_equal(result.atoms.cell.array, skewed.cell.array)
    assert np.abs(result.stress).max() > 1e-4
