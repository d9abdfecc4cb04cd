"""The queue before one engine: each ticket by its own revision, spare ones last, and an end that closes."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator

import pytest
from serving import FIRES_ON, HeldEngine, guidelines, scripted, until

from llm_judge.content.text import from_text
from llm_judge.errors import EngineError
from llm_judge.judge import Explain
from llm_judge.policy.model import ActionStep
from llm_judge.service.engine_queue import EngineQueue, Ticket
from llm_judge.service.guidelines import made
from llm_judge.service.judges import JudgeKey, Judges
from llm_judge.service.revision import RunningEngine


@pytest.fixture
def queue() -> Iterator[EngineQueue]:
    started = EngineQueue(engine_items=8)
    started.start()
    yield started
    started.stop(10)


def ticket(judges: Judges, text: str = FIRES_ON) -> Ticket:
    return Ticket(from_text(text), judges, JudgeKey((), Explain.NEVER), None, math.inf)


def milder(engine: HeldEngine) -> Judges:
    """The same guidelines with another action."""
    steps = (ActionStep.model_validate({"do": "review"}, strict=False),)
    plants = guidelines().policies[0].model_copy(update={"actions": steps})
    return Judges(made((plants, *guidelines().policies[1:]), {}), engine)


def test_tickets_that_wait_together_are_answered_each_by_its_own_revision(held: HeldEngine) -> None:
    queue = EngineQueue(engine_items=8)
    one, other = Judges(guidelines(), held), milder(held)
    tickets = [ticket(judges) for judges in (one, other, one, other, one)]
    for each in tickets:
        queue.put(each)
    queue.start()
    held.go.set()
    records = [each.answer.result(30) for each in tickets]
    queue.stop(10)
    assert [record.action for record in records] == ["remove", "review", "remove", "review", "remove"]
    assert [record.run.policy_digest == one.plain.run.policy_digest for record in records] == [
        True, False, True, False, True,
    ]  # fmt: skip
    assert held.sizes[0] == 3  # those of one revision together


def test_spare_tickets_wait_for_all_others_and_go_one_by_one(held: HeldEngine) -> None:
    queue = EngineQueue(engine_items=8)
    judges, order = Judges(guidelines(), held), []
    for name, spare in (("spare one", True), ("spare two", True), ("first", False), ("second", False)):
        each = ticket(judges, name)
        each.answer.add_done_callback(lambda _, name=name: order.append(name))  # type: ignore[misc]
        queue.put(each, spare=spare)
    queue.start()
    held.go.set()
    until(lambda: len(order) == 4)
    queue.stop(10)
    assert order == ["first", "second", "spare one", "spare two"]
    assert queue.seconds_an_item > 0


def test_what_is_done_between_batches_is_done_in_the_thread_and_told(queue: EngineQueue) -> None:
    assert queue.call(threading.current_thread).result(10).name == "engine"
    with pytest.raises(ZeroDivisionError):
        queue.call(lambda: 1 // 0).result(10)
    queue.stop(10)
    with pytest.raises(EngineError):
        queue.call(lambda: 1).result(10)


def test_the_last_who_lets_go_closes_the_engine_after_its_answers(held: HeldEngine) -> None:
    queue, closed = EngineQueue(engine_items=8), threading.Event()
    held.close = closed.set  # type: ignore[method-assign]
    running = RunningEngine(held, queue)
    queue.start()
    first, second = running.hold(), running.hold()
    waiting = ticket(Judges(guidelines(), held))
    queue.put(waiting)
    first.release()
    assert held.entered.wait(30)
    second.release()
    assert not closed.is_set()
    held.go.set()
    assert waiting.answer.result(30).action == "remove"
    assert closed.wait(30)


def test_spare_tickets_are_dropped_at_the_end(queue: EngineQueue) -> None:
    busy = EngineQueue(engine_items=8, may_spare=lambda: False)
    busy.start()
    each = ticket(Judges(guidelines(), scripted()))
    busy.put(each, spare=True)
    busy.stop(10)
    assert each.answer.cancelled()
