"""A person's first quarter of an hour: the notebook, from an upload to a search."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from browser_pixels import pixels, wait_until_changed, wait_until_drawn
from lab_page import reopen, run_all_cells, save_notebook, see_widgets
from lab_server import LabServer
from playwright.sync_api import Page, expect
from workbench_page import SECOND, Bench

pytestmark = pytest.mark.browser

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def bench(lab: LabServer, open_notebook: Callable[[Path], Page]) -> tuple[Bench, Path]:
    path = lab.folder / "01_first_crystal.ipynb"
    shutil.copy(NOTEBOOKS / path.name, path)
    page = open_notebook(path)
    run_all_cells(page)
    return Bench(page), path


def upload(bench: Bench, file: Path) -> None:
    with bench.page.expect_file_chooser() as chooser:
        bench.output.locator("button:visible:has-text('Upload')").click()
    chooser.value.set_files(file)
    expect(bench.output.get_by_text(f"Loaded {file.name}.")).to_be_visible(
        timeout=20 * SECOND
    )


def test_a_file_is_uploaded_relaxed_set_in_motion_stopped_and_found_again(
    bench: tuple[Bench, Path],
) -> None:
    desk, _ = bench
    wait_until_drawn(desk.canvas)
    silicon = pixels(desk.canvas)

    upload(desk, NOTEBOOKS / "data" / "CuAlO2.cif")
    expect(desk.output.get_by_text("space group R-3m (166)")).to_be_visible()
    wait_until_changed(desk.canvas, silicon)

    # Stretched, so that the way back can be seen.
    desk.choose("Edit", "Strain")
    for axis in ("xx", "yy", "zz"):
        desk.fill(axis, "0.08")
    desk.press("Edit")
    expect(desk.output.get_by_text("strained: now AlCuO2")).to_be_visible()

    desk.turn_to("Relax")
    desk.choose("Cell", "Full: shape and volume")
    stretched = pixels(desk.canvas)
    desk.press("Run")
    desk.expect_state(r"^finished", within_s=90)
    wait_until_changed(desk.canvas, stretched)
    wait_until_drawn(desk.plot)
    desk.press("Use result")
    expect(desk.output.get_by_text("Took 1 of 1 structures")).to_be_visible()

    desk.turn_to("Dynamics")
    desk.fill("Steps", "100000")
    desk.fill("Temperature (K)", "900")
    desk.press("Run")
    desk.expect_state(r"^running · [1-9]", within_s=60)
    wait_until_drawn(desk.plot)
    early = pixels(desk.canvas)
    wait_until_changed(desk.canvas, early)
    desk.press("Stop")
    desk.expect_state(r"^stopped", within_s=5)

    save_notebook(desk.page)
    reopen(desk.page)
    desk = Bench(desk.page)
    wait_until_drawn(desk.canvas, timeout_s=60)
    desk.turn_to("Dynamics")
    desk.expect_state(r"^stopped", within_s=20)
    wait_until_drawn(desk.plot)
    desk.press("Resume")
    desk.expect_state(r"^running", within_s=30)
    desk.press("Stop")
    desk.expect_state(r"^stopped", within_s=5)


def test_a_restarted_kernel_finds_the_running_job_with_its_history(
    bench: tuple[Bench, Path],
) -> None:
    desk, _ = bench
    desk.turn_to("Potential")
    desk.choose("Potential", "lennard-jones")
    desk.turn_to("Dynamics")
    desk.fill("Steps", "1000000")
    desk.fill("Temperature (K)", "3000")
    desk.press("Run")
    desk.expect_state(r"^running · [1-9]\d", within_s=60)

    restart_and_run_all(desk.page)

    desk = Bench(desk.page)
    wait_until_drawn(desk.canvas, timeout_s=60)
    desk.expect_state(r"^running · \d{2,}", within_s=30)
    wait_until_drawn(desk.plot)
    moving = pixels(desk.canvas)
    wait_until_changed(desk.canvas, moving)
    desk.press("Stop")
    desk.expect_state(r"^stopped", within_s=5)


def restart_and_run_all(page: Page) -> None:
    page.click(".lm-MenuBar-item >> text=Kernel")
    page.click(".lm-Menu-itemLabel >> text=/Restart Kernel and Run All Cells/")
    page.click(".jp-Dialog button:has-text('Restart')")
    # The old output goes when the first cell runs again.
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt").first
    expect(prompt).to_have_text(re.compile(r"\*"), timeout=30 * SECOND)
    expect(prompt).to_have_text(re.compile(r"\d"), timeout=120 * SECOND)
    see_widgets(page)
