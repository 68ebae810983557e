"""Following jobs: the only polling loop of the user interface.

A `JobModel` is what a panel sees of a job. One thread reads the stores of all models,
at most ten times a second, and sets their traits.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence

from traitlets import Bool, HasTraits, Int, Unicode

from gnndesign.errors import GNNDesignError, JobError
from gnndesign.jobs import local
from gnndesign.jobs.metrics import MetricsReader
from gnndesign.jobs.spec import JobKind, JobSpec
from gnndesign.jobs.store import JobState, JobStatus, JobStore, list_jobs

POLL_S = 0.1
_SLOW_POLLS = 10


class JobModel(HasTraits):
    """The latest job of a kind, or an older one that was chosen.

    Attributes:
        job_id: of the job that is followed; empty without one.
        state: a `JobState`; empty without a job.
        done: steps made, or trials told.
        total: steps or trials wanted.
        message: one sentence.
        device: what it runs on.
        revision: grows by one whenever metrics or frames have been written.
        active: whether the job can still change without anybody's asking.
    """

    job_id = Unicode("")
    state = Unicode("")
    done = Int(0)
    total = Int(0)
    message = Unicode("")
    device = Unicode("")
    revision = Int(0)
    active = Bool(default_value=False)

    def __init__(self, kind: JobKind) -> None:
        super().__init__()
        self.kind = kind
        self.store: JobStore | None = None
        self.metrics: MetricsReader | None = None
        self._lock = threading.RLock()
        self._skip = 0
        FOLLOWER.add(self)

    def submit(self, spec: JobSpec) -> None:
        """Queue a job and follow it."""
        self.attach(local.submit(spec))

    def attach(self, store: JobStore | None) -> None:
        """Follow a job with all its history; None follows nothing."""
        with self._lock:
            self.store = store
            self.metrics = None if store is None else MetricsReader(store)
            self._skip = 0
            with self.hold_trait_notifications():
                self.job_id = "" if store is None else store.job_id
                self.state = self.message = self.device = ""
                self.done = self.total = 0
                self.active = False
                self.revision += 1
        self.poll()

    def attach_latest(self) -> None:
        """Follow the newest job of this kind, if there is one."""
        jobs = self.jobs()
        if jobs:
            self.attach(jobs[0])

    def jobs(self) -> Sequence[JobStore]:
        """All jobs of this kind, the newest first."""
        return [store for store in list_jobs() if store.job_id.count(f"-{self.kind}-")]

    def request_stop(self) -> None:
        """Ask the worker to stop."""
        if self.store is not None:
            self.store.request_stop()
            self.message = "Stopping."

    def request_pause(self, *, pause: bool) -> None:
        """Ask the worker to wait, or to go on."""
        if self.store is not None:
            self.store.request_pause(pause=pause)

    def resume(self, total: int | None = None) -> None:
        """Let a job that is over go on.

        Raises:
            JobError: it is not over.
        """
        if self.store is not None:
            local.resume(self.store, total=total)
            self._skip = 0
            self.poll()

    def poll(self) -> None:
        """Read the store once and set what has changed."""
        with self._lock:
            if self.store is None or self.metrics is None:
                return
            if self._skip > 0:
                self._skip -= 1
                return
            try:
                status = self.store.status()
                grown = self.metrics.refresh()
            except GNNDesignError as error:
                self.message = str(error)
                self._skip = _SLOW_POLLS
                return
            if status.state.is_over:
                self._skip = _SLOW_POLLS
            self._take(status, grown=grown)

    def _take(self, status: JobStatus, *, grown: bool) -> None:
        changed = (status.done, str(status.state)) != (self.done, self.state)
        with self.hold_trait_notifications():
            self.state = str(status.state)
            self.done, self.total = status.done, status.total
            self.device = status.device
            stopping = self.message == "Stopping." and not status.state.is_over
            self.message = self.message if stopping else status.message
            self.active = not status.state.is_over
            if grown or changed:
                self.revision += 1


class _Follower:
    """The thread that polls every living model."""

    def __init__(self) -> None:
        self._models: weakref.WeakSet[JobModel] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def add(self, model: JobModel) -> None:
        """Poll a model from now on, as long as somebody holds it."""
        with self._guard:
            self._models.add(model)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._follow, daemon=True)
                self._thread.start()

    def _follow(self) -> None:
        pause = threading.Event()
        while not pause.wait(POLL_S):
            with self._guard:
                models = list(self._models)
                if not models:
                    self._thread = None
                    return
            for model in models:
                try:
                    model.poll()
                except JobError as error:
                    model.message = str(error)
            del models


FOLLOWER = _Follower()

OVER = tuple(str(state) for state in JobState if state.is_over)
"""The states in which a job can be resumed."""
