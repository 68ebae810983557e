"""`Background`: work in a thread, of which only what was asked for last counts."""

from __future__ import annotations

import threading
from collections.abc import Callable

Done = Callable[[], None]
"""What is to be done with a result, if nothing else was asked for meanwhile."""


class Background:
    """One thing at a time, in a thread; of those asked for meanwhile, the newest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: Callable[[], Done] | None = None
        self._thread: threading.Thread | None = None
        self._number = 0

    def ask(self, work: Callable[[], Done]) -> None:
        """Do something soon.

        Args:
            work: computes, and returns what to do with the result; that is left undone
                if something else was asked for meanwhile. It raises nothing.
        """
        with self._lock:
            self._number += 1
            self._next = work
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def forget(self) -> None:
        """Let what is under way come to nothing."""
        with self._lock:
            self._number += 1
            self._next = None

    @property
    def is_busy(self) -> bool:
        """Whether something is under way."""
        with self._lock:
            return self._thread is not None

    def _run(self) -> None:
        while True:
            with self._lock:
                work, number = self._next, self._number
                self._next = None
                if work is None:
                    self._thread = None
                    return
            done = work()
            if number == self._number:
                done()
