import ase
import ase.io
import numpy as np
import pytest

from gnndesign.jobs import tasks
from gnndesign.jobs.control import Control
from gnndesign.jobs.store import JobStore
from gnndesign.jobs.tasks import run_simulation
from gnndesign.potentials.catalog import load_potential
from gnndesign.simulation.observables import load_results


class Death(BaseException):
    """What a worker does not survive."""


def make_control(store):
    return Control(store, on_deadline=lambda: None)


def finish(store, control=None):
    potential = load_potential("lennard-jones", "cpu")
    control = control or make_control(store)
    return list(run_simulation(store, store.spec, potential, control))


def rows_of(store):
    return store.metrics()[0]


def assert_same_run(store, other):
    """The same frames and metrics, bit by bit, none twice and none missing."""
    assert rows_of(store) == rows_of(other)
    for system in range(len(store.spec.structures)):
        frames, others = store.trajectory(system), other.trajectory(system)
        assert len(frames) == len(others)
        for frame, other_frame in zip(frames, others, strict=True):
            assert frame.info["step"] == other_frame.info["step"]
            np.testing.assert_array_equal(frame.positions, other_frame.positions)
            np.testing.assert_array_equal(frame.cell.array, other_frame.cell.array)
            np.testing.assert_array_equal(frame.get_forces(), other_frame.get_forces())
            assert frame.get_potential_energy() == other_frame.get_potential_energy()
        frames.close()
        others.close()


def test_a_frame_has_no_more_than_was_asked_for(home, dynamics):
    store = JobStore.create(dynamics(steps=2, contents="compact"), home)
    finish(store)
    (file,) = store.trajectory_folder.glob("*.traj")
    for frame in ase.io.read(file, ":"):
        assert "forces" not in frame.calc.results
        assert np.isfinite(frame.get_potential_energy())


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("at", ["before the frame", "after the frame"])
def test_a_checkpoint_written_at_any_moment_leaves_no_gap(
    home, dynamics, monkeypatch, every, at
):
    spec = dynamics(steps=20, record_every=every)
    whole, killed = JobStore.create(spec, home), JobStore.create(spec, home)
    finish(whole)
    control = make_control(killed)
    write = tasks.TrajectoryFolder.write

    def die_at_step_12(self, snapshot):
        if int(snapshot.step[0]) == 12:
            if at == "after the frame":
                write(self, snapshot)
            # The thread that watches may save at any moment.
            control.save()
            raise Death
        write(self, snapshot)

    monkeypatch.setattr(tasks.TrajectoryFolder, "write", die_at_step_12)
    with pytest.raises(Death):
        finish(killed, control)
    monkeypatch.undo()
    finish(killed)
    assert_same_run(killed, whole)


def test_a_checkpoint_between_two_frames_keeps_the_steps_made(
    home, dynamics, monkeypatch
):
    store = JobStore.create(dynamics(steps=20, record_every=10), home)
    control = make_control(store)
    steps = []

    def should_stop():
        steps.append(len(steps))
        if len(steps) == 16:
            control.save()
            raise Death
        return False

    monkeypatch.setattr(control, "should_stop", should_stop)
    with pytest.raises(Death):
        finish(store, control)
    counted = make_control(store)
    steps.clear()
    monkeypatch.setattr(counted, "should_stop", lambda: steps.append(0))
    finish(store, counted)
    # 15 of the 20 steps were made before.
    assert len(steps) == 5


def test_structures_that_have_ended_are_not_written_twice(
    home, argon, relaxation, monkeypatch
):
    spec = relaxation(argon(lattice=5.25), argon(lattice=6.0), max_force=0.02)
    whole, killed = JobStore.create(spec, home), JobStore.create(spec, home)
    finish(whole)
    ended = sorted(r["step"] for r in rows_of(whole) if r["status"] == "CONVERGED")
    assert ended[0] < ended[1], "wanted structures that end at different steps"
    control = make_control(killed)
    write = tasks.MetricsWriter.write

    def die_behind_the_first_end(self, snapshot):
        write(self, snapshot)
        if int(snapshot.step.max()) == 1:
            control.save()
        if int(snapshot.step.max()) == ended[0]:
            raise Death

    monkeypatch.setattr(tasks.MetricsWriter, "write", die_behind_the_first_end)
    with pytest.raises(Death):
        finish(killed, control)
    monkeypatch.undo()
    finish(killed)
    assert_same_run(killed, whole)


