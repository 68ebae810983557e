"""What a distillation leaves on disk, so that it can be cut anywhere.

One file tells the rounds that are through; a folder a round has its labelled frames,
the checkpoints of its trainings and, at its end, the students.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase
import numpy as np
import torch

from gnndesign.disk import replacing, write_atomically
from gnndesign.errors import CheckpointError
from gnndesign.potentials.files import read_potential, save_potential
from gnndesign.potentials.trainable import TrainablePotential, weights_checksum
from gnndesign.training.dataset import Dataset
from gnndesign.training.distill_results import DistillationRound


class DistillationFolder:
    """A folder of a distillation, or none.

    Args:
        path: made if it is not there; None to keep nothing.
        identity: what it must agree in.

    Raises:
        CheckpointError: it is of another distillation, or damaged.
    """

    def __init__(self, path: Path | str | None, identity: str) -> None:
        self._path = None if path is None else Path(path)
        self._identity = identity
        if self._path is not None and not self._state.is_file():
            self._path.mkdir(parents=True, exist_ok=True)
            self.save_round([], [])

    @property
    def _state(self) -> Path:
        assert self._path is not None
        return self._path / "distillation.json"

    def _home(self, number: int) -> Path:
        assert self._path is not None
        home = self._path / f"round_{number:02d}"
        home.mkdir(exist_ok=True)
        return home

    def checkpoint(self, number: int, member: int) -> Path | None:
        """The file of a member's training in a round."""
        if self._path is None:
            return None
        return self._home(number) / f"member_{member}.pt"

    def load_frames(self, number: int) -> tuple[Dataset, float] | None:
        """The labelled frames of a round and the disagreement on its candidates."""
        if self._path is None or not (self._home(number) / _FRAMES).is_file():
            return None
        return load_frames(self._home(number) / _FRAMES)

    def save_frames(self, number: int, frames: Dataset, disagreement: float) -> None:
        """Keep the labelled frames of a round."""
        if self._path is not None:
            save_frames(frames, disagreement, self._home(number) / _FRAMES)

    def save_round(
        self,
        history: Sequence[DistillationRound],
        members: Sequence[TrainablePotential[Any]],
    ) -> None:
        """Keep the students of the last round; then it is through."""
        if self._path is None:
            return
        for member, potential in enumerate(members):
            home = self._home(len(history))
            save_potential(potential, home / f"member_{member}.safetensors")
        rows = [report.to_dict() for report in history]
        content = {"identity": self._identity, "rounds": rows}
        write_atomically(self._state, json.dumps(content))

    def load_history(self) -> list[DistillationRound]:
        """The rounds that are through."""
        if self._path is None:
            return []
        try:
            content = json.loads(self._state.read_text("utf-8"))
            identity, rows = content["identity"], content["rounds"]
            history = [DistillationRound.from_dict(row) for row in rows]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{self._state} is no readable state of a distillation ({error}). "
                "Delete the folder to begin anew."
            ) from error
        if identity != self._identity:
            raise CheckpointError(
                f"{self._path} is of another distillation: wanted the same teacher, "
                "student, structures and options (but for the number of rounds, the "
                "bound and the time of the last run). Choose another folder, or delete "
                "it to begin anew."
            )
        return history

    def load_members(
        self, number: int, n_members: int, device: torch.device
    ) -> list[TrainablePotential[Any]]:
        """The students of a round that is through."""
        home = self._home(number)
        members: list[TrainablePotential[Any]] = []
        for member in range(n_members):
            potential = read_potential(home / f"member_{member}.safetensors", device)
            # As before it was saved: what is trained from it knows where it began.
            checksum = weights_checksum(potential.network, potential.parameters)
            potential.card = replace(potential.card, name="trained", checksum=checksum)
            members.append(potential)
        return members


_FRAMES = "frames.npz"


def save_frames(dataset: Dataset, disagreement: float, path: Path) -> None:
    """Write structures, labels and a disagreement to a `.npz` file, to the last bit, atomically."""
    structures = dataset.structures
    forces = [
        np.full((len(atoms), 3), np.nan) if part is None else part
        for atoms, part in zip(structures, dataset.forces, strict=True)
    ]
    with replacing(path) as partial:
        np.savez(
            partial,
            sizes=dataset.atoms_per_structure,
            numbers=np.concatenate([atoms.numbers for atoms in structures]),
            positions=np.concatenate([atoms.positions for atoms in structures]),
            cells=np.stack([atoms.cell.array for atoms in structures]),
            pbc=np.stack([atoms.pbc for atoms in structures]),
            energy=dataset.energy,
            forces=np.concatenate(forces),
            stress=dataset.stress,
            groups=np.array(dataset.groups),
            disagreement=np.array(disagreement),
            texts=np.array([dataset.source, dataset.level_of_theory]),
        )


def load_frames(path: Path) -> tuple[Dataset, float]:
    """Read a file of `save_frames`."""
    with np.load(path, allow_pickle=False) as file:
        content = {name: file[name] for name in file.files}
    ends = np.cumsum(content["sizes"])[:-1]
    atoms = zip(
        np.split(content["numbers"], ends),
        np.split(content["positions"], ends),
        content["cells"],
        content["pbc"],
        strict=True,
    )
    source, level_of_theory = content["texts"].tolist()
    dataset = Dataset(
        structures=tuple(
            ase.Atoms(z, positions=r, cell=cell, pbc=pbc) for z, r, cell, pbc in atoms
        ),
        energy=content["energy"],
        forces=tuple(np.split(content["forces"], ends)),
        stress=content["stress"],
        groups=tuple(content["groups"].tolist()),
        source=source,
        level_of_theory=level_of_theory,
    )
    return dataset, float(content["disagreement"])
