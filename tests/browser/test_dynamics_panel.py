"""The dynamics panel in the notebook: a ramp, the estimate, what is observed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest
from browser_pixels import pixels, wait_until_changed, wait_until_drawn
from lab_page import reopen, save_notebook
from playwright.sync_api import Page, expect
from workbench_page import SECOND, Bench

pytestmark = pytest.mark.browser

CELL = """import gnndesign_widgets as gdw
workbench = gdw.Workbench()
workbench.structure.edit("2x2x2", lambda atoms: atoms * (2, 2, 2))
workbench"""


def test_a_ramp_with_rdf_and_msd_is_stopped_found_again_and_resumed(
    run_notebook: Callable[[str, Sequence[str]], Page],
) -> None:
    page = run_notebook("dynamics.ipynb", [CELL])
    desk = Bench(page)
    wait_until_drawn(desk.canvas)
    desk.turn_to("Dynamics")
    ask_for_a_ramp_at_constant_pressure(desk)
    estimate = desk.output.locator("i:visible", has_text="16 atoms")
    expect(estimate).to_have_text(re.compile(r"20,000 steps"), timeout=20 * SECOND)
    expect(estimate).to_have_text(re.compile(r"disk"))

    desk.press("Run")
    desk.expect_state(r"^running · [1-9]\d\d", within_s=90)
    wait_until_drawn(desk.plot)
    see_the_plots_grow(desk)
    desk.press("Stop")
    desk.expect_state(r"^stopped", within_s=5)
    ending = desk.output.locator("div:visible", has_text=re.compile("Si16: stopped"))
    expect(ending.last).to_have_text(re.compile(r"after [\d,]+ steps"))

    save_notebook(page)
    reopen(page)
    desk = Bench(page)
    wait_until_drawn(desk.canvas, timeout_s=60)
    desk.turn_to("Dynamics")
    desk.expect_state(r"^stopped", within_s=20)
    show(desk, "MSD", "lag (ps)")
    before = steps_made(desk)
    show(desk, "RDF", "distance (Å)")
    stopped = pixels(desk.plot)
    desk.press("Resume")
    desk.expect_state(r"^running", within_s=30)
    wait_until_changed(desk.plot, stopped)
    desk.press("Stop")
    desk.expect_state(r"^stopped", within_s=5)
    assert steps_made(desk) > before
    show(desk, "History", "step")


def ask_for_a_ramp_at_constant_pressure(desk: Bench) -> None:
    desk.choose("Ensemble", "NPT (Martyna-Tobias-Klein)")
    expect(desk.field("Barostat time (fs)")).to_be_visible()
    expect(desk.field("Friction (1/ps)")).to_have_count(0)
    desk.tick("Ramp", first=True)
    desk.fill("Temperature (K)", "300")
    desk.fill("to (K)", "900")
    desk.fill("within (ps)", "2")
    desk.fill("Steps", "20000")
    desk.fill("Frame every", "2")


def see_the_plots_grow(desk: Bench) -> None:
    history = pixels(desk.plot)
    show(desk, "RDF", "distance (Å)")
    wait_until_changed(desk.plot, history)
    distribution = pixels(desk.plot)
    wait_until_changed(desk.plot, distribution)
    show(desk, "MSD", "lag (ps)")
    wait_until_changed(desk.plot, distribution)


def show(desk: Bench, plot: str, axis: str) -> None:
    """Choose a plot, and wait until it is drawn with data."""
    desk.press(plot)
    # A figure of several panels has its words at the lower ones: x3title, x4title.
    titles = desk.plot.locator(".infolayer [class*=title]")
    expect(titles.filter(has_text=axis).first).to_be_visible(timeout=20 * SECOND)
    curves = desk.plot.locator(".scatterlayer .trace path.js-line")
    expect(curves.first).to_be_attached(timeout=20 * SECOND)
    wait_until_drawn(desk.plot)


def steps_made(desk: Bench) -> int:
    words = desk.output.locator(".widget-html-content:visible > b")
    text = words.filter(has_text=re.compile(r"^stopped")).first.inner_text()
    return int(re.findall(r"\d+", text)[0])
