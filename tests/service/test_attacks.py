"""What hostile clients send: bombs, floods, forged lines, URLs. Nothing of it is fetched or logged."""

from __future__ import annotations

import base64
import io
import json
import logging
import socket
import time
import zipfile
import zlib
from typing import Any

import httpx
import pytest
from serving import FIRES_ON, running, scripted, service_with

from llm_judge.service.exchange import JsonLines

SECRET = "xyzzy-secret-words"

HEAD = b"POST /v1/judge HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


def raw(url: str, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send bytes as they are, and return the answer."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
            if b"request_id" in answer:
                break
        return answer


def png_bomb() -> bytes:
    """A picture of 50,000 by 50,000 pixels in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = (50_000).to_bytes(4, "big")
    header = chunk(b"IHDR", side + side + bytes([8, 2, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def zip_bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", bytes(10_000_000))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("make", "code"), [(png_bomb, "content_too_large"), (zip_bomb, "content_unsupported")]
)
def test_a_bomb_is_refused_before_it_grows(client: httpx.Client, make: Any, code: str) -> None:
    media = {"data": base64.b64encode(make()).decode(), "name": "../../etc/passwd.png"}
    error = client.post("/v1/judge", json={"media": media}).json()["error"]
    assert error["code"] == code and error["fail_mode"]["action"] == "review"


def test_an_announced_body_over_the_cap_is_refused_unread(url: str) -> None:
    assert b"413" in raw(url, HEAD + b"Content-Length: 99999999999\r\n\r\n").split(b"\r\n")[0]


def test_a_chunked_body_over_the_cap_is_cut_off() -> None:
    service = service_with(scripted(), body_bytes=1000)
    with running(service) as url:
        head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        answer = raw(url, head, *[b"200\r\n" + b"x" * 512 + b"\r\n"] * 3)
        assert b"413" in answer.split(b"\r\n")[0] and b"body_too_large" in answer
        assert service.bodies.held == 0
    service.close()


def test_a_slow_body_is_cut_off() -> None:
    service = service_with(scripted(), body_seconds=0.2)
    with running(service) as url:
        assert b"body_too_slow" in raw(url, HEAD + b"Content-Length: 100\r\n\r\n{")
    service.close()


def test_bodies_together_are_bounded() -> None:
    service = service_with(scripted(), bodies_bytes=1000)
    with running(service) as url:
        answer = httpx.post(f"{url}/v1/judge", json={"text": "x" * 2000})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
        assert httpx.post(f"{url}/v1/judge", json={"text": "x" * 200}).status_code == 200
    service.close()


def test_a_packed_body_is_not_unpacked(client: httpx.Client) -> None:
    packed = zlib.compress(json.dumps({"text": "a" * 10_000_000}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "deflate"}
    assert client.post("/v1/judge", content=packed, headers=headers).status_code == 400


@pytest.mark.parametrize(
    "forged", ["a\tb", "x" * 65, "a b", "é".encode().decode("latin-1"), '"},{"level":"x']
)
def test_a_forged_request_id_is_not_taken_over(url: str, forged: str) -> None:
    head = f"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-ID: {forged}\r\n\r\n"
    answer = raw(url, head.encode("latin-1"))
    assert b"x-request-id" in answer and forged.encode("latin-1") not in answer


def test_names_and_ids_cannot_break_headers_or_logs(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    odd = f"{SECRET}\r\nSet-Cookie: a=b\x00\x1b[31m"
    bodies = (
        {"id": odd, "text": FIRES_ON + SECRET},
        {"media": {"data": base64.b64encode(SECRET.encode()).decode(), "name": odd[:200]}},
        {odd: SECRET},
        {"text": SECRET, "policies": [odd]},
        {"text": SECRET + " unplugged"},
    )
    with httpx.Client(base_url=url) as client:
        for body in bodies:
            answer = client.post(
                "/v1/judge", json=body, headers={"Idempotency-Key": SECRET + str(len(str(body)))}
            )
            assert "set-cookie" not in answer.headers
        client.get(f"/v1/policies/{SECRET}")
        client.get(f"/{SECRET}?{SECRET}", headers={"Authorization": f"Bearer {SECRET}", "User-Agent": SECRET})
    shown = ("llm_judge", "uvicorn.error")  # `uvicorn.access` is off in `llm-judge serve`: see test_server
    ours = [record for record in caplog.records if record.name.startswith(shown)]
    lines = [JsonLines().format(record) for record in ours]
    assert len(lines) >= len(bodies) + 2
    assert not any(SECRET in line or "\n" in line for line in lines)


def test_nothing_is_fetched(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.3)
        address = f"http://127.0.0.1:{trap.getsockname()[1]}/a.png"
        for path, body in (
            ("/v1/judge", {"media": {"url": address}}),
            ("/v1/judge/batch", {"items": [{"media": {"url": address}}]}),
            ("/v1/moderations", {"input": [{"type": "image_url", "image_url": {"url": address}}]}),
        ):
            answer = client.post(path, json=body)
            assert answer.json()["error"]["code"] == "media_url_refused"
        with pytest.raises(TimeoutError):
            trap.accept()


def test_other_origins_are_not_let_in(client: httpx.Client) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (client.options("/v1/judge", headers=headers), client.get("/livez", headers=headers)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_metrics_hold_no_words_of_clients(client: httpx.Client) -> None:
    client.get(f"/v1/{SECRET}")
    client.post("/v1/judge", json={"text": SECRET, "id": SECRET})
    client.request("SECRETMETHOD", "/livez")
    text = client.get("/metrics").text
    assert SECRET not in text and "SECRETMETHOD" not in text
    assert 'route="/v1/judge"' in text and "judge_verdicts_total" in text
