"""Where studies are kept: memory, an SQLite file, a PostgreSQL server."""

from __future__ import annotations

import sqlite3
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage

from gnndesign.disk import remove_partials, replacing
from gnndesign.errors import CheckpointError, MissingDependencyError, ParameterError
from gnndesign.studies.locks import (
    AdvisoryLocks,
    FileLocks,
    Locks,
    OwnLocks,
    advisory_lock,
)

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

BUSY_TIMEOUT_S = 60.0
"""How long a process waits for another one's write to an SQLite file."""

CONNECT_TIMEOUT_S = 10
"""How long to wait for a server, where its URL does not say."""


class Database(ABC):
    """A place for studies."""

    @abstractmethod
    def __str__(self) -> str:
        """Names it in messages, without a password."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether there may be a study in it; nothing is created."""

    @abstractmethod
    def beginning(self) -> Any:
        """A context in which no other process begins a study here."""

    @abstractmethod
    def create(self, begin: Callable[[BaseStorage], object]) -> None:
        """Make it, with what `begin` writes; within `beginning`."""

    @abstractmethod
    def open(self) -> BaseStorage:
        """What Optuna reads and writes.

        Raises:
            CheckpointError: it cannot be opened, or is not a database of studies.
        """

    @abstractmethod
    def locks(self, study_name: str) -> Locks:
        """What processes that work on one study share."""


class Memory(Database):
    """Nowhere; the study is gone with the process."""

    def __str__(self) -> str:
        """Say so."""
        return "memory"

    def exists(self) -> bool:
        """A new one is always empty."""
        return False

    @contextmanager
    def beginning(self) -> Generator[None]:
        """At once."""
        yield

    def create(self, begin: Callable[[BaseStorage], object]) -> None:
        """Nothing to do."""

    def open(self) -> BaseStorage:
        """A new one."""
        return InMemoryStorage()

    def locks(self, study_name: str) -> Locks:
        """There is nobody else."""
        del study_name
        return OwnLocks()


