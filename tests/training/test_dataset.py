"""Data sets: what is read, what is refused, how they are shared out."""

import json
import lzma

import ase
import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from training.bench_data import bench_file

from gnndesign.errors import ParameterError, ShapeError, StructureError
from gnndesign.structures.convert import to_pymatgen
from gnndesign.training.dataset import Dataset
from gnndesign.training.dataset_files import load_dataset
from gnndesign.units import EV_PER_A3_TO_GPA


def copper(n=4, *, group=None):
    """Rattled copper with energies, forces and stress of effective medium theory."""
    frames = []
    for seed in range(n):
        atoms = bulk("Cu", "fcc", 3.5, cubic=True)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        atoms.get_potential_energy()
        atoms.get_stress()
        if group:
            atoms.info["config_type"] = group
        frames.append(atoms)
    return frames


def labeled(atoms, **results):
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def test_extxyz_comes_back_as_it_was_written_also_compressed(tmp_path):
    frames = copper(group="rattled")
    ase.io.write(tmp_path / "data.xyz", frames, format="extxyz")
    packed = tmp_path / "data.extxyz.xz"
    packed.write_bytes(lzma.compress((tmp_path / "data.xyz").read_bytes()))
    for path in (tmp_path / "data.xyz", str(packed)):
        dataset = load_dataset(path)
        assert len(dataset) == 4
        assert dataset.groups == ("rattled",) * 4
        for k, atoms in enumerate(frames):
            assert dataset.structures[k].calc is None
            np.testing.assert_allclose(
                dataset.structures[k].positions, atoms.positions, atol=1e-7
            )
            assert dataset.energy[k] == pytest.approx(atoms.get_potential_energy())
            np.testing.assert_allclose(dataset.forces[k], atoms.get_forces(), atol=1e-7)
            np.testing.assert_allclose(
                dataset.stress[k], atoms.get_stress(voigt=False), atol=1e-7
            )


@pytest.mark.parametrize("suffix", ["db", "json"])
def test_ase_databases_give_what_calculators_stored_in_them(tmp_path, suffix):
    frames = copper(2)
    frames[0].set_constraint(FixAtoms([0, 1]))
    with ase.db.connect(tmp_path / f"data.{suffix}") as database:
        for atoms in frames:
            database.write(atoms, config_type="fresh")
    dataset = load_dataset(tmp_path / f"data.{suffix}")
    assert dataset.groups == ("fresh", "fresh")
    assert not dataset.structures[0].constraints
    # A constraint holds atoms, not the forces on them.
    whole = frames[0].get_forces(apply_constraint=False)
    assert np.abs(whole[:2]).max() > 0.01
    np.testing.assert_allclose(dataset.forces[0], whole, atol=1e-9)
    np.testing.assert_allclose(
        dataset.stress[1], frames[1].get_stress(voigt=False), atol=1e-9
    )


def test_a_database_that_is_no_database_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "data.db").write_bytes(b"not SQLite at all" * 100)
    with pytest.raises(StructureError, match="as an ASE database"):
        load_dataset(tmp_path / "data.db")


def test_a_folder_is_read_whole_and_grouped_by_file(tmp_path):
    frames = copper(3)
    (tmp_path / "run").mkdir()
    ase.io.write(tmp_path / "a.xyz", frames[:2], format="extxyz")
    ase.io.write(tmp_path / "run" / "b.extxyz", frames[2:], format="extxyz")
    (tmp_path / "notes.txt").write_text("nothing to read")
    dataset = load_dataset(tmp_path)
    assert dataset.groups == ("a.xyz", "a.xyz", "b.extxyz")
    assert dataset.source == "a.xyz, b.extxyz"
    one, other = dataset.split([2, 1], by="group")
    assert set(one.groups) == {"a.xyz"}
    assert set(other.groups) == {"b.extxyz"}


