"""HTTP/1.1 as uvicorn reads it with h11, less patient and with typed errors from the first byte on.

uvicorn waits for the headers of a request for as long as the client likes, so that a thousand idle sockets
keep everybody else out; and it answers what is no HTTP in plain text. Knows nothing about routes.
"""

from __future__ import annotations

import asyncio
import secrets
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from llm_judge.service.exchange import REQUEST_ID, json_bytes
from llm_judge.service.problems import Code, Problem

HEADERS_S = 30.0


class PatientProtocol(H11Protocol):
    """Closes a connection whose next request does not begin, or whose headers do not end, in time."""

    headers_s = HEADERS_S
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of the headers, or no more: a body has its own time."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait()
        else:
            self._forget()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # may hold the client's words
        """Answer what is no HTTP, in words of ours."""
        self._forget()
        self._close_with(Problem(Code.BAD_HTTP, Code.BAD_HTTP.meaning, "send HTTP/1.1"))

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(self.headers_s, self._too_slow)

    def _forget(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _too_slow(self) -> None:
        self._waiting = None
        told = f"the headers took over {self.headers_s:g} s"
        self._close_with(Problem(Code.BODY_TOO_SLOW, told, "send them faster"))

    def _close_with(self, problem: Problem) -> None:
        """Say why, where an answer can still be begun, and close."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            request_id = secrets.token_hex(12)
            body = json_bytes({"error": problem.as_json(request_id)})
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
                (REQUEST_ID.lower(), request_id),
            ]
            status = problem.code.status
            head = h11.Response(
                status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode()
            )
            events = (head, h11.Data(data=body), h11.EndOfMessage())
            self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        self.transport.close()
