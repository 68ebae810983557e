"""States on disk: exact, atomic, and without any code in the file.

A state is a tree of frozen dataclasses, tensors, numbers and None. The tensors go into
an npz file under their path in the tree, everything else into its JSON entry. The
pairs of a neighbor list are not stored but found again from its reference geometry,
which gives the same pairs in the same order.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.disk import replacing
from gnndesign.errors import CheckpointError
from gnndesign.neighbors import VerletList
from gnndesign.potentials.base import Prediction
from gnndesign.simulation.base import AtomData, System
from gnndesign.simulation.fire import FIREState
from gnndesign.simulation.nve import DynamicsState

FORMAT = 1

_TYPES = {
    kind.__name__: kind
    for kind in (
        AtomData,
        AtomicBatch,
        DynamicsState,
        FIREState,
        Prediction,
        System,
        VerletList,
    )
}
_DERIVED = {"edges"}


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


def _pack(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, Tensor):
        arrays[name] = value.detach().cpu().numpy()
        return {"tensor": name}
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
    if "value" in node:
        return node["value"]
    kind = _TYPES[node["type"]]
    values = {
        name: _unpack(child, arrays, device) for name, child in node["fields"].items()
    }
    if kind is VerletList:
        return VerletList.build(values["reference"], values["cutoff"], values["skin"])
    return kind(**values)
