"""What a person does in an open notebook."""

from __future__ import annotations

import re
import time

from playwright.sync_api import Page, expect

# JupyterLab shows warnings and errors alike; only errors have red letters.
STDERR = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'


def run_all_cells(page: Page, *, timeout_s: float = 120) -> None:
    """Click on Run All Cells; wait until all ran without an error and show widgets."""
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    for _ in range(5):
        accept_dialogs(page)
        page.click(".lm-MenuBar-item >> text=Run")
        page.click('.lm-Menu-itemLabel >> text="Run All Cells"')
        try:
            # JupyterLab drops the request if its kernel was not quite there yet.
            expect(prompts.first).to_have_text(re.compile(r"[\d*]"), timeout=4_000)
            break
        except AssertionError:
            continue
    failures = page.locator(f"{STDERR}:has(.ansi-red-fg)")
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        assert failures.count() == 0, failures.first.inner_text()
        if all(re.search(r"\d", text) for text in prompts.all_inner_texts()):
            see_widgets(page)
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"Cells still running after {timeout_s} s.")


def accept_dialogs(page: Page) -> None:
    """Accept what JupyterLab asks of its own accord, and say what it was."""
    dialog = page.locator(".jp-Dialog")
    for _ in range(3):
        if not dialog.count():
            return
        print(f"JupyterLab asked: {dialog.first.inner_text()}")  # noqa: T201
        dialog.first.locator("button.jp-mod-accept").click()
        page.wait_for_timeout(500)


def save_notebook(page: Page) -> None:
    """Save, so that a reloaded page finds the outputs again."""
    page.keyboard.press("Control+s")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0, timeout=15_000)


def see_widgets(page: Page) -> None:
    """Wait until the cells that ran show what they made; look again where they do not.

    JupyterLab's widget manager now and then renders an output before it knows the
    widgets of the kernel, and leaves it at that. A person loads the page again.
    """
    if not _widgets_found(page, timeout_s=60):
        save_notebook(page)
        reopen(page)


def reopen(page: Page) -> None:
    """Load the page again, as a person does: once more where widgets are not found."""
    for _ in range(4):
        page.reload()
        if _widgets_found(page, timeout_s=60):
            return
        page.wait_for_timeout(2000)
    raise AssertionError("Widgets were not found again in four attempts.")


def _widgets_found(page: Page, *, timeout_s: float) -> bool:
    found = page.locator(".jp-OutputArea-output canvas").first
    lost = page.get_by_text("Error displaying widget: model not found").first
    expect(found.or_(lost).first).to_be_visible(timeout=timeout_s * 1000)
    if lost.is_visible():
        print("The widget manager did not find its widgets.")  # noqa: T201
        return False
    return True
