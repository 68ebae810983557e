"""Optuna studies: in memory, or in an SQLite file that several processes share."""

from __future__ import annotations

import sqlite3
import uuid
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from gnndesign.disk import is_locked, remove_partials, replacing
from gnndesign.errors import CheckpointError, ParameterError

BUSY_TIMEOUT_S = 60.0
"""How long a process waits for another one's write to the database."""

_ASK_LOCK = "ask.lock"

INTERRUPTED = "interrupted"
"""Value of the trial attribute `reason` for a trial that ended without a result."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


class StudyStore:
    """An open study, and the locks that tell which trials a living process works on.

    A process that runs trials holds a lock of its own in the folder NAME.locks beside the
    database; the operating system releases it when the process ends, however it ends. A
    trial that is running while the lock of its owner is free was left by a process that
    was killed.

    Use it as a context manager; leaving it closes the database.
    """

    def __init__(
        self, storage: BaseStorage, study: optuna.Study, database: Path | None
    ) -> None:
        self._storage = storage
        self._database = database
        self._owner = uuid.uuid4().hex
        self._own_lock: FileLock | None = None
        self.study = study

    def __enter__(self) -> StudyStore:
        return self

    def __exit__(self, *error: object) -> None:
        if self._own_lock is not None:
            self._own_lock.release()
            Path(self._own_lock.lock_file).unlink(missing_ok=True)
        _close(self._storage)

    @contextmanager
    def exclusively(self) -> Generator[None]:
        """While no other process asks for or takes back trials of this database."""
        if self._database is None:
            yield
            return
        with FileLock(self._locks_folder() / _ASK_LOCK):
            yield

    def ask(self, distributions: dict[str, Any]) -> optuna.Trial:
        """A new trial that belongs to this process; call it within `exclusively`."""
        owner = self._own()
        trial = self.study.ask(distributions)
        trial.set_user_attr("owner", owner)
        return trial

    def trial(self, number: int) -> optuna.Trial:
        """A running trial, to write to."""
        return optuna.Trial(self.study, self._trial_id(number))

    def _trial_id(self, number: int) -> int:
        study_id = self._storage.get_study_id_from_name(self.study.study_name)
        return self._storage.get_trial_id_from_study_id_trial_number(study_id, number)

    def _own(self) -> str:
        """The name of this process, whose lock is held from now on."""
        if self._database is not None and self._own_lock is None:
            lock = FileLock(self._locks_folder() / f"{self._owner}.lock", timeout=0)
            lock.acquire()
            self._own_lock = lock
        return self._owner

    def take_back_abandoned(self) -> list[int]:
        """End the trials that killed processes left running; within `exclusively`.

        Returns:
            Their numbers. They are failed trials with the reason "interrupted", and
            their candidates are free again.
        """
        abandoned = [trial.number for trial in self._abandoned()]
        for number in abandoned:
            self.interrupt(number)
        return abandoned

    def adopt_abandoned(self) -> FrozenTrial | None:
        """Take over a trial that a killed process left running; within `exclusively`.

        For trials that can go on from where they were. One that was killed before all
        of its parameters were chosen is ended as by `take_back_abandoned`.

        Returns:
            One that belongs to this process now; None if there is none.
        """
        for trial in self._abandoned():
            # The owner is set last.
            if "owner" not in trial.user_attrs:
                self.interrupt(trial.number)
                continue
            self.set_attribute(trial.number, "owner", self._own())
            return trial
        return None

    def _abandoned(self) -> list[FrozenTrial]:
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        living = self._living_owners()
        # Owners are set under the ask lock, which we hold: without one, it was killed.
        return [
            trial for trial in running if trial.user_attrs.get("owner") not in living
        ]

    def interrupt(self, number: int) -> None:
        """End a running trial without a result and free its candidate."""
        self.set_attribute(number, "reason", INTERRUPTED)
        self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    def set_attribute(self, number: int, name: str, value: Any) -> None:
        """Set a user attribute of a running trial."""
        self._storage.set_trial_user_attr(self._trial_id(number), name, value)

    def _living_owners(self) -> set[str]:
        """Those who hold their lock; the locks of killed processes are removed."""
        living = {self._owner}
        if self._database is not None:
            for path in self._locks_folder().glob("*.lock"):
                if path.name == _ASK_LOCK:
                    continue
                if is_locked(path):
                    living.add(path.stem)
                else:
                    path.unlink(missing_ok=True)
        return living

    def _locks_folder(self) -> Path:
        assert self._database is not None
        folder = self._database.with_name(f"{self._database.name}.locks")
        folder.mkdir(exist_ok=True)
        return folder


def open_study(
    storage: str | Path | None,
    study_name: str,
    sampler: optuna.samplers.BaseSampler,
    directions: Sequence[Literal["minimize", "maximize"]],
    attributes: Mapping[str, Any],
) -> StudyStore:
    """Open a study, or begin it if the storage has none of this name.

    Args:
        storage: path or URL of an SQLite file; None for memory.
        study_name: which study of the storage.
        sampler: proposes its trials.
        directions: of the values of a trial.
        attributes: user attributes of a study that begins. A file appears with them.

    Raises:
        ParameterError: the storage is not SQLite.
        CheckpointError: the file is not a database of studies, or the study was begun
            with other directions.
    """
    database = _database_of(storage)

    def begin_or_load(storage: BaseStorage) -> optuna.Study:
        study = optuna.create_study(
            storage=storage,
            sampler=sampler,
            study_name=study_name,
            directions=list(directions),
            load_if_exists=True,
        )
        if not study.user_attrs and not study.get_trials(deepcopy=False):
            for name, value in attributes.items():
                study.set_user_attr(name, value)
        return study

    creating = nullcontext()
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
        # Two processes that create the tables at once would trip over each other.
        creating = FileLock(database.with_name(f"{database.name}.create.lock"))
    with creating:
        if database is not None and not database.exists():
            # Who reads the file, or is killed here, never sees half of its tables.
            remove_partials(database)
            with replacing(database) as partial:
                new = _sqlite_storage(partial)
                begin_or_load(new)
                _close(new)
                _write_ahead(partial)
        opened = _open_storage(database)
        return StudyStore(opened, begin_or_load(opened), database)


def open_existing_study(storage: str | Path, study_name: str | None) -> StudyStore:
    """Open a study to read it.

    Args:
        storage: path or URL of the SQLite file.
        study_name: which study; None for the only one there is.

    Raises:
        CheckpointError: no such file or study, or several and no name.
    """
    database = _database_of(storage)
    if database is None or not database.exists():
        raise CheckpointError(f"There is no study at {storage}.")
    opened = _open_storage(database)
    names = [study.study_name for study in opened.get_all_studies()]
    wanted = names[0] if study_name is None and len(names) == 1 else study_name
    if wanted not in names:
        _close(opened)
        raise CheckpointError(
            f"{database} has the studies {', '.join(names) or '(none)'}; "
            f"{'name one of them' if study_name is None else f'not {study_name!r}'}."
        )
    return StudyStore(
        opened, optuna.load_study(study_name=wanted, storage=opened), database
    )


def _database_of(storage: str | Path | None) -> Path | None:
    if storage is None:
        return None
    text = str(storage)
    if text.startswith("sqlite:///"):
        text = text.removeprefix("sqlite:///")
    elif "://" in text:
        raise ParameterError(
            f"Wanted None, a path, or sqlite:///PATH as storage, got '{storage}'. "
            "Other databases are not supported."
        )
    if text in ("", ":memory:"):
        return None
    return Path(text).expanduser().absolute()


def _open_storage(database: Path | None) -> BaseStorage:
    if database is None:
        return InMemoryStorage()
    try:
        _write_ahead(database)
        return _sqlite_storage(database)
    except (sqlite3.DatabaseError, RuntimeError) as error:
        raise CheckpointError(
            f"{database} cannot be opened as a database of studies: {error}."
        ) from error


def _write_ahead(database: Path) -> None:
    """Readers, such as a live plot, do not wait for the writer and vice versa."""
    with closing(sqlite3.connect(database, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _sqlite_storage(database: Path) -> RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return RDBStorage(
            f"sqlite:///{database}",
            engine_kwargs={"connect_args": {"timeout": BUSY_TIMEOUT_S}},
        )


def _close(storage: BaseStorage) -> None:
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def undominated(costs: np.ndarray) -> np.ndarray:
    """(n,) True for rows that no other row is as good as everywhere and better once."""
    no_worse = (costs[:, None] <= costs[None]).all(2)
    better = (costs[:, None] < costs[None]).any(2)
    return np.logical_not((no_worse & better).any(0))
