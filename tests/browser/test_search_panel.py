"""A search in the notebook: its space clicked together, run, looked at, found again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest
from browser_pixels import pixels, wait_until_changed, wait_until_drawn
from lab_page import save_notebook
from lab_server import LabServer
from playwright.sync_api import Page, expect
from workbench_page import SECOND, Bench

pytestmark = pytest.mark.browser

CELL = """import gnndesign_widgets as gdw
workbench = gdw.Workbench()
workbench"""


def test_a_search_is_clicked_together_run_opened_and_found_again(
    run_notebook: Callable[[str, Sequence[str]], Page], lab: LabServer
) -> None:
    page = run_notebook("search.ipynb", [CELL])
    desk = Bench(page)
    wait_until_drawn(desk.canvas)
    silicon = pixels(desk.canvas)
    desk.turn_to("Search")
    choose_the_space(desk)
    say_what_is_wanted(desk)
    desk.fill("Trials", "12")
    desk.fill("Batch size", "6")
    desk.press("Run")
    desk.expect_state(r"^finished · 12 of 12", within_s=200)

    points = desk.plot.locator(".scatterlayer .trace .points path")
    expect(points.nth(5)).to_be_attached(timeout=20 * SECOND)
    points.nth(3).click(force=True)
    title = desk.output.locator(".widget-html-content:visible > b", has_text="Trial")
    expect(title.first).to_have_text(re.compile(r"Trial \d+.*O3"), timeout=10 * SECOND)
    wait_until_changed(desk.canvas, silicon)

    desk.press("Export")
    expect(desk.output.get_by_text(re.compile(r"Wrote .*best\.csv"))).to_be_visible()
    folder = lab.folder / "best_candidates"
    n_best = len(list(folder.glob("*.cif")))
    assert 1 <= n_best <= 10
    assert len((folder / "best.csv").read_text().splitlines()) == n_best + 1

    save_notebook(page)
    page.reload()
    desk = Bench(page)
    wait_until_drawn(desk.canvas, timeout_s=60)
    desk.turn_to("Search")
    desk.expect_state(r"^finished · 12 of 12", within_s=30)


def choose_the_space(desk: Bench) -> None:
    """Metals of site A in the periodic table, those of site B as text."""
    table = desk.output.locator(".gnndesign-elements:visible").first
    for name in ("Potassium", "Sodium"):
        table.get_by_role("button", name=name, exact=True).click()
    expect(desk.field("Site A")).to_have_value("Ca, Sr, Ba", timeout=10 * SECOND)
    strontium = table.get_by_role("button", name="Strontium", exact=True)
    expect(strontium).to_have_attribute("aria-pressed", "true")
    desk.fill("Site B", "Ti, Zr, Sn, Hf")
    expect(desk.output.get_by_text("12 candidates of 12 combinations.")).to_be_visible()


def say_what_is_wanted(desk: Bench) -> None:
    """A lattice constant near 4 Å, and not too dense."""
    row = desk.output.locator(".gnndesign-goal:visible").first
    row.locator("select").nth(0).select_option("Lattice constant")
    row.locator("select").nth(1).select_option("target")
    number = row.locator("input:visible").first
    number.fill("4.0")
    number.press("Enter")
    desk.press("Add constraint")
    rows = desk.output.locator(".gnndesign-goal:visible")
    expect(rows).to_have_count(2, timeout=10 * SECOND)
    bound = rows.last
    bound.locator("select").nth(0).select_option("Density")
    most = bound.locator("input:visible").first
    most.fill("7")
    most.press("Enter")
