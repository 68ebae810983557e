"""Reports that a worker leaves in a job's folder, read by whoever watches it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from gnndesign.errors import CheckpointError

T = TypeVar("T")


def read_report(path: Path, build: Callable[[Any], T], *, anew: str) -> T | None:
    """What a worker wrote as JSON; None before it has written anything.

    Args:
        path: of the file.
        build: makes the report of what JSON holds.
        anew: what to do where it cannot: "Distil anew."

    Raises:
        CheckpointError: it was written by another version.
    """
    if not path.is_file():
        return None
    try:
        return build(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} holds no report of this version: {error}. {anew}"
        ) from error
