"""Where gnndesign keeps things, files that are whole or not there, and locks."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_path, user_data_path

HOME_VARIABLE = "GNNDESIGN_HOME"
CACHE_VARIABLE = "GNNDESIGN_CACHE"


def data_folder() -> Path:
    """Jobs and studies: $GNNDESIGN_HOME, or the platform's folder for user data."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else user_data_path("gnndesign")


def cache_folder() -> Path:
    """What can be computed again.

    $GNNDESIGN_CACHE, or $GNNDESIGN_HOME, or the user's cache folder.
    """
    home = os.environ.get(CACHE_VARIABLE) or os.environ.get(HOME_VARIABLE)
    return Path(home) if home else user_cache_path("gnndesign")


def write_atomically(path: Path, text: str) -> None:
    """Write a UTF-8 text file that exists completely or not at all."""
    with (
        replacing(path) as partial,
        partial.open("w", encoding="utf-8", newline="") as stream,
    ):
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A path to write to, which takes the place of `path` if the block ends well.

    It lies in the same folder and has the same suffix.
    """
    # Not by tempfile, whose files are private: this one is to be read by others.
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    partial.touch(exist_ok=False)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partials(path: Path, *, older_than_s: float = 0.0) -> None:
    """Remove what killed processes have left of writing `path` by `replacing`.

    Args:
        path: what was to be written.
        older_than_s: leave what was changed since; 0 is for who alone writes `path`.
    """
    before = time.time() - older_than_s
    # SQLite adds an ending to the name for its journal.
    name = f".{escape(path.stem)}.{'[0-9a-f]' * 8}{escape(path.suffix)}*"
    for partial in path.parent.glob(name):
        with suppress(FileNotFoundError):
            if partial.stat().st_mtime <= before:
                partial.unlink()


def is_locked(path: Path) -> bool:
    """Whether somebody holds the `FileLock` of a path; nothing is created.

    To look is to share the lock for a moment, so that two who look at the same time
    do not take each other for its holder.
    """
    if sys.platform == "win32":
        try:
            with FileLock(path, timeout=0):
                return False
        except Timeout:
            return True
    import fcntl

    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
