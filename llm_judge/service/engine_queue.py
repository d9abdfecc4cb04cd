"""A queue before one engine, and the one thread that answers it.

The engine takes one caller at a time: what waits for the same judge is answered together, oldest first.
What nobody waits for any more is dropped before it costs anything. One item that the engine fails on does
not take its neighbours with it. Each ticket names its judge, so that a reload changes nothing of what waits.
Spare tickets are answered one by one, while nothing else is to be done. Knows nothing about HTTP or how
contents are opened.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from llm_judge.content.content import Content
from llm_judge.errors import EngineError, JudgeError
from llm_judge.record import DecisionRecord
from llm_judge.service.judges import JudgeKey, Judges
from llm_judge.service.problems import Code, Problem, problem_of
from llm_judge.service.spans import NOT_TOLD, Spans, Step

_log = logging.getLogger("llm_judge.service")
T = TypeVar("T")
_LOOK_AGAIN_S = 0.02  # between two looks whether a spare ticket may be answered
_SMOOTHING = 0.2  # weight of the newest batch in the running mean of seconds an item


@dataclass(eq=False, slots=True)
class Ticket:
    """One content that waits for its record.

    Attributes:
        judges: of the revision that answers it, whatever comes into force meanwhile.
        deadline: ``time.monotonic()`` after which nobody wants the answer.
        wait: its place in a trace.
        answer: the record, or a ``Problem``.
    """

    content: Content
    judges: Judges
    key: JudgeKey
    asked: frozenset[str] | None
    deadline: float
    wait: Step = NOT_TOLD
    answer: Future[DecisionRecord] = field(default_factory=Future)


class EngineQueue:
    """Starts with ``start``; everything that uses the engine goes through it from then on.

    Args:
        engine_items: most items in one call of the engine.
        on_engine_error: called from the queue's thread for each failed call, and with None for each that
            went well; spare tickets do not count.
        may_spare: whether a spare ticket may be answered now.
        seconds_an_item: what an item is thought to take, until some were answered.
        spans: told of each call.
    """

    def __init__(
        self,
        engine_items: int,
        on_engine_error: Callable[[JudgeError | None], None] = lambda _: None,
        may_spare: Callable[[], bool] = lambda: True,
        seconds_an_item: float = 0.0,
        spans: Spans | None = None,
    ) -> None:
        self._engine_items = engine_items
        self._on_engine_error = on_engine_error
        self._may_spare = may_spare
        self._spans = spans or Spans()
        self._waiting: deque[Ticket] = deque()
        self._spare: deque[Ticket] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._at_end: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.seconds_an_item = seconds_an_item

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, seconds: float | None = None, at_end: Callable[[], None] = lambda: None) -> None:
        """Answer what waits but spare tickets, then end the thread; wait for it at most so long.

        Args:
            seconds: to wait; 0 does not wait, None waits as long as it takes.
            at_end: called from the thread as its last act.
        """
        with self._changed:
            self._stopping = True
            self._at_end = at_end
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def depth(self) -> int:
        """How many items wait for the engine, spare ones left out."""
        return len(self._waiting)

    def put(self, ticket: Ticket, *, spare: bool = False) -> None:
        """Queue a content; its item must have been admitted, unless it is spare."""
        with self._changed:
            (self._spare if spare else self._waiting).append(ticket)
            self._changed.notify()

    def call(self, work: Callable[[], T]) -> Future[T]:
        """Do something in the queue's thread, between two batches; fails once the queue has stopped."""
        done: Future[T] = Future()

        def run() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001  # whoever asked is told, the thread lives
                done.set_exception(error)

        with self._changed:
            if self._stopping:
                done.set_exception(EngineError("the engine is stopping"))
            else:
                self._calls.append(run)
                self._changed.notify()
        return done

    def _run(self) -> None:
        while work := self._next():
            work()
        try:
            self._at_end()
        except Exception as error:  # noqa: BLE001  # nobody waits for it
            log_fault(error)

    def _next(self) -> Callable[[], None] | None:
        """Wait for something to do, and return it; None when it is time to end."""
        with self._changed:
            while True:
                if self._calls:
                    return self._calls.popleft()
                if batch := self._take():
                    return lambda: self._answer(batch)
                if self._stopping:
                    while self._spare:
                        self._spare.popleft().answer.cancel()
                    return None
                if (ticket := self._take_spare()) is not None:
                    return lambda: self._answer([ticket], spare=True)
                self._changed.wait(_LOOK_AGAIN_S if self._spare else None)

    def _take_spare(self) -> Ticket | None:
        while self._spare and self._may_spare():
            ticket = self._spare.popleft()
            if ticket.answer.set_running_or_notify_cancel():
                return ticket
        return None

    def _take(self) -> list[Ticket]:
        """Take the oldest ticket that somebody waits for, and others for the same judge."""
        batch: list[Ticket] = []
        left: deque[Ticket] = deque()
        now = time.monotonic()
        while self._waiting and len(batch) < self._engine_items:
            ticket = self._waiting.popleft()
            if batch and (ticket.judges is not batch[0].judges or ticket.key != batch[0].key):
                left.append(ticket)
            elif ticket.deadline < now:
                ticket.answer.cancel()
            elif ticket.answer.set_running_or_notify_cancel():
                batch.append(ticket)
        self._waiting.extendleft(reversed(left))
        return batch

    def _answer(self, batch: Sequence[Ticket], *, spare: bool = False) -> None:
        started, judges = time.monotonic(), batch[0].judges
        try:
            with self._spans.judging([t.wait for t in batch]):
                judge = self._spans.judge(judges.get(batch[0].key))
                records = judge.judge_batch([t.content for t in batch], [t.asked for t in batch])
        except EngineError as error:
            self._engine_failed(batch, error, spare)
        except JudgeError as error:
            _fail(batch, problem_of(error, judges.on_error.value))
        except Exception as error:  # noqa: BLE001  # whatever it is, the thread lives and callers are told
            log_fault(error)
            _fail(batch, Problem(Code.INTERNAL, Code.INTERNAL.meaning, action=judges.on_error.value))
        else:
            if not spare:
                self._on_engine_error(None)
            for ticket, record in zip(batch, records, strict=True):
                ticket.answer.set_result(record)
        if not spare:
            self._note((time.monotonic() - started) / len(batch))

    def _engine_failed(self, batch: Sequence[Ticket], error: EngineError, spare: bool) -> None:
        """Ask again one by one, so that an item the engine cannot take fails alone."""
        if len(batch) > 1:
            for ticket in batch:
                self._answer([ticket])
            return
        log_error("engine failed", error)
        if not spare:
            self._on_engine_error(error)
        _fail(batch, problem_of(error, batch[0].judges.on_error.value))

    def _note(self, seconds: float) -> None:
        old = self.seconds_an_item
        self.seconds_an_item = seconds if not old else old + _SMOOTHING * (seconds - old)


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
