import json

import ase
import numpy as np
import pytest
from ase.build import bulk, molecule
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from gnndesign.errors import ParameterError, StructureError
from gnndesign.potentials.calculator import PotentialCalculator
from gnndesign.properties.catalog import new_property
from gnndesign.properties.compute import compute
from gnndesign.properties.phonon_modes import mode_at
from gnndesign.properties.phonon_supercell import chosen_supercell
from gnndesign.properties.phonons import Phonons
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.polarity import is_polar
from gnndesign.structures.build import build_crystal
from gnndesign.structures.library import prototype
from gnndesign.units import EV_TO_J_PER_MOL, FS

GAS_CONSTANT = 8.314462618
QUICK = {"mesh_length": 20.0, "n_band_points": 60, "temperature_step_K": 50.0}


@pytest.fixture(scope="module")
def argon(lennard_jones):
    return compute(Phonons(temperature_step_K=50.0), bulk("Ar"), lennard_jones)


def lattice_sum(potential, crystal, q_point):
    """Frequencies of a lattice of one atom, THz, from the pair energy itself.

    m ω² e = Σ_R Φ(R) (1 - cos q·R) e, with Φ of a pair by differences of its energy.
    """

    def pair(r):
        ratio = (potential.sigma / r) ** 6
        onset = 0.8 * potential.cutoff
        s = np.clip((r**2 - onset**2) / (potential.cutoff**2 - onset**2), 0, 1)
        return 4 * potential.epsilon * (ratio**2 - ratio) * (1 - s) ** 2 * (1 + 2 * s)

    numbers = np.stack(np.meshgrid(*3 * [np.arange(-5, 6)], indexing="ij"), -1)
    numbers = numbers.reshape(-1, 3)
    vectors = numbers @ crystal.cell.array
    lengths = np.linalg.norm(vectors, axis=1)
    near = (lengths > 0) & (lengths < potential.cutoff)
    total, h = np.zeros((3, 3)), 1e-3
    for number, vector, r in zip(
        numbers[near], vectors[near], lengths[near], strict=True
    ):
        first = (pair(r + h) - pair(r - h)) / (2 * h)
        second = (pair(r + h) - 2 * pair(r) + pair(r - h)) / h**2
        along = np.outer(vector, vector) / r**2
        phi = second * along + first / r * (np.eye(3) - along)
        total += phi * (1 - np.cos(2 * np.pi * number @ q_point))
    squares = np.linalg.eigvalsh(total / crystal.get_masses()[0])
    return np.sqrt(squares) * FS * 1e3 / (2 * np.pi)


def test_argon_vibrates_as_the_lattice_sum_of_its_pairs(argon, lennard_jones):
    # These fit into the supercell, so that no interpolation comes in between.
    q_points = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0.5], [0.5, 0.25, 0.75]])
    found, _ = argon.force_constants.modes(q_points)
    for q_point, frequencies in zip(q_points, found, strict=True):
        wanted = lattice_sum(lennard_jones, argon.primitive, q_point)
        assert frequencies == pytest.approx(wanted, rel=1e-3)


def test_sound_waves_of_argon_have_no_frequency_at_the_zone_center(argon):
    frequencies, _ = argon.force_constants.modes(np.zeros((1, 3)))
    assert np.abs(frequencies).max() < 1e-5
    assert argon.is_stable
    assert argon.worst_mode is None
    assert argon.notes == ()
    assert not argon.lacks_splitting


def test_hot_crystals_obey_dulong_and_petit(argon):
    capacity = argon.thermal.heat_capacity_per_atom_J_per_mol_K
    assert capacity[0] == 0
    assert argon.thermal.temperatures_K[-1] == 1000
    assert capacity[-1] == pytest.approx(3 * GAS_CONSTANT, rel=1e-3)


def test_entropy_is_the_slope_of_the_free_energy(lennard_jones):
    fine = Phonons(temperature_step_K=2.0, max_temperature_K=200.0, mesh_length=20.0)
    thermal = compute(fine, bulk("Ar"), lennard_jones).thermal
    slope = -np.gradient(thermal.free_energy, thermal.temperatures_K) * EV_TO_J_PER_MOL
    warm = slice(10, -1)
    assert thermal.entropy_J_per_mol_K[warm] == pytest.approx(slope[warm], rel=5e-3)
    assert thermal.free_energy[0] == pytest.approx(thermal.zero_point_energy)


def test_the_density_of_states_counts_the_bands(argon):
    dos = argon.density_of_states
    total = np.trapezoid(dos.density_per_THz, dos.frequencies_THz)
    assert total == pytest.approx(3, rel=0.01)


