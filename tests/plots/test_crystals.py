import numpy as np
import pytest
from ase.build import bulk

from gnndesign.plots.properties import draw
from gnndesign.properties.compute import compute
from gnndesign.properties.diffraction import Diffraction
from gnndesign.properties.elasticity import Elasticity
from gnndesign.properties.intercalation import Intercalation
from gnndesign.properties.structure_summary import StructureSummary
from gnndesign.properties.work import Relaxing


def test_surface_is_as_far_out_as_youngs_modulus(lennard_jones):
    result = compute(Elasticity(), bulk("Ar"), lennard_jones)
    tensor, surface = draw(result).data
    assert (np.asarray(tensor.z) == result.stiffness_GPa).all()
    points = np.stack([surface.x, surface.y, surface.z], axis=-1)
    radii = np.linalg.norm(points, axis=-1)
    assert radii == pytest.approx(np.asarray(surface.surfacecolor))
    assert radii[0, 0] == pytest.approx(
        float(result.young_modulus_GPa_along(np.array([0.0, 0.0, 1.0])))
    )
    # A cubic crystal is alike along all edges, and softest or stiffest there.
    assert radii.min() == pytest.approx(radii[0, 0])


def test_an_unstable_crystal_has_the_map_alone(lennard_jones):
    result = compute(
        Elasticity(relaxing=Relaxing(cell="isotropic"), shear_strains=(-0.01, 0.01)),
        bulk("Ar", "sc", a=3.7),
        lennard_jones,
    )
    assert [trace.type for trace in draw(result).data] == ["heatmap"]


def test_sticks_are_as_high_as_reflections(lennard_jones):
    result = compute(Diffraction(relaxing=None), bulk("Ar"), lennard_jones)
    profile, sticks, marks = draw(result).data
    assert np.nanmax(sticks.y) == pytest.approx(100)
    assert np.asarray(marks.x) == pytest.approx(result.two_theta_deg)
    assert marks.text[0] == "111"
    at_peak = np.interp(result.strongest_deg, profile.x, profile.y)
    assert at_peak == pytest.approx(100, abs=1)


def test_bars_are_changes(lennard_jones):
    result = compute(StructureSummary(), bulk("Ar", a=5.4), lennard_jones)
    (bars,) = draw(result).data
    assert bars.y[3] == pytest.approx(result.volume_change_percent)
    assert bars.y[0] == pytest.approx(100 * (result.a / 5.4 - 1))


def test_voltage_is_a_step(lennard_jones):
    relaxing = Relaxing(cell="isotropic")
    salt = bulk("LiF", "rocksalt", a=5.0)
    result = compute(Intercalation(relaxing=relaxing), salt, lennard_jones)
    (step,) = draw(result).data
    assert step.y == (result.voltage_V, result.voltage_V)
    assert step.x[1] == result.capacity_mAh_per_g
