"""Figures of energies show the numbers they are given."""

import ase
import numpy as np
import pytest
from ase.build import bulk, fcc100

from gnndesign.errors import ParameterError
from gnndesign.plots.properties import draw
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.properties.adhesion import Adhesion
from gnndesign.properties.adsorption import Adsorption
from gnndesign.properties.compute import compute
from gnndesign.properties.defects import PointDefects
from gnndesign.properties.hull import Phase, hull
from gnndesign.properties.surfaces import Surfaces

NEAREST = 2 ** (1 / 6) * 3.4
LATTICE = NEAREST * 2**0.5


@pytest.fixture
def bonds():
    """Bonds between nearest neighbors alone."""
    return LennardJones(epsilon=0.1, sigma=3.4, cutoff=4.9)


def phase(energy, **amounts):
    formula = "".join(f"{s}{n}" for s, n in amounts.items())
    return Phase(
        formula=formula,
        amounts=amounts,
        energy_per_atom=energy,
        origin="given",
        checksum="one",
    )


def test_a_binary_hull_is_drawn_through_its_stable_phases():
    result = hull(
        [
            phase(-0.1, Al=3, Ni=1),
            phase(0.0, Al=1),
            phase(0.0, Ni=1),
            phase(-0.4, Al=1, Ni=1),
        ]
    )
    line, stable, above, own = draw(result).data
    assert list(line.x) == [0, 0.5, 1]
    assert list(line.y) == pytest.approx([0, -0.4, 0])
    assert set(stable.text) == {"Al1", "Ni1", "Al1Ni1"}
    assert list(above.x) == [0.25]
    assert list(own.y) == pytest.approx([-0.1])
    assert own.name == "Al3Ni1: 100 meV/atom above"


def test_a_ternary_hull_is_a_triangle_with_its_lines():
    elements = [phase(0.0, **{s: 1}) for s in ("Al", "Cu", "Ni")]
    result = hull([phase(-0.3, Al=1, Cu=1, Ni=1), *elements, phase(-0.2, Al=1, Ni=1)])
    lines, stable, above, own = draw(result).data
    assert list(own.x) == pytest.approx([0.5])
    assert list(own.y) == pytest.approx([np.sqrt(3) / 6])
    assert len(stable.x) == 5
    assert len(above.x) == 0
    # Three rims, and from the inner phase to each corner and to AlNi.
    drawn = np.array(lines.x).reshape(-1, 3)
    assert np.isnan(drawn[:, 2]).all()
    inner = np.isclose(drawn[:, :2], 0.5) & np.isclose(
        np.array(lines.y).reshape(-1, 3)[:, :2], np.sqrt(3) / 6
    )
    assert inner.any(1).sum() == 4
    with pytest.raises(ParameterError, match="at most three"):
        draw(hull([phase(-1, Al=1, Cu=1, Ni=1, O=1), *elements, phase(0.0, O=1)]))


def test_defects_are_bars_of_both_sizes(bonds):
    crystal = bulk("Ar", a=LATTICE)
    wanted = PointDefects(min_length=8, larger_length=12)
    small, large = draw(compute(wanted, crystal, bonds)).data
    assert list(small.x) == ["v_Ar"]
    assert small.y == pytest.approx([0.6], abs=1e-5)
    assert large.y == pytest.approx([0.6], abs=1e-5)
    assert large.name == "108 atoms"


def test_surfaces_are_bars_and_a_shape(bonds):
    result = compute(Surfaces(), bulk("Ar", a=LATTICE), bonds)
    bars, *meshes = draw(result).data
    assert list(bars.x) == ["(1 1 1)", "(1 0 0)", "(1 1 0)"]
    assert list(bars.y) == pytest.approx([s.energy_J_per_m2 for s in result.surfaces])
    names = {mesh.name for mesh in meshes}
    assert {"(1 0 0) 22 %", "(1 1 1) 78 %"} <= names
    assert sum(len(mesh.i) for mesh in meshes) == len(result.wulff.triangles)


def test_sites_and_separations_are_drawn(bonds):
    slab = fcc100("Ar", (1, 1, 3), a=LATTICE, vacuum=8)
    wanted = Adsorption(molecule=ase.Atoms("Ar"), distance=NEAREST, min_length=4)
    result = compute(wanted, slab, bonds)
    (bars,) = draw(result).data
    assert list(bars.y) == [site.energy for site in result.sites]
    joined = compute(
        Adhesion(upper=slab, separations=(2.5, 2.7, 3.0), shifts=((0.5, 0.5),)),
        slab,
        bonds,
    )
    (curve,) = draw(joined).data
    assert list(curve.x) == [2.5, 2.7, 3.0]
    assert max(curve.y) == pytest.approx(joined.quantities()[1].value)
