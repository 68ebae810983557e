"""Duplicates, outliers and the energies of the elements."""

import ase
import numpy as np
import pytest
from ase.build import bulk, molecule
from training.bench_data import bench_file

from gnndesign.errors import FitError, ParameterError
from gnndesign.training.baseline import (
    energy_above_baseline,
    fit_baseline,
    isolated_atoms,
)
from gnndesign.training.dataset import Dataset
from gnndesign.training.dataset_checks import duplicates, outliers
from gnndesign.training.dataset_files import load_dataset


def dataset_of(structures, energy, **fields):
    n = len(structures)
    return Dataset(
        **{
            "structures": tuple(structures),
            "energy": np.asarray(energy, dtype=float),
            "forces": (None,) * n,
            "stress": np.full((n, 3, 3), np.nan),
            "groups": ("",) * n,
            **fields,
        }
    )


def salt(seed=1):
    atoms = bulk("NaCl", "rocksalt", 5.6, cubic=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


def variants(atoms):
    moved = atoms.copy()
    moved.positions += [1.3, -7.0, 0.4]
    moved.wrap()
    order = np.random.default_rng(0).permutation(len(atoms))
    turned = atoms.copy()
    turned.rotate(50, (1, 2, 0), rotate_cell=True)
    mirrored = atoms.copy()
    mirrored.set_cell(-atoms.cell.array)
    mirrored.positions *= -1
    noisy = atoms.copy()
    noisy.rattle(1e-5)
    return {
        "moved": moved,
        "reordered": atoms[order],
        "turned": turned,
        "mirrored": mirrored,
        "noisy": noisy,
    }


@pytest.mark.parametrize("how", ["moved", "reordered", "turned", "mirrored", "noisy"])
@pytest.mark.parametrize("kind", ["crystal", "molecule"])
def test_one_structure_in_another_guise_is_a_duplicate(how, kind):
    one = salt() if kind == "crystal" else molecule("CH3CH2OH")
    other = salt(seed=2) if kind == "crystal" else molecule("CH3OCH3")
    found = duplicates(dataset_of([one, other, variants(one)[how]], [-1.0, -1.5, -1.0]))
    assert [group.indices for group in found] == [(0, 2)]
    assert found[0].agree


def test_another_cell_of_the_same_lattice_is_a_duplicate():
    atoms = salt()
    skewed = atoms.copy()
    a, b, c = atoms.cell.array
    skewed.set_cell([a, b + a, c])
    found = duplicates(dataset_of([atoms, skewed], [0.0, 0.0]))
    assert len(found) == 1


def test_a_small_move_or_strain_makes_another_structure():
    atoms = salt()
    bent = atoms.copy()
    bent.positions[3, 0] += 0.02
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array * [1, 1, 1.003], scale_atoms=True)
    swapped = atoms.copy()
    swapped.numbers = swapped.numbers[::-1]
    found = duplicates(dataset_of([atoms, bent, strained, swapped], [0.0] * 4))
    assert not found
    assert duplicates(dataset_of([atoms, bent], [0.0] * 2), tolerance=0.05)


def test_one_geometry_with_two_energies_is_reported_as_a_contradiction():
    found = duplicates(dataset_of([salt(), salt()], [-8.0, -8.8]))
    assert not found[0].agree
    assert found[0].energy_spread == pytest.approx(0.1)
    with pytest.raises(ParameterError, match="tolerance"):
        duplicates(dataset_of([salt()], [0.0]), tolerance=0.0)


@pytest.mark.parametrize(
    ("element", "least", "most"),
    [("Si", 3, 9), pytest.param("Mo", 0, 0, marks=pytest.mark.slow)],
)
def test_mlearn_tests_structures_that_are_turned_training_strains(element, least, most):
    """As its source says: 3 to 9 test structures of an element, none of molybdenum."""
    train, test = (
        load_dataset(bench_file("mlearn", f"{element}_{part}.xyz.xz"))
        for part in ("train", "test")
    )
    found = duplicates(Dataset.concatenate([train, test]))
    shared = [g for g in found if g.indices[0] < len(train) <= g.indices[-1]]
    assert least <= sum(k >= len(train) for g in shared for k in g.indices) <= most
    assert all(group.agree for group in found)


