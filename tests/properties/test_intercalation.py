import json

import pytest
from ase.build import bulk, molecule
from ase.spacegroup import crystal

from gnndesign.errors import ConvergenceError, ParameterError, StructureError
from gnndesign.properties.compute import compute
from gnndesign.properties.intercalation import Intercalation
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.work import Relaxing
from gnndesign.simulation.relaxation import relax
from gnndesign.structures.library import elemental_ground_state


def lithium_cobalt_oxide():
    """Layered, R-3m, its experimental cell."""
    return crystal(
        ["Li", "Co", "O"],
        [(0, 0, 0.5), (0, 0, 0), (0, 0, 0.26)],
        spacegroup=166,
        cellpar=[2.816, 2.816, 14.05, 90, 90, 120],
        primitive_cell=True,
    )


def test_voltage_is_the_energy_of_taking_ions_out(sevennet_0):
    full = lithium_cobalt_oxide()
    result = compute(Intercalation(), full, sevennet_0)
    host = full[[symbol != "Li" for symbol in full.get_chemical_symbols()]]
    ends = relax(
        [full, host, elemental_ground_state("Li")],
        sevennet_0,
        cell="full",
        max_force=0.01,
    )
    metal = ends[2].energy / len(ends[2].atoms)
    wanted = -(ends[0].energy - ends[1].energy - metal)
    assert result.voltage_V == pytest.approx(wanted, abs=5e-3)
    assert (result.n_ions, result.charge) == (1, 1)
    # Measured 3.9 V; PBE gives 3.4 V (F. Zhou et al., Phys. Rev. B 70, 235121 (2004)).
    assert 3.0 < result.voltage_V < 4.2
    # The textbook's 274 mAh/g of LiCoO2.
    assert result.capacity_mAh_per_g == pytest.approx(273.8, abs=0.1)
    assert result.specific_energy_Wh_per_kg == pytest.approx(
        result.voltage_V * result.capacity_mAh_per_g
    )
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    assert back.quantities() == result.quantities()


def test_voltage_does_not_depend_on_the_size_of_the_cell(sevennet_0):
    full = lithium_cobalt_oxide()
    one, two = compute(Intercalation(), [full, full * (2, 1, 1)], sevennet_0)
    assert two.result.n_ions == 2
    assert two.result.voltage_V == pytest.approx(one.result.voltage_V, abs=0.01)
    assert two.result.capacity_mAh_per_g == pytest.approx(one.result.capacity_mAh_per_g)


def test_an_ion_that_is_bound_more_weakly_than_in_its_metal_is_noted(lennard_jones):
    # Argon's attraction is the same for all: a metal's atom has more neighbors than an
    # atom of this wide lattice has in it.
    salt = bulk("LiF", "rocksalt", a=5.0)
    result = compute(
        Intercalation(relaxing=Relaxing(cell="isotropic")), salt, lennard_jones
    )
    assert result.voltage_V < 0
    assert "negative" in result.notes[-1]


def test_what_has_no_voltage_is_refused(lennard_jones):
    for atoms, word in (
        (bulk("NaCl", "rocksalt", a=5.6), "crystal of Li and other"),
        (bulk("Li"), "crystal of Li and other"),
        (molecule("LiH"), "not periodic"),
    ):
        with pytest.raises(StructureError, match=word):
            compute(Intercalation(), atoms, lennard_jones)
    with pytest.raises(ParameterError, match="working_ion"):
        Intercalation(working_ion="Fe")


def test_an_unconverged_relaxation_gives_no_voltage(lennard_jones):
    short = Intercalation(relaxing=Relaxing(max_steps=1))
    with pytest.raises(ConvergenceError, match="the host and the metal Li"):
        compute(short, bulk("LiF", "rocksalt", a=4.0), lennard_jones)
