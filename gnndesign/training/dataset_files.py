"""Data sets from files: `load_dataset`."""

from __future__ import annotations

import sqlite3
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase
import ase.db
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from gnndesign.errors import StructureError
from gnndesign.structures.files import load_uploaded
from gnndesign.structures.formats import decompress
from gnndesign.training.dataset import Dataset

_SUFFIXES = (".xyz", ".extxyz", ".exyz", ".db", ".json", ".traj", ".xml")
_WORDS = ("OUTCAR", "VASPRUN")
_COMPRESSED = (".xz", ".gz", ".bz2")

Source = str | Path


def load_dataset(
    path: Source | Sequence[Source],
    *,
    energy: str | None = "auto",
    forces: str | None = "auto",
    stress: str | None = "auto",
    stress_unit: str | None = None,
    group: str | None = "config_type",
    level_of_theory: str | None = None,
) -> Dataset:
    """Structures and labels of a file, of several, or of all in a folder.

    Extended XYZ (eV, eV/Å, eV/Å³), ASE databases (.db, .json) and trajectories, VASP's
    vasprun.xml and OUTCAR (every ionic step; its kbar, positive under compression,
    become eV/Å³, positive under tension); also compressed (.xz, .gz, .bz2). Structures
    without a cell get no stress.

    Args:
        path: file, folder (with all folders in it), or a list of these.
        energy: see `Dataset.from_atoms`.
        forces: likewise.
        stress: likewise.
        stress_unit: likewise, of extended XYZ files; the unit of others is known.
        group: name in `info` of the groups. Of several files, structures without it
            are grouped by file.
        level_of_theory: for people.

    Raises:
        StructureError: a file is absent, damaged, of an unknown format or holds a
            structure that cannot be used; or see `Dataset.from_atoms`.
        ParameterError: an unknown `stress_unit`.
    """
    given = [path] if isinstance(path, str | Path) else list(path)
    files = [file for one in given for file in _files_of(Path(one))]
    if not files:
        raise StructureError(
            "Wanted at least one file of structures, got an empty list."
        )
    parts = [
        Dataset.from_atoms(
            read_labeled(file),
            energy=energy,
            forces=forces,
            stress=stress,
            stress_unit=stress_unit if _is_xyz(file) else "eV/A^3",
            group=group,
            fallback_group=_name_among(file, files),
            source=file.name,
            level_of_theory=level_of_theory,
        )
        for file in files
    ]
    return parts[0] if len(parts) == 1 else Dataset.concatenate(parts)


def read_labeled(path: Path) -> list[ase.Atoms]:
    """Every structure of a file, with its labels in calculators, `info` and `arrays`.

    Raises:
        StructureError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StructureError(
            f"Cannot open '{path}': {error.strerror or type(error).__name__}. Wanted "
            "the path of a file or folder of labeled structures."
        ) from error
    plain, name = decompress(content, path.name)
    is_json_database = name.lower().endswith(".json") and b'"ids"' in plain
    if name.lower().endswith(".db") or is_json_database:
        return _read_database(plain, path.name, "json" if is_json_database else "db")
    return load_uploaded(name, plain)


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(
        file for file in path.rglob("*") if file.is_file() and _is_readable(file)
    )
    if not found:
        raise StructureError(
            f"The folder '{path}' has no file that can be read; wanted names that end "
            f"in {' '.join(_SUFFIXES)}, or with {' or '.join(_WORDS)} in them."
        )
    return found


def _plain_name(file: Path) -> str:
    return file.stem if file.suffix.lower() in _COMPRESSED else file.name


def _is_xyz(file: Path) -> bool:
    return _plain_name(file).lower().endswith("xyz")


def _is_readable(file: Path) -> bool:
    name = _plain_name(file)
    return name.lower().endswith(_SUFFIXES) or any(w in name.upper() for w in _WORDS)


def _name_among(file: Path, files: list[Path]) -> str:
    """What tells a file from the others: nothing of one, else the end of its path."""
    if len(files) == 1:
        return ""
    for depth in range(1, len(file.parts) + 1):
        end = file.parts[-depth:]
        if sum(other.parts[-depth:] == end for other in files) == 1:
            return "/".join(end)
    return str(file)


def _read_database(content: bytes, name: str, kind: str) -> list[ase.Atoms]:
    """Every row of an ASE database; its keys and data become `info`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"data.{kind}"
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                database = ase.db.connect(path, type=kind, use_lock_file=False)
                return [_from_row(row) for row in database.select()]
        except (
            sqlite3.Error,
            AttributeError,
            IndexError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            raise StructureError(
                f"Cannot read '{name}' as an ASE database: {error}. Wanted a whole, "
                "undamaged file that ase.db wrote."
            ) from error


def _from_row(row: Any) -> ase.Atoms:
    atoms = ase.Atoms(
        np.asarray(row.numbers), positions=row.positions, cell=row.cell, pbc=row.pbc
    )
    atoms.info.update(row.key_value_pairs)
    for key, value in (row.data or {}).items():
        array = np.asarray(value)
        if array.dtype.kind == "f" and array.shape == (len(atoms), 3):
            atoms.set_array(key, array)
        else:
            atoms.info.setdefault(key, value)
    results = {
        key: row.get(key)
        for key in ("energy", "free_energy", "forces", "stress")
        if row.get(key) is not None
    }
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms
