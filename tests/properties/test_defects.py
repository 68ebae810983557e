import json

import numpy as np
import pytest
from ase.build import bulk, molecule

from gnndesign.errors import ParameterError, StructureError
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.properties.compute import compute
from gnndesign.properties.defects import PointDefects
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.work import Relaxing
from gnndesign.structures.supercells import (
    shortest_image_distance,
    supercell_of_length,
)
from gnndesign.structures.voids import find_voids


def test_an_unrelaxed_vacancy_of_a_pair_potential_costs_the_cohesive_energy(
    lennard_jones,
):
    # Each atom has half of its bonds, which all break; the atom gets its half back at
    # the surface: E_f = -E_coh. Relaxation lowers it.
    crystal = bulk("Ar", a=5.26)
    stiff = PointDefects(relaxing=None, relaxing_defects=None, min_length=18)
    result = compute(stiff, crystal, lennard_jones)
    energy = float(lennard_jones.compute(crystal).energy[0])
    (vacancy,) = result.defects
    assert vacancy.name == "v_Ar"
    assert vacancy.added == {"Ar": -1}
    assert vacancy.formation_energy == pytest.approx(-energy, rel=1e-9)
    assert len(vacancy.atoms) == result.n_atoms - 1 == 255
    assert result.image_distance == pytest.approx(4 * 5.26)
    relaxed = compute(PointDefects(min_length=18), crystal, lennard_jones)
    assert 0.9 < relaxed.defects[0].formation_energy / -energy < 1.0


def test_in_bonds_of_nearest_neighbors_defects_are_counted():
    # With 12 bonds ε an atom, cut before the second shell: a vacancy costs 6 ε, and an
    # alike atom of another name that takes a place costs nothing but its own zero.
    potential = LennardJones(epsilon=0.1, sigma=3.4, cutoff=4.9)
    nearest = 2 ** (1 / 6) * 3.4
    crystal = bulk("Ar", a=nearest * np.sqrt(2))
    result = compute(PointDefects(min_length=10, larger_length=16), crystal, potential)
    (vacancy,) = result.defects
    assert vacancy.formation_energy == pytest.approx(0.6, abs=1e-6)
    assert vacancy.larger_cell_energy == pytest.approx(0.6, abs=1e-6)
    assert result.larger_n_atoms == 108
    assert "differ by at most 0.000 eV" in " ".join(result.notes)


def test_sites_that_symmetry_tells_apart_are_all_there(tmp_path, monkeypatch):
    monkeypatch.setenv("GNNDESIGN_CACHE", str(tmp_path))
    # Fluorite: one kind of Ca, one of F; the guest goes on both, the empty cube is the
    # largest void.
    fluorite = bulk("CaF2", "fluorite", a=7.5)
    wanted = PointDefects(
        substitutions=("Mg",),
        interstitials=("F",),
        relaxing=None,
        relaxing_defects=None,
        min_length=6,
    )
    result = compute(wanted, fluorite, LennardJones(sigma=1.8, cutoff=4.0))
    names = {d.name for d in result.defects}
    assert names >= {"v_Ca", "v_F", "Mg_Ca", "Mg_F"}
    sites = {d.name: (d.site, d.multiplicity) for d in result.defects}
    assert sites["v_F"] == ("Wyckoff 8c", 8)
    assert set(result.chemical_potentials) == {"Ca", "F", "Mg"}
    assert "rich in each" in " ".join(result.notes)


def test_voids_of_close_packed_metals():
    fcc = find_voids(bulk("Cu", a=3.6, cubic=True))
    # Octahedral at a/2 and tetrahedral at sqrt(3) a/4.
    assert [(v.n_neighbors, v.multiplicity) for v in fcc] == [(6, 4), (4, 8)]
    assert [v.radius for v in fcc] == pytest.approx([1.8, 3.6 * np.sqrt(3) / 4])
    (bcc,) = find_voids(bulk("Fe", a=2.8, cubic=True))
    assert (bcc.n_neighbors, bcc.multiplicity) == (4, 12)
    assert bcc.radius == pytest.approx(2.8 * np.sqrt(5) / 4)


def test_supercells_are_as_long_as_wanted():
    cell = bulk("Cu", a=3.6, cubic=True)
    supercell = supercell_of_length(cell, 10)
    assert len(supercell) == 4 * 27
    assert shortest_image_distance(supercell) == pytest.approx(10.8)
    assert (supercell.positions[:4] == cell.positions).all()
    with pytest.raises(ParameterError, match="at most"):
        supercell_of_length(cell, 1000)


def test_a_vacancy_of_copper_with_sevennet(sevennet_0):
    # PBE 1.04 to 1.09 eV, experiment 1.28(5) eV: R. Nazarov et al., Phys. Rev. B 85,
    # 144118 (2012) and references therein. A soft potential may be lower.
    wanted = PointDefects(min_length=7)
    copper, aluminum = compute(wanted, [bulk("Cu"), bulk("Al")], sevennet_0)
    assert 0.7 < copper.result.defects[0].formation_energy < 1.4
    assert 0.3 < aluminum.result.defects[0].formation_energy < 1.0
    alone = compute(wanted, bulk("Cu"), sevennet_0)
    assert alone.defects[0].formation_energy == pytest.approx(
        copper.result.defects[0].formation_energy, abs=5e-3
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"vacancies": False},
        {"larger_length": 5.0},
        {"relaxing_defects": Relaxing()},
    ],
)
def test_parameters_without_meaning_are_refused(wrong):
    with pytest.raises(ParameterError):
        PointDefects(**wrong)


def test_what_has_no_sites_is_refused(lennard_jones):
    with pytest.raises(StructureError, match="Wanted a crystal"):
        compute(PointDefects(), molecule("H2O"), lennard_jones)
    with pytest.raises(StructureError, match="Wanted an element"):
        compute(
            PointDefects(substitutions=("Xx",), relaxing=None),
            bulk("Ar"),
            lennard_jones,
        )


def test_a_result_survives_json(lennard_jones):
    wanted = PointDefects(relaxing=None, relaxing_defects=None)
    result = compute(wanted, bulk("Ar", a=5.26), lennard_jones)
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    assert back.quantities() == result.quantities()
    assert from_plain(json.loads(json.dumps(to_plain(wanted)))) == wanted
