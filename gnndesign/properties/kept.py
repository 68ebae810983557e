"""Energies of structures kept on disk, one file a potential."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ase
from filelock import FileLock

from gnndesign.disk import write_atomically
from gnndesign.errors import CheckpointError
from gnndesign.potentials.base import Card
from gnndesign.structures.convert import atoms_to_dict

_FORMAT = 1


class KeptEnergies:
    """What relaxations with one potential ended with; its file goes by its checksum.

    Several processes may read and add at the same time.

    Args:
        folder: where the files of all potentials are.
        card: of the potential.
    """

    def __init__(self, folder: Path, card: Card) -> None:
        self._name, self._checksum = card.name, card.checksum
        name = hashlib.sha256(card.checksum.encode()).hexdigest()[:24]
        self.path = folder / f"{name}.json"

    def read(self) -> dict[str, Any]:
        """Entries by name.

        Raises:
            CheckpointError: the file is damaged.
        """
        if not self.path.exists():
            return {}
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            fits = (
                content["format"] == _FORMAT and content["checksum"] == self._checksum
            )
            return dict(content["elements"]) if fits else {}
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{self.path} does not hold kept energies ({error}). Delete it; they "
                "will be computed again."
            ) from error

    def add(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        """Add entries, and return all there are."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Another process may have added some since this one has read.
        with FileLock(f"{self.path}.lock"):
            kept = {**self.read(), **entries}
            content = {
                "format": _FORMAT,
                "potential": self._name,
                "checksum": self._checksum,
                "elements": kept,
            }
            write_atomically(self.path, json.dumps(content, indent=1))
        return kept


def fingerprint(atoms: ase.Atoms) -> str:
    """Equal for equal structures, from one process to the next."""
    text = json.dumps(atoms_to_dict(atoms), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
