"""A circuit breaker for one server: closed, open for a while, then one probe decides.

The clock is given, so that nothing here waits. Knows nothing about HTTP.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FAILURES = 5
_OPEN_S, _LONGEST_OPEN_S = 1.0, 30.0


class CircuitBreaker:
    """Counts failures in a row; used by one thread.

    Every claimed call ends with exactly one of ``succeeded``, ``failed`` or ``abandoned``.

    Args:
        failures: in a row that open it.
        open_s: seconds it stays open the first time; doubled by each failed probe, up to half a minute.
    """

    def __init__(
        self,
        failures: int = _FAILURES,
        open_s: float = _OPEN_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._open_s, self._clock = failures, open_s, clock
        self._failed = 0
        self._opened = 0  # times in a row
        self._until = 0.0
        self._last_failed = -math.inf
        self.probing = False  # whether its one probe is in flight

    @property
    def closed(self) -> bool:
        """Whether calls go through without a probe."""
        return self._opened == 0

    @property
    def available(self) -> bool:
        """Whether ``claim`` would say yes."""
        return self.closed or (not self.probing and self._clock() >= self._until)

    def claim(self) -> bool:
        """Ask to make a call; half open, only one caller hears yes."""
        if not self.available:
            return False
        self.probing = not self.closed
        return True

    def succeeded(self) -> None:
        """The server answered; whether it liked the question does not matter."""
        self._failed = self._opened = 0
        self.probing = False

    def failed(self, began: float | None = None) -> None:
        """The server did not answer, or answered that it is broken.

        Args:
            began: when the call began, on the clock. Calls that were in flight together when a connection
                broke then count once; without it each counts.
        """
        if began is not None and began < self._last_failed and not self.probing:
            return
        self._last_failed = self._clock()
        self._failed += 1
        # Calls that were in flight when it opened say nothing new.
        if self.probing or (self.closed and self._failed >= self._most):
            self._until = self._clock() + min(self._open_s * 2**self._opened, _LONGEST_OPEN_S)
            self._opened += 1
        self.probing = False

    def abandoned(self) -> None:
        """The call ended without showing anything about the server."""
        self.probing = False
