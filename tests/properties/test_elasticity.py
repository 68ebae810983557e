import json
from dataclasses import replace

import ase
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.constraints import FixAtoms
from pymatgen.core.elasticity import ElasticTensor
from scipy.spatial.transform import Rotation

from gnndesign.errors import FitError, ParameterError, StructureError
from gnndesign.properties.catalog import new_property
from gnndesign.properties.compute import compute
from gnndesign.properties.elastic_moduli import (
    debye_temperature,
    elastic_moduli,
    is_stable,
    mandel_to_voigt,
    sound_velocities,
    to_mandel,
    young_moduli,
)
from gnndesign.properties.elasticity import Elasticity
from gnndesign.properties.elasticity_result import fitted
from gnndesign.properties.outcomes import PropertyStatus
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.standard_orientation import (
    point_group,
    standard_orientation,
)
from gnndesign.properties.work import Relaxing
from gnndesign.simulation.relaxation import relax
from gnndesign.structures.convert import to_pymatgen
from gnndesign.units import EV_PER_A3_TO_GPA

TIGHT = Relaxing(max_force=1e-5)
TURN = Rotation.from_euler("xyz", [0.4, -1.1, 2.3]).as_matrix()
NOTHING = {"strains": np.zeros((1, 3, 3)), "stresses_GPa": np.zeros((1, 3, 3))}
TITANIUM_ALUMINIDE = ase.Atoms(
    "TiAl", [[0, 0, 0], [1.41, 1.41, 2.03]], cell=[2.82, 2.82, 4.06], pbc=True
)

# Of alpha quartz, trigonal (R. Bechmann, Phys. Rev. 110, 1060 (1958)), GPa.
QUARTZ = np.zeros((6, 6))
QUARTZ[:3, :3] = [[86.74, 6.99, 11.91], [6.99, 86.74, 11.91], [11.91, 11.91, 107.2]]
QUARTZ[3:, 3:] = np.diag([57.94, 57.94, 39.875])
QUARTZ[0, 3] = QUARTZ[3, 0] = QUARTZ[4, 5] = QUARTZ[5, 4] = -17.91
QUARTZ[1, 3] = QUARTZ[3, 1] = 17.91


def cubic(c11, c12, c44):
    stiffness = np.diag([c11 - c12] * 3 + [c44] * 3).astype(float)
    stiffness[:3, :3] += c12
    return stiffness


def turned(atoms, turn=TURN):
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ turn.T, scale_atoms=True)
    return copy


def lattice_sum(potential, atoms):
    """C of a lattice of one atom a cell: with s = r² and U = 1/2 Σ φ(s),

    C_ijkl = 2 / V Σ φ''(s) r_i r_j r_k r_l   (M. Born, K. Huang, 1954, ch. 3)
    """
    reach = range(-5, 6)
    steps = np.array([(i, j, k) for i in reach for j in reach for k in reach])
    vectors = steps @ atoms.cell.array
    lengths = np.linalg.norm(vectors, axis=1)
    vectors = vectors[(lengths > 0) & (lengths < potential.cutoff)]
    h = 1e-3
    second = []
    for square in (vectors**2).sum(1):
        energies = [
            potential.compute(ase.Atoms("Ar2", [[0, 0, 0], [0, 0, s**0.5]])).energy
            for s in (square - h, square, square + h)
        ]
        second.append(float(energies[0] - 2 * energies[1] + energies[2]) / h**2)
    products = np.array(
        [[x * x, y * y, z * z, y * z, x * z, x * y] for x, y, z in vectors]
    )
    total = np.einsum("n,ni,nj->ij", second, products, products)
    return 2 * total / atoms.get_volume() * EV_PER_A3_TO_GPA


def test_argon_has_the_tensor_of_the_lattice_sum(lennard_jones):
    result = compute(
        Elasticity(
            relaxing=TIGHT,
            normal_strains=(-1e-3, 1e-3),
            shear_strains=(-1e-3, 1e-3),
            at_each=Relaxing(cell=None, max_force=1e-6),
        ),
        bulk("Ar"),
        lennard_jones,
    )
    wanted = lattice_sum(lennard_jones, result.atoms)
    assert result.stiffness_GPa == pytest.approx(wanted, abs=2e-3)
    # Cauchy's relation, which pair potentials obey at zero pressure.
    assert result.stiffness_GPa[0, 1] == pytest.approx(wanted[3, 3], rel=2e-3)


