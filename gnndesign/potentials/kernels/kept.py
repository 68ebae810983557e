"""What takes long to make and depends on nothing but its key, kept on disk.

A file that is damaged is made anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from gnndesign.disk import cache_folder, remove_partials, replacing

_HASH = hashlib.sha256
_HASH_SIZE = 32

_WRITTEN_WITHIN_S = 3600.0
"""What is not complete after so long was left by a killed process."""


def kept(key: Sequence[str], suffix: str, make: Callable[[], bytes]) -> bytes:
    """The content of this key, from the cache or made and put there.

    Args:
        key: everything the content depends on.
        suffix: of the file's name.
        make: makes the content.
    """
    path = _path(key, suffix)
    content = _read(path)
    if content is None:
        content = make()
        # A cache that cannot be written costs time, nothing else.
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_partials(path, older_than_s=_WRITTEN_WITHIN_S)
            with replacing(path) as partial:
                partial.write_bytes(_HASH(content).digest() + content)
    return content


def is_kept(key: Sequence[str], suffix: str) -> bool:
    """Whether the cache has the content of this key, whole."""
    return _read(_path(key, suffix)) is not None


def _path(key: Sequence[str], suffix: str) -> Path:
    digest = _HASH()
    for part in key:
        digest.update(part.encode() + b"\0")
    return cache_folder() / "kernels" / (digest.hexdigest()[:32] + suffix)


def _read(path: Path) -> bytes | None:
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    expected, content = whole[:_HASH_SIZE], whole[_HASH_SIZE:]
    return content if _HASH(content).digest() == expected else None


@cache
def package_text() -> str:
    """A hash of the modules that make what is kept."""
    digest = _HASH()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
