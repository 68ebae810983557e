"""All observables of a run: live, resumed, from disk, and in files."""

from dataclasses import fields, is_dataclass, replace

import ase
import numpy as np
import pytest

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.simulation.base import Status
from gnndesign.simulation.dynamics import molecular_dynamics
from gnndesign.simulation.langevin import Langevin
from gnndesign.simulation.nve import NVE
from gnndesign.simulation.observables import (
    OBSERVABLES,
    Observables,
    load_results,
    observe,
)
from gnndesign.simulation.observables.storage import load_tree, save_tree
from gnndesign.simulation.run import run
from gnndesign.structures.trajectory import frame_file

ALL = {
    "averages": {},
    "rdf": {"r_max": 6.0, "every": 3},
    "msd": {},
    "vacf": {"max_lag_fs": 40.0, "origin_every_fs": 4.0},
}
"""All of them, in such a way that a short run fills them."""


def assert_identical(one, other, where="it"):
    """Trees and dataclasses that agree in every bit."""
    if is_dataclass(one):
        assert type(one) is type(other), where
        for field in fields(one):
            name = field.name
            assert_identical(
                getattr(one, name), getattr(other, name), f"{where}.{name}"
            )
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_identical(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for k, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_identical(a, b, f"{where}[{k}]")
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, where
        np.testing.assert_array_equal(one, other, where)
    else:
        assert one == other, where


@pytest.fixture(scope="module")
def snapshots(lennard_jones):
    """A mixed crystal and a molecule, and every second step of their motion."""
    crystal = ase.build.bulk("Ar", "fcc", 5.3, cubic=True)
    crystal.numbers[:2] = 36
    trimer = ase.Atoms("Ar3", [[0, 0, 0], [4.1, 0.2, 0], [1.8, 3.6, 0.1]])
    stepper = Langevin(timestep_fs=2.0, temperature_K=40.0)
    going = run(stepper, lennard_jones, [crystal, trimer], max_steps=161, every=2)
    return list(going)


@pytest.fixture(scope="module")
def observed(snapshots):
    observables = Observables.create(ALL)
    for snapshot in snapshots:
        observables.add(snapshot)
    return observables


def test_a_run_resumed_from_a_checkpoint_goes_on_bit_identically(
    snapshots, observed, tmp_path
):
    path = tmp_path / "observables.npz"
    # In the middle of blocks, rings half full and full; with frames seen again.
    for stop, again in ((1, 0), (2, 2), (23, 20), (60, 55), (80, 0)):
        first = Observables.create(ALL)
        for snapshot in snapshots[:stop]:
            first.add(snapshot)
        first.save(path)
        second = Observables.load(path)
        for snapshot in snapshots[again:]:
            second.add(snapshot)
        assert_identical(second.state(), observed.state())
        for system in (0, 1):
            assert_identical(second.results(system), observed.results(system))


def test_every_accumulator_goes_on_from_its_own_state(snapshots):
    for name, kind in OBSERVABLES.items():
        whole, part = kind(1, **ALL[name]), kind(1, **ALL[name])
        for snapshot in snapshots:
            whole.add(snapshot)
        for snapshot in snapshots[:31]:
            part.add(snapshot)
        part = kind.from_state(part.state())
        for snapshot in snapshots[29:]:
            part.add(snapshot)
        assert_identical(part.result(), whole.result(), name)


def test_a_state_does_not_change_when_its_accumulator_goes_on(snapshots):
    observables = Observables.create(ALL)
    for snapshot in snapshots[:30]:
        observables.add(snapshot)
    state = observables.state()
    kept = Observables.from_state(state).state()
    for snapshot in snapshots[30:]:
        observables.add(snapshot)
    assert_identical(state, kept)


def test_a_moment_at_which_the_run_was_stopped_is_no_sample(snapshots, observed):
    interrupted = Observables.create(ALL)
    for snapshot in snapshots[:20]:
        interrupted.add(snapshot)
    between = replace(
        snapshots[20],
        step=snapshots[20].step - 1,
        time_fs=snapshots[20].time_fs - 2.0,
        status=np.full(2, int(Status.STOPPED)),
    )
    interrupted.add(between)
    for snapshot in snapshots[20:]:
        interrupted.add(snapshot)
    assert_identical(interrupted.results(0), observed.results(0))
    # The run itself ended one step behind a regular moment.
    assert observed.results(0).averages.temperature_K.n_samples == 81


def test_equilibration_is_skipped(snapshots):
    observables = Observables.create(ALL, skip_fs=100.0)
    later = Observables.create(ALL)
    for snapshot in snapshots:
        observables.add(snapshot)
        if snapshot.time_fs[0] >= 100.0:
            later.add(snapshot)
    assert_identical(observables.results(1), later.results(1))
    averages = observables.results(1).averages
    # From 100 fs to 320 fs, every 4 fs.
    assert averages.temperature_K.n_samples == 56


def test_a_structure_without_a_usable_energy_says_nothing(snapshots):
    observables = Observables.create(["averages"])
    broken = replace(snapshots[0], energy=np.array([np.nan, 1.0]))
    observables.add(broken)
    assert observables.results(0).averages.temperature_K is None
    assert observables.results(1).averages.temperature_K.n_samples == 1


def test_frames_on_disk_say_the_same_as_the_run(argon, trimer, lennard_jones, tmp_path):
    dimer = ase.Atoms("Ar2", [[0, 0, 0], [2.5, 1.8, 2.6]])
    structures = [argon(), trimer, dimer]
    for stepper_name in ("nve", "langevin"):
        folder = tmp_path / stepper_name
        live = Observables.create(ALL, skip_fs=20.0)
        molecular_dynamics(
            structures,
            lennard_jones,
            ensemble=stepper_name,
            temperature_K=50.0,
            timestep_fs=4.0,
            steps=61,
            record_every=2,
            trajectory=folder,
            on_snapshot=live.add,
        )
        for system in range(3):
            found = observe(frame_file(folder, system), ALL, skip_fs=20.0)
            expected = live.results(system)
            # The volume is computed in another way.
            np.testing.assert_allclose(found.rdf.g, expected.rdf.g, rtol=1e-12)
            assert_identical(found.rdf.coordination, expected.rdf.coordination)
            assert_identical(found.msd, expected.msd)
            assert_identical(found.vacf, expected.vacf)
            for field in fields(found.averages):
                one = getattr(found.averages, field.name)
                other = getattr(expected.averages, field.name)
                if other is None:
                    assert one is None
                    continue
                assert one.n_samples == other.n_samples
                assert one.mean == pytest.approx(other.mean, rel=1e-6, abs=1e-12)


def test_masses_that_are_not_the_elements_are_honoured(moment):
    heavy = np.array([39.0, 400.0])
    momenta = np.array([[1.0, 0, 0], [3.0, 0, 0]])
    spread = np.array([[0.0, 0, 0], [3.0, 0, 0]])
    light = moment(0, spread, cell=np.eye(3) * 5, momenta=momenta)
    expected = -((momenta**2).sum(1) / heavy).sum() / 125.0 * 160.21766
    observables = Observables.create(["averages"], masses={3: heavy})
    for system in (3, 4):
        observables.add_moment(
            system, replace(light, masses=heavy) if system == 3 else light
        )
    found = observables.results(3).averages.stress_xx_GPa.mean
    assert found == pytest.approx(expected)
    assert observables.results(4).averages.stress_xx_GPa.mean != pytest.approx(expected)


def test_results_come_back_from_their_file(observed, tmp_path):
    path = tmp_path / "results.npz"
    observed.save_results(path)
    again = load_results(path)
    assert list(again) == [0, 1]
    for system, results in again.items():
        assert_identical(results, observed.results(system))
    observed.save(tmp_path / "state.npz")
    with pytest.raises(CheckpointError, match="lacks something"):
        load_results(tmp_path / "state.npz")


def test_only_what_was_asked_for_is_there(snapshots):
    observables = Observables.create(["msd"])
    for snapshot in snapshots[:3]:
        observables.add(snapshot)
    results = observables.results(0)
    assert observables.names == ("msd",)
    assert observables.systems == (0, 1)
    assert results.averages is results.rdf is results.vacf is None
    assert results.msd.species == ("Ar", "Kr")


def test_what_cannot_be_asked_for_is_refused():
    with pytest.raises(ParameterError, match=r"averages, rdf, msd, vacf, got 'dos'"):
        Observables.create(["averages", "dos"])
    with pytest.raises(ParameterError, match="radius"):
        Observables.create({"rdf": {"radius": 3.0}})
    with pytest.raises(ParameterError, match="skip_fs"):
        Observables.create(["averages"], skip_fs=-1.0)
    with pytest.raises(ParameterError, match="no moment of it was seen"):
        Observables.create(["averages"]).results(0)


def test_damaged_files_are_refused_and_old_ones_named(observed, tmp_path):
    path = tmp_path / "observables.npz"
    with pytest.raises(CheckpointError, match="no readable file"):
        Observables.load(path)
    observed.save(path)
    whole = path.read_bytes()
    for part in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:part])
        with pytest.raises(CheckpointError, match="no readable file"):
            Observables.load(path)
    save_tree(path, {**observed.state(), "format": 0})
    with pytest.raises(CheckpointError, match="Wanted observables of format 1"):
        Observables.load(path)
    state = observed.state()
    del state["systems"][0][1][0][1]["content"]["curve"]
    save_tree(path, state)
    with pytest.raises(CheckpointError, match="curve"):
        Observables.load(path)


def test_a_file_of_numbers_keeps_every_bit_and_takes_no_objects(tmp_path):
    tree = {
        "floats": np.array([0.1, np.nan, -0.0, np.inf]),
        "single": np.ones((2, 0, 3), np.float32),
        "whole": [np.arange(3), (1, None, "text"), {}],
        "one": np.array(2.5),
    }
    save_tree(tmp_path / "t.npz", tree)
    again = load_tree(tmp_path / "t.npz")
    assert_identical(again, {**tree, "whole": [np.arange(3), [1, None, "text"], {}]})
    with pytest.raises(TypeError, match="Wanted arrays"):
        save_tree(tmp_path / "t.npz", np.array([object()]))
    assert [p.name for p in tmp_path.iterdir()] == ["t.npz"]


def test_a_relaxation_has_no_velocities_to_correlate(argon, lennard_jones):
    snapshot = next(iter(run(NVE(), lennard_jones, argon(), max_steps=0)))
    observables = Observables.create(["vacf"])
    with pytest.raises(ParameterError, match="molecular dynamics"):
        observables.add(
            replace(snapshot, momenta=None, status=np.array([int(Status.RUNNING)]))
        )