def test_large_strains_give_the_slope_at_small_ones(lennard_jones):
    default = compute(Elasticity(relaxing=TIGHT), bulk("Ar"), lennard_jones)
    wanted = lattice_sum(lennard_jones, default.atoms)
    assert default.stiffness_GPa == pytest.approx(wanted, rel=0.01, abs=2e-3)
    # A straight line through shears of 6 % does not: its C44 is a fifth too large.
    line = compute(Elasticity(relaxing=TIGHT, degree=2), bulk("Ar"), lennard_jones)
    assert line.stiffness_GPa[3, 3] > 1.15 * wanted[3, 3]


def test_under_pressure_it_is_what_bulk_modulus_and_shear_go_by(lennard_jones):
    # Stress-strain coefficients: K = -V dP/dV of the relaxed crystal.
    pressure = 2.0
    squeezed = Relaxing(max_force=1e-5, pressure_GPa=pressure)
    result = compute(Elasticity(relaxing=squeezed), bulk("Ar"), lennard_jones)
    volumes = [
        relax(
            bulk("Ar"), lennard_jones, cell="full", max_force=1e-5, pressure_GPa=p
        ).atoms.get_volume()
        for p in (pressure - 0.05, pressure + 0.05)
    ]
    modulus = -0.1 / np.log(volumes[1] / volumes[0])
    assert result.bulk_modulus_GPa == pytest.approx(modulus, rel=2e-3)
    assert result.residual_stress_GPa == pytest.approx(-pressure * np.eye(3), abs=1e-3)


def test_it_is_the_curvature_of_the_energy_with_relaxed_ions(sevennet_0_float64):
    crystal = relax(
        bulk("Si", cubic=False), sevennet_0_float64, cell="full", max_force=1e-4
    ).atoms
    crystal.calc = None
    clamped = compute(
        Elasticity(relaxing=None, at_each=None), crystal, sevennet_0_float64
    )
    small = (-0.004, 0.004)
    result = compute(
        Elasticity(
            relaxing=None,
            at_each=Relaxing(cell=None, max_force=1e-4),
            normal_strains=small,
            shear_strains=small,
        ),
        crystal,
        sevennet_0_float64,
    )
    h = 0.004
    energies = []
    for shear in (-h, 0, h):
        copy = crystal.copy()
        strain = np.array([[0, shear / 2, 0], [shear / 2, 0, 0], [0, 0, 0]])
        copy.set_cell(crystal.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        end = relax(copy, sevennet_0_float64, max_force=1e-4)
        # A shear strain 1 + e changes the volume in second order, at no pressure free.
        energies.append(end.energy)
    curvature = np.diff(energies, 2)[0] / h**2 / crystal.get_volume()
    assert result.stiffness_GPa[5, 5] == pytest.approx(
        curvature * EV_PER_A3_TO_GPA, rel=0.02
    )
    assert clamped.stiffness_GPa[5, 5] > 1.3 * result.stiffness_GPa[5, 5]
    assert clamped.bulk_modulus_GPa == pytest.approx(result.bulk_modulus_GPa, rel=5e-3)


@pytest.mark.parametrize(
    "crystal",
    [bulk("NaCl", "rocksalt", a=5.6), bulk("Mg"), TITANIUM_ALUMINIDE],
    ids=["cubic", "hexagonal", "tetragonal"],
)
def test_tensor_does_not_depend_on_how_the_crystal_lies(crystal, sevennet_0):
    first, second = compute(Elasticity(), [crystal, turned(crystal)], sevennet_0)
    assert first.status is second.status is PropertyStatus.COMPUTED, first.message
    stiffness = first.result.stiffness_GPa
    assert second.result.stiffness_GPa == pytest.approx(
        stiffness, abs=0.01 * stiffness.max()
    )
    assert (stiffness == stiffness.T).all()


def test_symmetry_spares_strains_and_gives_the_same(sevennet_0):
    crystals = [bulk("Si"), bulk("ZnO", "wurtzite", a=3.25, c=5.2)]
    whole = compute(Elasticity(), crystals, sevennet_0)
    spared = compute(Elasticity(use_symmetry=True), crystals, sevennet_0)
    for a, b in zip(whole, spared, strict=True):
        assert b.result.bulk_modulus_GPa == pytest.approx(
            a.result.bulk_modulus_GPa, rel=2e-3
        )
        assert b.result.shear_modulus_GPa == pytest.approx(
            a.result.shear_modulus_GPa, rel=0.01
        )


def test_many_structures_give_the_same_as_one_by_one(sevennet_0):
    crystals = [bulk("Cu"), bulk("Si")]
    together = compute(Elasticity(), crystals, sevennet_0)
    for crystal, outcome in zip(crystals, together, strict=True):
        alone = compute(Elasticity(), crystal, sevennet_0)
        assert outcome.result.stiffness_GPa == pytest.approx(
            alone.stiffness_GPa, abs=0.5
        )


@pytest.mark.parametrize("stiffness", [cubic(166, 64, 80), QUARTZ])
def test_averages_are_those_of_pymatgen(stiffness):
    crystal = bulk("Si")
    reference = ElasticTensor.from_voigt(stiffness)
    found = elastic_moduli(stiffness)
    assert found.bulk_voigt_GPa == pytest.approx(reference.k_voigt)
    assert found.bulk_reuss_GPa == pytest.approx(reference.k_reuss)
    assert found.bulk_hill_GPa == pytest.approx(reference.k_vrh)
    assert found.shear_voigt_GPa == pytest.approx(reference.g_voigt)
    assert found.shear_reuss_GPa == pytest.approx(reference.g_reuss)
    assert found.shear_hill_GPa == pytest.approx(reference.g_vrh)
    assert found.young_GPa == pytest.approx(reference.y_mod / 1e9)
    assert found.poisson_ratio == pytest.approx(reference.homogeneous_poisson)
    assert found.universal_anisotropy == pytest.approx(reference.universal_anisotropy)
    velocities = sound_velocities(found, crystal)
    structure = to_pymatgen(crystal)
    assert velocities == pytest.approx(
        (reference.long_v(structure), reference.trans_v(structure)), rel=1e-4
    )


def test_silicon_has_its_debye_temperature():
    # 645 K from elastic constants (O. L. Anderson, 1963; H. J. McSkimin, 1964).
    silicon = bulk("Si", a=5.431)
    velocities = sound_velocities(elastic_moduli(cubic(165.7, 63.9, 79.6)), silicon)
    assert debye_temperature(*velocities, silicon) == pytest.approx(645, rel=0.01)


def test_young_moduli_of_cubic_crystals():
    # 1/E = S11 - 2 (S11 - S12 - S44/2) (l²m² + m²n² + l²n²) (J. F. Nye, 1957, ch. 8).
    stiffness = cubic(168.4, 121.4, 75.4)
    compliance = np.linalg.inv(stiffness)
    s11, s12, s44 = compliance[0, 0], compliance[0, 1], compliance[3, 3]
    directions = np.array([[1, 0, 0], [1, 1, 0], [3, 3, 3]])
    share = np.array([0, 1 / 4, 1 / 3])
    wanted = 1 / (s11 - 2 * (s11 - s12 - s44 / 2) * share)
    assert young_moduli(stiffness, directions) == pytest.approx(wanted)


def quartz():
    """Alpha quartz, P3_221, its experimental cell."""
    from ase.spacegroup import crystal

    return crystal(
        ["Si", "O"],
        [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.7857)],
        spacegroup=154,
        cellpar=[4.9137, 4.9137, 5.4047, 90, 90, 120],
    )


