"""Running compiled code on all threads, in the pool that torch uses.

A second pool of threads would fight with torch's for the cores. torch carries GNU's
OpenMP on Linux; its entry point takes any function. Elsewhere, and where that library
is not found, Python's own threads call the function, which costs some 50 µs a call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import torch


def run_on_all_threads(address: int, argument: int) -> None:
    """Call the C function void(void *) at `address` once on each of torch's threads.

    Args:
        address: of the function, which shares out the work among its callers.
        argument: what each call is given.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        run_on_one_thread(address, argument)
    else:
        _runner()(address, argument, threads)


def run_on_one_thread(address: int, argument: int) -> None:
    """Call the C function void(void *) at `address`."""
    _task(address)(argument)


@cache
def yield_address() -> int:
    """Of the C function by which a thread lets others go first; 0 where there is none."""
    try:
        function = ctypes.CDLL(None).sched_yield
    except (AttributeError, TypeError):
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@cache
def _task(address: int) -> Callable[[int], None]:
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)


@cache
def _runner() -> Callable[[int, int, int], None]:
    parallel = _openmp_entry()
    if parallel is None:
        return _run_on_python_threads

    def run(address: int, argument: int, threads: int) -> None:
        parallel(address, argument, threads, 0)

    return run


def _openmp_entry() -> Callable[[int, int, int, int], None] | None:
    """GOMP_parallel(function, argument, n_threads, flags) of torch's own libgomp."""
    folder = Path(torch.__file__).parent
    for path in sorted(
        [*folder.glob("lib/libgomp*"), *folder.glob("../torch.libs/libgomp*")]
    ):
        try:
            entry = ctypes.CDLL(str(path)).GOMP_parallel
        except (OSError, AttributeError):
            continue
        entry.restype = None
        entry.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_uint,
            ctypes.c_uint,
        ]
        return entry
    return None


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="gnndesign")


def _run_on_python_threads(address: int, argument: int, threads: int) -> None:
    # ctypes lets go of the interpreter while the function runs.
    task = _task(address)
    pool = _pool(threads)
    for future in [pool.submit(task, argument) for _ in range(threads)]:
        future.result()
