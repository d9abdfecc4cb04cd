"""``Idempotency-Key``: the same request again gets the same answer again, and is judged once.

Answers are kept in the memory of this process, up to a number, a size and an age. Failures of the service are
not kept: judging has no side effects, so trying again is right. Knows nothing about routes.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from llm_judge.service.problems import Code, Problem

_KEPT_SECONDS = 24 * 3600
_KEPT_ANSWERS = 10_000
_KEPT_BYTES = 64 * 1024 * 1024
_LOOKED_AT = 64  # slots a call looks at, so that no call pays for all


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was sent: status, code for the log, body."""

    status: int
    code: Code | None
    body: bytes


@dataclass(slots=True)
class _Slot:
    digest: str
    since: float
    answer: Answer | None = None


class Answers:
    """Answers by caller and key.

    Args:
        clock: seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slots: OrderedDict[tuple[str, str], _Slot] = OrderedDict()
        self._bytes = 0

    def begin(self, caller: str, key: str, digest: str) -> Answer | None:
        """Return the answer given before; None where it must be worked out, then ``finish`` or ``forget``.

        Args:
            caller: id of an API key.
            key: the caller's ``Idempotency-Key``.
            digest: of everything that the answer depends on.

        Raises:
            Problem: the key was used for something else, or is being answered.
        """
        self._drop_old()
        slot = self._slots.get((caller, key))
        if slot is None:
            self._slots[caller, key] = _Slot(digest, self._clock())
            return None
        if slot.digest != digest:
            raise Problem(Code.OTHER_BODY, Code.OTHER_BODY.meaning, "use a new key for a new request")
        if slot.answer is None:
            raise Problem(Code.IN_FLIGHT, Code.IN_FLIGHT.meaning, "wait for its answer", retry_after=1)
        return slot.answer

    def finish(self, caller: str, key: str, answer: Answer) -> None:
        """Keep an answer."""
        self._slots[caller, key].answer = answer
        self._bytes += len(answer.body)
        self._drop_old()

    def forget(self, caller: str, key: str) -> None:
        """Let the request be tried again."""
        self._drop((caller, key))

    def _drop_old(self) -> None:
        """Drop the oldest that are answered; what is in flight stays."""
        oldest = self._clock() - _KEPT_SECONDS
        for name in list(islice(self._slots, _LOOKED_AT)):
            slot = self._slots[name]
            full = len(self._slots) > _KEPT_ANSWERS or self._bytes > _KEPT_BYTES
            if slot.since >= oldest and not full:
                return
            if slot.answer is not None:
                self._drop(name)

    def _drop(self, name: tuple[str, str]) -> None:
        slot = self._slots.pop(name)
        if slot.answer is not None:
            self._bytes -= len(slot.answer.body)
