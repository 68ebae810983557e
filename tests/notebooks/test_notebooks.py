"""Notebooks stay short, plain, and free of outputs; the browser tests run them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat
import pytest

from gnndesign.disk import HOME_VARIABLE
from gnndesign.jobs.local import stop_worker

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_holds_few_cells_and_no_outputs(path: Path):
    cells = code_cells(path)
    assert len(cells) <= 12
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_defines_nothing(path: Path):
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef)


@pytest.mark.slow
def test_the_notebook_of_molecular_dynamics_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = next(path for path in NOTEBOOKS if path.name.startswith("02_"))
    names: dict[str, Any] = {}
    try:
        for cell in code_cells(path):
            # As it stands, but for the length of the runs.
            source = cell.source.replace("picoseconds = 0.4", "picoseconds = 0.06")
            exec(source, names)  # noqa: S102
    finally:
        stop_worker(tmp_path)
    assert names["steps"] == 30
    assert names["relaxed"].converged
    for run in ("heated", "expanded", "diffused"):
        assert names[run].status.name == "FINISHED"
    volumes = [names[run].atoms.cell.volume for run in ("heated", "expanded")]
    assert volumes[0] != volumes[1]
    assert names["observables"].results().msd.species == ("Ag", "I")
    assert names["workbench"].structure.current.name == "silver iodide at 700 K"
