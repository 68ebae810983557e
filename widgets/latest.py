"""`Latest`: an answer that is renewed in a thread when something has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

_PAUSE_S = 0.25
"""Seconds without a change after which it is worked out."""


class Latest(Generic[Answer]):
    """Works something out a moment after the last change; the newest question wins.

    Args:
        work: works it out, in a thread; raises nothing.
        take: is given the answer, if nobody has asked anew meanwhile.
    """

    def __init__(
        self, work: Callable[[], Answer], take: Callable[[Answer], None]
    ) -> None:
        self._work = work
        self._take = take
        # What takes an answer may ask the next question.
        self._guard = threading.RLock()
        self._timer: threading.Timer | None = None
        self._number = 0

    def ask(self, _change: object = None) -> None:
        """Something has changed."""
        with self._guard:
            if self._timer is not None:
                self._timer.cancel()
            self._number += 1
            self._timer = threading.Timer(_PAUSE_S, self._tell, [self._number])
            self._timer.daemon = True
            self._timer.start()

    def _tell(self, number: int) -> None:
        answer = self._work()
        with self._guard:
            # Whoever changed something meanwhile gets an answer of his own.
            if number == self._number:
                self._take(answer)
