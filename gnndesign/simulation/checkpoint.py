"""States on disk: exact, atomic, and without any code in the file.

A state is a tree of frozen dataclasses, tuples, tensors, arrays, numbers, text and None.
Tensors and arrays go into an npz file under their path in the tree, everything else
into its JSON entry. The
pairs of a neighbor list are not stored but found again from its reference geometry,
which gives the same pairs in the same order.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.disk import replacing
from gnndesign.errors import CheckpointError
from gnndesign.members import STATE_CLASSES, state_class
from gnndesign.neighbors import VerletList
from gnndesign.potentials.base import Potential
from gnndesign.simulation.base import Snapshot, Stepper

FORMAT = 2

_OTHERS = {kind.__name__: kind for kind in (AtomicBatch, Snapshot, VerletList)}
"""What a checkpoint consists of beside `STATE_CLASSES`."""

_DERIVED = {"edges"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """Where and how often a run writes itself down.

    Attributes:
        path: an npz file, replaced atomically.
        every_s: seconds between two, as the clock on the wall has them.
        every_steps: steps of the batch between two; None for the seconds alone.
    """

    path: Path
    every_s: float = 60.0
    every_steps: int | None = None


@state_class
class Progress:
    """How far a run is: what a checkpoint holds.

    Attributes:
        method: name of the stepper's class.
        members: state of the systems that go on; None where there are none.
        parked: state of those that have used up their steps; more may be given later.
        ended: the last snapshots of all others.
        n_entered: how many structures, in the order given, were begun or refused.
    """

    method: str
    members: Any
    parked: Any
    ended: tuple[Snapshot, ...]
    n_entered: int


def save_state(path: Path, state: Any) -> None:
    """Write a state; the file is either the old one or the new one, never a part."""
    arrays: dict[str, np.ndarray] = {}
    tree = {"format": FORMAT, "state": _pack(state, "state", arrays)}
    packed = np.array(json.dumps(tree))
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, tree=packed, **arrays)
        file.flush()
        os.fsync(file.fileno())


def load_state(path: Path, device: torch.device) -> Any:
    """Read a state onto a device.

    Raises:
        CheckpointError: the file is missing, damaged, or of another version.
    """
    try:
        # Opened here, because numpy leaves a damaged file open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            tree = json.loads(str(file["tree"]))
            arrays = {name: file[name] for name in file.files if name != "tree"}
    except (
        OSError,
        EOFError,
        TypeError,
        ValueError,
        KeyError,
        zipfile.BadZipFile,
    ) as error:
        raise CheckpointError(f"{path} is no readable checkpoint: {error}") from error
    if tree.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: wanted checkpoint format {FORMAT}, found {tree.get('format')}. "
            "Resume with the version of gnndesign that wrote it."
        )
    try:
        return _unpack(tree["state"], arrays, device)
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} lacks something that its format {FORMAT} wants: {error!r}."
        ) from error


def load_progress(path: Path, stepper: Stepper[Any], potential: Potential) -> Progress:
    """Read a run's progress for the method and the potential that are to go on.

    Raises:
        CheckpointError: the file cannot be read, or is of another method or potential.
    """
    progress = load_state(path, potential.device)
    if not isinstance(progress, Progress):
        raise CheckpointError(f"{path} is no checkpoint of a run.")
    if progress.method != type(stepper).__name__:
        raise CheckpointError(
            f"{path} is a checkpoint of {progress.method}; {type(stepper).__name__} "
            "cannot go on from it. Resume with the method that wrote it."
        )
    for state in (progress.members, progress.parked):
        neighbors = state and state.system.neighbors
        if state is not None and (neighbors and neighbors.cutoff) != potential.cutoff:
            raise CheckpointError(
                f"{path} was written with a potential of cutoff "
                f"{neighbors and neighbors.cutoff} Å, '{potential.card.name}' has "
                f"{potential.cutoff} Å. Resume with the potential that wrote it."
            )
    return progress


def _pack(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, Tensor):
        arrays[name] = value.detach().cpu().numpy()
        return {"tensor": name}
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, tuple):
        return {
            "tuple": [
                _pack(entry, f"{name}.{k}", arrays) for k, entry in enumerate(value)
            ]
        }
    if is_dataclass(value):
        return {
            "type": type(value).__name__,
            "fields": {
                field.name: _pack(
                    getattr(value, field.name), f"{name}.{field.name}", arrays
                )
                for field in fields(value)
                if field.name not in _DERIVED
            },
        }
    return {"value": value}


def _unpack(node: dict[str, Any], arrays: dict[str, np.ndarray], device: Any) -> Any:
    if "tensor" in node:
        return torch.as_tensor(arrays[node["tensor"]], device=device)
    if "array" in node:
        return arrays[node["array"]]
    if "tuple" in node:
        return tuple(_unpack(entry, arrays, device) for entry in node["tuple"])
    if "value" in node:
        return node["value"]
    kind = {**STATE_CLASSES, **_OTHERS}[node["type"]]
    values = {
        name: _unpack(child, arrays, device) for name, child in node["fields"].items()
    }
    if kind is VerletList:
        return VerletList.build(values["reference"], values["cutoff"], values["skin"])
    return kind(**values)
