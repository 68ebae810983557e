"""The file of a potential: safetensors with a description as JSON, and no code in it.

The entry "gnndesign" of the file's metadata holds, as JSON, the format's name (with
that of the architecture, or of the kind of compound) and version, and what the tensors
are. Equal content gives equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from gnndesign.errors import CheckpointError

FORMAT = "gnndesign-"
"""Of the format's name; the name of the architecture follows."""

VERSION = 1
SUFFIX = ".safetensors"
_ENTRY = "gnndesign"


def written(description: Mapping[str, Any], tensors: dict[str, Tensor]) -> bytes:
    """A safetensors file with a description."""
    # One entry, because safetensors writes several in an order of chance.
    text = json.dumps(description, sort_keys=True, ensure_ascii=False)
    return safetensors.torch.save(tensors, {_ENTRY: text})


def read_file(
    path: Path, *, with_tensors: bool
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description of a file, whatever it describes, and its tensors.

    Raises:
        CheckpointError: damaged, of another program or of another version.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            names = file.keys() if with_tensors else ()
            # In memory of its own a tensor is aligned as before; where it is not, the
            # last bit of a matrix product may change.
            tensors = {name: file.get_tensor(name).clone() for name in names}
        description = json.loads(metadata.get(_ENTRY, "null"))
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
        first = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path.name} is no readable safetensors file ({first}). Save or copy it "
            "again."
        ) from error
    kind = description.get("format") if isinstance(description, dict) else None
    if not isinstance(kind, str) or not kind.startswith(FORMAT):
        raise CheckpointError(
            f"{path.name} is a safetensors file of something else: wanted a potential "
            "that gnndesign's save_potential wrote."
        )
    version = description.get("format_version")
    if version != VERSION:
        raise CheckpointError(
            f"{path.name}: wanted version {VERSION} of the format, it is {version!r}. "
            "Update gnndesign or save the potential again."
        )
    return description, tensors


def sha256(path: Path) -> str:
    """Checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def take(file: str, section: dict[str, Any], key: str, kind: type) -> Any:
    """An entry of a description.

    Raises:
        CheckpointError: it is missing or of another type.
    """
    value = section.get(key)
    if type(value) is int and kind is float:
        return float(value)
    if type(value) is not kind:
        raise CheckpointError(
            f"{file}: wanted {key!r} as {kind.__name__} in its description, it is "
            f"{value!r}. Save the potential again."
        )
    return value


def take_list(
    file: str, section: dict[str, Any], key: str, kind: type
) -> tuple[Any, ...]:
    """A list in a description, all of one type.

    Raises:
        CheckpointError: it is missing or of another type.
    """
    values = take(file, section, key, list)
    if any(type(value) is not kind for value in values):
        raise CheckpointError(
            f"{file}: wanted {key!r} as a list of {kind.__name__} in its "
            f"description, it is {values!r}. Save the potential again."
        )
    return tuple(values)
