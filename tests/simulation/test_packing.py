"""One queue: structures wait, enter where one leaves, and nothing depends on when."""

import ase
import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk

from gnndesign.errors import ParameterError
from gnndesign.potentials.base import Potential
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.simulation.base import Status
from gnndesign.simulation.checkpoint import Checkpoints
from gnndesign.simulation.cost import CostModel, Linear
from gnndesign.simulation.dynamics import molecular_dynamics
from gnndesign.simulation.fire import FIRE
from gnndesign.simulation.langevin import Langevin
from gnndesign.simulation.packing import Queue
from gnndesign.simulation.pair_count import count_pairs
from gnndesign.simulation.relaxation import relax
from gnndesign.simulation.room import Room
from gnndesign.simulation.run import resume, run
from gnndesign.simulation.single_point import SinglePoint


class Cramped(Potential):
    """A Lennard-Jones on a device that holds few atoms at a time."""

    def __init__(self, most_atoms, error=torch.OutOfMemoryError):
        self.inner = LennardJones()
        self.card, self.device = self.inner.card, self.inner.device
        self.cutoff = self.inner.cutoff
        self.most_atoms, self.error = most_atoms, error
        self.calls = []

    def predict(self, batch, edges):
        self.calls.append(batch.n_atoms)
        if batch.n_atoms > self.most_atoms:
            raise self.error("not enough memory: you tried to allocate 1 bytes")
        return self.inner.predict(batch, edges)


@pytest.fixture
def crystals(argon):
    """Seven crystals of one to three cells."""
    return [argon(repeats=(1 + k % 3, 1, 1), seed=k) for k in range(7)]


def assert_same_results(some, others):
    for one, other in zip(some, others, strict=True):
        assert (one.status, one.steps) == (other.status, other.steps)
        assert one.energy == other.energy
        np.testing.assert_array_equal(one.atoms.positions, other.atoms.positions)
        np.testing.assert_array_equal(
            one.atoms.get_momenta(), other.atoms.get_momenta()
        )
        np.testing.assert_array_equal(one.history.energy, other.history.energy)
        np.testing.assert_array_equal(one.history.step, other.history.step)


@pytest.mark.parametrize("room", [Room(atoms=1), Room(atoms=12), Room(atoms=20)])
def test_results_do_not_depend_on_the_room(crystals, lennard_jones, room):
    together = relax(crystals, lennard_jones, max_force=1e-3)
    packed = relax(crystals, lennard_jones, max_force=1e-3, room=room)
    assert_same_results(packed, together)


def test_relaxed_cells_of_a_network_do_not_depend_on_the_room(sevennet_0):
    structures = [bulk("Si"), bulk("NaCl", "rocksalt", 5.6), bulk("Cu", cubic=True)]
    for seed, atoms in enumerate(structures):
        atoms.rattle(0.08, seed=seed)
    options = {"cell": "full", "max_force": 0.02, "method": "fire"}
    together = relax(structures, sevennet_0, **options)
    packed = relax(structures, sevennet_0, **options, room=Room(atoms=4))
    assert all(result.converged for result in together)
    assert_same_results(packed, together)


@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_replicas_do_not_depend_on_the_room(crystals, lennard_jones, ensemble):
    options = {"ensemble": ensemble, "steps": 15, "seed": 4, "temperature_K": 40.0}
    together = molecular_dynamics(crystals, lennard_jones, **options)
    packed = molecular_dynamics(crystals, lennard_jones, **options, room=Room(atoms=20))
    assert_same_results(packed, together)


def test_no_batch_is_larger_than_the_room_unless_one_structure_is(crystals):
    watched = Cramped(10**6)
    relax(crystals, watched, max_force=1e-3, room=Room(atoms=9))
    assert max(watched.calls) == 12
    watched.calls.clear()
    relax(crystals, watched, max_force=1e-3, room=Room(atoms=24))
    assert 12 < max(watched.calls) <= 24


