"""A search's trials as a table, and the best of them as CIF files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gnndesign.disk import write_atomically
from gnndesign.properties.materials_project import PROVENANCE
from gnndesign.search.provenance import package_versions
from gnndesign.search.trials import ConstraintColumn, ObjectiveColumn, Trial
from gnndesign.search.trust import trust_flags
from gnndesign.structures.convert import atoms_to_dict
from gnndesign.structures.files import save_structure

Row = dict[str, str | int | float | None]

_FORMAT = 1


def write_csv(
    trials: Sequence[Trial],
    objectives: Sequence[ObjectiveColumn],
    constraints: Sequence[ConstraintColumn],
    path: Path,
) -> Path:
    """Write trials as a table (UTF-8, commas), whole or not at all.

    Columns: trial, formula, one a choice, one an objective, one a constraint (by how much
    it is missed; zero or less is allowed) and one a detail with the unit in the name,
    energy_eV, n_atoms, cell lengths (Å), angles (degrees) and volume (Å³),
    max_force_eV_per_A, steps, status, message. A cell without a value is empty.
    """
    return _write(path, [_row(trial, objectives, constraints) for trial in trials])


def export_best(
    trials: Sequence[Trial],
    objectives: Sequence[ObjectiveColumn],
    constraints: Sequence[ConstraintColumn],
    folder: Path,
    definition: Mapping[str, Any],
) -> Path:
    """Write each trial as NN_FORMULA.cif, best first, best.json, and best.csv last.

    Args:
        trials: best first; those with values have structures.
        objectives: of the values.
        constraints: that they keep.
        folder: made where it is not there; files of these names are replaced.
        definition: how they were found, as JSON has it.

    Returns:
        The path of the table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digits = max(2, len(str(len(trials))))
    rows: list[Row] = []
    entries: list[dict[str, Any]] = []
    for rank, trial in enumerate(trials, start=1):
        row: Row = {"rank": rank}
        # A measure of the composition alone needs no structure.
        if trial.atoms is not None:
            # A molecule has no cell, and so no CIF.
            kind = "cif" if trial.atoms.cell.rank == 3 else "xyz"
            name = f"{rank:0{digits}d}_{_file_name(trial.formula)}.{kind}"
            save_structure(trial.atoms, folder / name)
            row[kind] = name
        entries.append({**row, **_entry(trial)})
        flags = "; ".join(flag["words"] for flag in entries[-1]["trust_flags"])
        row |= _row(trial, objectives, constraints)
        rows.append({**row, "trust_flags": flags})
    content = {
        "format": _FORMAT,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions_that_wrote": package_versions(),
        **definition,
        "objectives": [asdict(column) for column in objectives],
        "constraints": [asdict(column) for column in constraints],
        "references": [PROVENANCE],
        "best": entries,
    }
    write_atomically(folder / "best.json", json.dumps(content, indent=1))
    return _write(folder / "best.csv", rows)


def _entry(trial: Trial) -> dict[str, Any]:
    """A trial as JSON has it; energies in eV, forces in eV/Å, lengths in Å."""
    return {
        "trial": trial.number,
        "formula": trial.formula,
        "choices": dict(trial.choices),
        "values": dict(trial.values),
        "constraints": dict(trial.constraints),
        "measured": dict(trial.measured),
        "energy_eV": trial.energy,
        "max_force_eV_per_A": trial.max_force,
        "steps": trial.steps,
        "status": str(trial.status),
        "message": trial.message,
        "trust_flags": [asdict(flag) for flag in trust_flags(trial)],
        "atoms": None if trial.atoms is None else atoms_to_dict(trial.atoms),
    }


def _row(
    trial: Trial,
    objectives: Sequence[ObjectiveColumn],
    constraints: Sequence[ConstraintColumn],
) -> Row:
    row: Row = {"trial": trial.number, "formula": trial.formula}
    row |= {f"choice_{name}": choice for name, choice in trial.choices.items()}
    for column in objectives:
        row[_named(column)] = trial.values.get(column.name)
    for column in constraints:
        row[f"{_named(column)}_missed_by"] = trial.constraints.get(column.name)
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


_ASCII = {"/": "_per_", "Å": "A", "³": "3", "²": "2", "°": "deg", "%": "percent"}


def _named(column: ObjectiveColumn | ConstraintColumn) -> str:
    """Its name with the unit, once."""
    unit = column.unit
    for sign, word in _ASCII.items():
        unit = unit.replace(sign, word)
    unit = unit.replace(" ", "_")
    known = not unit or column.name.endswith(f"_{unit}")
    return column.name if known else f"{column.name}_{unit}"


def _file_name(formula: str) -> str:
    """A formula without what a file name should not have."""
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in formula)


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
