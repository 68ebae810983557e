"""Properties in the notebook: tick, run, look at the figure, find it again, export."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest
from browser_pixels import pixels, wait_until_changed, wait_until_drawn
from lab_page import reopen, save_notebook
from lab_server import LabServer
from playwright.sync_api import Locator, Page, expect
from workbench_page import SECOND, Bench

pytestmark = pytest.mark.browser

CELL = """import gnndesign_widgets as gdw
workbench = gdw.Workbench()
workbench"""

UNSTABLE = """import gnndesign as gd
import gnndesign_widgets as gdw
workbench = gdw.Workbench()
workbench.structure.add([("cubic CaTiO3", gd.prototype("perovskite").to_atoms())])
workbench.properties.chosen = ("phonons",)
workbench.properties.settings = {
    "phonons": {"supercell": "2, 2, 2", "mesh_length": "20", "n_band_points": "60"}
}
workbench"""

SHOW = """import gnndesign as gd
import gnndesign_widgets as gdw
silicon = gd.elemental_ground_state("Si")
result = gd.compute(gd.EquationOfState(n_points=5), silicon, gd.load_potential("sevennet-0"))
gdw.show(result)"""


def test_an_equation_of_state_is_run_looked_at_found_again_and_exported(
    run_notebook: Callable[[str, Sequence[str]], Page], lab: LabServer
) -> None:
    page = run_notebook("properties.ipynb", [CELL])
    desk = Bench(page)
    wait_until_drawn(desk.canvas)
    desk.turn_to("Properties")
    desk.output.get_by_text("Equation of state: parameters").click()
    desk.fill("N points", "three")
    refused = desk.output.get_by_text("Wanted n_points as a whole number")
    expect(refused).to_be_visible(timeout=20 * SECOND)
    desk.fill("N points", "3")
    refused = desk.output.get_by_text("Wanted n_points from 5 to 1000, got 3.")
    expect(refused).to_be_visible(timeout=20 * SECOND)
    desk.fill("N points", "7")
    desk.press("Run")
    desk.expect_state(r"^finished · 1 of 1", within_s=120)
    see_silicon(desk)
    beside_each_other(desk)

    # Water has no volume: its row says so, and shows the molecule when it is chosen.
    desk.turn_to("Structure")
    desk.choose("Build", "Molecule of the G2 set")
    desk.press("Build")
    desk.turn_to("Properties")
    desk.press("Run")
    row = desk.output.locator(".gnndesign-rows tbody tr")
    expect(row).to_contain_text("not periodic", timeout=60 * SECOND)
    expect(row).to_contain_text("failed")
    crystal = pixels(desk.canvas)
    row.click()
    wait_until_changed(desk.canvas, crystal)
    desk.field("Job").select_option(index=1)
    see_silicon(desk)

    desk.press("Export CSV")
    expect(
        desk.output.get_by_text(re.compile("Wrote .*properties.csv"))
    ).to_be_visible()
    header, line = (lab.folder / "properties.csv").read_text().splitlines()
    assert "Equation of state: Bulk modulus (GPa)" in header
    assert ",silicon,Si2,sevennet-0," in line

    save_notebook(page)
    reopen(page)
    desk = Bench(page)
    wait_until_drawn(desk.canvas, timeout_s=60)
    desk.turn_to("Properties")
    see_silicon(desk)


def test_the_worst_mode_of_an_unstable_crystal_is_played_and_followed(
    run_notebook: Callable[[str, Sequence[str]], Page],
) -> None:
    page = run_notebook("modes.ipynb", [UNSTABLE])
    desk = Bench(page)
    wait_until_drawn(desk.canvas)
    desk.turn_to("Properties")
    desk.press("Run")
    desk.expect_state(r"^finished · 1 of 1", within_s=120)
    note = desk.output.get_by_text("LO-TO splitting is not included")
    expect(note).to_be_visible(timeout=20 * SECOND)
    expect(desk.field("q-point").locator("option:checked")).to_contain_text("Worst (")
    expect(desk.field("Mode").locator("option:checked")).to_contain_text("1: -5.")
    follow = desk.output.locator('button:visible:text-is("Follow the worst mode")')
    expect(follow).to_be_enabled()

    at_rest = pixels(desk.canvas)
    desk.press("Animate mode")
    # It swings of its own accord: one picture after another differs.
    moved = wait_until_changed(desk.canvas, at_rest)
    wait_until_changed(desk.canvas, moved)
    desk.press("Animate mode")

    follow.click()
    led = desk.output.get_by_text(
        re.compile(r"From Pm-3m \(221\) to .* lower in energy")
    )
    expect(led).to_be_visible(timeout=240 * SECOND)
    row = desk.output.locator(".gnndesign-rows tbody tr")
    expect(row).to_contain_text(
        re.compile(r"cubic CaTiO3.*Energy gain 6\d\.\d+ meV/atom")
    )
    expect(follow).to_be_disabled()

    save_notebook(page)
    reopen(page)
    desk = Bench(page)
    wait_until_drawn(desk.canvas, timeout_s=60)
    desk.turn_to("Properties")
    expect(led).to_be_visible(timeout=20 * SECOND)
    wait_until_drawn(desk.plot)


def test_a_result_is_shown_in_one_call(
    run_notebook: Callable[[str, Sequence[str]], Page],
) -> None:
    page = run_notebook("show.ipynb", [SHOW])
    wait_until_drawn(page.locator(".jp-OutputArea-output canvas").first)
    see_axis(page.locator(".gnndesign-plot"))
    expect(page.locator("table", has_text="Bulk modulus")).to_contain_text("GPa")


def see_silicon(desk: Bench) -> None:
    row = desk.output.locator(".gnndesign-rows tbody tr")
    expect(row).to_contain_text(
        re.compile(r"silicon.*Bulk modulus 9\d\.\d+ GPa"), timeout=20 * SECOND
    )
    expect(row).to_have_attribute("aria-selected", "true")
    numbers = desk.output.locator("table:visible", has_text="Derivative of the bulk")
    expect(numbers).to_contain_text("Å³/atom")
    see_axis(desk.plot)
    wait_until_drawn(desk.plot)


def see_axis(plot: Locator) -> None:
    titles = plot.locator(".infolayer [class*=title]")
    expect(titles.filter(has_text="Volume (Å³/atom)").first).to_be_visible(
        timeout=20 * SECOND
    )


def beside_each_other(desk: Bench) -> None:
    """The stage is beside the tabs, and every title of a tab can be read."""
    tabs = desk.output.locator(".gnndesign-tabs").bounding_box()
    stage = desk.canvas.bounding_box()
    assert stage["x"] >= tabs["x"] + tabs["width"]
    cut = desk.output.locator(".gnndesign-tabs .lm-TabBar-tabLabel").evaluate_all(
        "labels => labels.filter(l => l.scrollWidth > l.clientWidth + 1)"
        ".map(l => l.textContent)"
    )
    assert cut == []