def test_bands_follow_the_standard_path_of_the_lattice(argon):
    bands = argon.bands
    assert bands.labels == tuple("GXWKGLUWLKUX")
    assert len(bands.ticks) == len(bands.labels)
    # From L it goes to K and jumps to U, at the same distance.
    assert bands.labels[9:11] == ("K", "U")
    assert bands.ticks[9] == bands.ticks[10]
    assert bands.segments[0].start == 0
    assert bands.segments[-1].stop == len(bands.distances)
    assert (np.diff(bands.frequencies_THz, axis=1) >= 0).all()
    highest = bands.frequencies_THz.max()
    assert highest == pytest.approx(argon.max_frequency_THz, rel=0.01)


def test_special_points_have_the_places_of_the_lattice(argon):
    found = argon.bands.special_points
    # The path jumps at one of its corners, and comes to others twice.
    assert list(found) == list("GXWKLU")
    known = bulk("Ar").cell.bandpath().special_points
    for label, q_point in found.items():
        assert q_point == pytest.approx(known[label]), label


def test_a_mode_pushes_its_atoms_back_by_its_frequency(argon, lennard_jones):
    q_point = (0.5, 0.5, 0.0)
    for band in range(3):
        frame = argon.mode(q_point, band, amplitude=1e-3, n_frames=4)[0]
        at_rest = argon.primitive.repeat((2, 2, 1))
        moved = frame.positions - at_rest.positions
        assert np.linalg.norm(moved, axis=1).max() == pytest.approx(1e-3)
        frame = frame.repeat((2, 2, 4))
        frame.calc = PotentialCalculator(lennard_jones)
        frequency = mode_at(argon.force_constants, np.array(q_point), band)
        omega = 2 * np.pi * frequency.frequency_THz / (FS * 1e3)
        wanted = -frame.get_masses()[:, None] * omega**2 * np.tile(moved, (16, 1))
        assert frame.get_forces() == pytest.approx(wanted, rel=2e-3, abs=1e-8)


def test_frames_are_those_of_phonopy(sevennet_0):
    result = compute(Phonons(supercell=(2, 2, 2), **QUICK), bulk("Si"), sevennet_0)
    frames = result.mode((0.5, 0.0, 0.0), 3, amplitude=0.2, n_frames=8)
    phonon = result.force_constants.phonopy()
    found = phonon.run_modulations((2, 1, 1), [[(0.5, 0.0, 0.0), 3, 1.0, 0.0]])
    start = result.primitive.repeat((2, 1, 1))
    # Its atoms are in another order: find each of ours among them.
    rest = found.supercell.positions[None] - start.positions[:, None]
    rest = rest @ np.linalg.inv(start.cell.array)
    order = np.abs(rest - np.round(rest)).max(axis=-1).argmin(axis=1)
    theirs = found.modulations[0][order]
    ours = frames[0].positions - start.positions
    # The same but for a factor and a phase.
    overlap = np.abs(np.vdot(theirs, ours))
    assert overlap == pytest.approx(np.linalg.norm(theirs) * np.linalg.norm(ours))
    assert frames[4].positions - start.positions == pytest.approx(-ours)
    with pytest.raises(ParameterError, match="band in 0 to 5"):
        result.mode((0.5, 0.0, 0.0), 6)


@pytest.mark.parametrize(
    ("crystal", "repeats"),
    [(bulk("Si"), (2, 2, 2)), (build_crystal("ZnO", "wurtzite"), (3, 3, 2))],
    ids=["silicon", "zinc oxide"],
)
def test_frequencies_are_those_of_phonopy_with_serial_forces(
    crystal, repeats, sevennet_0
):
    result = compute(Phonons(supercell=repeats, **QUICK), crystal, sevennet_0)
    rest = result.atoms
    phonon = Phonopy(
        PhonopyAtoms(
            numbers=rest.numbers, cell=rest.cell.array, positions=rest.positions
        ),
        supercell_matrix=np.diag(repeats),
        primitive_matrix="P",
    )
    phonon.generate_displacements(distance=0.015)
    phonon.forces = [
        serial_forces(cell, sevennet_0) for cell in phonon.supercells_with_displacements
    ]
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants(level=5)
    q_points = np.array([[0, 0, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]]) / repeats
    wanted = phonon.run_qpoints(q_points).frequencies
    found, _ = result.force_constants.modes(q_points)
    assert found == pytest.approx(wanted, abs=1e-3)


def serial_forces(cell, potential):
    atoms = ase.Atoms(
        numbers=cell.numbers, positions=cell.positions, cell=cell.cell, pbc=True
    )
    atoms.calc = PotentialCalculator(potential)
    return atoms.get_forces()


