"""The steps of a request as they go on, told to whoever traces them; here nobody does, which costs nothing.

What is told holds names, counts and outcomes; never content, ids of clients or words of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from llm_judge.judge import Judge
from llm_judge.record import DecisionRecord
from llm_judge.service.problems import Problem


class Step:
    """One step under way; this one is told to nobody.

    Attributes:
        trace_id: 32 hex digits that name the trace it is in; None where it is in none.
    """

    trace_id: str | None = None

    def answered(self, method: str, route: str, status: int, code: str) -> None:
        """Say what came of a request: the route's pattern, the status and the code of a problem or ``ok``."""

    def ended(self, result: DecisionRecord | Problem) -> None:
        """Say what came of an item."""

    def taken(self) -> None:
        """Say that a wait is over; safe from any thread, and more than once."""


NOT_TOLD = Step()


class Spans:
    """Tells nobody; ``tracing.Traces`` tells OpenTelemetry.

    Used from the event loop and the engine's thread.
    """

    @contextmanager
    def request(self, _method: str, _path: str, _traceparent: str | None, /) -> Iterator[Step]:
        """Around a whole request, given its method and path as they came, which are not told as they are.

        The last is a header of the client (W3C Trace Context), which need not be what it should be.
        """
        yield NOT_TOLD

    @contextmanager
    def step(self, _name: str, /) -> Iterator[Step]:
        """Around a step, given its name, within what is under way."""
        yield NOT_TOLD

    @contextmanager
    def wait(self) -> Iterator[Step]:
        """Around the wait for the engine and its answer; the step is the wait alone, until ``taken``."""
        yield NOT_TOLD

    @contextmanager
    def judging(self, _waits: Sequence[Step], /) -> Iterator[None]:
        """Around one call of the judge for all who waited, given what ``wait`` gave each of them."""
        yield

    def judge(self, judge: Judge) -> Judge:
        """Return the judge, with an engine whose calls are told."""
        return judge

    def close(self) -> None:
        """Send what is left to send."""