def test_what_is_missing_is_nan_or_none_and_counted(tmp_path):
    hydrogen = ase.Atoms("H")
    hydrogen.info.update(energy=-13.6, config_type="isolated_atom")
    water = labeled(molecule("H2O"), energy=-14.0, forces=np.ones((3, 3)))
    ase.io.write(tmp_path / "data.xyz", [hydrogen, water, *copper(1)], format="extxyz")
    dataset = load_dataset(tmp_path / "data.xyz")
    assert dataset.energy[0] == -13.6
    assert dataset.forces[0] is None
    assert dataset.forces[1].shape == (3, 3)
    assert np.isnan(dataset.stress[:2]).all()
    assert np.isfinite(dataset.stress[2]).all()
    summary = dataset.summary()
    assert (summary.n_without_forces, summary.n_without_stress) == (1, 2)
    assert summary.elements == {"H": 3, "O": 1, "Cu": 4}
    assert json.loads(json.dumps(summary.to_dict()))["atoms_per_structure"] == [1, 4]


def test_a_molecule_has_no_stress_whatever_the_file_says():
    box = molecule("H2O", vacuum=5.0)
    box.info.update(energy=-14.0, stress=np.eye(3))
    assert np.isnan(Dataset.from_atoms([box]).stress).all()
    box.pbc = [True, True, False]
    assert np.isnan(Dataset.from_atoms([box]).stress).all()
    box.pbc = True
    assert np.array_equal(Dataset.from_atoms([box]).stress[0], np.eye(3))


@pytest.mark.parametrize("name", ["REF_energy", "dft_energy", "Energy", "total_energy"])
def test_the_energy_is_found_under_the_names_that_people_give_it(name):
    frames = [a.copy() for a in copper(2)]
    for k, atoms in enumerate(frames):
        atoms.info[name] = -1.0 - k
        atoms.info["formation_energy"] = 77.0
        atoms.arrays["REF_forces"] = np.full((4, 3), 0.25)
    dataset = Dataset.from_atoms(frames)
    assert dataset.energy.tolist() == [-1.0, -2.0]
    assert dataset.forces[1][2, 1] == 0.25


def test_two_energies_that_differ_are_an_error_that_lists_them():
    frames = copper(2)
    frames[0].info["REF_energy"] = -3.0
    with pytest.raises(StructureError, match=r"REF_energy \(in 1 of 2\)") as error:
        Dataset.from_atoms(frames)
    assert "energy (in 2 of 2)" in str(error.value)
    chosen = Dataset.from_atoms(frames, energy="REF_energy")
    assert chosen.energy[0] == -3.0
    assert np.isnan(chosen.energy[1])
    frames[0].info["REF_energy"] = frames[0].get_potential_energy()
    assert not np.isnan(Dataset.from_atoms(frames).energy).any()


def test_energies_of_different_names_in_different_structures_are_not_mixed():
    one, other = ase.Atoms("H"), ase.Atoms("H")
    one.info["pbe_energy"], other.info["hse_energy"] = -1.0, -2.0
    with pytest.raises(StructureError, match=r"hse_energy .*pbe_energy"):
        Dataset.from_atoms([one, other])


def test_the_free_energy_is_taken_since_forces_are_its_gradient():
    atoms = labeled(bulk("Cu"), energy=-3.0, free_energy=-3.1)
    assert Dataset.from_atoms([atoms]).energy[0] == -3.1
    assert Dataset.from_atoms([atoms], energy="energy").energy[0] == -3.0


def test_a_name_that_is_not_there_is_an_error_that_says_what_is():
    with pytest.raises(StructureError, match="wanted the forces under the name 'F'"):
        Dataset.from_atoms(copper(1), forces="F")
    bare = ase.Atoms("H", info={"E_tot": 1.0})
    with pytest.raises(StructureError, match="E_tot"):
        Dataset.from_atoms([bare])
    assert Dataset.from_atoms([bare], energy="E_tot").energy[0] == 1.0


