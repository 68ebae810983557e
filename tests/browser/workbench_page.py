"""The workbench on a page, in the words of its user."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

SECOND = 1000


class Bench:
    """The workbench on a page, in the words of its user."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.output = page.locator(".jp-OutputArea-output:has(.lm-TabBar)").first
        self.canvas = self.output.locator("canvas").first
        self.plot = self.output.locator(".gnndesign-plot")

    def turn_to(self, tab: str) -> None:
        self.output.locator(f'.lm-TabBar-tabLabel:text-is("{tab}")').click()

    def press(self, name: str) -> None:
        self.output.locator(f'button:visible:text-is("{name}")').click()

    def field(self, label: str) -> Locator:
        row = self.output.locator(
            f'.jupyter-widgets:visible:has(> label:text-is("{label}"))'
        )
        return row.locator("input, select").first

    def fill(self, label: str, value: str) -> None:
        self.field(label).fill(value)
        self.field(label).press("Enter")

    def choose(self, label: str, option: str) -> None:
        self.field(label).select_option(option)

    def unfold(self, title: str) -> None:
        """Open a closed section."""
        sections = self.output.get_by_text(title, exact=True)
        sections.locator("visible=true").click()

    def tick(self, label: str, *, first: bool = False) -> None:
        boxes = self.output.locator("label:visible", has_text=label)
        (boxes.first if first else boxes).locator("input").check()

    def expect_state(self, pattern: str, *, within_s: float) -> None:
        words = self.output.locator(".widget-html-content:visible > b")
        expect(words.filter(has_text=re.compile(pattern)).first).to_be_visible(
            timeout=within_s * SECOND
        )
