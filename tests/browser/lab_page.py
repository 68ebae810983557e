"""What a person does in an open notebook."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect


def run_all_cells(page: Page, *, timeout_s: float = 120) -> None:
    """Click on Run All Cells, and wait until every cell has run without an error."""
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    for _ in range(5):
        page.click(".lm-MenuBar-item >> text=Run")
        page.click('.lm-Menu-itemLabel >> text="Run All Cells"')
        try:
            # JupyterLab drops the request if its kernel was not quite there yet.
            expect(prompts.first).to_have_text(re.compile(r"[\d*]"), timeout=4_000)
            break
        except AssertionError:
            continue
    for k in range(prompts.count()):
        expect(prompts.nth(k)).to_have_text(re.compile(r"\d"), timeout=timeout_s * 1000)
    failures = page.locator('[data-mime-type="application/vnd.jupyter.error"]')
    assert failures.count() == 0, failures.first.inner_text()


def save_notebook(page: Page) -> None:
    """Save, so that a reloaded page finds the outputs again."""
    page.keyboard.press("Control+s")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0, timeout=15_000)
