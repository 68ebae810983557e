"""A resumed run is the uninterrupted one, to the last bit."""

import json

import numpy as np
import pytest
import torch

from gnndesign.errors import CheckpointError
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.simulation import checkpoint
from gnndesign.simulation.base import Status
from gnndesign.simulation.cell import CellFreedom, CellMode
from gnndesign.simulation.cell_rescaling import StochasticCellRescaling
from gnndesign.simulation.checkpoint import load_state, save_state
from gnndesign.simulation.dynamics import ENSEMBLES
from gnndesign.simulation.fire import FIRE
from gnndesign.simulation.lbfgs import LBFGS
from gnndesign.simulation.npt_mtk import MartynaTobiasKlein
from gnndesign.simulation.nve import NVE
from gnndesign.simulation.run import resume, run
from gnndesign.simulation.schedule import Ramp

# Ramps bend before and after the moment of the restart.
HEATED = {
    "timestep_fs": (4.0, 3.0),
    "temperature_K": (Ramp((0.0, 80.0, 160.0), (60.0, 40.0, 70.0)), 60.0),
    "seed": 3,
}
PRESSED = {
    "timestep_fs": (4.0, 3.0),
    "temperature_K": Ramp((0.0, 200.0), (20.0, 60.0)),
    "pressure_GPa": (Ramp((50.0, 150.0), (0.0, 0.5)), 0.1),
    "barostat_time_fs": 300.0,
    "seed": 3,
}
STEPPERS = {
    "fire": FIRE(max_force=1e-12),
    "fire with cell": FIRE(
        max_force=1e-12, cell=CellFreedom(mode=CellMode.FULL, pressure_GPa=0.1)
    ),
    "lbfgs": LBFGS(max_force=1e-12, max_displacement=0.01),
    "lbfgs with cell": LBFGS(
        max_force=1e-12,
        max_displacement=0.01,
        cell=CellFreedom(mode=CellMode.FULL, pressure_GPa=0.1),
    ),
    **{name: ensemble(**HEATED) for name, ensemble in ENSEMBLES.items()},
    "npt_mtk": MartynaTobiasKlein(**PRESSED),
    "npt_mtk full": MartynaTobiasKlein(cell="full", **PRESSED),
    "npt_cell_rescaling": StochasticCellRescaling(**PRESSED),
    "npt_cell_rescaling full": StochasticCellRescaling(cell="full", **PRESSED),
}
CPU = torch.device("cpu")


def assert_same_snapshots(one, other):
    for a, b in zip(one, other, strict=True):
        for name in (
            "step",
            "time_fs",
            "ids",
            "positions",
            "cell",
            "energy",
            "forces",
            "stress",
            "status",
        ):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)
        if a.momenta is not None:
            np.testing.assert_array_equal(a.momenta, b.momenta)


@pytest.mark.parametrize("name", STEPPERS)
def test_a_resumed_run_is_the_uninterrupted_one(name, argon, lennard_jones, tmp_path):
    stepper = STEPPERS[name]
    # Far enough for the neighbor list to be rebuilt on the way.
    structures = [argon(amount=0.4, seed=5), argon(a=5.1, seed=2)]
    whole = list(run(stepper, lennard_jones, structures, max_steps=60))
    first = run(stepper, lennard_jones, structures, max_steps=25)
    beginning = list(first)
    path = tmp_path / "checkpoint.npz"
    first.checkpoint(path)
    again = resume(path, stepper, LennardJones(), max_steps=60)
    rest = list(again)
    assert rest[0].step.tolist() == [26, 26]
    assert_same_snapshots(whole[:25], beginning[:25])
    assert_same_snapshots(whole[26:], rest)


def test_the_neighbor_list_is_rebuilt_on_the_way_of_the_resumed_runs(
    argon, lennard_jones
):
    structures = [argon(amount=0.4, seed=5), argon(a=5.1, seed=2)]
    going = run(STEPPERS["langevin"], lennard_jones, structures, max_steps=60)
    snapshots = iter(going)
    next(snapshots)
    first = going.progress.members.system.neighbors
    list(snapshots)
    assert going.progress.parked.system.neighbors.reference is not first.reference


def test_structures_that_have_ended_stay_away_after_resuming(
    argon, sheared, lennard_jones, tmp_path
):
    going = run(FIRE(max_force=1e-3), lennard_jones, [sheared, argon()], max_steps=5)
    assert [s.ids.tolist() for s in going][:2] == [[0, 1], [1]]
    path = tmp_path / "checkpoint.npz"
    going.checkpoint(path)
    rest = list(resume(path, FIRE(max_force=1e-3), lennard_jones, max_steps=300))
    # How it ended is said once more.
    assert (rest[0].ids.tolist(), rest[0].status.tolist()) == ([0], [Status.CONVERGED])
    assert {tuple(s.ids.tolist()) for s in rest[1:]} == {(1,)}
    assert rest[-1].status.tolist() == [Status.CONVERGED]


