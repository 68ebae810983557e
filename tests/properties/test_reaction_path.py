import json
from functools import partial

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.constraints import FixAtoms
from ase.mep import NEB
from ase.optimize import BFGS

from gnndesign.errors import ConvergenceError, ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.catalog import new_property
from gnndesign.properties.compute import compute
from gnndesign.properties.image_path import displacement, paired_path, straight_path
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.reaction_path import ReactionPath
from gnndesign.properties.work import Relaxing

QUICK = partial(ReactionPath, n_images=3, max_force=0.002)


def vacancy_hop(symbol, *, hops=1, size=(2, 2, 2)):
    """A crystal without an atom, and the same after neighbors have hopped into it."""
    crystal = bulk(symbol, cubic=True) * size
    start, end = crystal.copy(), crystal.copy()
    hole = 0
    for _ in range(hops):
        near = crystal.get_distances(hole, range(len(crystal)), mic=True)
        near[: hole + 1] = np.inf
        neighbor = int(near.argmin())
        end.positions[neighbor] = crystal.positions[hole]
        hole = neighbor
    del start[0], end[0]
    return start, end


def ammonia_inversion():
    start = molecule("NH3")
    start.positions -= start.positions[0]
    end = start.copy()
    end.positions[:, 2] *= -1
    return start, end


def ase_barrier(result, potential, max_force):
    """Of ASE's band between the same relaxed ends, with as many images."""
    images = [result.images[0].copy() for _ in result.images]
    images[-1] = result.images[-1].copy()
    calculator = potential.as_calculator()
    for image in images:
        image.calc = calculator
    band = NEB(
        images,
        climb=True,
        method="improvedtangent",
        allow_shared_calculator=True,
    )
    band.interpolate("idpp")
    assert BFGS(band, logfile=None).run(fmax=max_force, steps=500)
    energies = [image.get_potential_energy() for image in images]
    return max(energies) - energies[0]


@pytest.fixture(scope="module")
def argon_path(lennard_jones):
    start, end = vacancy_hop("Ar")
    return compute(QUICK(end=end), start, lennard_jones)


def test_a_vacancy_in_argon_migrates_over_a_symmetric_barrier(argon_path):
    energies = argon_path.energies
    assert argon_path.climbed
    assert argon_path.saddle_image == 2
    assert argon_path.barrier == pytest.approx(argon_path.reverse_barrier, abs=1e-6)
    assert energies == pytest.approx(energies[::-1], abs=1e-6)
    assert argon_path.max_force <= 0.002
    assert argon_path.notes == ()


def test_the_barrier_is_that_of_ase(argon_path, lennard_jones):
    wanted = ase_barrier(argon_path, lennard_jones, 0.002)
    assert argon_path.barrier == pytest.approx(wanted, abs=5e-4)


def test_nothing_pulls_on_the_saddle_point_but_it_is_no_minimum(
    argon_path, lennard_jones
):
    saddle = argon_path.saddle.copy()
    saddle.calc = lennard_jones.as_calculator()
    assert np.linalg.norm(saddle.get_forces(), axis=1).max() <= 0.002
    before, after = (argon_path.images[k].positions for k in (1, 3))
    along = (after - before) / np.linalg.norm(after - before)
    energy = saddle.get_potential_energy()
    for side in (-0.1, 0.1):
        moved = saddle.copy()
        moved.positions += side * along
        moved.calc = saddle.calc
        assert moved.get_potential_energy() < energy - 1e-5


def test_the_curve_has_the_energies_and_slopes_of_the_images(argon_path):
    places = argon_path.path_coordinates
    assert argon_path.curve(places) == pytest.approx(argon_path.energies, abs=1e-12)
    h = 1e-4
    inner = places[1:-1]
    slopes = (argon_path.curve(inner + h) - argon_path.curve(inner - h)) / (2 * h)
    assert slopes == pytest.approx(-argon_path.tangential_forces[1:-1], abs=1e-3)
    assert argon_path.tangential_forces[1] < -0.02 < 0.02 < slopes[0]


def test_ammonia_turns_inside_out_through_the_plane(sevennet_0):
    start, end = ammonia_inversion()
    result = compute(ReactionPath(end=end, n_images=3), start, sevennet_0)
    assert result.barrier == pytest.approx(result.reverse_barrier, abs=1e-3)
    hydrogens = result.saddle.positions[1:]
    normal = np.cross(hydrogens[1] - hydrogens[0], hydrogens[2] - hydrogens[0])
    height = (result.saddle.positions[0] - hydrogens[0]) @ normal
    assert abs(height / np.linalg.norm(normal)) < 0.01
    wanted = ase_barrier(result, sevennet_0, 0.05)
    assert result.barrier == pytest.approx(wanted, abs=2e-3)


def test_where_the_end_lies_and_how_it_is_turned_does_not_matter(
    argon_path, lennard_jones
):
    start, end = vacancy_hop("Ar")
    end.positions += 0.2
    end.positions[::2] += end.cell[0]
    moved = compute(QUICK(end=end), start, lennard_jones)
    assert moved.barrier == pytest.approx(argon_path.barrier, abs=1e-5)
    start, end = ammonia_inversion()
    end.rotate(40, (1, 2, 3))
    end.positions += 1.0
    moves = displacement(start, end, free=True)
    assert np.linalg.norm(moves) == pytest.approx(
        np.linalg.norm(displacement(*ammonia_inversion(), free=True)), rel=1e-6
    )


