"""A run of very many frames is looked at one frame at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import ase
import ase.io
import numpy as np
import pytest

from gnndesign.disk import HOME_VARIABLE
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.jobs.states import JobState, JobStatus
from gnndesign.jobs.store import JobStore
from gnndesign.simulation.results import History
from gnndesign.structures.trajectory import TrajectoryFile, frame_file
from gnndesign.structures.ulm import FrameLog
from gnndesign_widgets.dynamics import DynamicsModel
from gnndesign_widgets.export import ExportBar
from gnndesign_widgets.potential import PotentialModel
from gnndesign_widgets.stage import Stage
from gnndesign_widgets.structure import StructureModel, StructurePanel
from gnndesign_widgets.viewer import ViewerPanel

N_FRAMES = 1000


def wait_for(condition: Callable[[], bool], within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def trimer(step: int) -> ase.Atoms:
    return ase.Atoms("Ar3", [[0, 0, 0], [4, 0, 0], [0, 4, 0.001 * step]])


def write(path: Path, steps: range) -> None:
    log = FrameLog(path)
    for step in steps:
        item = {
            "positions": trimer(step).positions,
            "cell": np.zeros((3, 3)).tolist(),
            "info": {"step": step, "time_fs": float(step)},
        }
        if step == 0:
            item |= {"version": 1, "ase_version": "3", "pbc": [False] * 3}
            item |= {"numbers": trimer(0).numbers}
        log.append(item)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobStore:
    """A job that says it is running."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    spec = JobSpec.create(
        JobKind.DYNAMICS,
        potential="lennard-jones",
        structures=[trimer(0)],
        parameters={"steps": N_FRAMES},
    )
    store = JobStore.create(spec)
    store.trajectory_folder.mkdir()
    write(frame_file(store.trajectory_folder, 0), range(N_FRAMES))
    add_metrics(store, range(N_FRAMES))
    store.write_status(JobStatus(state=JobState.FINISHED, total=N_FRAMES))
    return store


def add_metrics(store: JobStore, steps: range) -> None:
    names = "energy kinetic_energy max_force temperature_K pressure_GPa volume"
    row = dict.fromkeys(names.split(), 1.0)
    row |= {"id": 0, "time_fs": 0.0, "status": "RUNNING", "message": ""}
    with (store.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row | {"step": step}) + "\n" for step in steps)


@pytest.fixture
def model(job: JobStore) -> DynamicsModel:
    model = DynamicsModel(StructureModel(), PotentialModel())
    model.job.attach(job)
    return model


@pytest.fixture
def stage(model: DynamicsModel) -> Stage:
    stage = Stage(StructureModel())
    stage.show_simulation(model)
    return stage


def test_a_jump_reads_the_frames_it_shows_and_no_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = stage.viewer.view
    assert view.max_frame == N_FRAMES - 1
    scenes: list[dict] = []

    def receive(message: dict, buffers: list[bytes] | None = None) -> None:
        if message["type"] == "gnndesign:scene":
            assert buffers
            scenes.append(message)

    monkeypatch.setattr(view, "send", receive)
    view._handle_message(view, {"type": "gnndesign:ready", "view": "tab"}, [])
    read: list[int] = []
    get = TrajectoryFile.__getitem__

    def counting(file: TrajectoryFile, index: int) -> ase.Atoms:
        read.append(index)
        return get(file, index)

    monkeypatch.setattr(TrajectoryFile, "__getitem__", counting)
    for frame in (17, 900, 234):
        view.frame = frame
        drawn = {"type": "gnndesign:drawn", "sequence": scenes[-1]["sequence"]}
        view._handle_message(view, drawn | {"view": "tab"}, [])
        assert f"frame {frame + 1} of {N_FRAMES}" in scenes[-1]["caption"]
    # One for the scene, one for the plot's cursor.
    assert read == [17, 17, 900, 900, 234, 234]


