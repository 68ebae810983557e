"""Many machines for a search: `connect` gives an executor whose workers Dask runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from gnndesign.errors import JobError, MissingDependencyError, ParameterError

_Result = TypeVar("_Result")

N_DEATHS = 3
"""How many workers may die of one call before it is given up as the cause."""

_ANY_PORT = "127.0.0.1:0"
"""Of Dask's status pages, so that several clusters of a machine get along."""

_KINDS = ("tcp", "tls", "local", "ssh", "slurm")
_WANTED = (
    "tcp://HOST:PORT, local:WORKERS, ssh:HOST,HOST or "
    "slurm:WORKERS[,queue=NAME][,memory=SIZE][,walltime=HH:MM:SS]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """Which workers, and how they are started. Each evaluates one call at a time.

    Attributes:
        address: "tcp://HOST:PORT" (or tls://) of a Dask scheduler that is running;
            "local" for processes of this machine; "ssh" for other machines; "slurm" for
            jobs of a SLURM queue.
        n_workers: processes to start; with SSH on each host.
        hosts: with SSH. The scheduler runs on the first.
        queue: SLURM's partition; None for its default one.
        memory: of a SLURM job, such as "4GB".
        walltime: of a SLURM job, HH:MM:SS. When it is over, what its worker was at is
            done elsewhere.
        directives: further lines of a SLURM job, such as "--gres=gpu:1".
        prologue: shell lines before the worker starts in a SLURM job, such as
            "module load cuda".
        interface: network over which the scheduler here and SLURM's workers talk, such
            as "ib0"; None to let Dask find out.

    Raises:
        ParameterError: the address is of another form, or a number is out of range.
    """

    address: str
    n_workers: int = 1
    hosts: tuple[str, ...] = ()
    queue: str | None = None
    memory: str = "4GB"
    walltime: str = "01:00:00"
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()
    interface: str | None = None

    def __post_init__(self) -> None:
        kind, _, rest = self.address.partition("://")
        if kind not in _KINDS or (kind in ("tcp", "tls")) != bool(rest):
            raise ParameterError(f"Wanted {_WANTED} as cluster, got '{self.address}'.")
        if self.n_workers < 1:
            raise ParameterError(f"Wanted at least one worker, got {self.n_workers}.")
        if (kind == "ssh") != bool(self.hosts):
            raise ParameterError("Wanted the names of hosts with ssh, and only there.")

    @classmethod
    def parse(cls, text: str) -> ClusterSettings:
        """What a command line says: "local:3", "ssh:one,two", "slurm:8,queue=gpu"."""
        kind, _, rest = text.partition(":")
        if kind not in _KINDS or rest.startswith("//") or not rest:
            return cls(address=text)
        if kind == "ssh":
            hosts = tuple(host.strip() for host in rest.split(",") if host.strip())
            return cls(address=kind, hosts=hosts)
        number, *others = rest.split(",")
        options: dict[str, Any] = {
            name: value for name, _, value in (other.partition("=") for other in others)
        }
        unknown = set(options) - {"queue", "memory", "walltime", "interface"}
        if not number.isdigit() or unknown or (others and kind != "slurm"):
            raise ParameterError(f"Wanted {_WANTED} as cluster, got '{text}'.")
        return cls(address=kind, n_workers=int(number), **options)


class ClusterExecutor(Executor):
    """Calls are made by the workers of a Dask cluster.

    A call whose worker dies is made by another one; after `N_DEATHS` such deaths its
    future has the exception. Use it as a context manager: leaving it cancels what is
    not done, and ends the workers that `connect` has started.

    Args:
        client: of distributed.
        close: ends what was started for it.
    """

    def __init__(self, client: Any, close: Callable[[], None]) -> None:
        self._client = client
        self._close = close
        self._going: set[Any] = set()
        self._closed = False

    @property
    def n_workers(self) -> int:
        """How many there are at the moment."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def wait_for_workers(self, n_workers: int = 1, timeout_s: float = 120.0) -> None:
        """Until there are so many.

        Raises:
            JobError: they did not come in time.
        """
        try:
            self._client.wait_for_workers(n_workers, timeout=timeout_s)
        except TimeoutError as error:
            raise JobError(
                f"Only {self.n_workers} of {n_workers} workers came within "
                f"{timeout_s:g} s. Look at the queue and at the workers' logs."
            ) from error

    def submit(
        self, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any
    ) -> Future[_Result]:
        """Have a worker call a function that it can import.

        The future has the exception `BrokenExecutor` when the cluster is gone.
        """
        if self._closed:
            raise RuntimeError("Nothing can be submitted to a cluster that was closed.")
        # Not "pure": the same call twice is two calls.
        going = self._client.submit(_alone, fn, args, kwargs, pure=False)
        promised: Future[_Result] = Future()
        # Dask forgets a call whose future nobody holds.
        self._going.add(going)
        promised.add_done_callback(partial(self._let_go, going))
        going.add_done_callback(partial(_pass_on, promised))
        return promised

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Wait for the calls or cancel them, then end what was started."""
        if self._closed:
            return
        self._closed = True
        if wait and not cancel_futures:
            from distributed import wait as wait_for

            wait_for(list(self._going))
        self._client.cancel(list(self._going), force=True)
        self._client.close()
        self._close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do not wait for what nobody will ask for."""
        self.shutdown(wait=False, cancel_futures=True)

    def _let_go(self, going: Any, promised: Future[Any]) -> None:
        self._going.discard(going)
        if promised.cancelled() and not self._closed:
            going.cancel()


def connect(cluster: str | ClusterSettings) -> ClusterExecutor:
    """An executor for `search_compositions(..., executor=...)`.

    Workers are processes that have gnndesign in the same version. One with several GPUs
    in sight takes the first that no other worker of its machine has taken.

    Args:
        cluster: "tcp://HOST:PORT" of a running scheduler, "local:3", "ssh:HOST,HOST",
            "slurm:8,queue=NAME", or `ClusterSettings`.

    Raises:
        ParameterError: it is none of these.
        MissingDependencyError: Dask is not installed.
        JobError: the scheduler cannot be reached or the workers cannot be started.
    """
    settings = ClusterSettings.parse(cluster) if isinstance(cluster, str) else cluster
    try:
        import dask
        from distributed import Client

        from gnndesign.jobs.devices import OwnDevice
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    started: Any = None
    try:
        with dask.config.set({"distributed.scheduler.allowed-failures": N_DEATHS}):
            started = _start(settings)
        client = Client(
            settings.address if started is None else started, set_as_default=False
        )
        client.register_plugin(OwnDevice())
    except (OSError, RuntimeError, TimeoutError, ValueError) as error:
        if started is not None:
            started.close()
        raise JobError(
            f"No cluster at '{settings.address}': {type(error).__name__}: {error}. Is "
            "its scheduler running, and reachable from here?"
        ) from error
    return ClusterExecutor(client, _nothing if started is None else started.close)


def _start(settings: ClusterSettings) -> Any:
    """Scheduler and workers; None where they are running already."""
    if settings.address == "local":
        from distributed import LocalCluster

        # Dask's types do not allow for None.
        unlimited: dict[str, Any] = {"memory_limit": None}
        return LocalCluster(
            n_workers=settings.n_workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=_ANY_PORT,
            **unlimited,
        )
    if settings.address == "ssh":
        try:
            import asyncssh  # noqa: F401  # pyright: ignore[reportUnusedImport]
            from distributed import SSHCluster
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        return SSHCluster(
            [settings.hosts[0], *settings.hosts],
            worker_options={"nthreads": 1, "n_workers": settings.n_workers},
            scheduler_options={"dashboard_address": _ANY_PORT},
        )
    if settings.address == "slurm":
        return _slurm(settings)
    return None


def _slurm(settings: ClusterSettings) -> Any:
    try:
        from dask_jobqueue import SLURMCluster
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    cluster = SLURMCluster(
        queue=settings.queue,
        cores=1,
        processes=1,
        memory=settings.memory,
        walltime=settings.walltime,
        job_extra_directives=list(settings.directives),
        job_script_prologue=list(settings.prologue),
        interface=settings.interface,
        scheduler_options={"dashboard_address": _ANY_PORT},
    )
    cluster.scale(jobs=settings.n_workers)
    return cluster


def _alone(
    function: Callable[..., _Result], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> _Result:
    """A worker's threads share a potential, which computes one thing at a time."""
    with _ONE_AT_A_TIME:
        return function(*args, **kwargs)


_ONE_AT_A_TIME = threading.Lock()


def _pass_on(promised: Future[Any], going: Any) -> None:
    """What became of a call of Dask, to the future that was promised."""
    if not promised.set_running_or_notify_cancel():
        return
    # A result is gone with the worker that had it, and Dask computes it again. That may
    # take long, and one thread of Dask serves all who wait like this.
    threading.Thread(target=_fetch, args=(promised, going), daemon=True).start()


def _fetch(promised: Future[Any], going: Any) -> None:
    """Wait for a result; whatever comes instead is the answer."""
    try:
        promised.set_result(going.result())
    except CancelledError:
        promised.set_exception(
            BrokenExecutor("the scheduler of the cluster has forgotten the call")
        )
    except Exception as error:  # noqa: BLE001 - of the call, or of Dask
        promised.set_exception(error)


def _missing(error: ModuleNotFoundError) -> MissingDependencyError:
    return MissingDependencyError(
        f"A cluster needs the package '{error.name}', which is not installed. Type: pip "
        "install 'gnndesign[cluster]'."
    )


def _nothing() -> None:
    """What was not started here goes on."""
