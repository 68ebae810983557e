import json

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.constraints import FixAtoms
from ase.vibrations import Vibrations

from gnndesign.errors import ParameterError, StructureError
from gnndesign.potentials.calculator import PotentialCalculator
from gnndesign.properties.catalog import new_property
from gnndesign.properties.compute import compute
from gnndesign.properties.molecular_thermochemistry import rotational_symmetry_number
from gnndesign.properties.molecular_vibrations import MolecularVibrations
from gnndesign.properties.outcomes import PropertyStatus
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.work import Relaxing
from gnndesign.structures.library import molecule
from gnndesign.units import FS, PLANCK_EV_PER_THZ

TIGHT = MolecularVibrations(relaxing=Relaxing(cell=None, max_force=1e-8))
SPRING = 72 * 2 ** (-1 / 3)
"""Second derivative of the Lennard-Jones energy at its minimum, in ε/σ²."""


def argon(*positions):
    return ase.Atoms(f"Ar{len(positions)}", positions=positions)


def frequency(potential, factor):
    """THz of sqrt(factor k / m)."""
    spring = SPRING * potential.epsilon / potential.sigma**2
    mass = ase.Atoms("Ar").get_masses()[0]
    return np.sqrt(factor * spring / mass) * FS * 1e3 / (2 * np.pi)


def test_a_dimer_has_the_one_frequency_of_its_bond(lennard_jones):
    result = compute(TIGHT, argon((0, 0, 0), (2, 2, 2.5)), lennard_jones)
    assert result.is_linear
    wanted = frequency(lennard_jones, 2)
    assert result.frequencies_THz == pytest.approx([wanted], rel=2e-3)
    assert result.zero_point_energy == pytest.approx(
        PLANCK_EV_PER_THZ * wanted / 2, rel=2e-3
    )
    # The atoms move along the bond, against each other.
    first, second = result.displacements[0]
    assert first == pytest.approx(-second)
    bond = result.atoms.positions[1] - result.atoms.positions[0]
    assert abs(first @ bond) == pytest.approx(np.linalg.norm(bond), rel=1e-3)


def test_a_triangle_breathes_and_bends(lennard_jones):
    # ω² of the breathing mode is 3 k/m, of the two others 3 k/(2 m).
    start = argon((0, 0, 0), (3.8, 0, 0), (1.9, 3.3, 0))
    result = compute(TIGHT, start, lennard_jones)
    assert not result.is_linear
    low, high = frequency(lennard_jones, 1.5), frequency(lennard_jones, 3)
    assert result.frequencies_THz == pytest.approx([low, low, high], rel=3e-3)
    assert result.ideal_gas.symmetry_number == 6


def test_three_in_a_line_are_a_saddle(lennard_jones):
    r = 2 ** (1 / 6) * lennard_jones.sigma
    line = argon((-r, 0, 0), (0, 0, 0), (r, 0, 0))
    result = compute(TIGHT, line, lennard_jones)
    assert result.is_linear
    assert len(result.frequencies_THz) == 4
    # The ends pull at each other, which bends the line in two directions.
    assert result.n_imaginary == 2
    assert result.ideal_gas is None
    assert any("neither a minimum" in note for note in result.notes)
    assert np.isnan(result.entropy_298K_J_per_mol_K)


def test_an_atom_has_no_vibration_and_the_entropy_of_sackur_and_tetrode(lennard_jones):
    result = compute(MolecularVibrations(), ase.Atoms("Ar"), lennard_jones)
    assert result.frequencies_THz.shape == (0,)
    # NIST-JANAF: 154.845 J/(K mol) at 298.15 K and 1 bar.
    assert result.entropy_298K_J_per_mol_K == pytest.approx(154.845, abs=0.05)


