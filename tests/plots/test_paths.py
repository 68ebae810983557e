import pytest
from ase.build import bulk

from gnndesign.plots.properties import draw
from gnndesign.properties.compute import compute
from gnndesign.properties.reaction_path import ReactionPath


def test_the_curve_goes_through_the_images_and_the_saddle_point_is_named(lennard_jones):
    crystal = bulk("Ar", cubic=True) * (2, 2, 2)
    start, end = crystal.copy(), crystal.copy()
    neighbor = int(crystal.get_distances(0, range(1, 32), mic=True).argmin()) + 1
    end.positions[neighbor] = crystal.positions[0]
    del start[0], end[0]
    result = compute(ReactionPath(end=end, n_images=3), start, lennard_jones)
    curve, images, saddle = draw(result).data
    on_curve = dict(zip(curve.x, curve.y, strict=True))
    for x, y in zip(images.x, images.y, strict=True):
        assert on_curve[x] == pytest.approx(y, abs=1e-9)
    assert saddle.name == "Saddle point"
    assert saddle.text == f"{result.barrier:.3f} eV"
    assert max(images.y) == saddle.y[0]
