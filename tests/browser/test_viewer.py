"""The viewer in a real JupyterLab: what is on screen, and what comes back."""

from __future__ import annotations

from browser_pixels import wait_until_drawn
from playwright.sync_api import Page

SETUP = """
import numpy as np
from ase.build import bulk
from gnndesign_widgets.viewer import ViewerPanel
"""


def test_first(run_notebook) -> None:
    page: Page = run_notebook(
        "first.ipynb",
        [
            SETUP
            + """
panel = ViewerPanel(bulk('NaCl', 'rocksalt', 5.64, cubic=True), height='300px')
panel.layout.width = '400px'
panel"""
        ],
    )
    canvas = page.locator(".gnndesign-view canvas")
    wait_until_drawn(canvas)
    page.wait_for_timeout(1500)
