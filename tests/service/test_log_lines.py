"""A whole session of hostile requests at every route of a real process: its log tells nothing of them."""

from __future__ import annotations

import base64
import itertools
import json
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import FIRES, address_in, start

from llm_judge.service.keys import Scope, create_key

MARK = "xyzzy7secret"
# Each is a way to break out of a line, a header or a path; the mark tells it apart in the log.
HOSTILE = (
    MARK,
    f'{MARK}"}}\n{{"level":"info","event":"request","code":"ok"}}',
    f"{MARK}\r\nSet-Cookie: a=b",
    f"{MARK}\x1b[2J\x00\x7f\u2028\u202e",
    f"../../../{MARK}/etc/passwd",
    f"%2e%2e%2f{MARK}%0d%0aX: y",
    f"${{jndi:ldap://{MARK}}}{{{{7*7}}}}%s%n",
    f"{MARK}\ud800",
)
FIELDS = {
    "time", "level", "event", "request_id", "method", "route", "status", "code", "ms", "key", "trace_id",
    "error", "said", "at",
}  # fmt: skip


@pytest.fixture
def session(tmp_path: Path) -> Iterator[tuple[httpx.Client, Path, str, Any]]:
    """A process with keys, a store, traces and fetching; its address, its log, a key and the process."""
    _, secret = create_key(tmp_path / "keys.json", "caller", tuple(Scope), None)
    words = ["--keys", "keys.json", "--store", "records.sqlite3", "--store-content", "--fetch-media"]
    process, log = start(tmp_path, *words, "--otlp-endpoint", "http://127.0.0.1:9", "--log-level", "debug")
    try:
        with httpx.Client(base_url=address_in(log, process), timeout=30) as client:
            yield client, log, secret, process
    finally:
        process.kill()
        process.wait()


def body(word: str, kind: int) -> dict[str, Any]:
    """A request's body that has the word wherever there is room."""
    packed = base64.b64encode(word.encode("utf-8", "replace")).decode()
    shapes: tuple[dict[str, Any], ...] = (
        {"content": json.dumps({"text": FIRES + word, "id": word[:60]}).encode()},
        {"content": json.dumps({"media": {"data": packed, "name": word}}).encode()},
        {"content": json.dumps({"media": {"url": f"https://{word}.invalid/{word}"}}).encode()},
        {"content": json.dumps({word: word, "text": word}).encode()},
        {"content": json.dumps({"items": [{"text": word}, {"id": word}]}).encode()},
        {"content": json.dumps({"input": [{"type": "text", "text": word}], "model": word[:200]}).encode()},
        {"content": json.dumps({"text": word, "policies": [word], "overlays": [word]}).encode()},
        {"content": json.dumps({"rule": word, "verdict": word, "reviewer": word}).encode()},
        {"content": word.encode("utf-8", "replace")},
        {"files": {"file": (f"{MARK}.png", word.encode("utf-8", "replace"))}, "data": {"options": word[:10]}},
    )
    shape = shapes[kind]
    return shape if "files" in shape else {**shape, "headers": {"content-type": "application/json"}}


def test_the_log_of_a_hostile_session_holds_none_of_it(
    session: tuple[httpx.Client, Path, str, Any], tmp_path: Path
) -> None:
    client, log, secret, process = session
    routes = [
        (method.upper(), path)
        for path, ways in client.get("/openapi.json").json()["paths"].items()
        for method in ways
    ]
    assert len(routes) >= 11
    good = {"authorization": f"Bearer {secret}"}
    statuses = set()
    for (method, path), word in itertools.product(routes, HOSTILE):
        safe = "".join(c if c.isprintable() and c.isascii() else "%0A" for c in word)
        where = path.replace("{decision_id}", safe).replace("{id}", safe).replace("{policy_id}", safe)
        for kind in range(10) if method == "POST" and "{" not in path else (0, 7):
            sent = body(word, kind) if method == "POST" else {}
            headers = {
                **sent.pop("headers", {}),
                **good,
                "X-Request-ID": f"{safe} not an id",
                "User-Agent": safe,
                "Idempotency-Key": f"{safe}{kind}"[:200],
                "traceparent": safe,
                "X-Forwarded-For": safe,
            }
            answer = client.request(method, f"{where}?q={safe}", headers=headers, **sent)
            assert answer.status_code < 500 and "set-cookie" not in answer.headers, (method, path, word)
            statuses.add(answer.status_code)
    for wrong in (f"Bearer {secret}x", f"Bearer {MARK}", f"Basic {MARK}", MARK):
        assert (
            client.post("/v1/judge", json={"text": MARK}, headers={"authorization": wrong}).status_code == 401
        )
    client.request(MARK.upper(), f"/{MARK}")
    kept = client.post("/v1/judge", json={"text": FIRES + MARK}, headers=good).json()["decision_id"]
    assert client.get(f"/v1/decisions/{kept}", headers=good).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert {200, 404, 422} <= statuses
    _check(log, secret)
    assert MARK in str(
        sqlite3.connect(tmp_path / "records.sqlite3").execute("SELECT data FROM contents").fetchall()
    )


def _check(log: Path, secret: str) -> None:
    """Every line is one of ours, whole, in known fields, and has nothing of what was sent."""
    text = log.read_text("utf-8")
    said = [line for line in text.splitlines() if not line.startswith("{")]
    assert [line.split()[0] for line in said] == ["every", "answering", "curl"], said
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert len(lines) > 300
    for line in lines:
        assert set(line) <= FIELDS, line
    for word in (
        MARK,
        MARK.upper(),
        secret,
        secret[:12],
        "jndi",
        "etc/passwd",
        "Set-Cookie",
        "Traceback",
        FIRES,
    ):
        assert word not in text.replace('"text": "Pay a small fee to claim your prize."', ""), word
    assert text.isascii() or not any(ord(c) < 32 and c != "\n" for c in text)