def test_cubic_calcium_titanate_is_unstable_at_the_zone_corner(sevennet_0):
    # DFT says the same: R25 at 6.0i THz, M at 5.7i (phonopy's example CaTiO3).
    cubic = prototype("perovskite").to_atoms()
    result = compute(Phonons(supercell=(2, 2, 2), **QUICK), cubic, sevennet_0)
    assert not result.is_stable
    assert result.n_imaginary > 0
    worst = result.worst_mode
    assert np.abs(worst.q_point) == pytest.approx(0.5)
    assert worst.frequency_THz == pytest.approx(-6.0, rel=0.1)
    # The oxygen octahedra tilt: nothing else moves.
    weight = (np.abs(worst.eigenvector) ** 2).sum(axis=1)
    assert weight[result.primitive.numbers == 8].sum() == pytest.approx(1, abs=0.01)
    note, splitting, soft = result.notes
    assert result.lacks_splitting
    assert splitting.startswith("LO-TO splitting is not included")
    assert soft in sevennet_0.card.notes
    assert "not stable" in note
    assert "of the other modes alone" in note


@pytest.mark.parametrize(
    ("formula", "polar"),
    [
        *(("NaCl", True), ("GaAs", True), ("CaTiO3", True), ("SiC", True)),
        *(("Si2", False), ("SiGe", False), ("Ni3Al", False), ("C", False)),
        *(("ArKr", False), ("XeF2", True), ("MgO", True)),
    ],
)
def test_polar_crystals_are_told_by_their_elements(formula, polar):
    assert is_polar(ase.Atoms(formula)) is polar


def test_many_structures_give_the_same_as_one_by_one(sevennet_0):
    crystals = [bulk("Cu"), bulk("Si")]
    quick = Phonons(supercell=(2, 2, 2), **QUICK)
    for crystal, outcome in zip(
        crystals, compute(quick, crystals, sevennet_0), strict=True
    ):
        alone = compute(quick, crystal, sevennet_0)
        found = outcome.result.bands.frequencies_THz
        assert found == pytest.approx(alone.bands.frequencies_THz, abs=2e-2)


def test_a_result_survives_json(argon):
    back = from_plain(json.loads(json.dumps(to_plain(argon), allow_nan=False)))
    assert back.quantities() == argon.quantities()
    again, before = (
        x.mode((0.5, 0, 0), 1)[3].positions.tolist() for x in (back, argon)
    )
    assert again == before
    chosen = Phonons(supercell=((0, 1, 1), (1, 0, 1), (1, 1, 0)))
    assert from_plain(json.loads(json.dumps(to_plain(chosen)))) == chosen


def test_heavier_isotopes_vibrate_more_slowly(argon, lennard_jones):
    heavy = bulk("Ar")
    heavy.set_masses([4 * heavy.get_masses()[0]])
    same = Phonons(temperature_step_K=50.0)
    found = compute(same, heavy, lennard_jones).max_frequency_THz
    assert found == pytest.approx(argon.max_frequency_THz / 2)
    # A cell of two isotopes is not reduced to the cell of one.
    mixed = bulk("Ar").repeat((2, 1, 1))
    mixed.set_masses([40.0, 80.0])
    assert len(compute(Phonons(**QUICK), mixed, lennard_jones).primitive) == 2


def test_the_supercell_is_long_enough_and_keeps_the_symmetry():
    silicon = bulk("Si")
    matrix = chosen_supercell(silicon, min_length=10.0, max_atoms=300)
    cell = matrix @ silicon.cell.array
    assert cell @ cell.T == pytest.approx(np.eye(3) * (2 * 5.43) ** 2)
    zinc = build_crystal("ZnO", "wurtzite")
    lengths = chosen_supercell(zinc, min_length=10.0, max_atoms=300)
    assert (np.linalg.norm(lengths @ zinc.cell.array, axis=1) >= 10).all()
    # Where there is no room for so many atoms, a and b stay alike.
    few = chosen_supercell(zinc, min_length=10.0, max_atoms=40)
    assert np.diag(few).tolist() == [3, 3, 1]
    cubic = prototype("perovskite").to_atoms()
    even = chosen_supercell(cubic, min_length=10.0, max_atoms=350, even=True)
    assert np.diag(even).tolist() == [4, 4, 4]


def test_what_has_no_phonons_is_refused(lennard_jones):
    with pytest.raises(StructureError, match="molecule has vibrations"):
        compute(Phonons(), molecule("H2O"), lennard_jones)


@pytest.mark.parametrize(
    "wrong",
    [
        {"displacement": 0.0},
        {"mesh_length": -1.0},
        {"supercell": (2, 2)},
        {"supercell": (2, 2, 0)},
        {"imaginary_threshold_THz": -0.1},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError):
        new_property("phonons", **wrong)
