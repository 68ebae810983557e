"""What other programs read is what was simulated."""

import warnings
import weakref
from collections.abc import Sequence
from contextlib import closing

import ase
import ase.io
import numpy as np
import pytest
from ase.build import fcc111, molecule
from ase.calculators.lammps import Prism
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from pymatgen.io.lammps.outputs import parse_lammps_dumps
from pymatgen.io.vasp import Xdatcar

from gnndesign.errors import ParameterError, StructureError
from gnndesign.structures.export import (
    EXPORT_NAMES,
    export_trajectory,
    find_trajectory,
)
from gnndesign.structures.files import load_structures
from gnndesign.structures.trajectory import TrajectoryFile, frame_file

N_FRAMES = 5


def with_results(atoms, random):
    atoms.set_momenta(random.normal(size=(len(atoms), 3)))
    atoms.calc = SinglePointCalculator(
        atoms,
        energy=random.normal(),
        forces=random.normal(size=(len(atoms), 3)),
        stress=random.normal(size=6),
    )
    return atoms


def make_frames(hand):
    """A skewed cell, the same in frames 2 and 3, with atoms that have left it."""
    random = np.random.default_rng(3)
    base = np.array([[5.0, 0.3, -0.2], [1.5, 6.0, 0.4], [-2.0, 1.0, 7.0 * hand]])
    made = []
    for step in range(N_FRAMES):
        if step != 3:
            cell = base + random.normal(size=(3, 3)) * 0.1
        atoms = ase.Atoms("NaClNaSiCl2", cell=cell, pbc=True)
        atoms.set_scaled_positions(random.uniform(-1.3, 2.4, (6, 3)))
        atoms.info = {"step": 10 * step, "time_fs": 5.0 * step}
        made.append(with_results(atoms, random))
    return made


@pytest.fixture
def frames():
    return make_frames(hand=1)


in_both_hands = pytest.mark.parametrize(
    "frames", [make_frames(1), make_frames(-1)], ids=["right-handed", "left-handed"]
)


def shape(atoms):
    """What turning and mirroring leave: the metric of the cell, and fractions."""
    cell = atoms.cell.array
    return cell @ cell.T, atoms.get_scaled_positions(wrap=False)


def assert_same_shapes(found, frames, atol):
    assert len(found) == len(frames)
    for read, atoms in zip(found, frames, strict=True):
        assert read.get_chemical_symbols() == atoms.get_chemical_symbols()
        assert read.pbc.all()
        for one, other in zip(shape(read), shape(atoms), strict=True):
            np.testing.assert_allclose(one, other, atol=atol)


def exported(frames, folder, file_format, **options):
    target = folder / EXPORT_NAMES[file_format]
    assert export_trajectory(frames, target, **options) > 0
    return target


@in_both_hands
def test_extended_xyz_keeps_everything(frames, tmp_path):
    found = ase.io.read(exported(frames, tmp_path, "extxyz"), ":")
    for read, atoms in zip(found, frames, strict=True):
        np.testing.assert_allclose(read.cell.array, atoms.cell.array, rtol=1e-15)
        np.testing.assert_allclose(read.positions, atoms.positions, atol=6e-9)
        np.testing.assert_allclose(read.get_momenta(), atoms.get_momenta(), atol=6e-9)
        assert read.info == atoms.info
        assert read.get_chemical_symbols() == atoms.get_chemical_symbols()
        for name, value in atoms.calc.results.items():
            np.testing.assert_allclose(read.calc.results[name], value, atol=6e-9)


def test_an_info_with_the_name_of_a_result_does_not_stop_extended_xyz(frames, tmp_path):
    frames[1].info["energy"] = "what I noted"
    found = ase.io.read(exported(frames, tmp_path, "extxyz"), ":")
    assert found[1].get_potential_energy() == frames[1].get_potential_energy()
    assert frames[1].info["energy"] == "what I noted"


@in_both_hands
def test_xdatcar_has_a_head_where_the_cell_changes(frames, tmp_path):
    target = exported(frames, tmp_path, "xdatcar")
    assert_same_shapes(ase.io.read(target, ":"), frames, atol=1e-8)
    for read, atoms in zip(ase.io.read(target, ":"), frames, strict=True):
        np.testing.assert_allclose(read.cell.array, atoms.cell.array, atol=1e-10)
        np.testing.assert_allclose(read.positions, atoms.positions, atol=1e-8)
    text = target.read_text("utf-8")
    assert text.count("written by gnndesign") == N_FRAMES - 1
    assert text.count("Direct configuration=") == N_FRAMES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the file open
        by_pymatgen = Xdatcar(str(target)).structures
    for read, atoms in zip(by_pymatgen, frames, strict=True):
        np.testing.assert_allclose(read.lattice.matrix, atoms.cell.array, atol=1e-9)
        np.testing.assert_allclose(read.cart_coords, atoms.positions, atol=1e-8)
    assert len(load_structures(target)) == N_FRAMES