@dataclass(frozen=True, slots=True)
class SQLiteFile(Database):
    """A file on a disk of this machine.

    Attributes:
        path: of the file.
    """

    path: Path

    def __str__(self) -> str:
        """The path."""
        return str(self.path)

    def exists(self) -> bool:
        """Whether there is the file."""
        return self.path.exists()

    @contextmanager
    def beginning(self) -> Generator[None]:
        """Two processes that create the tables at once would trip over each other."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_name(f"{self.path.name}.create.lock")):
            yield

    def create(self, begin: Callable[[BaseStorage], object]) -> None:
        """Who reads the file, or is killed here, never sees half of its tables."""
        remove_partials(self.path)
        with replacing(self.path) as partial_path:
            new = _sqlite_storage(partial_path)
            begin(new)
            close(new)
            _write_ahead(partial_path)

    def open(self) -> BaseStorage:
        """With a write-ahead log."""
        try:
            _write_ahead(self.path)
            return _sqlite_storage(self.path)
        except (sqlite3.DatabaseError, RuntimeError) as error:
            raise CheckpointError(
                f"{self} cannot be opened as a database of studies: {error}."
            ) from error

    def locks(self, study_name: str) -> Locks:
        """Files beside it, for all its studies: it takes one writer at a time."""
        del study_name
        return FileLocks(self.path.with_name(f"{self.path.name}.locks"))


@dataclass(frozen=True, slots=True)
class PostgreSQL(Database):
    """A database of a PostgreSQL server.

    Attributes:
        url: of SQLAlchemy, with the driver psycopg.
    """

    url: URL

    def __str__(self) -> str:
        """The URL with stars for the password and without its options."""
        return self.url.set(query={}).render_as_string()

    def exists(self) -> bool:
        """Whether it has a table of studies."""
        from sqlalchemy import inspect

        with closing(self._connect()) as connection:
            return inspect(connection).has_table("studies")

    @contextmanager
    def beginning(self) -> Generator[None]:
        """Two processes that create the tables at once would trip over each other."""
        with advisory_lock(self._connect, "begin"):
            yield

    def create(self, begin: Callable[[BaseStorage], object]) -> None:
        """Make the tables; the server makes all of them or none."""
        new = self.open()
        try:
            begin(new)
        finally:
            close(new)

    def open(self) -> BaseStorage:
        """Connections that were lost are made again."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with advisory_lock(self._connect, "open"):
                return _rdb_storage(
                    self.url.render_as_string(hide_password=False),
                    {"pool_pre_ping": True, "connect_args": self._connect_args()},
                )
        except (
            SQLAlchemyError,
            optuna.exceptions.StorageInternalError,
            RuntimeError,
        ) as error:
            raise self._unusable(error) from error

    def locks(self, study_name: str) -> Locks:
        """Advisory locks of the server, for this study alone."""
        return AdvisoryLocks(self._connect, study_name)

    def _connect(self) -> Connection:
        from sqlalchemy import NullPool, create_engine
        from sqlalchemy.exc import OperationalError

        try:
            engine = create_engine(
                self.url,
                poolclass=NullPool,
                isolation_level="AUTOCOMMIT",
                connect_args=self._connect_args(),
            )
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "Studies on a PostgreSQL server need the package 'psycopg', which is not "
                "installed. Type: pip install 'gnndesign[postgresql]'."
            ) from error
        try:
            return engine.connect()
        except OperationalError as error:
            raise self._unusable(error) from error

    def _connect_args(self) -> dict[str, Any]:
        wanted = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "gnndesign",
        }
        return {
            name: value for name, value in wanted.items() if name not in self.url.query
        }

    def _unusable(self, error: Exception) -> CheckpointError:
        reason = " ".join(str(getattr(error, "orig", error)).split())
        if self.url.password:
            reason = reason.replace(str(self.url.password), "***")
        remedy = "Is the server running, and reachable from here?"
        if "password" in reason or "authentication" in reason:
            remedy = (
                "Put the right password into the URL, the file ~/.pgpass or PGPASSWORD."
            )
        elif "permission denied" in reason:
            remedy = "Give this user the right to create tables there."
        elif "does not exist" in reason:
            remedy = "Create it first, for example with createdb or createuser."
        return CheckpointError(
            f"{self} cannot be opened as a database of studies: {reason} {remedy}"
        )


def database_of(storage: str | Path | None) -> Database:
    """What a person means by a storage.

    Raises:
        ParameterError: it is neither a path nor a URL of SQLite or PostgreSQL.
    """
    if storage is None:
        return Memory()
    text = str(storage)
    scheme, separator, rest = text.partition("://")
    if scheme in ("postgresql", "postgresql+psycopg") and separator:
        return PostgreSQL(_parsed(rest))
    if text.startswith("sqlite:///"):
        text = text.removeprefix("sqlite:///")
    elif separator:
        raise ParameterError(
            "Wanted None, a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE as "
            f"storage, got a URL that begins with '{scheme}://'."
        )
    if text in ("", ":memory:"):
        return Memory()
    return SQLiteFile(Path(text).expanduser().absolute())


def close(storage: BaseStorage) -> None:
    """End its connections."""
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def _parsed(rest: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(f"postgresql+psycopg://{rest}")
    except (ArgumentError, ValueError):
        # Its text, and so that of the cause, may hold a password.
        raise ParameterError(
            "Wanted postgresql://USER@HOST:PORT/DATABASE as storage, got a URL that "
            "cannot be read. Percent-encode special characters of a password."
        ) from None


def _write_ahead(database: Path) -> None:
    """Readers, such as a live plot, do not wait for the writer and vice versa."""
    with closing(sqlite3.connect(database, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _sqlite_storage(database: Path) -> RDBStorage:
    return _rdb_storage(
        f"sqlite:///{database}", {"creator": partial(_sqlite_connection, database)}
    )


def _sqlite_connection(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        database, timeout=BUSY_TIMEOUT_S, check_same_thread=False
    )
    # Does not wait for the disk at each of the many small writes: with a write-ahead log
    # a process may be killed at any moment, a loss of power can cost the last trials.
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _rdb_storage(url: str, engine: dict[str, Any]) -> RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return RDBStorage(url, engine_kwargs=engine)