def test_symmetrization_takes_errors_away_and_says_how_large_they_were():
    atoms = standard_orientation(quartz())
    turns = point_group(atoms)
    assert len(turns) == 6
    strains = np.array([_strain(k) for k in range(6)])
    exact = np.array([_stress(column) for column in QUARTZ])
    given = {**NOTHING, "fit_residual": 0.0}
    clean = fitted(atoms, strains, exact, turns, **given)
    # The sign of C14 goes with that of x, which quartz does not determine.
    sign = np.sign(clean.stiffness_GPa[0, 3] / QUARTZ[0, 3])
    assert sign == 1 or clean.symmetrization_change > 0.1
    assert clean.stiffness_GPa == pytest.approx(QUARTZ, abs=1e-6)
    assert clean.symmetrization_change < 1e-8
    noise = np.random.default_rng(0).normal(scale=1.0, size=exact.shape)
    noisy = fitted(
        atoms, strains, exact + noise + noise.transpose(0, 2, 1), turns, **given
    )
    assert 0.005 < noisy.symmetrization_change < 0.1
    missed = noisy.stiffness_GPa - QUARTZ
    assert np.abs(missed[QUARTZ == 0]).max() < 1e-6
    assert np.abs(missed).max() < 4.0


def test_symmetrization_keeps_voigts_averages():
    # They are the same in all frames, and so in the mean over a point group.
    atoms = standard_orientation(quartz())
    strains = np.array([_strain(k) for k in range(6)])
    wrong = QUARTZ + np.diag([5.0, -3, 2, 8, -4, 9])
    slopes = np.array([_stress(column) for column in wrong])
    given = {**NOTHING, "fit_residual": 0.0}
    found = fitted(atoms, strains, slopes, point_group(atoms), **given).moduli
    before = elastic_moduli(wrong)
    assert found.bulk_voigt_GPa == pytest.approx(before.bulk_voigt_GPa)
    assert found.shear_voigt_GPa == pytest.approx(before.shear_voigt_GPa)


