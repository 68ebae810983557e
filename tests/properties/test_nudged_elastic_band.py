import numpy as np
import pytest

from gnndesign.properties.nudged_elastic_band import (
    BandSearch,
    improved_tangents,
    nudged,
)

# K. Müller and L. D. Brown, Theor. Chim. Acta 53, 75 (1979), with the stationary points
# published there; everything here is a hundredth of theirs.
HEIGHTS = np.array([-200.0, -100.0, -170.0, 15.0]) / 100
XX = np.array([-1.0, -1.0, -6.5, 0.7])
XY = np.array([0.0, 0.0, 11.0, 0.6])
YY = np.array([-10.0, -10.0, -6.5, 0.7])
X0 = np.array([1.0, 0.0, -0.5, -1.0])
Y0 = np.array([0.0, 0.5, 1.5, 1.0])
FIRST_MINIMUM = (-0.558, 1.442)
LAST_MINIMUM = (0.623, 0.028)
SADDLE, SADDLE_ENERGY = (-0.822, 0.624), -0.40665


def surface(positions):
    """Energies and forces of one atom that feels nothing along z."""
    x, y = positions[:, 0, :1] - X0, positions[:, 0, 1:2] - Y0
    terms = HEIGHTS * np.exp(XX * x * x + XY * x * y + YY * y * y)
    forces = np.zeros_like(positions)
    forces[:, 0, 0] = -(terms * (2 * XX * x + XY * y)).sum(-1)
    forces[:, 0, 1] = -(terms * (XY * x + 2 * YY * y)).sum(-1)
    return terms.sum(-1), forces


def relaxed_band(n_inner, climb):
    ends = np.array([(*FIRST_MINIMUM, 0.0), (*LAST_MINIMUM, 0.0)])
    fractions = np.linspace(0, 1, n_inner + 2)[:, None]
    positions = (ends[0] + fractions * (ends[1] - ends[0]))[:, None]
    search = BandSearch()
    for _ in range(2000):
        energies, forces = surface(positions)
        band = nudged(positions, energies, forces[1:-1], spring=1.0, climb=climb)
        if band.max_force < 1e-3:
            return positions, energies, band
        positions[1:-1] += search.move(band.forces)
    raise AssertionError("the band did not come to rest")


def test_the_climbing_image_finds_the_saddle_point_of_mueller_and_brown():
    positions, energies, band = relaxed_band(n_inner=9, climb=True)
    assert energies[band.climbing + 1] == pytest.approx(SADDLE_ENERGY, abs=1e-4)
    assert positions[band.climbing + 1, 0, :2] == pytest.approx(SADDLE, abs=2e-3)


def test_without_climbing_the_highest_image_is_below_the_saddle_point():
    _, energies, band = relaxed_band(n_inner=6, climb=False)
    assert band.climbing is None
    assert energies.max() < SADDLE_ENERGY - 1e-3


def test_images_of_a_band_at_rest_are_evenly_spaced():
    positions, _, _ = relaxed_band(n_inner=9, climb=False)
    lengths = np.linalg.norm(np.diff(positions, axis=0), axis=(1, 2))
    # What is left of the force of springs of 1 eV/Å² is below 1e-3 eV/Å.
    assert abs(np.diff(lengths)).max() < 1e-3
    assert lengths.min() > 0.2


def test_tangents_point_to_the_higher_neighbor_and_are_weighted_at_extrema():
    # Uphill, at the top, and downhill, on a path with a corner at each image.
    corners = np.array([[0, 0], [1, 0], [1, 1], [2, 1], [2, 2]])
    positions = np.zeros((5, 1, 3))
    positions[:, 0, :2] = corners
    tangents = improved_tangents(positions, np.array([0.0, 1.0, 3.0, 2.0, 0.0]))
    assert tangents[0, 0] == pytest.approx([0, 1, 0])
    # |V3 - V2| = 1 and |V1 - V2| = 2: the larger weight to the higher neighbor, V3.
    assert tangents[1, 0] == pytest.approx(np.array([2, 1, 0]) / np.sqrt(5))
    assert tangents[2, 0] == pytest.approx([1, 0, 0])
    even = improved_tangents(positions, np.zeros(5))
    assert even[0, 0] == pytest.approx(np.array([1, 1, 0]) / np.sqrt(2))