@in_both_hands
def test_cif_has_a_block_a_frame_with_coordinates_not_wrapped(frames, tmp_path):
    target = exported(frames, tmp_path, "cif")
    found = ase.io.read(target, ":")
    inside = [atoms.copy() for atoms in frames]
    for atoms in (*inside, *found):
        atoms.wrap(eps=0)
    assert_same_shapes(found, inside, atol=1e-10)
    text = target.read_text("utf-8")
    assert text.count("\ndata_frame_") + 1 == N_FRAMES
    first = [line.split() for line in text.splitlines() if line.startswith("  Na  Na1")]
    fractions = [float(value) for value in first[0][3:6]]
    assert min(fractions) < 0 or max(fractions) > 1
    assert len(load_structures(target)) == N_FRAMES


@in_both_hands
def test_pdb_has_a_model_with_its_cell_a_frame(frames, tmp_path):
    target = exported(frames, tmp_path, "pdb")
    # Lengths are rounded to 0.001 Å, angles to 0.01°.
    assert_same_shapes(ase.io.read(target, ":"), frames, atol=0.02)
    for read, atoms in zip(ase.io.read(target, ":"), frames, strict=True):
        np.testing.assert_allclose(
            read.get_all_distances(), atoms.get_all_distances(), atol=0.002
        )
    lines = target.read_text("utf-8").splitlines()
    assert [line[10:14] for line in lines if line.startswith("MODEL")] == [
        f"{n:4d}" for n in range(1, N_FRAMES + 1)
    ]
    atom = next(line for line in lines if line.startswith("HETATM"))
    assert (len(atom), atom[12:14], atom[76:78]) == (78, "NA", "NA")
    assert len(load_structures(target)) == N_FRAMES


def test_pdb_has_no_room_for_atoms_far_away(frames, tmp_path):
    frames[2].positions[0, 1] += 1e5
    with pytest.raises(StructureError, match=r"Frame 2 .* PDB has room"):
        exported(frames, tmp_path, "pdb")


@in_both_hands
def test_lammps_dump_is_turned_with_its_box_and_has_metal_units(frames, tmp_path):
    target = exported(frames, tmp_path, "lammps-dump")
    found = ase.io.read(target, ":", format="lammps-dump-text")
    # Writing rounds to 1e-8, which the cell's skewness enlarges.
    assert_same_shapes(found, frames, atol=1e-7)
    for read, atoms in zip(found, frames, strict=True):
        assert read.info["timestep"] == atoms.info["step"]
        prism = Prism(atoms.cell.array)
        back = prism.vector_to_ase(read.positions)
        np.testing.assert_allclose(back, atoms.positions, atol=1e-7)
        # ASE's constants are of 2014, ours of 2018.
        back = prism.vector_to_ase(read.get_velocities())
        np.testing.assert_allclose(back, atoms.get_velocities(), rtol=1e-5, atol=1e-8)
        back = prism.vector_to_ase(read.get_forces())
        np.testing.assert_allclose(back, atoms.get_forces(), rtol=1e-6, atol=1e-7)
    for dump, atoms in zip(parse_lammps_dumps(str(target)), frames, strict=True):
        assert dump.timestep == atoms.info["step"]
        assert dump.box.volume == pytest.approx(atoms.cell.volume)
        assert dump.data["element"].tolist() == atoms.get_chemical_symbols()
        # One type an element, the same in all frames.
        assert dump.data["type"].tolist() == [1, 2, 1, 3, 2, 2]


@pytest.mark.parametrize("kind", ["molecule", "slab"])
def test_a_lammps_box_goes_around_what_has_no_cell(kind, tmp_path):
    atoms = molecule("CH3CH2OH") if kind == "molecule" else fcc111("Cu", (2, 3, 3))
    atoms.rotate(70, (1, 2, 3), rotate_cell=True)
    atoms = with_results(atoms, np.random.default_rng(1))
    target = exported([atoms], tmp_path, "lammps-dump")
    read = ase.io.read(target, format="lammps-dump-text")
    assert (read.pbc == atoms.pbc).all()
    np.testing.assert_allclose(
        read.get_all_distances(), atoms.get_all_distances(), atol=1e-6
    )
    np.testing.assert_allclose(
        np.linalg.norm(read.get_forces(), axis=1),
        np.linalg.norm(atoms.get_forces(), axis=1),
        rtol=1e-6,
    )
    corner = np.asarray(read.get_celldisp()).ravel()
    inside = np.linalg.solve(read.cell.array.T, (read.positions - corner).T).T
    for axis in np.flatnonzero(~atoms.pbc):
        assert 0 < inside[:, axis].min() < inside[:, axis].max() < 1
    if kind == "slab":
        lengths = atoms.cell.lengths()[:2]
        np.testing.assert_allclose(read.cell.lengths()[:2], lengths, atol=1e-8)


