"""A search's trials as a table, and the best of them as CIF files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from gnndesign.disk import write_atomically
from gnndesign.search.trials import ObjectiveColumn, Trial
from gnndesign.structures.files import save_structure

_UNIT_SUFFIX = {"eV/atom": "eV_per_atom", "Å": "A", "g/cm³": "g_per_cm3"}

Row = dict[str, str | int | float | None]


def write_csv(
    trials: Sequence[Trial], objectives: Sequence[ObjectiveColumn], path: Path
) -> Path:
    """Write trials as a table (UTF-8, commas), whole or not at all.

    Columns: trial, formula, one a choice, one an objective and one a detail with the unit
    in the name, energy_eV, n_atoms, cell lengths (Å), angles (degrees) and volume (Å³),
    max_force_eV_per_A, steps, status, message. A cell without a value is empty.
    """
    return _write(path, [_row(trial, objectives) for trial in trials])


def export_best(
    trials: Sequence[Trial], objectives: Sequence[ObjectiveColumn], folder: Path
) -> Path:
    """Write each trial as NN_FORMULA.cif, best first, and the table best.csv, last.

    Returns:
        The path of the table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digits = max(2, len(str(len(trials))))
    rows: list[Row] = []
    for rank, trial in enumerate(trials, start=1):
        name = f"{rank:0{digits}d}_{trial.formula}.cif"
        assert trial.atoms is not None, "a trial with values has a structure"
        save_structure(trial.atoms, folder / name)
        rows.append({"rank": rank, "cif": name, **_row(trial, objectives)})
    return _write(folder / "best.csv", rows)


def _row(trial: Trial, objectives: Sequence[ObjectiveColumn]) -> Row:
    row: Row = {"trial": trial.number, "formula": trial.formula}
    row |= {f"choice_{name}": choice for name, choice in trial.choices.items()}
    for objective in objectives:
        suffix = _UNIT_SUFFIX.get(objective.unit, objective.unit)
        row[f"{objective.name}_{suffix}"] = trial.values.get(objective.name)
    row |= trial.measured
    row["energy_eV"] = trial.energy
    if trial.atoms is not None:
        lengths_and_angles = trial.atoms.cell.cellpar().tolist()
        names = ("a_A", "b_A", "c_A", "alpha_deg", "beta_deg", "gamma_deg")
        row["n_atoms"] = len(trial.atoms)
        row |= dict(zip(names, lengths_and_angles, strict=True))
        row["volume_A3"] = float(trial.atoms.cell.volume)
    row["max_force_eV_per_A"] = trial.max_force
    row["steps"] = trial.steps
    row["status"] = str(trial.status)
    row["message"] = trial.message
    return row


def _write(path: Path, rows: Sequence[Row]) -> Path:
    # The fullest row has the columns in the order they are meant to be read.
    columns = list(max(rows, key=len, default={"trial": None, "formula": None}))
    columns += [key for row in rows for key in row if key not in columns]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(columns)), restval="")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, stream.getvalue())
    return path
