import json

import numpy as np
import pytest
from ase.build import bulk, molecule

from gnndesign.errors import ConvergenceError, ParameterError, StructureError
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.properties.compute import compute
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.surfaces import Surfaces
from gnndesign.properties.work import Relaxing
from gnndesign.properties.wulff import wulff_shape
from gnndesign.units import EV_PER_A2_TO_J_PER_M2

NEAREST = 2 ** (1 / 6) * 3.4
EPSILON = 0.1


@pytest.fixture
def bonds():
    """Bonds ε between nearest neighbors alone, with no force at that distance."""
    return LennardJones(epsilon=EPSILON, sigma=3.4, cutoff=4.9)


@pytest.fixture
def crystal():
    return bulk("Ar", a=NEAREST * np.sqrt(2))


def test_surface_energies_count_broken_bonds(bonds, crystal):
    # Bonds broken an atom of the top layers: 3 on (111), 4 on (100), 5 + 1 on (110),
    # each half of ε a face, over the area of an atom.
    result = compute(Surfaces(), crystal, bonds)
    wanted = {
        (1, 1, 1): 1.5 * EPSILON / (np.sqrt(3) / 2 * NEAREST**2),
        (1, 0, 0): 2.0 * EPSILON / NEAREST**2,
        (1, 1, 0): 3.0 * EPSILON / (np.sqrt(2) * NEAREST**2),
    }
    assert [s.miller_index for s in result.surfaces] == list(wanted)
    for surface in result.surfaces:
        assert surface.energy == pytest.approx(wanted[surface.miller_index], rel=1e-4)
        assert surface.energy_J_per_m2 == pytest.approx(
            16.02177 * surface.energy, rel=1e-5
        )
        assert surface.thickness >= 10
    assert "soft" in result.notes[0]


def test_the_wulff_shape_of_nearest_neighbor_bonds_is_the_truncated_octahedron(
    bonds, crystal
):
    # γ(100) / γ(111) = 2 / sqrt(3) makes squares and hexagons of one edge; (110) only
    # touches an edge.
    result = compute(Surfaces(), crystal, bonds)
    squares, hexagons = 6.0, 8 * 1.5 * np.sqrt(3)
    fractions = result.wulff.area_fractions
    assert fractions[1, 0, 0] == pytest.approx(squares / (squares + hexagons), rel=1e-3)
    assert fractions[1, 1, 1] == pytest.approx(
        hexagons / (squares + hexagons), rel=1e-3
    )
    assert fractions[1, 1, 0] == pytest.approx(0, abs=1e-3)
    energies = {s.miller_index: s.energy for s in result.surfaces}
    mean = sum(energies[k] * fractions[k] for k in fractions)
    assert result.wulff.mean_energy == pytest.approx(mean)
    # Volume of the regular truncated octahedron of edge 1: 8 sqrt(2).
    factor = (squares + hexagons) / (8 * np.sqrt(2)) ** (2 / 3)
    assert result.wulff.shape_factor == pytest.approx(factor, rel=1e-3)


def test_triangles_of_the_shape_lie_in_their_family():
    cube = wulff_shape(bulk("Po", "sc", a=3.0), {(1, 0, 0): 0.02, (1, 1, 1): 0.2})
    assert cube.area_fractions == {(1, 0, 0): pytest.approx(1), (1, 1, 1): 0}
    assert (cube.families == 0).all()
    assert np.abs(cube.vertices) == pytest.approx(np.full((8, 3), 0.02))
    assert cube.shape_factor == pytest.approx(6)
    mean = cube.mean_energy_J_per_m2
    assert mean == pytest.approx(0.02 * EV_PER_A2_TO_J_PER_M2)
    assert wulff_shape(bulk("Po", "sc", a=3.0), {(1, 0, 0): -0.1}) is None
    assert wulff_shape(bulk("Mg"), {(0, 0, 1): 0.1}) is None


def test_faces_that_are_not_alike_are_left_out_and_named(bonds):
    # Of rocksalt, (100) and (110) have both ions in a plane; (111) is polar.
    stiff = Surfaces(relaxing=None, relaxing_slabs=None)
    result = compute(stiff, bulk("NaCl", "rocksalt", a=5.4), bonds)
    assert {s.miller_index for s in result.surfaces} == {(1, 0, 0), (1, 1, 0)}
    assert "(1 1 1)" in " ".join(result.notes)
    # Zincblende has an (110) with both, but (100) and (111) end in one kind.
    polar = compute(stiff, bulk("ZnS", "zincblende", a=5.4), bonds)
    assert {s.miller_index for s in polar.surfaces} == {(1, 1, 0)}


def test_aluminum_of_sevennet(sevennet_0):
    # PBE: 0.77 (111), 0.92 (100), 0.98 (110) J/m² (R. Tran et al., Sci. Data 3, 160080
    # (2016)); a potential trained near equilibrium gives less.
    result = compute(Surfaces(min_thickness=9), bulk("Al"), sevennet_0)
    energies = {s.miller_index: s.energy_J_per_m2 for s in result.surfaces}
    assert min(energies, key=energies.get) == (1, 1, 1)
    assert 0.35 < energies[1, 1, 1] < 0.9
    assert 0.4 < energies[1, 0, 0] < 1.1
    assert result.wulff.area_fractions[1, 1, 1] > 0.4


def test_many_structures_give_the_same_as_one_by_one(lennard_jones):
    crystals = [bulk("Ar", a=5.2), bulk("Ar", "hcp", a=3.7)]
    wanted = Surfaces(min_thickness=6)
    together = compute(wanted, crystals, lennard_jones)
    for one, outcome in zip(crystals, together, strict=True):
        alone = compute(wanted, one, lennard_jones)
        for a, b in zip(alone.surfaces, outcome.result.surfaces, strict=True):
            assert a.energy == pytest.approx(b.energy, abs=1e-6)


def test_what_cannot_be_cut_is_refused(lennard_jones):
    with pytest.raises(StructureError, match="Wanted a crystal"):
        compute(Surfaces(), molecule("H2O"), lennard_jones)
    with pytest.raises(ParameterError, match="cutoff"):
        compute(Surfaces(vacuum=5), bulk("Ar"), lennard_jones)
    with pytest.raises(ParameterError, match="max_index"):
        Surfaces(max_index=0)
    with pytest.raises(ParameterError, match="cell=None"):
        Surfaces(relaxing_slabs=Relaxing())
    short = Surfaces(
        relaxing=None, relaxing_slabs=Relaxing(cell=None, max_steps=1, max_force=1e-9)
    )
    with pytest.raises(ConvergenceError):
        compute(short, bulk("Ar", a=5.26), lennard_jones)


def test_a_result_survives_json(bonds, crystal):
    wanted = Surfaces()
    result = compute(wanted, crystal, bonds)
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    assert back.quantities() == result.quantities()
    assert back.wulff.area_fractions == result.wulff.area_fractions
    assert from_plain(json.loads(json.dumps(to_plain(wanted)))) == wanted
