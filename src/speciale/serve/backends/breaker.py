"""A circuit breaker: after some failures in a row nothing is sent for a while, then one trial.

Closed lets all through, open nothing; half-open is the one trial that closes it or opens it again.
Source: M. Nygard, Release It!, chapter 5.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

_MAX_REST = 8  # times rest_s: what fails trial after trial is asked less and less often


class Breaker:
    def __init__(
        self,
        failures: int = 3,
        rest_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens for `rest_s` seconds after `failures` in a row, twice as long after each failed
        trial."""
        self._limit, self._rest_s, self._clock = failures, rest_s, clock
        self._failed = 0
        self._opened: float | None = None
        self._factor = 1
        self._trial = False

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        if self._opened is None:
            return "closed"
        return "half-open" if self._clock() >= self._opened + self._wait else "open"

    def allow(self) -> bool:
        """Whether a request may go out. Where True, one of the three below must follow."""
        state = self.state
        if state == "half-open" and not self._trial:
            self._trial = True
            return True
        return state == "closed"

    def success(self) -> None:
        self._failed, self._opened, self._factor, self._trial = 0, None, 1, False

    def failure(self) -> None:
        if self.state == "half-open":
            self._factor = min(2 * self._factor, _MAX_REST)
            self._opened = self._clock()
        elif self._opened is None:
            self._failed += 1
            if self._failed >= self._limit:
                self._opened = self._clock()
        self._trial = False

    def unknown(self) -> None:
        """The request ended before it showed anything: the client left, or it was refused."""
        self._trial = False

    @property
    def _wait(self) -> float:
        return self._rest_s * self._factor