@pytest.mark.parametrize("lattice", [5.5, 6.0])
def test_a_structure_that_has_ended_between_two_frames_is_not_lost(
    home, argon, relaxation, monkeypatch, lattice
):
    spec = relaxation(
        argon(lattice=5.25), argon(lattice=lattice), max_force=0.02, record_every=1000
    )
    whole, killed = JobStore.create(spec, home), JobStore.create(spec, home)
    finish(whole)
    first_end = min(r["step"] for r in rows_of(whole) if r["status"] == "CONVERGED")
    # The second structure begins at its minimum.
    assert (first_end == 0) == (lattice == 6.0)
    control = make_control(killed)
    write = tasks.TrajectoryFolder.write

    def die_before_the_first_end(self, snapshot):
        if int(snapshot.step.max()) == first_end:
            control.save()
            raise Death
        write(self, snapshot)

    monkeypatch.setattr(tasks.TrajectoryFolder, "write", die_before_the_first_end)
    with pytest.raises(Death):
        finish(killed, control)
    monkeypatch.undo()
    finish(killed)
    assert_same_run(killed, whole)


def test_a_torn_line_and_a_torn_frame_are_written_again(home, dynamics, monkeypatch):
    spec = dynamics(steps=20)
    whole, killed = JobStore.create(spec, home), JobStore.create(spec, home)
    finish(whole)
    write = tasks.MetricsWriter.write

    def die_in_the_middle_of_a_line(self, snapshot):
        write(self, snapshot)
        if int(snapshot.step[0]) == 9:
            raise Death

    monkeypatch.setattr(tasks.MetricsWriter, "write", die_in_the_middle_of_a_line)
    with pytest.raises(Death):
        finish(killed)
    monkeypatch.undo()
    metrics = killed.folder / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:-30])
    with (killed.trajectory_folder / "00000.traj").open("ab") as file:
        file.write(b"half a frame, not counted in the header")
    finish(killed)
    assert_same_run(killed, whole)


def test_a_relaxation_that_is_over_has_nothing_left_to_do(home, relaxation):
    store = JobStore.create(relaxation(), home)
    finish(store)
    before = rows_of(store)
    # How it ended is said once more, but neither computed nor written again.
    assert [progress.done for progress in finish(store)] == [before[-1]["step"]]
    assert rows_of(store) == before


def test_more_steps_asked_for_at_the_last_one_are_made(home, dynamics, monkeypatch):
    store = JobStore.create(dynamics(steps=5), home)
    control = make_control(store)
    hear = control.hear

    def wish_then_hear():
        store.extend(8)
        hear()

    monkeypatch.setattr(control, "hear", wish_then_hear)
    assert finish(store, control)[-1].done == 8
    assert rows_of(store)[-1]["status"] == "FINISHED"


def test_observables_of_a_killed_job_are_those_of_one_that_was_left_alone(
    home, dynamics, argon, monkeypatch
):
    spec = dynamics(
        argon(),
        argon(lattice=5.4),
        steps=60,
        masses={"Ar": 20.0},
        observe=["averages", "rdf", "msd", "vacf"],
        observe_after_fs=20.0,
    )
    whole, killed = JobStore.create(spec, home), JobStore.create(spec, home)
    finish(whole)
    control = make_control(killed)
    write = tasks.MetricsWriter.write

    def die_at_step_41(self, snapshot):
        write(self, snapshot)
        if int(snapshot.step[0]) == 30:
            control.save()
        if int(snapshot.step[0]) == 35:
            # What was seen is written, and the worker dies before the checkpoint is.
            monkeypatch.setattr(tasks, "save_state", die)
            control.save()

    def die(*_):
        raise Death

    monkeypatch.setattr(tasks.MetricsWriter, "write", die_at_step_41)
    with pytest.raises(Death):
        finish(killed, control)
    monkeypatch.undo()
    finish(killed)
    assert_same_run(killed, whole)
    found, expected = (
        load_results(killed.results_file),
        load_results(whole.results_file),
    )
    assert set(found) == set(expected) == {0, 1}
    for system in found:
        one, other = found[system], expected[system]
        # Of steps 10 to 60.
        assert one.averages.temperature_K.n_samples == 51
        assert one.averages.temperature_K.mean == other.averages.temperature_K.mean
        np.testing.assert_array_equal(one.rdf.g, other.rdf.g)
        np.testing.assert_array_equal(one.msd.displacement, other.msd.displacement)
        np.testing.assert_array_equal(one.vacf.correlation, other.vacf.correlation)


def test_a_job_that_observes_nothing_leaves_no_observables(home, dynamics):
    store = JobStore.create(dynamics(steps=3), home)
    finish(store)
    assert not store.observables_file.exists()
    assert not store.results_file.exists()


def test_a_structure_that_was_refused_says_so_once(home, relaxation, argon):
    dimer = ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 4]])
    store = JobStore.create(relaxation(argon(), dimer, cell="full"), home)
    finish(store)
    finish(store)
    (row,) = [row for row in rows_of(store) if row["id"] == 1]
    assert row["status"] == "REFUSED"
    assert "cell" in row["message"]
    assert store.trajectory(1) is None
