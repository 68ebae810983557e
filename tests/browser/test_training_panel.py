"""Training and the symmetry laboratory in the notebook: run, see, use, find again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from browser_pixels import pixels, wait_until_changed, wait_until_drawn
from lab_page import reopen, save_notebook
from lab_server import LabServer
from playwright.sync_api import Page, expect
from workbench_page import SECOND, Bench

pytestmark = pytest.mark.browser

DATA = Path(__file__).parents[2] / "notebooks" / "data" / "silicon_mlearn.xyz.xz"

CELL = """import gnndesign_widgets as gdw
workbench = gdw.Workbench()
workbench"""


def test_a_training_is_looked_at_run_used_and_found_again(
    run_notebook: Callable[[str, Sequence[str]], Page], lab: LabServer
) -> None:
    shutil.copy(DATA, lab.folder / DATA.name)
    page = run_notebook("training.ipynb", [CELL])
    desk = Bench(page)
    wait_until_drawn(desk.canvas)
    desk.turn_to("Train")
    look_at_the_data(desk)
    train_for_a_while(desk)
    use_it_to_relax(desk)

    save_notebook(page)
    reopen(page)
    desk = Bench(page)
    wait_until_drawn(desk.canvas, timeout_s=60)
    desk.turn_to("Train")
    desk.expect_state(r"^stopped", within_s=20)
    see_axis(desk, "wanted (eV/atom)")
    fine_tune_it(desk)


def look_at_the_data(desk: Bench) -> None:
    desk.fill("File", DATA.name)
    desk.press("Look at the data")
    row = desk.output.locator("tr:visible", has_text="Structures")
    expect(row).to_contain_text("64, 12 to 96 atoms", timeout=60 * SECOND)
    expect(desk.output.get_by_text("No outliers.")).to_be_visible()
    see_axis(desk, "Force component (eV/Å)")
    wait_until_drawn(desk.plot)


def train_for_a_while(desk: Bench) -> None:
    choose_a_small_network(desk)
    desk.fill("Epochs", "500")
    desk.press("Run")
    desk.expect_state(r"^running · [2-9]", within_s=120)
    see_axis(desk, "epoch")
    curves = pixels(desk.plot)
    wait_until_changed(desk.plot, curves)
    desk.press("Parity")
    see_axis(desk, "wanted (eV/atom)")
    wait_until_drawn(desk.plot)
    desk.press("Stop")
    desk.expect_state(r"^stopped", within_s=20)
    table = desk.output.locator("table:visible", has_text="Validation, epoch")
    expect(table).to_contain_text("meV/Å")


def choose_a_small_network(desk: Bench) -> None:
    desk.choose("Architecture", "Behler-Parrinello network")
    desk.unfold("Shape")
    # What is offered first comes from the kernel, and must not come later.
    expect(desk.field("N angular shifted")).to_have_value("6")
    desk.fill("Hidden", "8")


def use_it_to_relax(desk: Bench) -> None:
    desk.press("Use this potential")
    words = re.compile("The next job takes Behler-Parrinello network, of epoch")
    expect(desk.output.get_by_text(words)).to_be_visible(timeout=20 * SECOND)
    desk.turn_to("Potential")
    card = desk.output.locator("table:visible", has_text="Level of theory")
    expect(card).to_contain_text("Behler-Parrinello network")
    desk.turn_to("Relax")
    desk.press("Run")
    desk.expect_state(r"^finished", within_s=60)


def fine_tune_it(desk: Bench) -> None:
    desk.fill("File", DATA.name)
    desk.choose("Learn from", "Data: fine-tune a trained potential")
    offered = desk.field("Fine-tune").evaluate(
        "e => [...e.list.options].map(o => o.value)"
    )
    (trained,) = [name for name in offered if name.endswith(".safetensors")]
    desk.fill("Fine-tune", trained)
    desk.fill("Epochs", "2")
    desk.press("Run")
    desk.expect_state(r"^finished", within_s=120)
    table = desk.output.locator("table:visible", has_text="Replay, after")
    expect(table).to_contain_text("meV/Å", timeout=20 * SECOND)
    title = desk.plot.locator(".annotation-text", has_text="Forces (meV/Å)")
    expect(title).to_be_visible(timeout=20 * SECOND)
    wait_until_drawn(desk.plot)
    desk.press("Use this potential")
    words = re.compile("The next job takes .*network, fine-tuned, of epoch 2")
    expect(desk.output.get_by_text(words)).to_be_visible(timeout=20 * SECOND)


def test_a_point_of_the_pareto_front_is_used_with_a_click(
    run_notebook: Callable[[str, Sequence[str]], Page], lab: LabServer
) -> None:
    shutil.copy(DATA, lab.folder / DATA.name)
    page = run_notebook("pareto.ipynb", [CELL])
    desk = Bench(page)
    wait_until_drawn(desk.canvas)
    desk.turn_to("Train")
    # The job before may have learned in another way.
    desk.choose("Learn from", "Data: a new potential")
    desk.fill("File", DATA.name)
    choose_a_small_network(desk)
    desk.fill("Epochs", "1")
    desk.output.get_by_text("Weights of the loss: errors against").click()
    desk.fill("Trainings", "2")
    section = desk.output.locator(".jupyter-widget-Accordion-child:visible")
    section.locator('button:text-is("Run")').click()
    desk.expect_state(r"^finished", within_s=120)
    see_axis(desk, "force error (meV/Å)")
    points = desk.plot.locator(".scatterlayer .points .point")
    expect(points).to_have_count(2, timeout=20 * SECOND)
    points.last.click(force=True)
    expect(section.get_by_text(re.compile("The next job takes"))).to_be_visible(
        timeout=20 * SECOND
    )


def test_a_fast_student_is_distilled_and_used(
    run_notebook: Callable[[str, Sequence[str]], Page],
) -> None:
    page = run_notebook("distil.ipynb", [CELL])
    desk = Bench(page)
    wait_until_drawn(desk.canvas)
    desk.turn_to("Train")
    desk.choose("Learn from", "Data: fine-tune a trained potential")
    expect(desk.field("Replay file")).to_be_visible()
    desk.choose("Learn from", "The potential in use: distil a fast one")
    expect(desk.field("Bound (meV/Å)")).to_be_visible()
    expect(desk.field("Replay file")).to_have_count(0)
    for label in ("Frames of dynamics", "Deformed frames", "Frames added a round"):
        desk.fill(label, "4")
    for label in ("Rounds at most", "Epochs, first round", "Epochs, later rounds"):
        desk.fill(label, "2")
    desk.fill("Last run (ps)", "0.1")
    desk.unfold("More")
    desk.fill("N fresh", "2")
    desk.fill("N candidates", "4")
    desk.fill("Timings", "1")
    desk.press("Run")
    desk.expect_state(r"^finished", within_s=240)
    table = desk.output.locator("table:visible", has_text="own dynamics")
    expect(table).to_be_visible(timeout=20 * SECOND)
    expect(desk.output.get_by_text("times as fast").last).to_be_visible()
    see_axis(desk, "force error on fresh frames (meV/Å)")
    desk.press("Use this potential")
    words = re.compile("The next job takes .*, distilled from")
    expect(desk.output.get_by_text(words)).to_be_visible(timeout=20 * SECOND)


def test_a_structure_is_turned_and_the_potentials_audited(
    run_notebook: Callable[[str, Sequence[str]], Page],
) -> None:
    page = run_notebook("symmetry.ipynb", [CELL])
    desk = Bench(page)
    wait_until_drawn(desk.canvas)
    desk.turn_to("Symmetry")
    numbers = desk.output.locator("tr:visible", has_text="sevennet-0")
    expect(numbers).to_contain_text(re.compile(r"-\d+\.\d{5}"), timeout=60 * SECOND)
    wait_until_drawn(desk.plot)
    before = pixels(desk.canvas)
    slider = desk.output.locator(".widget-slider:visible", has_text="Turn by")
    slider.locator(".noUi-handle").press("PageUp")
    wait_until_changed(desk.canvas, before)
    desk.press("A full turn")
    see_axis(desk, "angle about z (degrees)")

    desk.press("Audit")
    words = desk.output.locator(".widget-html-content:visible")
    progress = words.filter(has_text=re.compile("sevennet-0: "))
    expect(progress.last).to_contain_text("rotation", timeout=60 * SECOND)
    desk.output.locator('button:visible:text-is("Stop")').click()
    expect(words.filter(has_text=re.compile("^Stopped")).last).to_be_visible(
        timeout=60 * SECOND
    )


def see_axis(desk: Bench, title: str) -> None:
    titles = desk.plot.locator(".infolayer [class*=title]")
    expect(titles.filter(has_text=title).first).to_be_visible(timeout=20 * SECOND)