def test_a_run_at_its_end_goes_on_when_it_is_given_more_steps(argon, lennard_jones):
    stepper = STEPPERS["nve"]
    going = run(stepper, lennard_jones, argon(), max_steps=5)
    assert [s.step.tolist() for s in going] == [[0], [1], [2], [3], [4], [5]]
    going.max_steps = 8
    more = list(going)
    assert more[-1].step.tolist() == [8]
    whole = list(run(stepper, lennard_jones, argon(), max_steps=8))
    np.testing.assert_array_equal(more[-1].positions, whole[-1].positions)


def test_a_checkpoint_that_cannot_be_finished_leaves_the_old_one(
    argon, lennard_jones, tmp_path, monkeypatch
):
    going = run(STEPPERS["nve"], lennard_jones, argon(), max_steps=3)
    path = tmp_path / "checkpoint.npz"
    going.checkpoint(path)
    before = path.read_bytes()
    list(going)

    def full_disk(file, **_):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint.np, "savez", full_disk)
    with pytest.raises(OSError, match="No space"):
        going.checkpoint(path)
    assert path.read_bytes() == before
    assert load_state(path, CPU).members is None


def written(argon, lennard_jones, path):
    going = run(STEPPERS["nve"], lennard_jones, argon(), max_steps=2)
    list(going)
    going.checkpoint(path)
    return path


@pytest.mark.parametrize("damage", ["empty", "text", "half", "flipped", "array"])
def test_a_damaged_checkpoint_is_refused(damage, argon, lennard_jones, tmp_path):
    path = written(argon, lennard_jones, tmp_path / "checkpoint.npz")
    content = path.read_bytes()
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("not a checkpoint")
        case "half":
            path.write_bytes(content[: len(content) // 2])
        case "flipped":
            middle = content.index(b"NUMPY") + 200
            flipped = bytes(byte ^ 255 for byte in content[middle : middle + 8])
            path.write_bytes(content[:middle] + flipped + content[middle + 8 :])
        case "array":
            with path.open("wb") as file:
                np.save(file, np.ones(3))
    with pytest.raises(CheckpointError, match=r"checkpoint\.npz"):
        load_state(path, CPU)


def test_a_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.npz"):
        load_state(tmp_path / "nothing.npz", CPU)


def test_a_checkpoint_of_another_format_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    np.savez(path, tree=np.array(json.dumps({"format": 99, "state": {}})))
    with pytest.raises(CheckpointError, match="wanted checkpoint format 2, found 99"):
        load_state(path, CPU)
    np.savez(path, tree=np.array(json.dumps({"format": 2, "state": {"type": "X"}})))
    with pytest.raises(CheckpointError, match=r"lacks something.*KeyError"):
        load_state(path, CPU)


def test_no_code_in_a_checkpoint_is_run(tmp_path):
    path = tmp_path / "checkpoint.npz"
    np.savez(path, tree=np.array([object()], dtype=object))
    with pytest.raises(CheckpointError, match="allow_pickle"):
        load_state(path, CPU)


def test_another_method_does_not_go_on_from_a_checkpoint(
    argon, lennard_jones, tmp_path
):
    path = written(argon, lennard_jones, tmp_path / "checkpoint.npz")
    with pytest.raises(CheckpointError, match="is a checkpoint of NVE; FIRE cannot"):
        resume(path, FIRE(), lennard_jones, max_steps=3)
    run(FIRE(), lennard_jones, argon(), max_steps=1).checkpoint(path)
    with pytest.raises(CheckpointError, match="is a checkpoint of FIRE; NVE cannot"):
        resume(path, NVE(), lennard_jones, max_steps=3)


def test_another_potential_does_not_go_on_from_a_checkpoint(
    argon, lennard_jones, tmp_path
):
    path = written(argon, lennard_jones, tmp_path / "checkpoint.npz")
    with pytest.raises(CheckpointError, match=r"cutoff 8\.5 Å, .* has 7\.0 Å"):
        resume(path, NVE(), LennardJones(cutoff=7.0), max_steps=3)


def test_a_written_state_comes_back_whole(argon, lennard_jones, tmp_path):
    going = run(STEPPERS["langevin"], lennard_jones, argon(), max_steps=1)
    list(going)
    state = going.progress.parked
    save_state(tmp_path / "state.npz", state)
    back = load_state(tmp_path / "state.npz", CPU)
    assert type(back) is type(state)
    assert torch.equal(back.momenta, state.momenta)
    assert back.momenta.dtype == torch.float64
    for name in ("centers", "neighbors", "shifts"):
        assert torch.equal(
            getattr(back.system.neighbors.edges, name),
            getattr(state.system.neighbors.edges, name),
        )
