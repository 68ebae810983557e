"""Trees of dicts, lists, arrays and numbers in one file, written as a whole.

An npz file of two entries: "tree" is JSON in which an array stands as its type, shape
and place; "data" is all arrays one behind the other. Thousands of small arrays then
cost no more than one. No code, no pickle.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from gnndesign.disk import replacing
from gnndesign.errors import CheckpointError

_KINDS = {"int64": np.int64, "float32": np.float32, "float64": np.float64}


def save_tree(path: Path, tree: Any) -> None:
    """Write a tree; the file is either the old one or the new one, never a part."""
    parts: list[bytes] = []
    text = json.dumps(_pack(tree, parts))
    data = np.frombuffer(b"".join(parts), dtype=np.uint8)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, tree=np.array(text), data=data)
        file.flush()
        os.fsync(file.fileno())


def load_tree(path: Path) -> Any:
    """Read a tree.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        # Opened here, because numpy leaves a damaged file open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return _unpack(json.loads(str(file["tree"])), file["data"], [0])
    except (
        OSError,
        EOFError,
        TypeError,
        ValueError,
        KeyError,
        zipfile.BadZipFile,
    ) as error:
        raise CheckpointError(
            f"{path} is no readable file of observables: {error}. Begin them anew."
        ) from error


def _pack(node: Any, parts: list[bytes]) -> Any:
    if isinstance(node, dict):
        return {"dict": [[key, _pack(value, parts)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        return {"list": [_pack(value, parts) for value in node]}
    if isinstance(node, np.ndarray):
        kind = node.dtype.name
        if kind not in _KINDS:
            raise TypeError(f"Wanted arrays of {', '.join(_KINDS)}, got {kind}.")
        parts.append(np.ascontiguousarray(node).tobytes())
        return {"array": [kind, node.shape]}
    return {"value": node}


def _unpack(node: dict[str, Any], data: np.ndarray, place: list[int]) -> Any:
    ((kind, content),) = node.items()
    match kind:
        case "dict":
            return {key: _unpack(value, data, place) for key, value in content}
        case "list":
            return [_unpack(value, data, place) for value in content]
        case "array":
            dtype = np.dtype(_KINDS[content[0]])
            n_bytes = int(np.prod(content[1], dtype=np.int64)) * dtype.itemsize
            part = data[place[0] : place[0] + n_bytes]
            place[0] += n_bytes
            return part.copy().view(dtype).reshape(content[1])
        case "value":
            return content
        case _:
            raise ValueError(f"unknown entry {kind!r}")