@pytest.mark.parametrize(
    ("name", "n_modes", "entropy", "highest"),
    # NIST-JANAF entropies and fundamentals (Shimanouchi), J/(K mol) and 1/cm.
    [("H2O", 3, 188.8, 3756), ("CO2", 4, 213.8, 2349)],
)
def test_small_molecules_of_sevennet(
    name, n_modes, entropy, highest, sevennet_0, tmp_path
):
    result = compute(MolecularVibrations(), molecule(name), sevennet_0)
    assert len(result.frequencies_THz) == n_modes
    assert result.is_linear == (name == "CO2")
    assert result.n_imaginary == 0
    assert result.ideal_gas.symmetry_number == 2
    assert result.entropy_298K_J_per_mol_K == pytest.approx(entropy, rel=0.01)
    assert result.highest_wavenumber_per_cm == pytest.approx(highest, rel=0.1)
    # ASE leaves the rigid motions in; the others are the same.
    atoms = result.atoms.copy()
    atoms.calc = PotentialCalculator(sevennet_0)
    serial = Vibrations(atoms, name=str(tmp_path / "cache"), delta=0.01)
    serial.run()
    wanted = serial.get_frequencies()[-n_modes:].real
    assert result.wavenumbers_per_cm == pytest.approx(wanted, rel=5e-3, abs=5)


@pytest.mark.parametrize(
    ("name", "number"),
    # C. J. Cramer, Essentials of Computational Chemistry, table 10.1; D6h has 12.
    [("N2", 2), ("CO", 1), ("H2O", 2), ("NH3", 3), ("CH4", 12), ("C6H6", 12)],
)
def test_symmetry_numbers_are_those_of_the_textbook(name, number):
    assert rotational_symmetry_number(molecule(name)) == number


def test_frames_of_a_mode_go_forth_and_back(lennard_jones):
    result = compute(
        MolecularVibrations(), argon((0, 0, 0), (3.8, 0, 0)), lennard_jones
    )
    frames = result.mode(0, amplitude=0.2, n_frames=4)
    bonds = [frame.get_distance(0, 1) for frame in frames]
    rest = result.atoms.get_distance(0, 1)
    assert bonds[0] + bonds[2] == pytest.approx(2 * rest)
    assert abs(bonds[0] - rest) == pytest.approx(0.4)
    assert bonds[1] == pytest.approx(rest)
    with pytest.raises(ParameterError, match="mode in 0 to 0"):
        result.mode(1)


def test_many_molecules_give_the_same_as_one_by_one(sevennet_0):
    several = [molecule("H2O"), molecule("N2"), bulk("Si")]
    water, nitrogen, crystal = compute(MolecularVibrations(), several, sevennet_0)
    for outcome, atoms in ((water, several[0]), (nitrogen, several[1])):
        alone = compute(MolecularVibrations(), atoms, sevennet_0)
        assert outcome.result.wavenumbers_per_cm == pytest.approx(
            alone.wavenumbers_per_cm, abs=10
        )
    assert crystal.status is PropertyStatus.FAILED
    assert "a crystal has phonons" in crystal.message


def test_what_cannot_vibrate_freely_is_refused(lennard_jones):
    held = argon((0, 0, 0), (3.8, 0, 0))
    held.set_constraint(FixAtoms([0]))
    with pytest.raises(StructureError, match="has constraints"):
        compute(MolecularVibrations(), held, lennard_jones)


def test_a_result_survives_json(lennard_jones):
    result = compute(
        MolecularVibrations(), argon((0, 0, 0), (3.8, 0, 0)), lennard_jones
    )
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    assert back.quantities() == result.quantities()
    assert (back.displacements == result.displacements).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"displacement": 0.0},
        {"pressure_bar": 0.0},
        {"temperature_step_K": 0.0},
        {"relaxing": to_plain(MolecularVibrations().relaxing) | {}},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    if "relaxing" in wrong:
        wrong["relaxing"]["fields"]["cell"] = "full"
    with pytest.raises(ParameterError):
        new_property("molecular_vibrations", **wrong)
