"""Where gnndesign keeps things, and writing files that are whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

HOME_VARIABLE = "GNNDESIGN_HOME"


def data_folder() -> Path:
    """Jobs and studies: $GNNDESIGN_HOME, or the platform's folder for user data."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else user_data_path("gnndesign")


def cache_folder() -> Path:
    """What can be computed again: $GNNDESIGN_HOME, or the user's cache folder."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else user_cache_path("gnndesign")


def write_atomically(path: Path, text: str) -> None:
    """Write a UTF-8 text file that exists completely or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files private; give them the usual permissions.
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
