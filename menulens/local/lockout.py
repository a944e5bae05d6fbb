"""Who guesses passwords or codes waits, as with Cognito: from the fifth failure on 1 s, 2 s, 4 s, … up to 15 min."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_FREE = 5
_LONGEST = 15 * 60.0
_MOST_NAMES = 10_000


class LockedError(Exception):
    """Someone must wait; ``seconds`` says how long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Attempts exceeded: wait {seconds:.0f} s.")
        self.seconds = seconds


class Lockout:
    """Counts failures by name, be there such a person or not. A success forgets them, and so do 15 quiet minutes.

    An attempt while a name is locked does not count: it neither prolongs the wait nor is it looked at.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}  # name to (failures, time of the last one)
        self._lock = threading.Lock()

    def check(self, name: str) -> None:
        """Let an attempt pass.

        Raises
        ------
        LockedError
            If the name is locked.
        """
        with self._lock:
            count, last = self._known(name)
            left = last + _wait(count) - self._clock()
        if count >= _FREE and left > 0:
            raise LockedError(left)

    def failed(self, name: str) -> None:
        """Count a failure."""
        with self._lock:
            count, _ = self._known(name)
            self._failures.pop(name, None)
            self._failures[name] = (count + 1, self._clock())  # the newest at the end
            if len(self._failures) > _MOST_NAMES:
                del self._failures[next(iter(self._failures))]

    def succeeded(self, name: str) -> None:
        """Forget a name's failures."""
        with self._lock:
            self._failures.pop(name, None)

    def _known(self, name: str) -> tuple[int, float]:
        count, last = self._failures.get(name, (0, 0.0))
        return (0, 0.0) if self._clock() - last > _LONGEST else (count, last)


def _wait(failures: int) -> float:
    """Return how many seconds a number of failures locks a name: Cognito's 2^(n-5), at most 15 min."""
    return float(min(2 ** max(0, failures - _FREE), _LONGEST)) if failures >= _FREE else 0.0
