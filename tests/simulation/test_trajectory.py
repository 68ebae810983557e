"""Frames on disk are readable by others, while they are written and afterwards."""

import os
from dataclasses import replace

import ase.io
import numpy as np
import pytest

from gnndesign.errors import ParameterError, StructureError
from gnndesign.simulation.dynamics import molecular_dynamics
from gnndesign.simulation.fire import FIRE
from gnndesign.simulation.nve import NVE
from gnndesign.simulation.run import run
from gnndesign.simulation.trajectory import (
    TrajectoryFile,
    TrajectoryFolder,
    frame,
    frame_file,
)


@pytest.fixture
def snapshots(argon, trimer, lennard_jones):
    """Six moments of a crystal and a molecule."""
    stepper = NVE(timestep_fs=3.0, temperature_K=30.0)
    return list(run(stepper, lennard_jones, [argon(), trimer], max_steps=5))


def test_ase_reads_the_frames_with_their_results(
    argon, trimer, lennard_jones, tmp_path
):
    results = molecular_dynamics(
        [argon(), trimer], lennard_jones, steps=6, record_every=2, trajectory=tmp_path
    )
    for system, result in enumerate(results):
        frames = ase.io.read(frame_file(tmp_path, system), index=":")
        assert [f.info["step"] for f in frames] == [0, 2, 4, 6]
        assert [f.info["time_fs"] for f in frames] == [0.0, 2.0, 4.0, 6.0]
        last = frames[-1]
        np.testing.assert_array_equal(last.positions, result.atoms.positions)
        np.testing.assert_array_equal(last.get_momenta(), result.atoms.get_momenta())
        assert last.get_potential_energy() == result.energy
        expected = lennard_jones.compute(last)
        np.testing.assert_allclose(last.get_forces(), expected.forces, atol=1e-12)
        if last.pbc.all():
            stress = last.get_stress(voigt=False)
            np.testing.assert_allclose(stress, expected.stress[0], atol=1e-12)
        else:
            assert "stress" not in last.calc.results


def test_reopening_a_folder_writes_nothing_twice(snapshots, tmp_path):
    folder = TrajectoryFolder(tmp_path)
    for snapshot in snapshots[:4]:
        folder.write(snapshot)
        folder.write(snapshot)
    folder.close()
    again = TrajectoryFolder(tmp_path)
    for snapshot in snapshots[2:]:
        again.write(snapshot)
    again.close()
    for system in (0, 1):
        frames = ase.io.read(frame_file(tmp_path, system), index=":")
        assert [f.info["step"] for f in frames] == [0, 1, 2, 3, 4, 5]
        np.testing.assert_array_equal(
            frames[4].positions, snapshots[4].positions[snapshots[4].atom_range(system)]
        )


def test_a_growing_file_is_read_frame_by_frame(snapshots, tmp_path):
    folder = TrajectoryFolder(tmp_path)
    folder.write(snapshots[0])
    file = TrajectoryFile(frame_file(tmp_path, 0))
    assert len(file) == 1
    folder.write(snapshots[1])
    folder.write(snapshots[2])
    assert len(file) == 1
    assert file.refresh() == 3
    np.testing.assert_array_equal(file[2].positions, snapshots[2].positions[:4])
    assert [f.info["step"] for f in file[1:]] == [1, 2]
    assert file[-1].info["step"] == 2
    assert [f.info["step"] for f in file] == [0, 1, 2]
    file.close()
    folder.close()


def written(snapshots, path, **options):
    """The frames of every structure after writing some snapshots."""
    folder = TrajectoryFolder(path, **options)
    for snapshot in snapshots:
        folder.write(snapshot)
    folder.close()
    files = sorted(path.iterdir())
    return [ase.io.read(file, index=":") for file in files]


def test_a_frame_on_disk_is_the_frame_in_memory(snapshots, tmp_path):
    for system, frames in enumerate(written(snapshots, tmp_path)):
        for snapshot, read in zip(snapshots, frames, strict=True):
            made = frame(snapshot, system)
            assert read == made
            assert read.info == made.info
            np.testing.assert_array_equal(read.get_momenta(), made.get_momenta())
            assert set(read.calc.results) == set(made.calc.results)
            for name, value in made.calc.results.items():
                np.testing.assert_array_equal(read.calc.results[name], value, name)


