"""The viewer in a real JupyterLab: what is on screen, and what comes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from browser_pixels import (
    changed_fraction,
    drawn_fraction,
    pixels,
    wait_until_alike,
    wait_until_changed,
    wait_until_drawn,
)
from lab_page import reopen, save_notebook
from playwright.sync_api import Locator, Page, expect

RunNotebook = Callable[[str, Sequence[str]], Page]

pytestmark = pytest.mark.browser

SETUP = """
import threading, time
import ipywidgets, numpy as np
from ase import Atoms
from ase.build import bulk
from gnndesign_widgets.viewer import StructureView, ViewerPanel

def panel_of(frames):
    panel = ViewerPanel(frames, height='300px')
    panel.layout.width = '400px'
    return panel

report = ipywidgets.Label('nothing')
report.add_class('report')

def button(name, action):
    made = ipywidgets.Button(description=name)
    made.on_click(lambda _: action())
    return made
"""


def canvas_of(page: Page) -> Locator:
    return page.locator(".gnndesign-view canvas")


def wait_until_steady(page: Page) -> np.ndarray:
    """The picture, once no more frames arrive."""
    wait_for_scene(page, "scene.count.scenes > 0")
    before = wait_until_drawn(canvas_of(page))
    for _ in range(40):
        page.wait_for_timeout(400)
        after = pixels(canvas_of(page))
        if changed_fraction(before, after) == 0:
            return after
        before = after
    raise AssertionError("The picture did not come to rest.")


def wait_for_scene(page: Page, condition: str, *, view: int = 0) -> None:
    """Wait for a condition in JavaScript on `scene`, one viewer of the page."""
    page.wait_for_function(
        f"""() => {{
          const view = document.querySelectorAll('.gnndesign-view')[{view}];
          const scene = view && view.structureScene;
          return scene && ({condition}); }}""",
        timeout=60_000,
    )


def ask_scene(page: Page, question: str) -> object:
    """Evaluate JavaScript in which `scene` is the viewer of the page."""
    return page.evaluate(
        "() => { const scene = document.querySelector('.gnndesign-view')"
        f".structureScene; return {question}; }}"
    )


def click_on_atom(page: Page, index: int) -> None:
    x, y = ask_scene(page, f"scene.project({index})")
    canvas_of(page).first.hover(position={"x": x, "y": y})
    canvas_of(page).first.click(position={"x": x, "y": y})


CRYSTAL = """
salt = bulk('NaCl', 'rocksalt', 5.64, cubic=True)
frames = []
for k in range(6):
    frame = salt.copy()
    frame.rattle(0.25 * k, seed=k)
    frames.append(frame)
panel = panel_of(frames)
view = panel.view

def said(index):
    report.value = f'picked {index} of {view.selected}'

def halve():
    half = salt[[0, 1, 2, 3]]
    half.set_cell(0.7 * salt.cell.array)
    view.show(half, keep_camera=True)

def molecule():
    from ase.build import molecule
    view.show(molecule('C6H6'), keep_camera=True)

def lonely():
    view.show(Atoms('Cs', cell=[4, 4, 4], positions=[[2, 2, 2]], pbc=True))

def live():
    def run():
        for k in range(300):
            atoms = salt.copy()
            atoms.positions += 0.8 * np.sin(k / 6) * np.array([1, 0, 0])
            view.live(atoms)
            time.sleep(0.005)
        for _ in range(100):
            time.sleep(0.1)
            if view.frames_drawn[1] == view.frames_drawn[2]:
                break
        asked, sent, drawn = view.frames_drawn
        report.value = f'live {asked} {sent} {drawn}'
    threading.Thread(target=run, daemon=True).start()

def image():
    view.request_image(lambda png: setattr(report, 'value', f'image {png[1:4]}'))