def compounds(energies, formulas, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    structures = [
        ase.Atoms(f, positions=3.0 * np.arange(3 * n).reshape(n, 3))
        for f in formulas
        for n in [len(ase.Atoms(f))]
    ]
    total = [
        sum(energies[z] for z in atoms.numbers) + noise * len(atoms) * rng.normal()
        for atoms in structures
    ]
    return dataset_of(structures, total)


def test_the_baseline_of_additive_energies_is_exact():
    true = {1: -13.0, 6: -1030.0, 8: -2040.0}
    data = compounds(true, ["CH4", "H2O", "CO2", "CO", "C2H6O", "H2"])
    assert fit_baseline(data) == pytest.approx(true)
    np.testing.assert_allclose(energy_above_baseline(data), 0.0, atol=1e-8)


def test_one_compound_leaves_the_baseline_open_and_gets_the_smallest():
    true = {1: -13.0, 6: -1030.0, 8: -2040.0}
    data = compounds(true, ["C2H6O"] * 5)
    found = fit_baseline(data)
    total = 6 * -13.0 + 2 * -1030.0 - 2040.0
    # The minimum-norm solution is along the composition (6, 2, 1).
    for number, count in ((1, 6), (6, 2), (8, 1)):
        assert found[number] == pytest.approx(count * total / 41)
    np.testing.assert_allclose(energy_above_baseline(data), 0.0, atol=1e-8)


def test_isolated_atoms_fix_their_elements_where_asked_and_are_else_left_out():
    molecules = compounds({1: -15.0, 8: -2045.0}, ["H2O", "H2O2", "H2", "O2"])
    hydrogen = dataset_of([ase.Atoms("H")], [-13.0])
    data = Dataset.concatenate([molecules, hydrogen])
    assert isolated_atoms(data) == {1: -13.0}
    assert fit_baseline(data) == pytest.approx({1: -15.0, 8: -2045.0})
    fixed = fit_baseline(data, use_isolated_atoms=True)
    assert fixed[1] == -13.0
    assert fixed[8] < -2045.0  # Oxygen takes the bonds of hydrogen.
    crystal = dataset_of([bulk("Cu")], [-4.0])
    assert fit_baseline(crystal) == pytest.approx({29: -4.0})
    with pytest.raises(FitError, match="isolated atoms"):
        fit_baseline(crystal, use_isolated_atoms=True)


def test_a_baseline_without_an_element_or_energies_is_an_error():
    data = compounds({1: -13.0, 8: -2040.0}, ["H2O", "H2"])
    with pytest.raises(FitError, match="no energy for O"):
        energy_above_baseline(data, {1: -13.0})
    with pytest.raises(FitError, match="no structure has an energy"):
        fit_baseline(dataset_of([molecule("H2O")], [np.nan]))


def test_isolated_atoms_of_the_benchmarks_are_found():
    atoms = load_dataset(bench_file("acac_botnet", "isolated_atoms.xyz.xz"))
    assert list(isolated_atoms(atoms)) == [1, 6, 8]
    assert isolated_atoms(atoms)[1] == pytest.approx(-13.568, abs=1e-3)


def test_planted_outliers_are_found_with_their_numbers_and_nothing_else():
    rng = np.random.default_rng(3)
    n = 300
    structures = [molecule("H2O") for _ in range(n)]
    energy = -14.0 + 0.03 * rng.normal(size=n)
    energy[17] += 3.0
    forces = [rng.normal(size=(3, 3)) for _ in range(n)]
    forces[5][1, 2] = 400.0
    stress = 0.01 * rng.normal(size=(n, 3, 3))
    stress[8] *= 1600.0  # GPa that pass for eV/Å³.
    data = dataset_of(structures, energy, forces=tuple(forces), stress=stress)
    found = outliers(data)
    assert {(o.index, o.what) for o in found} == {
        (17, "energy per atom"),
        (5, "largest force"),
        (8, "stress"),
    }
    by_index = {o.index: o for o in found}
    assert by_index[17].value - by_index[17].median == pytest.approx(1.0, abs=0.05)
    assert by_index[17].z == pytest.approx(100.0, rel=0.2)
    assert by_index[5].value == pytest.approx(400.0, rel=1e-3)
    assert abs(found[0].z) >= abs(found[-1].z) > 8
    assert by_index[5].to_dict()["unit"] == "eV/Å"


def test_quiet_structures_and_tiny_sets_are_no_outliers():
    """Forces of a perfect crystal are zero; a median of four is none."""
    rng = np.random.default_rng(0)
    forces = [rng.normal(size=(2, 3)) for _ in range(30)] + [np.zeros((2, 3))] * 5
    data = dataset_of(
        [bulk("Si")] * 35, -5.0 + 0.01 * rng.normal(size=35), forces=tuple(forces)
    )
    assert not outliers(data)
    assert not outliers(dataset_of([bulk("Si")] * 4, [0.0, 0.0, 0.0, 90.0]))
    with pytest.raises(ParameterError, match="threshold"):
        outliers(data, threshold=0.0)