def test_a_click_on_the_plot_finds_its_frame_without_reading_all(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    get = TrajectoryFile.__getitem__

    def counting(file: TrajectoryFile, index: int) -> ase.Atoms:
        read.append(index)
        return get(file, index)

    monkeypatch.setattr(TrajectoryFile, "__getitem__", counting)
    click = {"type": "click", "curve": 0, "x": 345, "y": 1.0, "customdata": None}
    stage.plot._receive(None, click, None)
    assert stage.viewer.view.frame == 345
    assert len(read) < 20


def test_the_scalars_of_a_long_run_are_not_read_again_and_again(
    stage: Stage, model: DynamicsModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("gnndesign_widgets.stage.time", clock)
    read = model.job.metrics.history
    times: list[float] = []

    def slow(system: int) -> History:
        times.append(now[0])
        now[0] += 0.5
        return read(system)

    monkeypatch.setattr(model.job.metrics, "history", slow)
    stage._history_due = 0.0
    model.job.store = None  # nobody else sets traits meanwhile
    model.job.active = True
    for _ in range(150):
        stage.refresh_simulation(model)
        now[0] += 0.1
    # Reading takes less than a tenth of the time.
    assert len(times) == 3
    model.job.active = False
    stage.refresh_simulation(model)
    assert len(times) == 4, "the end of a run is drawn at once"


def test_growth_is_followed(stage: Stage, model: DynamicsModel, job: JobStore) -> None:
    path = frame_file(job.trajectory_folder, 0)
    write(path, range(N_FRAMES, N_FRAMES + 3))
    stage.refresh_simulation(model)
    assert stage.viewer.view.max_frame == N_FRAMES + 2
    assert stage.viewer.view.frame == N_FRAMES + 2


def test_a_long_trajectory_can_be_played_in_strides() -> None:
    panel = ViewerPanel([trimer(0)] * 400)
    assert panel.stride.layout.display == "none"
    panel.view.show([trimer(0)] * 4000)
    assert panel.stride.layout.display == ""
    assert (panel.stride.value, panel.play.step) == (1, 1)


def test_of_a_long_trajectory_the_last_frame_comes_to_the_desk(tmp_path: Path) -> None:
    model = StructureModel()
    panel = StructurePanel(model)
    write(tmp_path / "long.traj", range(900))
    ase.io.write(tmp_path / "long.xyz", [trimer(step) for step in range(300)])
    ase.io.write(tmp_path / "short.xyz", [trimer(step) for step in range(3)])
    panel.path.value = str(tmp_path / "long.traj")
    assert "last of the 900 frames of long.traj" in panel.message.value
    panel.path.value = str(tmp_path / "long.xyz")
    panel.path.value = str(tmp_path / "short.xyz")
    names = [entry.name for entry in model.entries]
    assert names == ["long.traj [899]", "long.xyz [299]"] + [
        f"short.xyz [{k}]" for k in range(3)
    ]
    np.testing.assert_array_equal(model.entries[0].atoms.positions[2], [0, 4, 0.899])


def test_frames_on_the_stage_are_exported_while_other_work_goes_on(
    stage: Stage, tmp_path: Path
) -> None:
    bar = stage.export
    assert bar.layout.display == ""
    bar.format.value = "lammps-dump"
    assert bar.name.value == "trajectory.lammpstrj"
    target = tmp_path / "out.lammpstrj"
    bar.name.value = str(target)
    bar.go.click()
    wait_for(lambda: "Wrote" in bar.message.value)
    assert f"Wrote {N_FRAMES} frames to {target}" in bar.message.value
    assert target.read_text("utf-8").count("ITEM: TIMESTEP") == N_FRAMES
    bar.format.value = "cif"
    bar.go.click()
    wait_for(lambda: "needs a cell" in bar.message.value)
    assert list(tmp_path.glob("*.cif")) == []
    stage.show_structure()
    assert bar.layout.display == "none"


def test_an_export_can_be_canceled(tmp_path: Path) -> None:
    bar = ExportBar()
    bar.go.click()
    bar.source = tmp_path / "long.traj"
    write(bar.source, range(N_FRAMES))
    bar.name.value = str(tmp_path / "out.extxyz")
    bar.go.click()
    assert bar.go.description == "Cancel"
    bar.go.click()
    wait_for(lambda: "nothing was written" in bar.message.value)
    assert bar.go.description == "Export"
    assert [path.name for path in tmp_path.iterdir()] == ["long.traj"]
