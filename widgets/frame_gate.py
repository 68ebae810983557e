"""Frames leave one at a time; while one is under way, only the newest is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class FrameGate:
    """Lets a frame out when the one before has been acknowledged.

    A browser that is sent frames faster than it draws them stops answering. So one
    frame is in flight; requests made meanwhile melt into one, and the frame is built
    only when it goes out. All methods may be called from any thread.

    Args:
        send: builds and sends the newest frame; called on the thread that requests or
            acknowledges, by one thread at a time.
        timeout_s: after this long without an acknowledgement the frame in flight
            counts as lost (a closed tab, a hidden one, a reload).
        clock: seconds; exchanged in tests.
    """

    def __init__(
        self,
        send: Callable[[], None],
        *,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self._sending = threading.RLock()
        self._in_flight = False
        self._waiting = False
        self._sent_at = 0.0
        self.requested = 0
        self.sent = 0
        self.acknowledged = 0

    def request(self) -> bool:
        """Ask for the newest frame to be drawn.

        Returns:
            Whether a frame went out now.
        """
        with self._lock:
            self.requested += 1
            late = self._clock() - self._sent_at > self._timeout_s
            if self._in_flight and not late:
                self._waiting = True
                return False
            self._take_off()
        self._fly()
        return True

    def acknowledge(self, sequence: int) -> None:
        """The browser has drawn a frame; let the newest one out if any is wanted.

        Args:
            sequence: the value of `sent` when that frame went out. Only the frame in
                flight counts: a late or a second answer opens nothing.
        """
        with self._lock:
            if sequence != self.sent or not self._in_flight:
                return
            self.acknowledged += 1
            if not self._waiting:
                self._in_flight = False
                return
            self._take_off()
        self._fly()

    def reopen(self) -> None:
        """Forget the frame in flight: nobody is left to acknowledge it."""
        with self._lock:
            self._in_flight = self._waiting = False

    def _take_off(self) -> None:
        self._in_flight, self._waiting = True, False
        self._sent_at = self._clock()
        self.sent += 1

    def _fly(self) -> None:
        landed = False
        try:
            with self._sending:
                self._send()
            landed = True
        finally:
            if not landed:
                self.reopen()
