"""A bounded queue before the engine, and the one thread that answers it.

The engine takes one caller at a time: what waits for the same judge is answered together, oldest first.
What nobody waits for any more is dropped before it costs anything. One item that the engine fails on does
not take its neighbours with it. Knows nothing about HTTP or how contents are opened.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from llm_judge.content.content import Content
from llm_judge.errors import EngineError, JudgeError
from llm_judge.record import DecisionRecord
from llm_judge.service.judges import JudgeKey, Judges
from llm_judge.service.problems import Code, Problem, problem_of
from llm_judge.service.spans import NOT_TOLD, Spans, Step

_log = logging.getLogger("llm_judge.service")
_SMOOTHING = 0.2  # weight of the newest batch in the running mean of seconds an item


@dataclass(eq=False, slots=True)
class Ticket:
    """One content that waits for its record.

    Attributes:
        deadline: ``time.monotonic()`` after which nobody wants the answer.
        wait: its place in a trace.
        answer: the record, or a ``Problem``.
    """

    content: Content
    key: JudgeKey
    asked: frozenset[str] | None
    deadline: float
    wait: Step = NOT_TOLD
    answer: Future[DecisionRecord] = field(default_factory=Future)


class EngineQueue:
    """Starts with ``start``; use ``admit`` and ``release`` around everything that will need the engine.

    Args:
        judges: used by the queue's thread alone from ``start`` on.
        items: most items admitted together.
        engine_items: most items in one call of the engine.
        on_engine_error: called from the queue's thread for each failed call, and with None for each that
            went well.
        spans: told of each call.
    """

    def __init__(
        self,
        judges: Judges,
        items: int,
        engine_items: int,
        on_engine_error: Callable[[JudgeError | None], None] = lambda _: None,
        spans: Spans | None = None,
    ) -> None:
        self._judges = judges
        self._items = items
        self._engine_items = engine_items
        self._on_engine_error = on_engine_error
        self._spans = spans or Spans()
        self._waiting: deque[Ticket] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._seconds_an_item = 0.0
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.admitted = 0  # touched by the event loop only
        self.draining = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, seconds: float | None = None) -> None:
        """Answer what waits, then end the thread; wait for it at most so long."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(seconds)

    def depth(self) -> int:
        """How many items wait for the engine."""
        return len(self._waiting)

    def admit(self, count: int, seconds: float) -> None:
        """Take on so many items that are wanted within so many seconds, or say no while that is cheap.

        Raises:
            Problem: the service is stopping, or has as much in hand as it can answer in time.
        """
        action = self._judges.on_error.value
        if self.draining:
            hint = "send it to another replica"
            raise Problem(Code.DRAINING, "the service is stopping", hint, retry_after=1, action=action)
        wait = self.admitted * self._seconds_an_item
        if self.admitted + count > self._items or (self.admitted and wait > seconds):
            told = f"{self.admitted} items are in hand, about {wait:.1f} s of work"
            hint = "try again after the seconds in Retry-After, or send to another replica"
            raise Problem(Code.OVERLOADED, told, hint, retry_after=max(1.0, wait / 2), action=action)
        self.admitted += count

    def release(self, count: int) -> None:
        """Give back what was admitted."""
        self.admitted -= count

    def put(self, ticket: Ticket) -> None:
        """Queue a content; its item must have been admitted."""
        with self._changed:
            self._waiting.append(ticket)
            self._changed.notify()

    def _run(self) -> None:
        while batch := self._next():
            self._answer(batch)

    def _next(self) -> list[Ticket]:
        """Wait for tickets, and return those that go together; none when it is time to end."""
        with self._changed:
            while True:
                if batch := self._take():
                    return batch
                if self._stopping:
                    return []
                self._changed.wait()

    def _take(self) -> list[Ticket]:
        """Take the oldest ticket that somebody waits for, and others for the same judge."""
        batch: list[Ticket] = []
        left: deque[Ticket] = deque()
        now = time.monotonic()
        while self._waiting and len(batch) < self._engine_items:
            ticket = self._waiting.popleft()
            if batch and ticket.key != batch[0].key:
                left.append(ticket)
            elif ticket.deadline < now:
                ticket.answer.cancel()
            elif ticket.answer.set_running_or_notify_cancel():
                batch.append(ticket)
        self._waiting.extendleft(reversed(left))
        return batch

    def _answer(self, batch: Sequence[Ticket]) -> None:
        started = time.monotonic()
        try:
            with self._spans.judging([t.wait for t in batch]):
                judge = self._judges.get(batch[0].key)
                records = judge.judge_batch([t.content for t in batch], [t.asked for t in batch])
        except EngineError as error:
            self._engine_failed(batch, error)
        except JudgeError as error:
            _fail(batch, problem_of(error, self._judges.on_error.value))
        except Exception as error:  # noqa: BLE001  # whatever it is, the thread lives and callers are told
            log_fault(error)
            _fail(batch, Problem(Code.INTERNAL, Code.INTERNAL.meaning, action=self._judges.on_error.value))
        else:
            self._on_engine_error(None)
            for ticket, record in zip(batch, records, strict=True):
                ticket.answer.set_result(record)
        self._note((time.monotonic() - started) / len(batch))

    def _engine_failed(self, batch: Sequence[Ticket], error: EngineError) -> None:
        """Ask again one by one, so that an item the engine cannot take fails alone."""
        if len(batch) > 1:
            for ticket in batch:
                self._answer([ticket])
            return
        log_error("engine failed", error)
        self._on_engine_error(error)
        _fail(batch, problem_of(error, self._judges.on_error.value))

    def _note(self, seconds: float) -> None:
        old = self._seconds_an_item
        self._seconds_an_item = seconds if not old else old + _SMOOTHING * (seconds - old)


def _fail(batch: Sequence[Ticket], problem: Problem) -> None:
    for ticket in batch:
        ticket.answer.set_exception(problem)


def log_error(event: str, error: JudgeError) -> None:
    """Log an error whose message holds no content."""
    _log.error(event, extra={"fields": {"error": type(error).__name__, "said": error.message}})


def log_fault(error: BaseException) -> None:
    """Log an unexpected error by its type and places alone: its words may hold content."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    _log.error("fault", extra={"fields": {"error": type(error).__name__, "at": places[-8:]}})
