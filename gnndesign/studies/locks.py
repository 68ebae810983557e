"""Locks that processes share through a database, and who of them is alive."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from gnndesign.disk import is_locked

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ASK_LOCK = "ask.lock"


class Locks(ABC):
    """One lock to work alone, and one for every process that says it is alive.

    Whatever way a process ends, its locks are released.
    """

    @abstractmethod
    def exclusively(self) -> Any:
        """A context in which no other process is in this context."""

    @abstractmethod
    def claim(self, owner: str) -> None:
        """From now on until `close`, `owner` is alive."""

    @abstractmethod
    def living(self, owners: Collection[str]) -> set[str]:
        """Those who are alive; within `exclusively`."""

    @abstractmethod
    def close(self) -> None:
        """Release what was claimed."""


class OwnLocks(Locks):
    """Where there are no other processes."""

    def __init__(self) -> None:
        self._claimed: set[str] = set()

    @contextmanager
    def exclusively(self) -> Generator[None]:
        """At once."""
        yield

    def claim(self, owner: str) -> None:
        """Remember it."""
        self._claimed.add(owner)

    def living(self, owners: Collection[str]) -> set[str]:
        """Those that were claimed here."""
        return self._claimed.intersection(owners)

    def close(self) -> None:
        """Forget them."""
        self._claimed.clear()


class FileLocks(Locks):
    """Locks of the operating system on the files of a folder.

    Args:
        folder: where they are; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._claimed: list[FileLock] = []

    @contextmanager
    def exclusively(self) -> Generator[None]:
        """Wait for whoever is in it."""
        self._folder.mkdir(exist_ok=True)
        with FileLock(self._folder / _ASK_LOCK):
            yield

    def claim(self, owner: str) -> None:
        """Lock a file of this name."""
        self._folder.mkdir(exist_ok=True)
        lock = FileLock(self._folder / f"{owner}.lock", timeout=0)
        lock.acquire()
        self._claimed.append(lock)

    def living(self, owners: Collection[str]) -> set[str]:
        """Those whose file is locked; the files of killed processes are removed."""
        living: set[str] = set()
        for path in self._folder.glob("*.lock"):
            if path.name == _ASK_LOCK:
                continue
            if is_locked(path):
                living.add(path.stem)
            else:
                path.unlink(missing_ok=True)
        return living.intersection(owners)

    def close(self) -> None:
        """Unlock and remove the files."""
        for lock in self._claimed:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
        self._claimed.clear()


class AdvisoryLocks(Locks):
    """Advisory locks of a PostgreSQL server, held by a connection of their own.

    The server releases them when the connection ends. A connection that was lost is made
    again, and what was claimed is claimed again.

    Args:
        connect: makes a connection that commits every statement.
        study_name: studies of one database do not wait for each other.
    """

    def __init__(self, connect: Callable[[], Connection], study_name: str) -> None:
        self._connect = connect
        self._study_name = study_name
        self._claimed: list[str] = []
        self._held: Connection | None = None

    @contextmanager
    def exclusively(self) -> Generator[None]:
        """Wait for whoever is in it."""
        key = _key(f"ask {self._study_name}")
        self._execute("SELECT pg_advisory_lock(:key)", key=key)
        try:
            yield
        finally:
            self._execute("SELECT pg_advisory_unlock(:key)", key=key)

    def claim(self, owner: str) -> None:
        """Lock a number made of this name."""
        self._execute("SELECT pg_advisory_lock(:key)", key=_key(owner))
        self._claimed.append(owner)

    def living(self, owners: Collection[str]) -> set[str]:
        """Those whose number is locked."""
        rows = self._execute(
            # The server shows a lock's number in two halves.
            "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks "
            "WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        held = {key for (key,) in rows}
        return {owner for owner in owners if _key(owner) in held}

    def close(self) -> None:
        """End the connection."""
        self._claimed.clear()
        if self._held is not None:
            self._held.close()
            self._held = None

    def _execute(self, statement: str, **parameters: int) -> list[Any]:
        from sqlalchemy import text
        from sqlalchemy.exc import OperationalError

        for last in (False, True):
            if self._held is None:
                self._held = self._reconnected()
            try:
                return list(self._held.execute(text(statement), parameters))
            except OperationalError as error:
                if last or not error.connection_invalidated:
                    raise
                self._held.close()
                self._held = None
        raise AssertionError("the second failure is raised")

    def _reconnected(self) -> Connection:
        from sqlalchemy import text

        connection = self._connect()
        for name, value in _WHILE_HELD.items():
            connection.execute(
                text(
                    "SELECT set_config(name, :value, false) FROM pg_settings "
                    "WHERE name = :name"
                ),
                {"name": name, "value": value},
            )
        for owner in self._claimed:
            connection.execute(
                text("SELECT pg_advisory_lock(:key)"), {"key": _key(owner)}
            )
        return connection


_WHILE_HELD = {
    # Idle for as long as candidates are evaluated.
    "idle_session_timeout": "0",
    # The locks of a machine that vanished are free after about a minute.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


@contextmanager
def advisory_lock(connect: Callable[[], Connection], name: str) -> Generator[None]:
    """While no other process is in a context of this name on this database."""
    locks = AdvisoryLocks(connect, name)
    try:
        with locks.exclusively():
            yield
    finally:
        locks.close()


def _key(name: str) -> int:
    """64 bits with a sign, as the server numbers its advisory locks."""
    digest = hashlib.sha256(f"gnndesign {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