view.on_pick(said)
actions = [button(f.__name__, f) for f in (halve, molecule, lonely, live, image, view.clear)]
display(panel, ipywidgets.HBox(actions), report)
"""


def test_crystal_player_picking_live_and_reload(run_notebook: RunNotebook) -> None:
    page = run_notebook("crystal.ipynb", [SETUP, CRYSTAL])
    first = wait_until_steady(page)
    check_canvas_fills_the_widget(page)
    check_switches(page, first)
    check_picking(page, first)
    check_player(page, first)
    check_live_frames_are_gated(page)
    page.click("button:has-text('image')")
    expect(page.locator(".report")).to_have_text("image b'PNG'", timeout=20_000)
    check_another_structure_is_centered(page)
    camera, molecule = check_camera_stays_when_atoms_come_and_go(page)
    save_notebook(page)
    reopen(page)
    wait_until_steady(page)
    assert ask_scene(page, "scene.camera()") == pytest.approx(camera, abs=1e-3)
    wait_until_alike(canvas_of(page), molecule)
    page.click("button:has-text('clear')")
    wait_for_scene(page, "Object.keys(scene.layers).length === 0")
    page.wait_for_timeout(500)
    assert drawn_fraction(canvas_of(page)) < 0.001


def check_canvas_fills_the_widget(page: Page) -> None:
    widget = page.locator(".gnndesign-view").bounding_box()
    canvas = canvas_of(page).bounding_box()
    assert widget is not None
    assert canvas is not None
    assert canvas["width"] == pytest.approx(widget["width"], abs=2)
    assert canvas["height"] == pytest.approx(300, abs=2)


def check_switches(page: Page, first: np.ndarray) -> None:
    layers = ask_scene(page, "Object.keys(scene.layers).sort()")
    assert layers == ["atoms", "axes", "bonds", "cell"]
    page.click("button:has-text('Bonds')")
    without_bonds = wait_until_changed(canvas_of(page), first)
    page.click("button:has-text('Cell')")
    wait_until_changed(canvas_of(page), without_bonds)
    wait_for_scene(page, "Object.keys(scene.layers).join() === 'atoms'")
    page.click("button:has-text('Cell')")
    page.click("button:has-text('Bonds')")
    wait_until_alike(canvas_of(page), first)


def check_picking(page: Page, first: np.ndarray) -> None:
    label = page.locator(".gnndesign-view-label")
    report = page.locator(".report")
    for index, element in ((1, "Cl"), (2, "Na"), (6, "Na")):
        click_on_atom(page, index)
        expect(report).to_have_text(f"picked {index} of {index}", timeout=20_000)
        expect(label).to_contain_text(f"{element} · atom {index}")
    canvas_of(page).click(position={"x": 380, "y": 20})
    expect(label).to_be_hidden()
    wait_until_alike(canvas_of(page), first)


def check_player(page: Page, first: np.ndarray) -> None:
    page.locator(".widget-play button").first.click()
    expect(page.locator(".gnndesign-view-caption")).to_contain_text(
        "frame 6 of 6", timeout=30_000
    )
    assert changed_fraction(first, wait_until_steady(page)) > 0.02


def check_live_frames_are_gated(page: Page) -> None:
    """Frames offered faster than the browser draws are dropped, never queued."""
    report = page.locator(".report")
    page.click("button:has-text('live')")
    moving = wait_until_changed(canvas_of(page), pixels(canvas_of(page)))
    wait_until_changed(canvas_of(page), moving)
    expect(report).to_contain_text("live ", timeout=60_000)
    asked, sent, drawn = map(int, re.findall(r"\d+", report.inner_text()))
    assert asked >= 300
    assert drawn == sent
    assert 3 < sent < 0.8 * asked


def check_another_structure_is_centered(page: Page) -> None:
    page.click("button:has-text('lonely')")
    caption = page.locator(".gnndesign-view-caption")
    expect(caption).to_have_text("Cs · 1 atom", timeout=20_000)
    wait_until_steady(page)
    canvas = canvas_of(page).first.bounding_box()
    assert canvas is not None
    middle = [canvas["width"] / 2, canvas["height"] / 2]
    assert ask_scene(page, "scene.project(0)") == pytest.approx(middle, abs=5)


def check_camera_stays_when_atoms_come_and_go(
    page: Page,
) -> tuple[list[float], np.ndarray]:
    caption = page.locator(".gnndesign-view-caption")
    camera = ask_scene(page, "scene.camera()")
    page.click("button:has-text('halve')")
    expect(caption).to_have_text("Na2Cl2 · 4 atoms", timeout=20_000)
    wait_until_steady(page)
    assert ask_scene(page, "scene.layers.atoms.count") == 4
    page.click("button:has-text('molecule')")
    expect(caption).to_have_text("C6H6 · 12 atoms", timeout=20_000)
    molecule = wait_until_steady(page)
    assert ask_scene(page, "Object.keys(scene.layers).sort()") == ["atoms", "bonds"]
    assert ask_scene(page, "scene.camera()") == pytest.approx(camera)
    return camera, molecule


SLANTED = """
# One colored atom in a primitive cell that no standard orientation describes.
rng = np.random.default_rng(1)
turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
cell = np.array([[0, 3, 3], [3, 0, 3], [3.5, 3, 0]]) @ turn
marker = Atoms('HeAuHeHe', cell=cell, pbc=True,
    scaled_positions=[[0, 0, 0], [.5, .5, .5], [.9, .1, .2], [.2, .8, .9]])
