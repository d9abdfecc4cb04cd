"""How many items each API key may have judged: a minute's worth at once, refilled steadily, and a UTC day's.

Counted in this process: two replicas allow twice as much. Knows nothing about HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from llm_judge.service.keys import Key
from llm_judge.service.problems import Code, Problem

_DAY = 86_400


@dataclass(slots=True)
class _Used:
    tokens: float
    at: float
    day: int
    today: int = 0


class Quotas:
    """What every key has used.

    Args:
        clock: seconds since 1970, for days; where it goes back, the day that was begun goes on.
        rising: seconds that only rise, for minutes: a clock that is set neither fills nor starves a quota.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, rising: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._rising = rising
        self._used: dict[str, _Used] = {}

    def take(self, key: Key, items: int) -> None:
        """Count items against a key's quotas; raises ``Problem`` and counts nothing where one is used up."""
        if key.per_minute is None and key.per_day is None:
            return
        used, now = self._brought_up(key), self._clock()
        if key.per_day is not None and used.today + items > key.per_day:
            wait = _DAY - now % _DAY
            raise _exceeded(key.per_day, "day", wait, items > key.per_day)
        if key.per_minute is not None:
            missing = items - used.tokens
            if missing > 0:
                raise _exceeded(
                    key.per_minute, "minute", missing * 60 / key.per_minute, items > key.per_minute
                )
            used.tokens -= items
        used.today += items

    def _brought_up(self, key: Key) -> _Used:
        """What the key has used, with what time gave back since."""
        now, day = self._rising(), int(self._clock() // _DAY)
        full = float(key.per_minute or 0)
        used = self._used.setdefault(key.id, _Used(full, now, day))
        used.tokens = min(full, used.tokens + (now - used.at) * full / 60)
        used.at = now
        if day > used.day:
            used.day, used.today = day, 0
        return used


def _exceeded(limit: int, unit: str, wait: float, never: bool) -> Problem:
    hint = "send fewer items in one request" if never else "try again after the seconds in Retry-After"
    return Problem(
        Code.QUOTA_EXCEEDED, f"the key may have {limit} items judged a {unit}", hint, retry_after=wait
    )
