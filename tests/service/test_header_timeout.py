"""Connections that never say what they want are closed, and what is no HTTP is told so in JSON."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from serving import running, scripted, service_with

from llm_judge.service.header_timeout import PatientProtocol


class Hasty(PatientProtocol):
    headers_s = 0.3


@pytest.fixture(scope="module")
def hasty() -> Iterator[str]:
    service = service_with(scripted())
    with running(service, http=Hasty) as url:
        yield url
    service.close()


def said_to(url: str, *pieces: bytes) -> tuple[int, Any]:
    """Send pieces and read until the service closes; its status and its body."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        for piece in pieces:
            client.sendall(piece)
        text = b"".join(iter(lambda: client.recv(4096), b"")).decode()
    head, _, body = text.partition("\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


@pytest.mark.parametrize("begun", [(), (b"POST /v1/judge HTTP/1.1\r\nHost: ju",)])
def test_headers_that_do_not_end_are_not_waited_for(hasty: str, begun: tuple[bytes, ...]) -> None:
    status, error = said_to(hasty, *begun)
    assert status == 408 and error["code"] == "body_too_slow" and "0.3 s" in error["message"]


def test_what_is_no_http_is_told_in_json(hasty: str) -> None:
    status, error = said_to(hasty, b"secret words\r\n\r\n")
    assert status == 400 and error["code"] == "bad_http" and "secret" not in str(error)


def test_others_are_not_hurried(hasty: str) -> None:
    with httpx.Client(base_url=hasty) as client:
        for _ in range(3):
            assert client.post("/v1/judge", json={"text": "A walk."}).status_code == 200


def test_the_second_request_of_a_connection_is_held_to_it_too(hasty: str) -> None:
    host, port = hasty.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: judge\r\n\r\n")
        assert b" 200 " in client.recv(4096)
        client.sendall(b"GET /livez HT")
        assert b" 408 " in b"".join(iter(lambda: client.recv(4096), b""))