# Two atoms that are bonded only through the face at y = 0.
pair = Atoms('SiSi', positions=[[3, 0.8, 3], [3, 5.2, 3]], cell=[6, 6, 6],
    pbc=[False, True, False])
first = StructureView(marker, width='400px', height='300px')
second = StructureView(pair, width='400px', height='300px')
display(first, second, button('open', lambda: pair.set_pbc(False) or second.show(pair, keep_camera=True)))
"""


def test_slanted_cell_face_bonds_and_dark_theme(run_notebook: RunNotebook) -> None:
    page = run_notebook("slanted.ipynb", [SETUP, SLANTED])
    wait_for_scene(page, "scene.layers.bonds", view=1)
    wait_until_steady(page)
    cell = page.evaluate(
        """() => { const data = document.querySelector('.gnndesign-view')
          .structureScene.layers.axes.data;
          return [Array.from(data.position1), Array.from(data.position2)]; }"""
    )
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    wanted = np.array([[0, 3, 3], [3, 0, 3], [3.5, 3, 0]]) @ turn
    np.testing.assert_allclose(np.reshape(cell[1][:9], (3, 3)), wanted, atol=1e-5)
    picture = pixels(canvas_of(page))
    # The gold atom is where its position projects to: at the middle of the cell.
    for index, gold in ((0, False), (1, True), (2, False)):
        x, y = ask_scene(page, f"scene.project({index})")
        patch = picture[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3]
        red, _, blue = patch.mean(axis=(0, 1))
        assert (red > blue + 80) == gold, (index, x, y, patch.mean(axis=(0, 1)))

    views = canvas_of(page)
    with_bond = pixels(views.nth(1))
    page.click("button:has-text('open')")
    wait_for_scene(page, "!scene.layers.bonds", view=1)
    without = wait_until_changed(views.nth(1), with_bond, fraction=0.001)
    assert drawn_fraction(views.nth(1)) > 0.02
    # The two halves of the bond are gone; atoms and cell are where they were.
    assert 0.002 < changed_fraction(with_bond, without) < 0.05

    page.click(".lm-MenuBar-item >> text=Settings")
    page.click('.lm-Menu-itemLabel >> text="Theme"')
    page.click('.lm-Menu-itemLabel >> text="JupyterLab Dark"')
    dark = wait_until_changed(views, picture, fraction=0.5)
    assert picture[5, 200].min() > 240
    assert dark[5, 200].max() < 40
    assert drawn_fraction(views) > 0.02
