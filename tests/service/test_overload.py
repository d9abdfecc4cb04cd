"""Queue, deadlines, clients that leave and engines that fail: what is in hand stays bounded and typed."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from serving import FAILS_ON, FIRES_ON, HeldEngine, running, scripted, service_with, until

from llm_judge.record import DecisionRecord


def post(url: str, **request: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/judge", json={"explain": "never", **request}, timeout=30)


def test_what_waits_is_judged_together(held: HeldEngine) -> None:
    service = service_with(held, engine_items=4)
    with running(service) as url, ThreadPoolExecutor(8) as clients:
        first = clients.submit(post, url, text="one")
        assert held.entered.wait(10)
        others = [clients.submit(post, url, text=f"text {i}") for i in range(5)]
        until(lambda: service.queue.depth() == 5)
        held.go.set()
        assert {each.result().status_code for each in [first, *others]} == {200}
    service.close()
    assert held.sizes[0] == 1 and max(held.sizes) == 4


def test_too_much_in_hand_is_turned_away_at_once(held: HeldEngine) -> None:
    service = service_with(held, queue_items=2, batch_items=2)
    with running(service) as url, ThreadPoolExecutor(4) as clients:
        taken = [clients.submit(post, url, text=f"text {i}") for i in range(2)]
        until(lambda: service.queue.admitted == 2)
        answer = post(url, text="one too many")
        assert answer.status_code == 503 and answer.json()["error"]["code"] == "overloaded"
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["error"]["fail_mode"]["action"] == "review"
        counted = 'judge_fail_mode_total{mode="review",reason="overloaded"} 1.0'
        assert counted in httpx.get(f"{url}/metrics").text
        held.go.set()
        assert {each.result().status_code for each in taken} == {200}
        assert post(url, text="room again").status_code == 200
    service.close()
    assert service.queue.admitted == 0


def test_a_deadline_drops_what_only_waits(held: HeldEngine) -> None:
    service = service_with(held)
    with running(service) as url, ThreadPoolExecutor(4) as clients:
        first = clients.submit(post, url, text="one")
        assert held.entered.wait(10)
        answer = post(url, text="in a hurry", deadline_ms=50)
        assert answer.status_code == 504 and answer.json()["error"]["code"] == "deadline_passed"
        assert answer.json()["error"]["fail_mode"]["action"] == "review"
        held.go.set()
        assert first.result().status_code == 200
        assert "deadline_passed" in httpx.get(f"{url}/metrics").text
    service.close()
    assert sum(held.sizes) == 2  # areas and rules of the first; the second never reached the engine


def test_a_client_that_left_costs_nothing(held: HeldEngine) -> None:
    service = service_with(held)
    with running(service) as url, ThreadPoolExecutor(4) as clients:
        first = clients.submit(post, url, text="one")
        assert held.entered.wait(10)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/v1/judge", json={"text": "gone"}, timeout=httpx.Timeout(5, read=0.2))
        until(lambda: service.queue.admitted == 1)
        held.go.set()
        assert first.result().status_code == 200
        until(lambda: 'status="499"' in httpx.get(f"{url}/metrics").text)
    service.close()
    assert sum(held.sizes) == 2


def test_one_item_that_the_engine_fails_on_fails_alone(held: HeldEngine) -> None:
    held.failures = scripted().failures
    service = service_with(held)
    with running(service) as url, ThreadPoolExecutor(4) as clients:
        first = clients.submit(post, url, text="one")
        assert held.entered.wait(10)
        others = [clients.submit(post, url, text=text) for text in (FIRES_ON, FAILS_ON, "two")]
        until(lambda: service.queue.depth() == 3)
        held.go.set()
        assert [each.result().status_code for each in [first, *others]] == [200, 200, 503, 200]
    service.close()


def test_an_engine_that_keeps_failing_is_not_ready_until_a_canary_is_right() -> None:
    engine = scripted()
    service = service_with(engine, recheck_seconds=0.05)
    assert service.health.check() is None
    with running(service) as url:
        engine.failures = [("", "nothing works")]
        assert [post(url, text=f"t{i}").status_code for i in range(3)] == [503] * 3
        answer = httpx.get(f"{url}/readyz")
        assert answer.status_code == 503 and answer.json()["error"]["code"] == "not_ready"
        assert httpx.get(f"{url}/livez").status_code == 200
        engine.failures = []
        until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        assert post(url, text="fine").status_code == 200
    service.close()


def test_a_fault_in_the_engine_is_an_answer_and_not_the_end() -> None:
    engine = HeldEngine(reads=scripted().reads)
    engine.go.set()
    service = service_with(engine)
    with running(service) as url:
        engine.default = {"no": "a fault"}  # type: ignore[dict-item]
        engine.reads = []
        answer = post(url, text="secret words")
        assert answer.status_code == 500 and answer.json()["error"]["code"] == "internal"
        assert "secret" not in answer.text
        engine.default = {"no": 0.98}
        assert post(url, text="fine").status_code == 200
    service.close()


class Shelf:
    """Keeps records, or fails."""

    def __init__(self) -> None:
        self.kept: list[DecisionRecord] = []
        self.full = False

    def put_many(self, records: Iterable[tuple[DecisionRecord, bytes | None]]) -> list[None]:
        pairs = list(records)
        if self.full:
            raise OSError("disk full at /srv/secret")
        self.kept += [record for record, _ in pairs]
        return [None] * len(pairs)


def test_a_record_is_kept_before_its_answer_or_there_is_none() -> None:
    shelf = Shelf()
    service = service_with(scripted(), records=shelf)
    service.health.check()
    with running(service) as url:
        reply = post(url, text=FIRES_ON).json()
        assert [record.decision_id for record in shelf.kept] == [reply["decision_id"]]  # and no canary
        shelf.full = True
        answer = post(url, text=FIRES_ON)
        assert answer.status_code == 503 and answer.json()["error"]["code"] == "record_not_kept"
        assert "secret" not in answer.text
    service.close()


def test_a_stopping_service_finishes_what_it_has_and_takes_no_more(held: HeldEngine) -> None:
    service = service_with(held)
    with running(service) as url, ThreadPoolExecutor(4) as clients:
        first = clients.submit(post, url, text=FIRES_ON)
        assert held.entered.wait(10)
        service.queue.draining = True
        assert post(url, text="late").json()["error"]["code"] == "draining"
        assert httpx.get(f"{url}/readyz").status_code == 503
        threading.Timer(0.05, held.go.set).start()
        assert first.result().json()["action"] == "remove"
    service.close()
