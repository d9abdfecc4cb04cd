"""The client: typed replies from a real service, and retries that end."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent / "service"))
from serving import FAILS_ON, FIRES_ON, running, scripted, service_with

from llm_judge import client as module
from llm_judge.client import AsyncJudgeClient, JudgeClient, ServiceError, item
from llm_judge.service.keys import KeyRing, Scope, create_key


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    service = service_with(scripted())
    with running(service) as url:
        yield url
    service.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that clients would have waited."""
    found: list[float] = []
    monkeypatch.setattr(module.time, "sleep", found.append)
    random.seed(7)
    return found


def answering(*answers: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """Answers one after another, the last one for ever."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        found = answers[min(len(asked), len(answers)) - 1]
        if isinstance(found, Exception):
            raise found
        return httpx.Response(found.status_code, headers=found.headers, content=found.content)

    return httpx.MockTransport(answer), asked


def busy(after: int) -> httpx.Response:
    error = {"code": "overloaded", "message": "m", "hint": None, "request_id": "r"}
    fail_mode = {"action": "review", "reason": "overloaded", "determined": True}
    return httpx.Response(
        503, headers={"Retry-After": str(after)}, json={"error": {**error, "fail_mode": fail_mode}}
    )


def test_a_text_and_a_file_are_judged(address: str, tmp_path: Path) -> None:
    path = tmp_path / "post.txt"
    path.write_text(FIRES_ON)
    with JudgeClient(address) as client:
        by_text, by_path = client.judge(FIRES_ON, id="a"), client.judge(media=path, explain="never")
        by_bytes = client.judge(media=FIRES_ON.encode(), policies=["market/sales"])
    assert by_text.action == by_path.action == "remove" and by_bytes.action == "allow"
    assert by_text.item["id"] == "a" and by_path.item["source"] == "post.txt"


def test_a_batch_and_policies(address: str) -> None:
    with JudgeClient(address) as client:
        reply = client.judge_batch(
            [item(FIRES_ON), item(" "), item(media=b"Water it.", id="b")], explain="never"
        )
        listed = client.policies()
        shown = client.policy("garden/plants")
    assert [row.status for row in reply.results] == [200, 422, 200]
    assert [policy.id for policy in listed.policies] == ["garden/plants", "market/sales"]
    assert shown.policy["policy"] == "garden/plants"


def test_the_async_client_says_the_same(address: str) -> None:
    async def ask() -> list[str]:
        async with AsyncJudgeClient(address) as client:
            replies = await asyncio.gather(
                *(client.judge(f"{FIRES_ON} {i}", explain="never") for i in range(8))
            )
            batch = await client.judge_batch([item(FIRES_ON)])
            assert batch.decided == 1 and (await client.policies()).policies
            assert (await client.policy("market/sales")).policy["policy"] == "market/sales"
            with pytest.raises(ServiceError, match="no policy"):
                await client.judge("a", policies=["no/such"])
            return [reply.action.value for reply in replies]

    assert asyncio.run(ask()) == ["remove"] * 8


def test_an_error_says_what_the_service_said(address: str) -> None:
    with JudgeClient(address, retries=0) as client:
        with pytest.raises(ServiceError) as refused:
            client.judge("a", policies=["no/such"])
        with pytest.raises(ServiceError) as failed:
            client.judge(FAILS_ON)
    assert (refused.value.code, refused.value.status, refused.value.retryable) == (
        "unknown_policy",
        422,
        False,
    )
    assert refused.value.request_id and refused.value.hint
    assert (failed.value.code, failed.value.action, failed.value.retryable) == (
        "engine_failed",
        "review",
        True,
    )


def test_a_busy_service_is_asked_again_with_the_same_key(waits: list[float], address: str) -> None:
    with JudgeClient(address) as real:
        good = httpx.Response(200, content=real.judge(FIRES_ON).model_dump_json())
    transport, asked = answering(busy(2), httpx.ConnectError("refused"), good)
    with JudgeClient("http://judge", transport=transport) as client:
        assert client.judge("a").action == "remove"
    assert len(asked) == 3 and len({request.headers["Idempotency-Key"] for request in asked}) == 1
    assert 2 <= waits[0] <= 2.25 and 0 <= waits[1] <= 0.5


@pytest.mark.parametrize(
    ("answer", "code", "tries"),
    [
        (lambda: busy(0), "overloaded", 3),
        (lambda: httpx.ReadTimeout("slow"), "unreachable", 3),
        (lambda: httpx.Response(502, text="<html>"), "not_understood", 3),
        (lambda: httpx.Response(404, text="<html>"), "not_understood", 1),
        (lambda: httpx.Response(200, json={"action": "allow"}), "not_understood", 1),
        (lambda: httpx.Response(200, text=""), "not_understood", 1),
    ],
)
def test_tries_end_and_no_decision_is_made_up(
    waits: list[float], answer: Callable[[], httpx.Response | Exception], code: str, tries: int
) -> None:
    transport, asked = answering(answer())
    with (
        JudgeClient("http://judge", retries=2, transport=transport) as client,
        pytest.raises(ServiceError) as caught,
    ):
        client.judge("a")
    assert (caught.value.code, len(asked)) == (code, tries)


def test_a_key_is_sent_and_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    _, secret = create_key(path, "me", (Scope.JUDGE,), None)
    service = service_with(scripted(), keys=KeyRing(path))
    with running(service) as url:
        monkeypatch.delenv("LLM_JUDGE_API_KEY", raising=False)
        with JudgeClient(url) as client, pytest.raises(ServiceError, match="API key is needed"):
            client.judge("a")
        with JudgeClient(url, secret) as client:
            assert client.judge("a").action == "allow"
        monkeypatch.setenv("LLM_JUDGE_API_KEY", secret)
        with JudgeClient(url) as client:
            assert client.judge("a").action == "allow"
    service.close()
