"""``/v1/judge`` and its batch: decisions, and errors that say what is wrong and what to do."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import FAILS_ON, FIRES_ON, UNSURE_ON

from llm_judge.service.problems import Code
from llm_judge.service.wire import BatchReply, JudgeReply, ProblemReply

PIXEL = base64.b64encode(b"GIF89a, and then nothing").decode()


def judged(client: httpx.Client, **request: Any) -> JudgeReply:
    answer = client.post("/v1/judge", json=request)
    assert answer.status_code == 200, answer.text
    return JudgeReply.model_validate_json(answer.content)


def refused(answer: httpx.Response, code: Code) -> dict[str, Any]:
    """What a client is told, after checking that it is told all of it."""
    assert answer.status_code == code.status, answer.text
    error = ProblemReply.model_validate_json(answer.content).error
    assert (error.code, error.request_id) == (code.word, answer.headers["X-Request-ID"])
    assert error.message and "\n" not in error.message
    return dict(answer.json()["error"])


def test_a_decision_names_its_rules_and_evidence(client: httpx.Client) -> None:
    reply = judged(client, id="post-1", text=FIRES_ON)
    assert (reply.action, reply.undecided, reply.fail_mode) == ("remove", False, None)
    assert reply.decision["determining_rules"] == ["garden/plants#R1"]
    (verdict,) = reply.verdicts
    assert (verdict.outcome, verdict.evidence[0].quote) == ("violates", FIRES_ON)
    assert (reply.verdicts_clear, reply.item["id"]) == (2, "post-1")


def test_what_could_not_be_told_is_never_allow_in_silence(client: httpx.Client) -> None:
    reply = judged(client, text=UNSURE_ON)
    assert reply.action == "review" and reply.undecided
    assert reply.fail_mode is not None
    assert (reply.fail_mode.action, reply.fail_mode.reason, reply.fail_mode.determined) == (
        "review",
        "abstained",
        True,
    )


def test_each_answer_has_a_decision_id_of_its_own(client: httpx.Client) -> None:
    one, other = judged(client, id="a", text=FIRES_ON), judged(client, id="a", text=FIRES_ON)
    assert one.decision_id != other.decision_id and one.request_id != other.request_id


def test_only_the_policies_asked_for_are_asked(client: httpx.Client) -> None:
    reply = judged(client, text=FIRES_ON, policies=["market/sales"], detail="all")
    assert reply.action == "allow"
    assert [verdict.rule for verdict in reply.verdicts] == ["market/sales#S1"]


def test_never_explains_nothing(client: httpx.Client) -> None:
    (verdict,) = judged(client, text=FIRES_ON, explain="never").verdicts
    assert (verdict.evidence, verdict.rationale) == ((), None)


@pytest.mark.parametrize(
    ("request_part", "overlays", "severity"),
    [
        ({}, (), 3),
        ({"overlays": ["teens"]}, ("teens",), 5),
        ({"context": {"age_min": 15}}, ("teens",), 5),
        ({"context": {"age_min": 18}}, (), 3),
        ({"context": {"surface": "live", "locale": "de-AT"}}, (), 3),
        ({"context": {"age_max": 15}, "overlays": []}, (), 3),
    ],
)
def test_overlays_are_named_or_chosen_by_the_context(
    client: httpx.Client, request_part: dict[str, Any], overlays: tuple[str, ...], severity: int
) -> None:
    reply = judged(client, text=FIRES_ON, **request_part)
    assert reply.overlays == overlays
    assert reply.verdicts[0].severity == severity


def test_an_upload_is_judged_like_data(client: httpx.Client) -> None:
    data = FIRES_ON.encode()
    form = client.post(
        "/v1/judge",
        files={"file": ("a.txt", data)},
        data={"options": json.dumps({"id": "u", "explain": "never"})},
    )
    sent = judged(client, id="u", media={"data": base64.b64encode(data).decode()}, explain="never")
    assert form.json()["action"] == sent.action == "remove"
    assert form.json()["item"]["sha256"] == sent.item["sha256"]


WRONG: list[tuple[dict[str, Any], Code, str]] = [
    ({}, Code.BAD_REQUEST, "`text` or `media`"),
    ({"text": "a", "media": {"data": "YQ=="}}, Code.BAD_REQUEST, "`text` or `media`"),
    ({"txt": "a"}, Code.BAD_REQUEST, "`txt`"),
    ({"text": 7}, Code.BAD_REQUEST, "`text`"),
    ({"text": "a", "explain": "loudly"}, Code.BAD_REQUEST, "`explain`"),
    ({"text": "a", "deadline_ms": 0}, Code.BAD_REQUEST, "`deadline_ms`"),
    ({"text": "a", "policies": ["no/such"]}, Code.UNKNOWN_POLICY, "`no/such`"),
    ({"text": "a", "overlays": ["no_such"]}, Code.UNKNOWN_OVERLAY, "`no_such`"),
    ({"text": " \u200b "}, Code.CONTENT_EMPTY, "empty"),
    ({"text": "a" * 70_000}, Code.CONTENT_TOO_LARGE, "cap"),
    ({"media": {}}, Code.BAD_REQUEST, "`data`"),
    ({"media": {"data": "not base64!"}}, Code.BAD_REQUEST, "base64"),
    ({"media": {"url": "https://example.com/a.png"}}, Code.MEDIA_URL_REFUSED, "URL"),
    ({"media": {"data": base64.b64encode(b"PK\x03\x04zip").decode()}}, Code.CONTENT_UNSUPPORTED, "ZIP"),
    ({"media": {"data": PIXEL}}, Code.CONTENT_DAMAGED, ""),
]


@pytest.mark.parametrize(("request_", "code", "told"), WRONG)
def test_what_is_wrong_is_said(client: httpx.Client, request_: dict[str, Any], code: Code, told: str) -> None:
    error = refused(client.post("/v1/judge", json=request_), code)
    assert told in error["message"]


def test_content_that_cannot_be_judged_says_what_on_error_wants(client: httpx.Client) -> None:
    error = refused(client.post("/v1/judge", json={"text": " "}), Code.CONTENT_EMPTY)
    assert error["fail_mode"] == {"action": "review", "reason": "content_empty", "determined": True}


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"text": "\\ud800"}', b"\xff", b"[" * 100_000, b"nul"])
def test_what_is_no_json_object_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/v1/judge", content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["error"]["code"] in ("bad_json", "bad_request")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_other_bodies_are_refused(client: httpx.Client, kind: str) -> None:
    answer = client.post("/v1/judge", content=b'{"text": "a"}', headers={"Content-Type": kind})
    refused(answer, Code.UNSUPPORTED_BODY)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"no form at all"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nno file\r\n--x--',
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--"),
    ],
)
def test_damaged_forms_are_refused(client: httpx.Client, kind: str, body: bytes) -> None:
    answer = client.post("/v1/judge", content=body, headers={"Content-Type": kind})
    assert answer.status_code in (400, 422) and answer.json()["error"]["message"]


def test_an_engine_that_fails_is_no_decision_and_tells_no_secrets(client: httpx.Client) -> None:
    answer = client.post("/v1/judge", json={"text": FAILS_ON})
    error = refused(answer, Code.ENGINE_FAILED)
    assert error["fail_mode"]["action"] == "review" and answer.headers["Retry-After"] == "1"
    assert "internal" not in answer.text


def test_a_batch_has_a_result_or_an_error_for_each_item(client: httpx.Client) -> None:
    items = [{"id": "a", "text": FIRES_ON}, {"text": FAILS_ON}, {"text": " "}, {"text": "Water it."}]
    answer = client.post("/v1/judge/batch", json={"items": items, "explain": "never"})
    reply = BatchReply.model_validate_json(answer.content)
    assert [row.status for row in reply.results] == [200, 503, 422, 200]
    assert (reply.decided, reply.failed) == (2, 2)
    for row in reply.results:
        assert (row.result is None) == (row.status != 200) == (row.error is not None)
    first = reply.results[0].result
    assert first is not None and first.action == "remove" and reply.results[0].id == "a"


def test_a_batch_without_one_decision_is_an_error(client: httpx.Client) -> None:
    refused(client.post("/v1/judge/batch", json={"items": [{"text": FAILS_ON}] * 2}), Code.ENGINE_FAILED)


def test_a_batch_says_which_item_is_wrong(client: httpx.Client) -> None:
    items = [{"text": "a"}, {"media": {"url": "http://169.254.169.254/"}}]
    error = refused(client.post("/v1/judge/batch", json={"items": items}), Code.MEDIA_URL_REFUSED)
    assert error["message"].startswith("items[1]:")


def test_a_batch_that_is_too_long_is_refused(client: httpx.Client) -> None:
    refused(client.post("/v1/judge/batch", json={"items": [{"text": "a"}] * 65}), Code.BAD_REQUEST)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/judge", Code.METHOD_NOT_ALLOWED),
        ("GET", "/v1/nothing", Code.NOT_FOUND),
        ("POST", "/", Code.NOT_FOUND),
    ],
)
def test_unknown_paths_and_methods_are_errors_of_ours(
    client: httpx.Client, method: str, path: str, code: Code
) -> None:
    refused(client.request(method, path), code)


@given(st.text(max_size=300))
def test_any_text_gets_a_decision_or_a_typed_error(client: httpx.Client, text: str) -> None:
    body = json.dumps({"text": text})  # httpx itself would not send half a surrogate pair
    answer = client.post("/v1/judge", content=body, headers={"Content-Type": "application/json"})
    if answer.status_code == 200:
        assert JudgeReply.model_validate_json(answer.content).item["sha256"]
    else:
        assert answer.json()["error"]["code"] in ("content_empty", "engine_failed", "bad_json")