def test_several_paths_share_their_batches(lennard_jones):
    class Counting(Potential):
        def __init__(self, within):
            self.within, self.calls = within, 0
            self.card, self.device = within.card, within.device
            self.cutoff, self.needs_neighbors = within.cutoff, within.needs_neighbors

        def predict(self, batch, edges):
            self.calls += 1
            return self.within.predict(batch, edges)

    start, end = vacancy_hop("Ar", size=(2, 2, 1))
    larger = [atoms.copy() for atoms in (start, end)]
    for atoms in larger:
        atoms.set_cell(atoms.cell * 1.02, scale_atoms=True)
    paths = [(start, end), tuple(larger)]
    counts, alone = [], []
    for first, last in paths:
        counting = Counting(lennard_jones)
        alone.append(compute(QUICK(end=last), first, counting))
        counts.append(counting.calls)
    counting = Counting(lennard_jones)
    plans = [QUICK(end=last) for _, last in paths]
    outcomes = compute(plans, [start, larger[0]], counting)
    together = [outcomes[0].result, outcomes[3].result]
    for one, other in zip(together, alone, strict=True):
        assert one.barrier == pytest.approx(other.barrier, abs=1e-9)
    # The two that do not fit are refused before anything is computed.
    assert "one cell from start to end" in outcomes[1].message
    assert counting.calls < sum(counts) - 5


def test_fixed_atoms_stay(lennard_jones):
    start, end = vacancy_hop("Ar")
    far = [20, 30]
    start.set_constraint(FixAtoms(far))
    result = compute(QUICK(end=end), start, lennard_jones)
    for image in result.images:
        assert (image.positions[far] == start.positions[far]).all()
    assert result.barrier > 0.05
    end.positions[far] += 0.5
    with pytest.raises(StructureError, match="must not move"):
        compute(ReactionPath(end=end), start, lennard_jones)


def test_a_minimum_on_the_way_is_reported(lennard_jones):
    start, end = vacancy_hop("Ar", hops=2)
    result = compute(ReactionPath(end=end, n_images=9), start, lennard_jones)
    assert any("intermediate minimum" in note for note in result.notes)


def test_distances_are_kept_where_straight_lines_would_shorten_them():
    ethane = molecule("C2H6")
    turned = ethane.copy()
    turned.positions -= turned.positions[0]
    hydrogens = [2, 3, 4]
    part = turned[hydrogens]
    part.rotate(120, turned.positions[1], center=(0, 0, 0))
    turned.positions[hydrogens] = part.positions
    moves = displacement(ethane, turned, free=False)
    straight = straight_path(ethane.positions, moves, 5)
    everything = np.tile(np.eye(3), (8, 1, 1))
    paired = paired_path(ethane, straight, everything)
    bond = ethane.get_distance(0, 2)

    def worst(path):
        bonds = np.linalg.norm(path[:, hydrogens] - path[:, :1], axis=-1)
        return abs(bonds - bond).max()

    assert worst(straight) > 0.4
    assert worst(paired) < 0.05
    assert (paired[[0, -1]] == straight[[0, -1]]).all()


def test_atoms_in_another_order_are_matched_on_demand(argon_path, lennard_jones):
    start, end = vacancy_hop("Ar")
    order = np.random.default_rng(0).permutation(len(end))
    shuffled = end[order]
    matched = QUICK(end=shuffled, match_atoms=True)
    result = compute(matched, start, lennard_jones)
    assert result.barrier == pytest.approx(argon_path.barrier, abs=1e-5)


def test_a_band_that_does_not_come_to_rest_gives_no_number(lennard_jones):
    start, end = vacancy_hop("Ar")
    short = ReactionPath(end=end, max_iterations=2, max_force=1e-4)
    with pytest.raises(ConvergenceError, match=r"force of the band is 0\.\d+ eV/Å"):
        compute(short, start, lennard_jones)
    hard = Relaxing(cell=None, max_steps=1, max_force=1e-6)
    unrelaxed = ReactionPath(end=end, relaxing=hard)
    with pytest.raises(ConvergenceError, match="end point"):
        compute(unrelaxed, start, lennard_jones)


def test_ends_that_no_path_connects_are_refused(lennard_jones):
    start, end = vacancy_hop("Ar")
    with pytest.raises(StructureError, match="same structure"):
        compute(ReactionPath(end=start), start, lennard_jones)
    with pytest.raises(StructureError, match="same atoms"):
        compute(ReactionPath(end=end[:-1]), start, lennard_jones)
    wide = end.copy()
    wide.set_cell(wide.cell * 1.1)
    with pytest.raises(StructureError, match="one cell"):
        compute(ReactionPath(end=wide), start, lennard_jones)
    with pytest.raises(StructureError, match="atom 0 is H in the start and O"):
        ReactionPath(end=Atoms("OH")).refuse(Atoms("HO"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_images": 0},
        {"max_force": 0.0},
        {"spring": -1.0},
        {"relaxing": Relaxing(cell="full")},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError):
        new_property("reaction_path", end=Atoms("H"), **wrong)


def test_path_and_result_survive_json(argon_path):
    _, end = vacancy_hop("Ar")
    again = from_plain(json.loads(json.dumps(to_plain(ReactionPath(end=end)))))
    assert again == ReactionPath(end=end)
    back = from_plain(json.loads(json.dumps(to_plain(argon_path), allow_nan=False)))
    assert back.quantities() == argon_path.quantities()
    assert (back.saddle.positions == argon_path.saddle.positions).all()
