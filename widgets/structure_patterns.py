"""Structures of files that are named by patterns, as a person types them."""

from __future__ import annotations

from glob import glob
from pathlib import Path

import ase

from gnndesign.errors import ParameterError
from gnndesign.structures.files import load_structures


def structures_from_files(text: str) -> list[tuple[str, ase.Atoms]]:
    """Every frame of every file, by its name.

    Args:
        text: paths and patterns between commas.

    Raises:
        ParameterError: no file of this name.
        StructureError: a file cannot be read.
    """
    patterns = [part.strip() for part in text.split(",") if part.strip()]
    if not patterns:
        raise ParameterError("Wanted files, such as data/*.cif.")
    found: list[tuple[str, ase.Atoms]] = []
    for pattern in patterns:
        paths = sorted(glob(str(Path(pattern).expanduser()), recursive=True))  # noqa: PTH207
        if not paths:
            raise ParameterError(f"There is no file '{pattern}'.")
        for path in map(Path, paths):
            frames = load_structures(path)
            several = len(frames) > 1
            found += [
                (f"{path.name}[{k}]" if several else path.name, atoms)
                for k, atoms in enumerate(frames)
            ]
    return found
