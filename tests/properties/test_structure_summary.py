import json

import pytest
from ase.build import bulk, molecule

from gnndesign.errors import StructureError
from gnndesign.properties.compute import compute
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.structure_summary import (
    StructureSummary,
    density_g_per_cm3,
)
from gnndesign.properties.work import Relaxing


def test_densities_of_known_crystals():
    # CRC Handbook of Chemistry and Physics, at room temperature.
    assert density_g_per_cm3(bulk("Cu", a=3.6149)) == pytest.approx(8.93, abs=0.02)
    assert density_g_per_cm3(bulk("Si", a=5.4310)) == pytest.approx(2.329, abs=1e-3)
    salt = bulk("NaCl", "rocksalt", a=5.6402)
    assert density_g_per_cm3(salt) == pytest.approx(2.163, abs=3e-3)


def test_a_relaxation_is_told_by_what_it_changed(lennard_jones):
    given = bulk("Ar", a=5.4)
    as_given = compute(StructureSummary(relaxing=None), given, lennard_jones)
    assert as_given.volume_change_percent == 0
    assert as_given.space_group_number == 225
    assert (as_given.a, as_given.alpha_deg) == pytest.approx((5.4, 90))
    result = compute(StructureSummary(), given, lennard_jones)
    ratio = result.a / 5.4
    assert ratio < 1
    assert result.volume_change_percent == pytest.approx(100 * (ratio**3 - 1), abs=1e-3)
    assert result.volume_per_atom == pytest.approx(result.a**3 / 4)
    assert result.density_g_per_cm3 == pytest.approx(
        as_given.density_g_per_cm3 / ratio**3, rel=1e-4
    )
    assert not result.notes
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    assert back.quantities() == result.quantities()


def test_another_space_group_is_noted(lennard_jones):
    # Tetragonal by a little, which fcc argon is not.
    strained = bulk("Ar", cubic=True)
    strained.set_cell(strained.cell.array * [1, 1, 1.03], scale_atoms=True)
    relaxing = Relaxing(max_force=1e-5)
    result = compute(StructureSummary(relaxing=relaxing), strained, lennard_jones)
    assert result.space_group_before.symbol == "I4/mmm"
    assert result.space_group.symbol == "Fm-3m"
    assert "from I4/mmm to Fm-3m" in result.notes[0]


def test_a_molecule_has_no_space_group(lennard_jones):
    with pytest.raises(StructureError, match="not periodic"):
        compute(StructureSummary(), molecule("H2O"), lennard_jones)