@pytest.mark.parametrize("file_format", ["xdatcar", "cif"])
def test_what_needs_a_cell_says_so(file_format, tmp_path):
    with pytest.raises(StructureError, match="frame 0 has only 0 lattice vectors"):
        exported([molecule("H2O")], tmp_path, file_format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file_format", EXPORT_NAMES)
def test_an_export_that_fails_leaves_what_was_there(file_format, frames, tmp_path):
    target = exported(frames, tmp_path, file_format)
    content = target.read_bytes()

    told = []

    def tell(done, total):
        told.append((done, total))
        assert len(list(tmp_path.iterdir())) == 2

    class Torn(Sequence):
        def __len__(self):
            return N_FRAMES

        def __getitem__(self, index):
            # The tests' type checker looks at some element before the first is wanted.
            if index == 2 and told:
                raise OSError("the disk is gone")
            return frames[index]

    with pytest.raises(OSError, match="the disk is gone"):
        export_trajectory(Torn(), target, on_progress=tell)
    assert list(tmp_path.iterdir()) == [target]
    told.clear()
    asked = iter([False, False, True])
    stopped = export_trajectory(
        frames, target, should_stop=lambda: next(asked), on_progress=tell
    )
    assert (stopped, told) == (0, [(1, N_FRAMES), (2, N_FRAMES)])
    assert target.read_bytes() == content
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("file_format", EXPORT_NAMES)
def test_one_frame_at_a_time_is_in_memory(file_format, frames, tmp_path):
    living = []

    class Lazy(Sequence):
        def __len__(self):
            return 30

        def __getitem__(self, index):
            assert sum(made() is not None for made in living) <= 2
            atoms = frames[index % N_FRAMES].copy()
            living.append(weakref.ref(atoms))
            return atoms

    exported(Lazy(), tmp_path, file_format)
    assert len(living) >= 30


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, [0, 10, 20, 30, 40]),
        ({"start": 1, "stop": 4}, [10, 20, 30]),
        ({"start": -2}, [30, 40]),
        ({"every": 2}, [0, 20, 40]),
        ({"start": 1, "stop": 99, "every": 3}, [10, 40]),
    ],
)
def test_a_range_is_taken_as_a_slice_takes_it(options, steps, frames, tmp_path):
    ase.io.write(tmp_path / "run.traj", frames)
    target = tmp_path / "part.xyz"
    assert export_trajectory(tmp_path / "run.traj", target, **options) == len(steps)
    assert [a.info["step"] for a in ase.io.read(target, ":")] == steps


def test_what_cannot_be_exported_is_said(frames, tmp_path):
    with pytest.raises(StructureError, match="none from 7 to the end"):
        export_trajectory(frames, tmp_path / "a.xyz", start=7)
    with pytest.raises(ParameterError, match="every >= 1"):
        export_trajectory(frames, tmp_path / "a.xyz", every=0)
    with pytest.raises(ParameterError, match=r"'a\.doc'.*extxyz, xdatcar, cif"):
        export_trajectory(frames, tmp_path / "a.doc")
    with pytest.raises(StructureError, match=r"folder .* does not exist"):
        export_trajectory(frames, tmp_path / "no" / "a.xyz")
    assert list(tmp_path.iterdir()) == []


def test_the_format_may_be_told_beside_the_name(frames, tmp_path):
    export_trajectory(frames, tmp_path / "a.txt", "lammps-dump")
    assert (tmp_path / "a.txt").read_text("utf-8").startswith("ITEM: TIMESTEP\n0\n")


def test_a_folder_means_its_trajectory(frames, tmp_path):
    job = tmp_path / "job"
    (job / "trajectory").mkdir(parents=True)
    with pytest.raises(StructureError, match="no trajectory"):
        find_trajectory(job)
    only = frame_file(job / "trajectory", 3)
    ase.io.write(only, frames[:2])
    assert find_trajectory(job) == find_trajectory(job / "trajectory") == only
    assert find_trajectory(only) == find_trajectory(job, 3) == only
    other = frame_file(job / "trajectory", 5)
    ase.io.write(other, frames)
    assert find_trajectory(job, 5) == other
    for wrong in (None, 4):
        with pytest.raises(StructureError, match=r"2 structures, from 00003\.traj"):
            find_trajectory(job, wrong)
    with pytest.raises(StructureError, match=r"no '.*nothing'"):
        find_trajectory(tmp_path / "nothing")


def test_results_of_another_geometry_are_not_exported(tmp_path):
    shared = LennardJones()
    frames = [
        ase.Atoms("Ar2", [[0, 0, 0], [0, 0, d]], calculator=shared) for d in (4, 5)
    ]
    for atoms in frames:
        atoms.get_forces()
    found = ase.io.read(exported(frames, tmp_path, "extxyz"), ":")
    assert found[0].calc is None
    assert found[1].get_potential_energy() == pytest.approx(
        frames[1].get_potential_energy()
    )
    dump = exported(frames, tmp_path, "lammps-dump").read_text("utf-8")
    assert dump.count("fx fy fz") == 1


def test_a_cut_trajectory_is_exported_as_far_as_it_is_whole(frames, tmp_path):
    path = tmp_path / "run.traj"
    ase.io.write(path, frames)
    path.write_bytes(path.read_bytes()[:-9])
    with closing(TrajectoryFile(path)) as whole:
        n_whole = len(whole)
    assert 0 < n_whole < N_FRAMES
    assert export_trajectory(path, tmp_path / "a.xyz") == n_whole
