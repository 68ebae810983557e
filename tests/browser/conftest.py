"""A real JupyterLab in a real browser.

Tests ask for `run_notebook` or `open_notebook`. When a test ends, its page must have
said nothing that means a widget failed, whatever else the test looked at.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# Test modules are imported one by one; their neighbors are found only if told where.
sys.path.insert(0, str(Path(__file__).parent))

from install_browser import REMEDY, find_browser
from lab_page import run_all_cells
from lab_server import LabServer, running_lab

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
# A page that prints one of these shows a widget that is broken.
TROUBLE = re.compile(
    r"not registered|Failed to load model|Error displaying widget|gnndesign viewer:"
    r"|Could not create a view|WebGL: CONTEXT_LOST|Error rendering|THREE\.\w+: .*error",
    re.IGNORECASE,
)

phase_report = pytest.StashKey[dict[str, pytest.TestReport]]()


@dataclass(slots=True)
class Console:
    """What the page of a test said."""

    lines: list[str] = field(default_factory=list[str])
    uncaught: list[str] = field(default_factory=list[str])

    def listen(self, page: Page) -> None:
        page.on("console", lambda line: self.lines.append(f"{line.type}: {line.text}"))
        page.on("pageerror", lambda error: self.uncaught.append(str(error)))

    @property
    def trouble(self) -> list[str]:
        return [line for line in self.lines if TROUBLE.search(line)] + [
            f"uncaught: {error}" for error in self.uncaught
        ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Iterator[None]:
    report = yield
    item.stash.setdefault(phase_report, {})[report.when] = report
    return report


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    with running_lab(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = find_browser()
    if executable is None:
        pytest.fail(REMEDY, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=list(FLAGS)
        )
        yield browser
        browser.close()


@pytest.fixture
def console() -> Console:
    return Console()


@pytest.fixture
def page(
    lab: LabServer,
    browser: Browser,
    console: Console,
    request: pytest.FixtureRequest,
) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1200, "height": 1200})
    page = context.new_page()
    console.listen(page)
    yield page
    called = request.node.stash.get(phase_report, {}).get("call")
    failed = called is None or called.failed
    if failed or console.trouble or os.environ.get("GNNDESIGN_SCREENSHOTS"):
        name = re.sub(r"\W+", "_", request.node.nodeid.split("tests/browser/")[-1])
        ARTIFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTIFACTS / f"{name}.png")
        (ARTIFACTS / f"{name}.txt").write_text("\n".join(console.lines))
    context.close()
    lab.stop_kernels()
    assert not console.trouble, "\n".join(console.trouble)


@pytest.fixture
def open_notebook(lab: LabServer, page: Page) -> Callable[[Path], Page]:
    """Open a notebook that lies in the server's folder, and wait for its kernel."""

    def open_it(path: Path) -> Page:
        name = str(path.relative_to(lab.folder))
        page.goto(lab.notebook_url(name))
        lab.wait_for_kernel(name)
        page.wait_for_selector(
            '.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=90_000
        )
        return page

    return open_it


@pytest.fixture
def run_notebook(
    lab: LabServer, open_notebook: Callable[[Path], Page]
) -> Callable[[str, Sequence[str]], Page]:
    """Write a notebook of code cells, open it and run it; wait until all have run.

    At least one of them shows a widget.
    """

    def run_it(name: str, cells: Sequence[str]) -> Page:
        page = open_notebook(lab.write_notebook(name, cells))
        run_all_cells(page)
        return page

    return run_it
