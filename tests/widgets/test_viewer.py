"""The viewer without a browser: what it sends, and when."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from gnndesign.errors import GNNDesignError, MissingDependencyError, StructureError
from gnndesign_widgets.frame_gate import FrameGate
from gnndesign_widgets.nglview_frontend import TESTED_VERSION, shipped_version
from gnndesign_widgets.viewer import StructureView, ViewerPanel


def salt() -> Atoms:
    return bulk("NaCl", "rocksalt", 5.64, cubic=True)


class Browser:
    """Answers a view like the JavaScript does."""

    def __init__(self, view: StructureView) -> None:
        self.view = view
        self.scenes: list[dict] = []
        view.send = self.receive

    def receive(self, message: dict, buffers: list[bytes] | None = None) -> None:
        json.dumps(message)
        if message["type"] == "gnndesign:scene":
            assert buffers is not None
            self.scenes.append(message)

    def say(self, **message: object) -> None:
        self.view._handle_message(self.view, {"view": "tab", **message}, [])

    def ready(self) -> None:
        self.say(type="gnndesign:ready")

    def draw(self) -> None:
        sequence = self.scenes[-1]["sequence"]
        self.say(type="gnndesign:drawn", sequence=sequence)

    @property
    def captions(self) -> list[str]:
        return [scene["caption"] for scene in self.scenes]


@pytest.fixture
def view() -> StructureView:
    return StructureView()


def test_nothing_is_built_before_somebody_looks(view: StructureView) -> None:
    browser = Browser(view)
    view.show(salt())
    assert browser.scenes == []
    browser.ready()
    assert browser.captions == ["Na4Cl4 · 8 atoms"]
    assert browser.scenes[0]["autoview"]
    view.show(molecule("H2O"), keep_camera=True)
    assert not browser.scenes[1]["autoview"]


def test_only_the_newest_of_many_live_frames_is_sent(view: StructureView) -> None:
    browser = Browser(view)
    browser.ready()
    for n in range(1, 30):
        view.live(Atoms(f"H{n}", positions=np.arange(3 * n).reshape(n, 3)))
    assert browser.captions == ["", "H · 1 atom · live"]
    browser.draw()
    assert browser.captions[-1] == "H29 · 29 atoms · live"
    browser.draw()
    browser.draw()
    assert len(browser.scenes) == 3
    assert view.frames_drawn == (29, 2, 2)


def test_live_frames_may_come_from_many_threads(view: StructureView) -> None:
    browser = Browser(view)
    browser.ready()

    def run() -> None:
        for _ in range(50):
            view.live(salt())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked, sent, _ = view.frames_drawn
    assert (asked, sent) == (200, 1)


def test_who_looks_at_the_last_frame_follows_a_growing_trajectory(
    view: StructureView,
) -> None:
    frames = [salt()]
    browser = Browser(view)
    browser.ready()
    view.show(frames)
    frames.append(molecule("H2O"))
    browser.draw()
    view.grow()
    assert (view.frame, view.max_frame) == (1, 1)
    assert browser.captions[-1] == "H2O · 3 atoms · frame 2 of 2"
    view.frame = 0
    frames.append(salt())
    view.grow(3)
    assert (view.frame, view.max_frame) == (0, 2)


def test_a_frame_that_cannot_be_read_is_reported_and_does_not_stop_the_view(
    view: StructureView, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Atoms:
            if index == 1:
                raise OSError("the disk is gone")
            return salt()

    browser = Browser(view)
    browser.ready()
    view.show(Broken())
    browser.draw()
    view.frame = 1
    assert "the disk is gone" in view.error_message
    assert "the disk is gone" in caplog.text
    view.frame = 2
    assert view.error_message == ""
    assert browser.captions[-1] == "Na4Cl4 · 8 atoms · frame 3 of 3"


def test_a_pick_is_told_to_everybody_and_a_failing_listener_is_reported(
    view: StructureView,
) -> None:
    picked: list[int] = []
    view.show(salt())
    view.on_pick(picked.append)
    browser = Browser(view)
    browser.ready()
    browser.say(type="gnndesign:pick", index=3)
    assert (view.selected, picked) == (3, [3])
    browser.say(type="gnndesign:pick", index=None)
    assert (view.selected, picked) == (None, [3])
    view.on_pick(lambda index: 1 / (index - 5))
    browser.say(type="gnndesign:pick", index=5)
    assert "ZeroDivisionError" in view.error_message


def test_large_structures_lose_their_bonds_until_asked_for(view: StructureView) -> None:
    large = bulk("Cu", cubic=True) * (11, 11, 11)
    view.show(large)
    assert not view.show_bonds
    view.show_bonds = True
    view.live(large)
    assert view.show_bonds
    view.show(salt())
    assert view.show_bonds


def test_what_is_no_structure_is_refused_and_an_empty_view_is_fine(
    view: StructureView,
) -> None:
    with pytest.raises(StructureError, match=r"ase\.Atoms"):
        view.show(["POSCAR"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(StructureError, match=r"ase\.Atoms"):
        view.live(None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(GNNDesignError, match="not on display"):
        view.request_image(print)
    browser = Browser(view)
    browser.ready()
    view.show(salt())
    view.clear()
    browser.draw()
    assert browser.scenes[-1]["layers"] == []


def test_a_view_starts_no_thread() -> None:
    before = threading.active_count()
    ViewerPanel(salt())
    assert threading.active_count() == before


def test_the_panel_has_a_player_only_for_more_than_one_frame() -> None:
    panel = ViewerPanel(salt())
    assert panel.player.layout.display == "none"
    panel.view.show([salt()] * 4)
    assert panel.player.layout.display == "flex"
    assert (panel.play.max, panel.slider.max) == (3, 3)


def test_the_gate_opens_again_if_nobody_answers() -> None:
    now, sent = [0.0], []
    gate = FrameGate(lambda: sent.append(now[0]), timeout_s=5, clock=lambda: now[0])
    assert gate.request()
    assert not gate.request()
    now[0] = 6.0
    assert gate.request()
    gate.acknowledge(1)  # of the frame that was given up
    assert not gate.request()
    gate.acknowledge(2)
    assert sent == [0.0, 6.0, 6.0]


def test_the_gate_opens_again_if_a_frame_could_not_be_built() -> None:
    def fail() -> None:
        raise OSError("no frame")

    gate = FrameGate(fail)
    for _ in range(2):
        with pytest.raises(OSError, match="no frame"):
            gate.request()


def test_another_version_of_the_extension_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "package.json"
    manifest.write_text(json.dumps({"version": "4.0.0"}))
    with pytest.raises(MissingDependencyError, match=r"4\.0\.0"):
        shipped_version([manifest])
    with pytest.raises(MissingDependencyError, match="not found"):
        shipped_version([])
    manifest.write_text(json.dumps({"version": TESTED_VERSION}))
    assert shipped_version([manifest]) == TESTED_VERSION
