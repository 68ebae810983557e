"""Long work on a thread that ends before the program does.

A thread inside torch or the compiler must not be torn down with the interpreter: that
ends the program with an abort. So work looks from time to time whether the program is
about to end, and gives up; the end waits for that.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from threading import Event, Thread

from gnndesign.errors import GNNDesignError

_ending = Event()
_threads: list[Thread] = []


class GivenUpError(GNNDesignError):
    """The work was not finished because the program ends."""


def give_up_if_ending() -> None:
    """To be called by long work every second or so.

    Raises:
        GivenUpError: the program is about to end.
    """
    if _ending.is_set():
        raise GivenUpError("Not finished: the program ended.")


def in_background(work: Callable[[], None]) -> Thread:
    """Start work on a thread of its own."""
    thread = Thread(target=work, name="gnndesign-kernels", daemon=True)
    _threads[:] = [other for other in _threads if other.is_alive()]
    _threads.append(thread)
    thread.start()
    return thread


@atexit.register
def _end() -> None:
    _ending.set()
    for thread in _threads:
        thread.join()
