"""A search in the notebook: click elements, say what is wanted, look at what it finds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from browser_pixels import pixels, wait_until_changed, wait_until_drawn
from lab_page import save_notebook
from lab_server import LabServer
from playwright.sync_api import Locator, Page, expect
from workbench_page import SECOND, Bench

pytestmark = pytest.mark.browser

CELL = """import gnndesign_widgets as gdw
workbench = gdw.Workbench()
workbench"""


def element(desk: Bench, symbol: str) -> Locator:
    return desk.output.locator(f'.gnndesign-elements:visible [data-symbol="{symbol}"]')


def expect_chosen(desk: Bench, *symbols: str) -> None:
    pressed = desk.output.locator(
        '.gnndesign-elements:visible [data-symbol][aria-pressed="true"]'
    )
    expect(pressed).to_have_text(list(symbols), timeout=10 * SECOND)


def drag(page: Page, begin: Locator, end: Locator) -> None:
    """Over what lies between, with the mouse down."""
    boxes = [locator.bounding_box() for locator in (begin, end)]
    places = [(b["x"] + b["width"] / 2, b["y"] + b["height"] / 2) for b in boxes]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=12)
    page.mouse.up()


def choose_elements(desk: Bench) -> None:
    """Ca, Sr, Ba on A by a drag; Ti, Zr, Sn on B by click, key and text; O on X."""
    clear = desk.output.get_by_label("Choose none")
    clear.click()
    expect(desk.field("Site A")).to_have_value("", timeout=10 * SECOND)
    drag(desk.page, element(desk, "Ca"), element(desk, "Ba"))
    expect_chosen(desk, "Ca", "Sr", "Ba")
    expect(desk.field("Site A")).to_have_value("Ca, Sr, Ba")
    desk.press("Site B")
    expect(element(desk, "Sr")).to_have_attribute("title", "Strontium, on site A")
    clear.click()
    element(desk, "Ti").click()
    desk.page.keyboard.press("ArrowDown")
    expect(element(desk, "Zr")).to_be_focused()
    desk.page.keyboard.press("Space")
    expect_chosen(desk, "Ti", "Zr")
    expect(desk.field("Site B")).to_have_value("Ti, Zr", timeout=10 * SECOND)
    desk.fill("Site B", "Ti, Zr, Sn, Al")
    expect_chosen(desk, "Al", "Ti", "Zr", "Sn")
    # The potential has never met polonium.
    element(desk, "Po").click(force=True)
    expect(element(desk, "Po")).to_have_attribute("aria-pressed", "false")
    counted = desk.output.get_by_text("9 candidates of 12 combinations.")
    expect(counted).to_be_visible(timeout=20 * SECOND)
    expect(desk.output.get_by_text("3 left out")).to_be_visible()


def say_what_is_wanted(desk: Bench) -> None:
    """A lattice constant near 4.0 Å, cheap; at most 50 USD/kg."""
    row = desk.output.locator(".gnndesign-goal:visible")
    expect(row).to_have_count(1)
    row.nth(0).locator("select").nth(0).select_option("Lattice constant")
    row.nth(0).locator("select").nth(1).select_option("target")
    row.nth(0).locator("input[type=number]:visible").fill("4.0")
    row.nth(0).locator("input[type=number]:visible").press("Enter")
    expect(row.nth(0)).to_contain_text("Å", timeout=10 * SECOND)
    desk.press("Add objective")
    expect(row).to_have_count(2, timeout=10 * SECOND)
    row.nth(1).locator("select").nth(0).select_option("Density")
    row.nth(1).locator("select").nth(1).select_option("minimize")
    desk.press("Add constraint")
    expect(row).to_have_count(3, timeout=10 * SECOND)
    row.nth(2).locator("select").nth(0).select_option("Price")
    row.nth(2).locator("input[type=number]:visible").fill("50")
    row.nth(2).locator("input[type=number]:visible").press("Enter")
    expect(row.nth(2)).to_contain_text("USD/kg", timeout=10 * SECOND)


def test_elements_are_clicked_searched_and_what_is_found_is_looked_at(
    run_notebook: Callable[[str, Sequence[str]], Page], lab: LabServer
) -> None:
    page = run_notebook("search.ipynb", [CELL])
    desk = Bench(page)
    silicon = wait_until_drawn(desk.canvas)
    desk.turn_to("Search")
    choose_elements(desk)
    say_what_is_wanted(desk)
    desk.fill("Trials", "6")
    desk.fill("Batch size", "3")
    estimate = desk.output.get_by_text(re.compile("for 6 candidates of 5 atoms"))
    expect(estimate).to_be_visible(timeout=20 * SECOND)
    nothing_is_cut(desk)
    desk.press("Run")
    desk.expect_state(r"^finished · 6 of 6", within_s=200)

    open_what_is_found(desk, silicon)
    look_at_the_figures(desk)
    desk.fill("Folder", "winners")
    desk.press("Export")
    expect(desk.output.get_by_text(re.compile(r"Wrote .*best\.csv"))).to_be_visible()
    found = json.loads((lab.folder / "winners" / "best.json").read_text())
    assert found["potential"] == "sevennet-0"
    assert len(list((lab.folder / "winners").glob("*.cif"))) == len(found["best"])

    desk.fill("Trials", "9")
    desk.press("Resume")
    desk.expect_state(r"^finished · 9 of 9", within_s=100)
    # Said again when all that the job has left is read.
    expect(desk.output.get_by_text("for 9 candidates of 5 atoms")).to_be_visible(
        timeout=20 * SECOND
    )

    save_notebook(page)
    page.reload()
    desk = Bench(page)
    wait_until_drawn(desk.canvas, timeout_s=60)
    desk.turn_to("Search")
    expect(desk.field("Site B")).to_have_value("Ti, Zr, Sn, Al")
    expect_chosen(desk, "Al", "Ti", "Zr", "Sn")
    desk.expect_state(r"^finished · 9 of 9", within_s=20)
    wait_until_drawn(desk.plot)


def open_what_is_found(desk: Bench, before: np.ndarray) -> None:
    """A point opens its structure, and a row another one."""
    points = desk.plot.locator(".scatterlayer .trace .points path")
    expect(points.first).to_be_visible(timeout=20 * SECOND)
    points.last.click(force=True)
    title = desk.output.locator(".widget-html-content:visible > b", has_text="Trial")
    expect(title).to_have_text(re.compile(r"Trial \d+: .*O3"), timeout=10 * SECOND)
    opened = wait_until_changed(desk.canvas, before)
    told = desk.output.locator("table:visible", has_text="constraint on price")
    expect(told).to_contain_text("kept")

    rows = desk.output.locator(".gnndesign-rows:visible tbody tr")
    other = rows.and_(desk.output.locator('[aria-selected="false"]')).first
    formula = other.locator("td").nth(1).inner_text()
    other.click()
    expect(title).to_contain_text(formula, timeout=10 * SECOND)
    wait_until_changed(desk.canvas, opened)


def look_at_the_figures(desk: Bench) -> None:
    """Each shows something else."""
    for figure in ("Elements", "History", "Hypervolume", "Parallel", "Trials"):
        before = pixels(desk.plot)
        desk.press(figure)
        wait_until_changed(desk.plot, before)


def nothing_is_cut(desk: Bench) -> None:
    """Nothing in the narrow column needs to be scrolled sideways."""
    wide = desk.output.locator(".gnndesign-tabs").evaluate(
        "tabs => [...tabs.querySelectorAll('*')]"
        ".filter(e => e.offsetParent && getComputedStyle(e).overflowX !== 'visible'"
        " && e.scrollWidth > e.clientWidth + 2 && !['INPUT', 'SELECT'].includes(e.tagName))"
        ".map(e => `${e.className}: ${e.scrollWidth} > ${e.clientWidth}`)"
    )
    assert wide == []
