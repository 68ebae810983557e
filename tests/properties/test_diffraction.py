import json

import numpy as np
import pytest
from ase.build import bulk, molecule

from gnndesign.errors import ParameterError, StructureError
from gnndesign.properties.catalog import new_property
from gnndesign.properties.compute import compute
from gnndesign.properties.diffraction import Diffraction, diffracted
from gnndesign.properties.plain import from_plain, to_plain


def test_salt_has_its_powder_pattern(lennard_jones):
    # JCPDS 5-628 (halite, Cu Kα1): 2θ and relative intensities.
    salt = bulk("NaCl", "rocksalt", a=5.6402)
    result = compute(Diffraction(radiation="CuKa1", relaxing=None), salt, lennard_jones)
    wanted = {"111": 27.33, "200": 31.69, "220": 45.45, "222": 56.48, "420": 75.29}
    found = dict(zip(result.hkl, result.two_theta_deg, strict=True))
    assert {hkl: found[hkl] for hkl in wanted} == pytest.approx(wanted, abs=0.05)
    intensities = dict(zip(result.hkl, result.intensities, strict=True))
    assert intensities["200"] == 100
    assert intensities["220"] == pytest.approx(55, abs=12)
    assert intensities["111"] == pytest.approx(13, abs=6)
    assert result.strongest_deg == found["200"]
    # Rock salt has a face-centered lattice: indices are all even or all odd.
    assert all(len({int(i) % 2 for i in hkl}) == 1 for hkl in result.hkl)


@pytest.mark.parametrize("wavelength", [0.7, 1.54184])
def test_reflections_obey_braggs_law(wavelength):
    result = diffracted(bulk("Mg", a=3.209, c=5.211), wavelength)
    sines = np.sin(np.radians(result.two_theta_deg / 2))
    assert 2 * result.spacings * sines == pytest.approx(np.full(len(sines), wavelength))
    for hkl, spacing in zip(result.hkl[:6], result.spacings, strict=False):
        h, k, l = map(int, hkl)
        of_hexagonal = 4 / 3 * (h * h + h * k + k * k) / 3.209**2 + (l / 5.211) ** 2
        assert of_hexagonal**-0.5 == pytest.approx(spacing, rel=1e-4)
    assert result.hkl[:6] == ("100", "002", "101", "102", "110", "103")


def test_the_pattern_is_of_the_crystal_not_of_its_cell():
    primitive = diffracted(bulk("Si", a=5.431), 1.54184)
    large = diffracted(bulk("Si", a=5.431, cubic=True) * (2, 1, 1), 1.54184)
    assert large.hkl == primitive.hkl
    assert large.intensities == pytest.approx(primitive.intensities)


def test_profile_has_lines_as_wide_as_asked():
    result = diffracted(bulk("Si", a=5.431), 1.54184, (25.0, 35.0))
    (center,) = result.two_theta_deg
    heights = result.profile(np.array([center - 0.15, center, center + 0.15]), 0.3)
    assert heights == pytest.approx([50, 100, 50])


def test_a_larger_cell_scatters_to_smaller_angles(lennard_jones):
    relaxed, given = (
        compute(each, bulk("Ar", a=5.4), lennard_jones).strongest_deg
        for each in (Diffraction(), Diffraction(relaxing=None))
    )
    # 5.4 Å is too wide: relaxed planes are closer.
    assert relaxed > given


def test_what_has_no_reflections_is_refused(lennard_jones):
    with pytest.raises(StructureError, match="not periodic"):
        compute(Diffraction(), molecule("H2O"), lennard_jones)
    with pytest.raises(StructureError, match="no reflection between 10 and 17"):
        diffracted(bulk("Si"), 1.54184, (10.0, 17.0))
    with pytest.raises(StructureError, match="wave too long"):
        diffracted(bulk("Si"), 15.0)


@pytest.mark.parametrize(
    "wrong",
    [{"radiation": "CuKb"}, {"radiation": 0.0}, {"two_theta_range_deg": (90.0, 10.0)}],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError):
        new_property("diffraction", **wrong)


def test_a_result_survives_json():
    result = diffracted(bulk("Si"), 1.54184)
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    assert back.hkl == result.hkl
    assert (back.intensities == result.intensities).all()
    assert back.quantities() == result.quantities()