def test_who_waits_enters_as_soon_as_there_is_room(argon, sheared, lennard_jones):
    # The second is at its minimum from the start.
    going = run(
        FIRE(max_force=1e-3),
        lennard_jones,
        [argon(), sheared, argon(seed=4)],
        max_steps=200,
        room=Room(atoms=5),
    )
    seen = [(s.ids.tolist(), s.step.tolist()) for s in going]
    assert seen[0] == ([0, 1], [0, 0])
    assert seen[1] == ([0], [1])
    first_of_last = next(k for k, (ids, _) in enumerate(seen) if 2 in ids)
    left = next(k for k, (ids, _) in enumerate(seen) if k > 0 and 0 not in ids)
    assert left == first_of_last
    assert seen[first_of_last] == ([2], [0])


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_a_batch_that_does_not_fit_is_halved_and_its_results_stay(
    crystals, lennard_jones, error
):
    expected = relax(crystals, lennard_jones, max_force=1e-3)
    cramped = Cramped(20, error)
    found = relax(crystals, cramped, max_force=1e-3)
    assert_same_results(found, expected)
    # What did not fit once is not tried again.
    assert sum(n > 20 for n in cramped.calls) <= 3


def test_another_error_of_the_potential_is_not_taken_for_a_lack_of_memory(crystals):
    class Wrong(Cramped):
        def predict(self, batch, edges):
            del batch, edges
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        relax(crystals, Wrong(1))


def test_a_structure_that_does_not_fit_alone_ends_alone(argon, lennard_jones):
    structures = [argon(), argon(repeats=(3, 1, 1)), argon(seed=4)]
    first, large, last = relax(structures, Cramped(8), max_force=1e-3)
    assert first.converged
    assert last.converged
    assert large.status is Status.DIVERGED
    assert "does not fit" in large.message
    assert first.energy == relax(structures[0], lennard_jones, max_force=1e-3).energy


def test_bad_structures_are_named_and_the_rest_finishes(sevennet_0):
    poisoned = bulk("Si")
    poisoned.positions[1] = poisoned.positions[0] + [0.2, 0.0, 0.0]
    flat = bulk("Si")
    flat.cell[2] = flat.cell[1]
    good, overlapping, unknown, no_volume, last = relax(
        [bulk("Si"), poisoned, bulk("Po", "sc", a=3.3), flat, bulk("C")], sevennet_0
    )
    assert good.converged
    assert last.converged
    assert overlapping.status is Status.DIVERGED
    assert "0.200 Å apart" in overlapping.message
    assert unknown.status is no_volume.status is Status.REFUSED
    assert unknown.message.startswith("Structure 2 (Po): ")
    assert "not Po" in unknown.message
    assert no_volume.message.startswith("Structure 3 (Si2): ")
    assert "lie in a plane" in no_volume.message
    for nothing in (overlapping, unknown, no_volume):
        assert np.isnan(nothing.energy)
        assert nothing.steps == 0
        assert nothing.atoms.calc is None


def test_a_run_with_waiting_structures_resumes_as_the_uninterrupted_one(
    crystals, lennard_jones, tmp_path
):
    stepper, room = FIRE(max_force=1e-3), Room(atoms=13)
    whole = list(run(stepper, lennard_jones, crystals, max_steps=300, room=room))
    path = tmp_path / "run.npz"
    plan = Checkpoints(path=path, every_s=1e9, every_steps=7)
    first = run(
        stepper, lennard_jones, crystals, max_steps=300, room=room, checkpoints=plan
    )
    for k, _ in enumerate(first):
        if k == 40:
            break
    assert first.n_waiting > 0
    again = resume(path, stepper, LennardJones(), crystals, max_steps=300, room=room)
    final = {}
    for snapshot in again:
        for index, system in enumerate(snapshot.ids.tolist()):
            final[system] = (snapshot.step[index], snapshot.energy[index])
    expected = {}
    for snapshot in whole:
        for index, system in enumerate(snapshot.ids.tolist()):
            expected[system] = (snapshot.step[index], snapshot.energy[index])
    assert final == expected


