#!/usr/bin/env python3
# ruff: noqa: T201
"""Finds the browser for the tests, and gets one if the machine has none.

Run as a script it installs what is missing and prints which browser will be used. The
tests import `find_browser` and never install anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NAMES += ("chrome", "microsoft-edge")
REMEDY = (
    "No Chromium or Chrome was found. Install one (Debian: apt-get install chromium "
    "fonts-dejavu-core; elsewhere: python -m playwright install chromium), or set "
    "GNNDESIGN_BROWSER to the path of its executable."
)


def find_browser() -> str | None:
    """The executable to drive: GNNDESIGN_BROWSER, then the PATH, then Playwright's own.

    Raises:
        FileNotFoundError: GNNDESIGN_BROWSER names something that cannot be run.
    """
    wanted = os.environ.get("GNNDESIGN_BROWSER")
    if wanted:
        path = shutil.which(wanted)
        if path is None:
            raise FileNotFoundError(
                f"GNNDESIGN_BROWSER is {wanted!r}, which cannot be run. {REMEDY}"
            )
        return path
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    return _downloaded_browser()


def _downloaded_browser() -> str | None:
    # Asked in another process: Playwright's own loop must not meet the tests' one.
    question = (
        "from playwright.sync_api import sync_playwright\n"
        "with sync_playwright() as p: print(p.chromium.executable_path)"
    )
    answer = subprocess.run(  # noqa: S603
        [sys.executable, "-c", question], capture_output=True, text=True, check=False
    )
    path = Path(answer.stdout.strip())
    return str(path) if answer.returncode == 0 and path.is_file() else None


def _attempt(command: Sequence[str], timeout_s: float) -> None:
    print("$", " ".join(command), flush=True)
    try:
        done = subprocess.run(command, timeout=timeout_s, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"  gave up: {error}", flush=True)
    else:
        if done.returncode:
            print(f"  failed with exit status {done.returncode}", flush=True)


def install_browser() -> None:
    """Try the ways to get a browser until one has worked."""
    _attempt([sys.executable, "-m", "playwright", "install", "chromium"], 300)
    if find_browser() is not None:
        return
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = ["chromium", "fonts-dejavu-core"]
        _attempt(["apt-get", "update", "-q"], 300)
        _attempt(["apt-get", "install", "-y", "-q", *packages], 900)


def main() -> int:
    """Entry point; the exit status is 1 if there is no browser in the end."""
    if find_browser() is None:
        install_browser()
    browser = find_browser()
    if browser is None:
        print(REMEDY, file=sys.stderr)
        return 1
    print(f"Browser for the tests: {browser}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
