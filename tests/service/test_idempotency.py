"""``Idempotency-Key``: one judgement, one answer, for as long as it is the same request."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from serving import FAILS_ON, FIRES_ON, HeldEngine, running, scripted, service_with

from llm_judge.service import idempotency
from llm_judge.service.idempotency import Answer, Answers
from llm_judge.service.problems import Code, Problem


def post(url: str, key: str, path: str = "/v1/judge", **options: Any) -> httpx.Response:
    return httpx.post(f"{url}{path}", headers={"Idempotency-Key": key}, timeout=30, **options)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/judge", {"text": FIRES_ON}),
        ("/v1/judge", {"text": " "}),
        ("/v1/judge/batch", {"items": [{"text": FIRES_ON}]}),
        ("/v1/moderations", {"input": FIRES_ON}),
    ],
)
def test_the_same_request_gets_the_same_answer(url: str, path: str, body: dict[str, Any]) -> None:
    key = f"same {path} {len(str(body))}"
    one, other = (post(url, key, path, json=body) for _ in range(2))
    assert (one.status_code, one.content) == (other.status_code, other.content)
    assert "Idempotent-Replayed" not in one.headers and other.headers["Idempotent-Replayed"] == "true"


def test_a_form_sent_again_is_the_same_request(url: str) -> None:
    one, other = (post(url, "form", files={"file": ("a.txt", b"Water it.")}) for _ in range(2))
    assert one.content == other.content and one.status_code == 200


def test_another_request_with_the_same_key_is_refused(url: str) -> None:
    post(url, "twice", json={"text": "a"})
    for answer in (
        post(url, "twice", json={"text": "b"}),
        post(url, "twice", "/v1/moderations", json={"text": "a"}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "other_body")


def test_a_failure_of_the_service_is_tried_again() -> None:
    engine = scripted()
    service = service_with(engine)
    with running(service) as url:
        assert post(url, "retry", json={"text": FAILS_ON}).status_code == 503
        engine.failures = []
        assert post(url, "retry", json={"text": FAILS_ON}).status_code == 200
    service.close()


def test_a_request_in_flight_is_not_judged_twice(held: HeldEngine) -> None:
    service = service_with(held)
    with running(service) as url, ThreadPoolExecutor(2) as clients:
        first = clients.submit(post, url, "flying", json={"text": "a"})
        assert held.entered.wait(10)
        answer = post(url, "flying", json={"text": "a"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "in_flight")
        held.go.set()
        assert post(url, "flying", json={"text": "a"}).content == first.result().content
    service.close()


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_unusable_key_is_refused(url: str, key: str) -> None:
    assert post(url, key, json={"text": "a"}).json()["error"]["code"] == "bad_request"


def test_answers_are_bounded_and_belong_to_their_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "_KEPT_ANSWERS", 3)
    now = [0.0]
    answers = Answers(lambda: now[0])
    for name in "abcd":
        assert answers.begin("me", name, "digest") is None
        answers.finish("me", name, Answer(200, None, name.encode()))
    assert answers.begin("me", "a", "digest") is None  # dropped as the oldest
    answers.forget("me", "a")
    kept = answers.begin("me", "d", "digest")
    assert kept is not None and kept.body == b"d"
    assert answers.begin("you", "d", "other") is None
    with pytest.raises(Problem) as caught:
        answers.begin("me", "d", "other")
    assert caught.value.code is Code.OTHER_BODY
    now[0] = 25 * 3600
    assert answers.begin("me", "d", "other") is None
