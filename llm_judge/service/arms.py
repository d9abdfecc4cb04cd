"""The revisions in force, and which of them answers what; changed at once, never by halves.

``stable`` answers, unless a share of the items goes to a ``candidate``. Items are dealt by a hash, so that
the same one always goes to the same arm, and a share that grows keeps those it had. Knows nothing about HTTP.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from llm_judge.service.revision import Revision


class Arm(StrEnum):
    """Which of the two revisions."""

    STABLE = "stable"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class Arms:
    """What is in force at one moment.

    Attributes:
        share: percent of the items that the candidate answers, 0..100.
        salt: decides which ones; a digest of the candidate where none is given, so that every replica deals
            alike and every candidate meets others first.
        reason: why the share is what it is, such as what an automatic rollback was for.
    """

    stable: Revision
    candidate: Revision | None = None
    share: float = 0.0
    given_salt: str | None = None
    reason: str | None = None

    @property
    def salt(self) -> str:
        """What is hashed with an item."""
        if self.given_salt is not None or self.candidate is None:
            return self.given_salt or ""
        return "\x00".join(str(value) for value in self.candidate.identity().values())

    def revision(self, arm: Arm) -> Revision | None:
        """Return the revision of an arm."""
        return self.stable if arm is Arm.STABLE else self.candidate

    def arm_of(self, sticky: str) -> Arm:
        """Return which arm answers what has this name."""
        dealt = self.candidate is not None and self.share > 0 and place_of(sticky, self.salt) < self.share
        return Arm.CANDIDATE if dealt else Arm.STABLE


def place_of(sticky: str, salt: str) -> float:
    """Return a place in 0..100, spread evenly over names: the first 8 bytes of SHA-256 of salt and name."""
    data = f"{salt}\x00{sticky}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(data).digest()[:8]) / 2**64 * 100


class ArmsInForce:
    """Holds what is in force; readable and changeable from any thread.

    Args:
        arms: to begin with.
    """

    def __init__(self, arms: Arms) -> None:
        self._lock = threading.Lock()
        self._now = arms
        _hold(arms)

    @property
    def now(self) -> Arms:
        """What is in force; hold it with ``in_hand`` to judge by it."""
        return self._now

    @contextmanager
    def in_hand(self) -> Iterator[Arms]:
        """Give what is in force, which goes on working while the block lasts, whatever comes into force."""
        with self._lock:
            arms = self._now
            _hold(arms)
        try:
            yield arms
        finally:
            _release(arms)

    def put_in_force(self, arm: Arm, revision: Revision) -> None:
        """Let a revision answer for an arm from the next request on."""
        with self._lock:
            old = self._now
            new = {"stable": revision} if arm is Arm.STABLE else {"candidate": revision}
            self._now = replace(old, **new)  # type: ignore[arg-type]  # one of its two revisions
            _hold(self._now)
        _release(old)

    def set_share(self, share: float, reason: str | None = None) -> None:
        """Let the candidate answer so many percent of the items, from the next request on."""
        with self._lock:
            self._now = replace(self._now, share=share, reason=reason)

    def close(self, seconds: float) -> None:
        """End the queues, after what waits in them; engines are left to whoever opened them."""
        for queue in {id(r.queue): r.queue for r in _revisions(self._now)}.values():
            queue.stop(seconds)


def _revisions(arms: Arms) -> list[Revision]:
    return [arms.stable] if arms.candidate is None else [arms.stable, arms.candidate]


def _hold(arms: Arms) -> None:
    for revision in _revisions(arms):
        revision.running.hold()


def _release(arms: Arms) -> None:
    for revision in _revisions(arms):
        revision.running.release()