def test_a_stopped_run_says_who_had_not_begun(crystals, lennard_jones):
    results = relax(
        crystals,
        lennard_jones,
        room=Room(atoms=12),
        should_stop=lambda: True,
    )
    assert {result.status for result in results} == {Status.STOPPED}
    assert results[-1].message == "Stopped before it had begun."
    assert np.isnan(results[-1].energy)
    assert np.isfinite(results[0].energy)


def test_relaxations_go_on_from_their_checkpoint(crystals, lennard_jones, tmp_path):
    expected = relax(crystals, lennard_jones, max_force=1e-3)
    plan = Checkpoints(path=tmp_path / "relax.npz", every_s=0.0)
    seen = []
    relax(
        crystals,
        lennard_jones,
        max_force=1e-3,
        checkpoints=plan,
        on_snapshot=seen.append,
        should_stop=lambda: len(seen) > 12,
    )
    found = relax(crystals, lennard_jones, max_force=1e-3, checkpoints=plan)
    for one, other in zip(found, expected, strict=True):
        assert (one.status, one.steps) == (other.status, other.steps)
        np.testing.assert_array_equal(one.atoms.positions, other.atoms.positions)


def test_nothing_at_all_is_refused(lennard_jones):
    with pytest.raises(Exception, match="at least one structure"):
        relax([], lennard_jones)


def test_heavy_hydrogen_moves_more_slowly(lennard_jones):
    pair = ase.Atoms("ArH", [[0, 0, 0], [3.6, 0, 0]])
    light, heavy = (
        molecular_dynamics(
            pair, lennard_jones, ensemble="nve", temperature_K=0.0, steps=5, masses=m
        ).atoms
        for m in (None, {"H": 2.0 * 1.008})
    )
    assert heavy.get_masses()[1] == pytest.approx(2.016)
    moved = [atoms.positions[1, 0] - 3.6 for atoms in (light, heavy)]
    assert abs(moved[0]) == pytest.approx(2.0 * abs(moved[1]), rel=0.01)


def last_of(snapshots):
    """The last status, step, energy and positions of every number."""
    found = {}
    for snapshot in snapshots:
        for index, number in enumerate(snapshot.ids.tolist()):
            found[number] = (
                Status(int(snapshot.status[index])),
                int(snapshot.step[index]),
                float(snapshot.energy[index]),
                snapshot.positions[snapshot.atom_range(index)],
            )
    return found


@pytest.mark.parametrize("room", [None, Room(atoms=16)])
def test_all_kinds_of_work_share_a_batch_and_end_as_they_do_alone(
    crystals, lennard_jones, room
):
    dynamics = Langevin(temperature_K=30.0, timestep_fs=2.0, seed=3)
    watched = Cramped(10**6)
    queue = Queue(watched, room)
    single = queue.add(SinglePoint(), crystals[:3])
    relaxed = queue.add(FIRE(max_force=1e-2), crystals[2:5], max_steps=200)
    moved = queue.add(dynamics, crystals[4:], max_steps=20, every=5)
    assert [*single, *relaxed, *moved] == list(range(9))
    found = last_of(queue)
    if room is None:
        assert max(watched.calls) == sum(len(a) for a in crystals[2:]) + len(
            crystals[4]
        )
    else:
        assert max(watched.calls) <= 16
    for number, atoms in zip(single, crystals[:3], strict=True):
        status, step, energy, positions = found[number]
        assert (status, step) == (Status.FINISHED, 0)
        expected = float(lennard_jones.compute(atoms).energy[0])
        assert energy == pytest.approx(expected, rel=1e-14)
        np.testing.assert_array_equal(positions, atoms.positions)
    for number, atoms in zip(relaxed, crystals[2:5], strict=True):
        alone = relax(atoms, lennard_jones, max_force=1e-2, method="fire")
        assert found[number][:3] == (alone.status, alone.steps, alone.energy)
    alone = last_of(run(dynamics, lennard_jones, crystals[4:], max_steps=20))
    for place, number in enumerate(moved):
        assert found[number][:3] == alone[place][:3]
        np.testing.assert_array_equal(found[number][3], alone[place][3])