@pytest.mark.parametrize(
    ("name", "unit", "factor"),
    [
        ("stress", None, 1.0),
        ("stress", "eV/A^3", 1.0),
        ("stress_GPa", None, 1 / EV_PER_A3_TO_GPA),
        ("stress", "GPa", 1 / EV_PER_A3_TO_GPA),
        ("stress", "kbar", -0.1 / EV_PER_A3_TO_GPA),
        ("vasp_stress_kbar", None, -0.1 / EV_PER_A3_TO_GPA),
        ("virial", None, -1.0 / 47.0),
    ],
)
def test_stress_comes_out_in_one_unit_and_positive_under_tension(name, unit, factor):
    atoms = ase.Atoms("Cu", cell=[47.0, 1.0, 1.0], pbc=True)
    atoms.info.update({"energy": 0.0, name: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    dataset = Dataset.from_atoms([atoms], stress_unit=unit)
    expected = factor * np.array([[1, 6, 5], [6, 2, 4], [5, 4, 3]])
    np.testing.assert_allclose(dataset.stress[0], expected, rtol=1e-12)


def test_an_unknown_unit_of_stress_is_refused():
    with pytest.raises(ParameterError, match="kbar"):
        Dataset.from_atoms(copper(1), stress_unit="psi")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energy": np.nan}, "energy that are not numbers"),
        ({"energy": 1e9}, "energy of 2.5e\\+08"),
        ({"forces": np.full((4, 3), np.inf)}, "forces that are not numbers"),
        ({"forces": np.full((4, 3), 1e7)}, "forces of 1e\\+07"),
        ({"stress": np.full(6, 120.0)}, "stress of 120.*stress_unit"),
    ],
)
def test_labels_that_make_no_sense_are_named(change, message):
    frames = copper(3)
    results = {**frames[1].calc.results, **change}
    results = {key: results[key] for key in ("energy", "forces", "stress")}
    frames[1] = labeled(frames[1].copy(), **results)
    with pytest.raises(StructureError, match=f"Structure 1 \\(Cu4\\).*{message}"):
        Dataset.from_atoms(frames)


def test_forces_of_another_shape_are_refused():
    dataset = Dataset.from_atoms(copper(1))
    with pytest.raises(ShapeError, match="wanted forces of shape"):
        Dataset(
            structures=dataset.structures,
            energy=dataset.energy,
            forces=(np.zeros((3, 3)),),
            stress=dataset.stress,
            groups=dataset.groups,
        )


def test_results_of_a_shared_calculator_count_for_its_last_frame_only():
    atoms = ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8]])
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.01)
    frames = []
    for _ in range(3):
        atoms.positions[1, 2] += 0.1
        atoms.get_potential_energy()
        frame = atoms.copy()
        frame.calc = atoms.calc
        frames.append(frame)
    dataset = Dataset.from_atoms(frames)
    assert np.isnan(dataset.energy).tolist() == [True, True, False]


def test_structures_of_pymatgen_bring_their_properties():
    crystal = to_pymatgen(bulk("Cu", "fcc", 3.6, cubic=True))
    crystal.properties["energy"] = -14.0
    crystal.add_site_property("forces", np.full((4, 3), 0.5).tolist())
    dataset = Dataset.from_atoms([crystal])
    assert dataset.energy.tolist() == [-14.0]
    assert dataset.forces[0].shape == (4, 3)


def test_parts_are_disjoint_of_the_size_asked_for_and_repeatable():
    dataset = Dataset.from_atoms(copper(20))
    first, second = dataset.split([0.5, 3], seed=4)
    assert (len(first), len(second)) == (10, 3)
    energies = [*first.energy, *second.energy]
    assert len(set(energies)) == 13
    assert set(energies) < set(dataset.energy)
    again = dataset.split([0.5, 3], seed=4)
    assert [part.checksum for part in again] == [first.checksum, second.checksum]
    assert dataset.split([0.5, 3], seed=5)[0].checksum != first.checksum
    whole = dataset.split([0.7, 0.15, 0.15])
    assert sorted(len(part) for part in whole) == [3, 3, 14]


