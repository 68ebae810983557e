import json

import numpy as np
import pytest
from ase.build import bulk, fcc100, fcc111

from gnndesign.errors import FitError, ParameterError, StructureError
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.properties.adhesion import Adhesion
from gnndesign.properties.catalog import new_property
from gnndesign.properties.compute import compute
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.work import Relaxing

NEAREST = 2 ** (1 / 6) * 3.4
LAYER = NEAREST / 2**0.5
LATTICE = NEAREST * 2**0.5
EPSILON = 0.1


@pytest.fixture
def bonds():
    """Bonds ε between nearest neighbors alone, with no force at that distance."""
    return LennardJones(epsilon=EPSILON, sigma=3.4, cutoff=4.9)


def face(n_layers=4, a=LATTICE):
    return fcc100("Ar", (1, 1, n_layers), a=a, vacuum=8)


def test_two_halves_of_a_crystal_hold_with_twice_its_surface_energy(bonds):
    # Four bonds ε for an atom of the square face; the second layer's place is over the
    # middle of the square, half a cell along both vectors.
    separations = tuple((LAYER + np.arange(-3, 4) * 0.2).tolist())
    wanted = Adhesion(
        upper=face(), separations=separations, shifts=((0.0, 0.0), (0.5, 0.5))
    )
    result = compute(wanted, face(), bonds)
    assert result.work_of_adhesion == pytest.approx(4 * EPSILON / NEAREST**2, rel=1e-4)
    assert result.separation == pytest.approx(LAYER)
    # With four layers each, the upper slab's first is over the lower one's last hollow.
    assert result.rigid_work.shape == (2, 7)
    assert result.rigid_work.max() == pytest.approx(result.work_of_adhesion, rel=1e-4)
    assert result.work_of_adhesion_J_per_m2 == pytest.approx(
        16.02177 * result.work_of_adhesion, rel=1e-5
    )
    assert result.lower_strains == pytest.approx((0, 0), abs=1e-12)


def test_strained_slabs_are_compared_with_strained_slabs(bonds):
    # 2 % between them: 1 % each; at a large separation nothing is left of the strain.
    wide = face(a=1.02 * LATTICE)
    far = Adhesion(upper=wide, separations=(6.0,), relaxing=None)
    result = compute(far, face(), bonds)
    assert result.work_of_adhesion == pytest.approx(0, abs=1e-12)
    assert result.lower_strains == pytest.approx((0.01, 0.01))
    assert result.upper_strains == pytest.approx((-0.01 / 1.02,) * 2)
    assert result.area == pytest.approx((1.01 * NEAREST) ** 2)
    assert "by at most 1.00 %" in result.notes[0]
    kept = compute(
        Adhesion(upper=wide, separations=(6.0,), relaxing=None, cell="lower"),
        face(),
        bonds,
    )
    assert kept.lower_strains == pytest.approx((0, 0), abs=1e-12)
    with pytest.raises(StructureError, match="would be strained"):
        compute(Adhesion(upper=face(a=6.2)), face(), bonds)


def test_a_slab_across_the_border_of_its_cell_is_put_together(bonds):
    cut = face()
    cut.pbc = True
    cut.positions[:, 2] += 11.0
    cut.wrap()
    whole = compute(Adhesion(upper=face(), separations=(LAYER,)), face(), bonds)
    result = compute(Adhesion(upper=face(), separations=(LAYER,)), cut, bonds)
    assert result.work_of_adhesion == pytest.approx(whole.work_of_adhesion, rel=1e-6)


def test_the_best_separation_must_lie_within_those_tried(bonds):
    with pytest.raises(FitError, match="edge"):
        compute(Adhesion(upper=face(), separations=(4.0, 4.2, 4.4)), face(), bonds)


def test_what_has_no_face_is_refused(bonds):
    with pytest.raises(StructureError, match="no slab"):
        compute(Adhesion(upper=face()), bulk("Ar", cubic=True), bonds)
    with pytest.raises(ParameterError, match="cutoff"):
        compute(Adhesion(upper=face(), vacuum=3.0), face(), bonds)
    for wrong in (
        {"cell": "both"},
        {"separations": []},
        {"relaxing": to_plain(Relaxing())},
    ):
        with pytest.raises(ParameterError):
            new_property("adhesion", upper=to_plain(face()), **wrong)


def test_a_result_survives_json(bonds):
    wanted = Adhesion(upper=face(), separations=(2.5, LAYER, 3.0))
    result = compute(wanted, face(), bonds)
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    assert back.quantities() == result.quantities()
    again = from_plain(json.loads(json.dumps(to_plain(wanted))))
    assert again.upper == wanted.upper
    assert again.shifts == wanted.shifts


def test_many_slabs_give_the_same_as_one_by_one(sevennet_0):
    # Aluminum on silver, whose (111) faces fit to 1.5 %, and on itself.
    upper = fcc111("Al", (1, 1, 3), a=4.04, vacuum=8)
    lowers = [fcc111("Ag", (1, 1, 3), a=4.1, vacuum=8), upper.copy()]
    wanted = Adhesion(upper=upper, separations=(1.9, 2.2, 2.5, 2.8))
    for lower, outcome in zip(lowers, compute(wanted, lowers, sevennet_0), strict=True):
        alone = compute(wanted, lower, sevennet_0)
        assert alone.work_of_adhesion_J_per_m2 > 0.5
        assert outcome.result.work_of_adhesion == pytest.approx(
            alone.work_of_adhesion, abs=2e-4
        )