def test_mandels_notation_keeps_lengths():
    tensor = _stress([1.0, -2.0, 3.0, 0.4, 0.5, -0.6])
    assert np.linalg.norm(to_mandel(tensor)) == pytest.approx(np.linalg.norm(tensor))
    # Shear stress over engineering shear strain is half of that over the tensor's.
    stiffness = np.diag([1.0, 1, 1, 2, 2, 2])
    assert mandel_to_voigt(stiffness) == pytest.approx(np.eye(6))


def _strain(place):
    voigt = np.zeros(6)
    voigt[place] = 1.0 if place < 3 else 0.5
    return _stress(voigt)


def _stress(voigt):
    xx, yy, zz, yz, xz, xy = voigt
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def test_standard_orientation_is_a_turn():
    atoms = turned(quartz())
    found = standard_orientation(atoms)
    assert found.get_all_distances(mic=True) == pytest.approx(
        atoms.get_all_distances(mic=True), abs=1e-6
    )
    # Not a mirror image: handedness of the lattice vectors stays.
    assert np.linalg.det(found.cell.array) > 0
    assert found.cell.array[2] == pytest.approx([0, 0, 5.4047], abs=1e-6)
    assert found.cell.array[0] == pytest.approx([4.9137, 0, 0], abs=1e-6)


def test_an_unstable_crystal_has_a_tensor_and_says_so(lennard_jones):
    # Lennard-Jones atoms on a simple cubic lattice shear to a close-packed one.
    cubes = bulk("Ar", "sc", a=3.7)
    result = compute(
        Elasticity(relaxing=Relaxing(cell="isotropic"), shear_strains=(-0.01, 0.01)),
        cubes,
        lennard_jones,
    )
    assert not result.is_stable
    assert not is_stable(result.stiffness_GPa)
    assert np.linalg.eigvalsh(result.stiffness_GPa).min() < 0
    assert "unstable" in result.notes[0]
    assert np.isnan(result.debye_temperature_K)
    assert result.moduli.bulk_voigt_GPa > 0
    with pytest.raises(StructureError, match="no Young's modulus"):
        result.young_modulus_GPa_along(np.eye(3))


def test_a_bad_fit_gives_no_number(lennard_jones):
    atoms = standard_orientation(bulk("Ar"))
    strains = np.array([_strain(k) for k in range(6)])
    with pytest.raises(FitError, match="miss polynomials"):
        fitted(atoms, strains, strains, point_group(atoms), fit_residual=0.3, **NOTHING)
    with pytest.raises(FitError, match="undetermined"):
        fitted(
            atoms,
            strains[:3],
            strains[:3],
            point_group(atoms),
            fit_residual=0.0,
            **NOTHING,
        )
    large = (-0.15, -0.1, -0.05, 0.05, 0.1, 0.15)
    wild = Elasticity(normal_strains=large, shear_strains=large, degree=2)
    with pytest.raises(FitError, match="smaller strains"):
        compute(wild, bulk("Ar"), lennard_jones)


def test_shears_that_are_too_large_are_made_smaller_and_said_so(lennard_jones):
    large = (-0.18, -0.12, -0.06, 0.06, 0.12, 0.18)
    wild = Elasticity(shear_strains=large, degree=2)
    assert max(wild.normal_strains) == 0.01
    result = compute(wild, bulk("Ar"), lennard_jones)
    small = tuple(strain * 0.01 / 0.18 for strain in large)
    expected = compute(replace(wild, shear_strains=small), bulk("Ar"), lennard_jones)
    assert expected.notes == ()
    assert "0.18 are too large" in result.notes[0]
    assert result.stiffness_GPa == pytest.approx(expected.stiffness_GPa, abs=1e-4)
    assert np.abs(result.strains).max() == pytest.approx(0.01)


def test_what_has_no_tensor_is_refused(lennard_jones):
    held = bulk("Ar", cubic=True)
    held.set_constraint(FixAtoms([0]))
    for atoms, word in ((molecule("H2O"), "not periodic"), (held, "constrained")):
        with pytest.raises(StructureError, match=word):
            compute(Elasticity(), atoms, lennard_jones)


@pytest.mark.parametrize(
    "wrong",
    [
        {"normal_strains": ()},
        {"shear_strains": (0.0, 0.01)},
        {"normal_strains": (0.5,)},
        {"degree": 1},
        {"at_each": Relaxing(cell="full")},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError):
        new_property("elasticity", **wrong)


def test_a_result_survives_json(lennard_jones):
    result = compute(Elasticity(), bulk("Ar"), lennard_jones)
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    assert back.quantities() == result.quantities()
    assert (back.stiffness_GPa == result.stiffness_GPa).all()
    assert from_plain(json.loads(json.dumps(to_plain(Elasticity())))) == Elasticity()
