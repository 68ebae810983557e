"""Studies that several processes share: `StudyStore`, and how to open one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from gnndesign.errors import CheckpointError
from gnndesign.studies.databases import close, database_of
from gnndesign.studies.locks import Locks

INTERRUPTED = "interrupted"
"""Value of the trial attribute `reason` for a trial that ended without a result."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


class StudyStore:
    """An open study, and the locks that tell which trials a living process works on.

    A process that runs trials holds a lock of its own, of a file beside an SQLite file or
    of the PostgreSQL server; it is released when the process ends, however it ends. A
    trial that is running while the lock of its owner is free was left by a process that
    was killed.

    Use it as a context manager; leaving it closes the database.
    """

    def __init__(self, storage: BaseStorage, study: optuna.Study, locks: Locks) -> None:
        self._storage = storage
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._locks = locks
        self._owner = ""
        self.study = study

    def __enter__(self) -> StudyStore:
        return self

    def __exit__(self, *error: object) -> None:
        self._locks.close()
        close(self._storage)

    def exclusively(self) -> AbstractContextManager[None]:
        """While no other process asks for or takes back trials of this study."""
        return self._locks.exclusively()

    def ask(self, distributions: dict[str, BaseDistribution]) -> optuna.Trial:
        """A new trial that belongs to this process; call it within `exclusively`."""
        owner = self._own()
        trial = self.study.ask(distributions)
        trial.set_user_attr("owner", owner)
        return trial

    def begin(
        self,
        wanted: Sequence[Mapping[str, Any]],
        distributions: Mapping[str, BaseDistribution],
        attributes: Sequence[Mapping[str, Any]],
    ) -> list[FrozenTrial]:
        """New trials of given parameters that belong to this process.

        Each is written at once: nobody sees it without all of its parameters and user
        attributes. Call it within `exclusively`.

        Args:
            wanted: parameters of each trial.
            distributions: of the parameters.
            attributes: user attributes of each trial.
        """
        if not wanted:
            return []
        owner = self._own()
        for parameters, described in zip(wanted, attributes, strict=True):
            new = create_trial(
                state=TrialState.RUNNING,
                params=dict(parameters),
                distributions=dict(distributions),
                user_attrs={**described, "owner": owner},
            )
            self._storage.create_new_trial(self._study_id, new)
        # Nobody else begins any meanwhile.
        return self.study.get_trials(deepcopy=False)[-len(wanted) :]

    def tell(
        self,
        number: int,
        values: Sequence[float] | None,
        attributes: Mapping[str, Any],
        *,
        constraints: Mapping[str, float] | None = None,
        state: TrialState = TrialState.FAIL,
    ) -> bool:
        """End a trial of this process; quicker than Optuna's `tell`, which reads it twice.

        Args:
            number: of the trial.
            values: one an objective, none of them NaN; None without a result.
            attributes: further user attributes.
            constraints: Optuna's, by name; zero or less is feasible.
            state: of a trial without a result.

        Returns:
            False where the trial has ended before, and nothing was written: the server
            took this process for dead and another one has taken its trial.
        """
        trial_id = self._trial_id(number)
        try:
            for name, value in attributes.items():
                self._storage.set_trial_user_attr(trial_id, name, value)
            if constraints:
                trial = optuna.Trial(self.study, trial_id)
                for name, violation in constraints.items():
                    trial.set_constraint(name, violation)
            if values is not None:
                state = TrialState.COMPLETE
            self._storage.set_trial_state_values(trial_id, state, values)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False
        return True

    def _own(self) -> str:
        """The name of this process, whose lock is held from now on."""
        if not self._owner:
            owner = uuid.uuid4().hex
            self._locks.claim(owner)
            self._owner = owner
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
        owners = {trial.user_attrs.get("owner", "") for trial in running}
        # Owners are set under the ask lock, which we hold: without one, it was killed.
        living = self._locks.living(owners) if running else set[str]()
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

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(
            self._study_id, number
        )


def open_study(
    storage: str | Path | None,
    study_name: str,
    sampler: optuna.samplers.BaseSampler,
    directions: Sequence[Literal["minimize", "maximize"]],
    attributes: Mapping[str, Any],
) -> StudyStore:
    """Open a study, or begin it if the storage has none of this name.

    Args:
        storage: path or sqlite:///PATH of an SQLite file on a disk of this machine;
            postgresql://USER@HOST:PORT/DATABASE, which processes of many machines may
            share; None for memory.
        study_name: which study of the storage.
        sampler: proposes its trials.
        directions: of the values of a trial.
        attributes: user attributes of a study that begins. A file appears with them.

    Raises:
        ParameterError: the storage is none of these.
        CheckpointError: the file is not a database of studies, the server cannot be
            reached or refuses, or the study was begun with other directions.
        MissingDependencyError: PostgreSQL needs the extra `postgresql`.
    """
    database = database_of(storage)

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

    with database.beginning():
        if not database.exists():
            database.create(begin_or_load)
        opened = database.open()
        return StudyStore(opened, begin_or_load(opened), database.locks(study_name))


def open_existing_study(storage: str | Path, study_name: str | None) -> StudyStore:
    """Open a study to read it.

    Args:
        storage: as `open_study` takes it.
        study_name: which study; None for the only one there is.

    Raises:
        ParameterError: the storage is neither a file nor a database of a server.
        CheckpointError: no such file, server or study, or several and no name.
        MissingDependencyError: PostgreSQL needs the extra `postgresql`.
    """
    database = database_of(storage)
    if not database.exists():
        raise CheckpointError(f"There is no study at {database}.")
    opened = database.open()
    names = [study.study_name for study in opened.get_all_studies()]
    wanted = names[0] if study_name is None and len(names) == 1 else study_name
    if wanted not in names:
        close(opened)
        raise CheckpointError(
            f"{database} has the studies {', '.join(names) or '(none)'}; "
            f"{'name one of them' if study_name is None else f'not {study_name!r}'}."
        )
    return StudyStore(
        opened,
        optuna.load_study(study_name=wanted, storage=opened),
        database.locks(wanted),
    )
