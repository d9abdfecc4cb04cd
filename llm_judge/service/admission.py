"""How much a service takes on: items in hand are counted, and more than it can answer in time is turned away.

Used by the event loop alone, but for ``draining``. Knows nothing about HTTP or engines.
"""

from __future__ import annotations

from collections.abc import Callable

from llm_judge.service.problems import Code, Problem


class Admission:
    """Use ``admit`` and ``release`` around everything that will need an engine.

    Args:
        items: most items admitted together.
        seconds_an_item: what an item takes at the moment, 0 while nobody knows.
        depth: how many items wait for an engine.
        on_error: what to do with content that gets no decision.
    """

    def __init__(
        self,
        items: int,
        seconds_an_item: Callable[[], float],
        depth: Callable[[], int],
        on_error: Callable[[], str],
    ) -> None:
        self._items = items
        self._seconds_an_item = seconds_an_item
        self._on_error = on_error
        self.depth = depth
        self.admitted = 0
        self.draining = False

    def admit(self, count: int, seconds: float) -> None:
        """Take on so many items that are wanted within so many seconds, or say no while that is cheap.

        Raises:
            Problem: the service is stopping, or has as much in hand as it can answer in time.
        """
        action = self._on_error()
        if self.draining:
            hint = "send it to another replica"
            raise Problem(Code.DRAINING, "the service is stopping", hint, retry_after=1, action=action)
        wait = self.admitted * self._seconds_an_item()
        if self.admitted + count > self._items or (self.admitted and wait > seconds):
            told = f"{self.admitted} items are in hand, about {wait:.1f} s of work"
            hint = "try again after the seconds in Retry-After, or send to another replica"
            raise Problem(Code.OVERLOADED, told, hint, retry_after=max(1.0, wait / 2), action=action)
        self.admitted += count

    def release(self, count: int) -> None:
        """Give back what was admitted."""
        self.admitted -= count

    def idle(self) -> bool:
        """Whether nothing is in hand; may be asked from any thread."""
        return not self.admitted