@pytest.mark.parametrize("sizes", [[], [0.0, 1], [5, 0.5], [-1], [0.9, 0.9], [0.01]])
def test_sizes_that_cannot_be_are_refused(sizes):
    with pytest.raises(ParameterError):
        Dataset.from_atoms(copper(4)).split(sizes)


def test_a_turned_copy_stays_on_the_side_of_its_original():
    frames = copper(10)
    for atoms in frames[:5]:
        copy = atoms.copy()
        copy.rotate(77, (1, 2, 3), rotate_cell=True)
        frames.append(labeled(copy, energy=atoms.get_potential_energy()))
    dataset = Dataset.from_atoms(frames)
    for seed in range(6):
        first, second = dataset.split([0.5, 0.5], seed=seed)
        assert len(first) + len(second) == 15
        assert abs(len(first) - len(second)) <= 2
        apart = np.abs(first.energy[:, None] - second.energy[None]).min()
        assert apart > 1e-6


def test_groups_are_left_whole_and_too_few_are_an_error():
    frames = [a for k in range(6) for a in copper(3, group=f"run {k}")]
    dataset = Dataset.from_atoms(frames)
    parts = dataset.split([0.5, 0.5], by="group")
    assert [len(part) for part in parts] == [9, 9]
    assert not set(parts[0].groups) & set(parts[1].groups)
    with pytest.raises(ParameterError, match="by structure"):
        Dataset.from_atoms(copper(6, group="only")).split([0.5, 0.5], by="group")


def test_selecting_and_joining_undo_each_other():
    dataset = Dataset.from_atoms(copper(5, group="a"))
    joined = Dataset.concatenate([dataset.select([0, 1]), dataset.select([2, 3, 4])])
    assert joined.checksum == dataset.checksum
    assert joined.source == dataset.source
    with pytest.raises(ParameterError, match="from 0 to 4"):
        dataset.select([5])


def test_the_checksum_knows_labels_and_geometry():
    dataset = Dataset.from_atoms(copper(2))
    changed = copper(2)
    changed[1].info["config_type"] = "x"
    assert Dataset.from_atoms(changed).checksum != dataset.checksum
    assert Dataset.from_atoms(copper(2)).checksum == dataset.checksum
    assert dataset.checksum == dataset.select([0, 1]).checksum
    assert dataset.checksum != dataset.select([1, 0]).checksum


def test_mlearn_has_stress_and_a_molecule_of_rmd17_has_none():
    silicon = load_dataset(bench_file("mlearn", "Si_test.xyz.xz"))
    assert len(silicon) == 25
    assert silicon.summary().n_without_stress == 0
    low, high = silicon.summary().pressure_GPa
    # Elastic strains of 10 % of silicon: bulk modulus 90 GPa times a tenth.
    assert -5.0 < low < 0.0 < high < 15.0
    ethanol = load_dataset(bench_file("rmd17", "ethanol_test01.xyz.xz")).summary()
    assert (ethanol.n_without_forces, ethanol.n_without_stress) == (0, 1000)


def test_acetylacetone_scans_have_energies_alone():
    scan = load_dataset(bench_file("acac_botnet", "test_H_transfer.xyz.xz"))
    assert len(scan) == 15
    assert scan.forces == (None,) * 15
    # The barrier of the proton transfer, published as 14.1 meV.
    assert np.ptp(scan.energy) == pytest.approx(0.0141, abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "folder", ["mlearn", "rmd17", "acac_botnet", "ethanol_botnet", "water_deepmd"]
)
def test_every_file_of_the_benchmarks_is_read(folder):
    for path in sorted(bench_file(folder).glob("*.xyz.xz")):
        dataset = load_dataset(path)
        assert not np.isnan(dataset.energy).any()
        is_scan = any(forces is None for forces in dataset.forces)
        assert is_scan == ("isolated" in path.name or path.name in SCANS)


SCANS = {
    "test_H_transfer.xyz.xz",
    "test_dihedral.xyz.xz",
    "test_H_removal.xyz.xz",
    "test_dimers.xyz.xz",
    "test_norm_mode_3005.xyz.xz",
    "test_norm_mode_874.xyz.xz",
}