def test_compact_frames_take_a_third_and_round_to_float32(
    argon, lennard_jones, tmp_path
):
    stepper = NVE(timestep_fs=3.0, temperature_K=30.0)
    start = argon(repeats=(3, 3, 3))
    snapshot = next(iter(run(stepper, lennard_jones, start, max_steps=1)))
    sizes = {}
    for contents in ("full", "compact"):
        ((read,),) = written([snapshot], tmp_path / contents, contents=contents)
        sizes[contents] = frame_file(tmp_path / contents, 0).stat().st_size
        # Numbers of the atoms, once a file, and texts.
        sizes[contents] -= 8 * len(start)
    assert 72 * len(start) < sizes["full"] < 72 * len(start) + 1000
    assert 24 * len(start) < sizes["compact"] < 24 * len(start) + 1000
    assert "forces" not in read.calc.results
    assert read.get_potential_energy() == snapshot.energy[0]
    np.testing.assert_allclose(read.positions, start.positions, rtol=1e-7, atol=0)
    np.testing.assert_allclose(read.get_momenta(), snapshot.momenta, rtol=1e-7, atol=0)
    assert (read.positions != start.positions).any()
    with pytest.raises(ParameterError, match="'compact'"):
        TrajectoryFolder(tmp_path, contents="some")


@pytest.mark.parametrize(
    "name", ["energy", "positions", "momenta", "forces", "cell", "stress"]
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_was_never_computed_is_no_frame(snapshots, tmp_path, name, value):
    broken = getattr(snapshots[1], name).copy()
    broken[0] = value
    spoiled = replace(snapshots[1], **{name: broken})
    crystal, molecule = written([snapshots[0], spoiled, snapshots[2]], tmp_path)
    assert [f.info["step"] for f in molecule] == [0, 1, 2]
    # Without a stress there are still energy and forces.
    kept = [0, 1, 2] if name == "stress" else [0, 2]
    assert [f.info["step"] for f in crystal] == kept
    for atoms in crystal:
        for result in (*atoms.calc.results.values(), atoms.positions):
            assert np.isfinite(result).all()


def test_structures_of_one_batch_may_be_at_different_steps(snapshots, tmp_path):
    moments = [
        replace(
            snapshot,
            step=np.array([k, 10 * (k // 2)]),
            time_fs=np.array([3.0 * k, 30.0 * (k // 2)]),
        )
        for k, snapshot in enumerate(snapshots)
    ]
    crystal, molecule = written(moments, tmp_path)
    assert [f.info["step"] for f in crystal] == [0, 1, 2, 3, 4, 5]
    assert [f.info["step"] for f in molecule] == [0, 10, 20]
    assert [f.info["time_fs"] for f in molecule] == [0.0, 30.0, 60.0]


def test_frames_of_another_structure_are_not_mixed_in(snapshots, tmp_path):
    written(snapshots[:2], tmp_path)
    other = replace(snapshots[3], atomic_numbers=snapshots[3].atomic_numbers * 2)
    with pytest.raises(StructureError, match="Ar4, not of Kr4"):
        TrajectoryFolder(tmp_path).write(other)
    assert len(ase.io.read(frame_file(tmp_path, 0), index=":")) == 2


def test_no_file_stays_open(snapshots, tmp_path):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    folder = TrajectoryFolder(tmp_path)
    folder.write(snapshots[0])
    folder.write(snapshots[1])
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StructureError, match="no trajectory"):
        TrajectoryFile(tmp_path / "00000.traj")


def test_a_snapshot_does_not_change_when_the_run_goes_on(argon, lennard_jones):
    going = run(NVE(timestep_fs=4.0), lennard_jones, argon(), max_steps=5)
    iterator = iter(going)
    first = next(iterator)
    names = ("positions", "momenta", "forces", "cell", "energy", "stress")
    before = {name: getattr(first, name).copy() for name in names}
    list(iterator)
    for name in names:
        np.testing.assert_array_equal(getattr(first, name), before[name], name)


def test_writing_into_a_snapshot_does_not_change_the_run(argon, lennard_jones):
    untouched = list(run(FIRE(), lennard_jones, argon(), max_steps=6))
    meddled = []
    for snapshot in run(FIRE(), lennard_jones, argon(), max_steps=6):
        meddled.append(snapshot.positions.copy())
        snapshot.positions[:] = 0.0
        snapshot.forces[:] = 1e6
        snapshot.cell[:] = 1.0
        snapshot.ids[:] = 9
    for positions, snapshot in zip(meddled, untouched, strict=True):
        np.testing.assert_array_equal(positions, snapshot.positions)


def test_a_state_is_replaced_and_never_changed(argon, lennard_jones):
    for stepper in (FIRE(), NVE(timestep_fs=4.0)):
        going = run(stepper, lennard_jones, argon(), max_steps=3)
        snapshots = iter(going)
        next(snapshots)
        state = going.progress.members
        positions = state.system.batch.positions.clone()
        forces = state.system.prediction.forces.clone()
        list(snapshots)
        assert going.progress.parked is not state
        assert state.step.tolist() == [0]
        assert (state.system.batch.positions == positions).all()
        assert (state.system.prediction.forces == forces).all()
