"""The weights that ship with gnndesign; README.md says where they come from."""

from __future__ import annotations

from pathlib import Path

from gnndesign.errors import CheckpointError


def shipped(name: str) -> Path:
    """The file of a potential that ships with gnndesign.

    Raises:
        CheckpointError: the installation lacks it.
    """
    path = Path(__file__).with_name(f"{name}.safetensors")
    if not path.is_file():
        raise CheckpointError(
            f"The weights {path.name} belong to gnndesign but are not there. Install "
            "gnndesign again."
        )
    return path
