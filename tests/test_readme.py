"""What the README shows is run as it stands there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_lines_of_the_readme_run_and_give_sensible_numbers(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.setenv("GNNDESIGN_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")

    names: dict[str, object] = {}
    exec(compile(lines, "README.md", "exec"), names)  # noqa: S102 - our own README

    relaxed, hot, found = names["relaxed"], names["hot"], names["found"]
    assert relaxed.status.name == "CONVERGED"
    # Experiment: a = 2.858 Å, c = 16.958 Å in the hexagonal cell (T. Ishiguro et al.,
    # J. Solid State Chem. 40, 170 (1981)), a third of which is this cell.
    assert relaxed.atoms.cell.volume == pytest.approx(39.98, rel=0.05)
    assert relaxed.energy < 0
    assert hot.status.name == "FINISHED"
    assert hot.steps == 20
    assert len(found.trials) == 4
    best = found.best(2)
    assert best[0].values["lattice_constant_deviation"] < 0.1
    assert "CONVERGED" in capsys.readouterr().out


def test_ten_statements_suffice():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(ast.parse(lines).body) <= 10