def test_each_structure_has_the_temperature_given_for_it(argon, lennard_jones):
    queue = Queue(lennard_jones)
    queue.add(SinglePoint(), [argon(), argon()])
    hot = Langevin(temperature_K=(10.0, 400.0), timestep_fs=2.0)
    first, second = queue.add(hot, [argon(), argon()], max_steps=1)
    heat = {}
    for snapshot in queue:
        for index, number in enumerate(snapshot.ids.tolist()):
            heat[number] = snapshot.temperature_K[index]
    assert 0 < heat[first] < 40
    assert heat[second] > 100


def test_what_a_relaxation_ended_with_can_be_added_at_once(argon, lennard_jones):
    queue = Queue(lennard_jones)
    (first,) = queue.add(FIRE(max_force=1e-3), argon(), max_steps=200)
    copies, energies = range(0), {}
    for snapshot in queue:
        for index, number in enumerate(snapshot.ids.tolist()):
            energies[number] = float(snapshot.energy[index])
            if number == first and snapshot.status[index] == Status.CONVERGED:
                displaced = [snapshot.atoms(index) for _ in range(2)]
                displaced[0].positions[0, 0] += 0.05
                displaced[1].positions[0, 0] -= 0.05
                copies = queue.add(SinglePoint(), displaced)
    assert list(copies) == [1, 2]
    assert min(energies[1], energies[2]) > energies[0]


def test_the_queue_names_who_cannot_be_used(argon, sevennet_0):
    queue = Queue(sevennet_0)
    queue.add(SinglePoint(), [argon(), bulk("Po", "sc", a=3.3)])
    found = last_of(queue)
    assert list(found) == [0]
    assert list(queue.refused) == [1]
    assert "not Po" in queue.refused[1]


def test_the_room_of_a_device_is_what_its_memory_holds(argon, lennard_jones):
    cost = CostModel(
        potential="lennard-jones",
        checksum="",
        cutoff=8.5,
        device="cpu",
        hardware="a small one",
        form="torch",
        host="here",
        library="0",
        time=None,
        memory=Linear(fixed=1e6, per_atom=1000.0, per_pair=10.0),
        budget=0,
        is_memory_measured=True,
    )
    room = Room(cost=cost, budget=1_030_000)
    n_pairs = count_pairs(argon(), 8.5)
    assert room.share(argon()) == pytest.approx((4000 + 10 * n_pairs) / 3e4)
    assert Room.of(lennard_jones, [argon()]) == Room()
    watched = Cramped(10**6)
    relax([argon(seed=k) for k in range(9)], watched, max_force=1e-2, room=room)
    fits = 4 * int(1.0 / room.share(argon()))
    assert fits - 4 < max(watched.calls) <= fits


def test_frames_of_another_run_are_not_continued_by_chance(
    argon, lennard_jones, tmp_path
):
    options = {"steps": 3, "trajectory": tmp_path / "frames"}
    molecular_dynamics(argon(), lennard_jones, **options)
    with pytest.raises(ParameterError, match="frames of another run"):
        molecular_dynamics(argon(), lennard_jones, **options)


def test_masses_are_in_the_frames(lennard_jones, tmp_path):
    pair = ase.Atoms("ArH", [[0, 0, 0], [3.6, 0, 0]])
    options = {"steps": 2, "masses": {"H": 2.014}, "trajectory": tmp_path / "frames"}
    molecular_dynamics(pair, lennard_jones, **options)
    frame = ase.io.read(tmp_path / "frames" / "00000.traj", 0)
    np.testing.assert_array_equal(frame.get_masses(), [39.948, 2.014])
