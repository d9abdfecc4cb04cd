"""The other revision judges too, after the answer and without a say; what comes out is compared.

It works in spare time: at most so many contents wait, and more are dropped and counted. Nothing here can
change, delay or fail an answer. Knows nothing about HTTP.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from llm_judge.content.content import Content, Modality
from llm_judge.engines.protocol import Vision
from llm_judge.errors import OutputError
from llm_judge.judge import Explain
from llm_judge.record import DecisionRecord
from llm_judge.service.arms import ArmsInForce
from llm_judge.service.engine_queue import Ticket, log_error, log_fault
from llm_judge.service.judging import Decided
from llm_judge.service.orders import Order, Way
from llm_judge.service.problems import Problem
from llm_judge.service.rollout.comparison import Comparison, Identity, Tally, compared
from llm_judge.service.rollout.comparison_file import ComparisonFile

_SEEN = (Modality.IMAGE, Modality.VIDEO)


class Shadow:
    """Judges beside, compares and counts.

    Args:
        arms: what is in force.
        items: most contents that wait or are judged.
        file: keeps every comparison; None keeps none.
        note: told of each content: ``same``, ``other``, ``failed``, ``dropped``, ``unlike`` or ``not_kept``;
            from any thread.
        compare: told of each comparison of what is in force; from a thread of its own.
    """

    def __init__(
        self,
        arms: ArmsInForce,
        items: int = 64,
        file: ComparisonFile | None = None,
        note: Callable[[str], None] = lambda _: None,
        compare: Callable[[Comparison], None] = lambda _: None,
    ) -> None:
        self._arms = arms
        self._items = items
        self._file = file
        self._note = note
        self._compare = compare
        self._lock = threading.Lock()
        self._in_hand = 0
        self._pair: tuple[Identity, Identity] | None = None
        self._tally = Tally()
        self._thread = ThreadPoolExecutor(1, "comparisons")

    def answered(self, way: Way, result: DecisionRecord | Problem, seconds: float) -> None:
        """Nothing: only answers are compared."""

    def offer(self, order: Order, decided: Decided, content: Content) -> None:
        """Judge a content by the other revision when there is time, or drop it."""
        beside = order.beside
        if beside is None or beside.arm is decided.way.arm:
            return
        if content.modality in _SEEN and _vision(beside) != _vision(decided.way):
            self._note("unlike")  # it was opened for another kind of engine: nothing could be said
            return
        with self._lock:
            full = self._in_hand >= self._items
            self._in_hand += not full
        if full:
            self._note("dropped")
            return
        running = beside.revision.running.hold()  # the request holds it too, so it has not ended
        key = replace(beside.key, explain=Explain.NEVER)
        ticket = Ticket(content, beside.revision.judges, key, beside.asked, math.inf)

        def done(answer: Future[DecisionRecord]) -> None:
            with contextlib.suppress(RuntimeError):  # an engine that was stuck until after the end
                self._thread.submit(self._finish, answer, beside, decided)

        ticket.answer.add_done_callback(done)
        running.queue.put(ticket, spare=True)

    def tally(self) -> Tally:
        """Return the counts of what is in force."""
        with self._lock:
            return self._tally if self._pair == _pair_in_force(self._arms) else Tally()

    def close(self) -> None:
        """End the thread, after what waits for it; the queues must have ended."""
        self._thread.shutdown()
        if self._file is not None:
            self._file.close()

    def _finish(self, answer: Future[DecisionRecord], beside: Way, decided: Decided) -> None:
        try:
            self._note(self._compared(answer, beside, decided))
        except Exception as error:  # noqa: BLE001  # nobody waits for it
            log_fault(error)
        finally:
            with self._lock:
                self._in_hand -= 1
            beside.revision.running.release()

    def _compared(self, answer: Future[DecisionRecord], beside: Way, decided: Decided) -> str:
        if answer.cancelled() or answer.exception() is not None:
            return "failed"
        other, way = answer.result(), decided.way
        if other.decision is None:
            return "failed"
        ways = {each.arm.value: each for each in (beside, way)}
        pair = (_identity(ways["stable"]), _identity(ways["candidate"]))
        found = compared(decided.record, other, pair, way.arm.value)
        self._count(found)
        if self._file is not None:
            try:
                self._file.append(found)
            except OutputError as error:
                log_error("comparison not kept", error)
                return "not_kept"
        return "same" if found.same else "other"

    def _count(self, found: Comparison) -> None:
        with self._lock:
            if found.pair != _pair_in_force(self._arms):
                return
            if self._pair != found.pair:
                self._pair, self._tally = found.pair, Tally()
            self._tally.add(found)
        self._compare(found)


def _vision(way: Way) -> Vision | None:
    return way.revision.judges.engine.vision


def _identity(way: Way) -> Identity:
    return Identity.model_validate(way.revision.identity())


def _pair_in_force(arms: ArmsInForce) -> tuple[Identity, Identity] | None:
    now = arms.now
    if now.candidate is None:
        return None
    one, other = now.stable.identity(), now.candidate.identity()
    return Identity.model_validate(one), Identity.model_validate(other)
