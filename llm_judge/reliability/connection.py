"""One connection to a server and one request after another on it: light, and able to behave badly.

Measuring a server from the same machine with a heavy client measures the client. HTTP/1.1 is h11's.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import h11

_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: of HTTP.
        headers: names in lower case.
        body: whole.
        sent, received: ``time.monotonic()`` before the request and after the last byte of the answer.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: float
    received: float

    @property
    def seconds(self) -> float:
        """From the request to the last byte of the answer."""
        return self.received - self.sent


@dataclass(slots=True)
class Connection:
    """Connects when it is first used, and again after it was lost; one request at a time.

    Args:
        host, port: where to.
    """

    host: str
    port: int
    _reader: asyncio.StreamReader | None = field(default=None, init=False)
    writer: asyncio.StreamWriter | None = field(default=None, init=False)
    _state: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT), init=False)

    async def post(
        self, path: str, data: Any, headers: Mapping[str, str] | None = None, seconds: float = 60
    ) -> Answer:
        """Send JSON and wait for the answer.

        Raises:
            OSError: there is no connection, or it ended before the whole answer was there.
            TimeoutError: no answer in so many seconds.
        """
        return await self.send(request("POST", path, json.dumps(data).encode(), headers), seconds)

    async def get(self, path: str, seconds: float = 60) -> Answer:
        """Ask for a path; raises as ``post`` does."""
        return await self.send(request("GET", path), seconds)

    async def send(self, wanted: tuple[h11.Request, bytes], seconds: float) -> Answer:
        """Send a request and wait for its answer; raises as ``post`` does."""
        sent = time.monotonic()
        whole = False
        try:
            async with asyncio.timeout(seconds):
                await self.begin(wanted)
                answer = await self._answer(sent)
            whole = True
            return answer
        except h11.ProtocolError as error:
            raise ConnectionError(f"no whole answer came: {error}") from None
        finally:
            if not whole or self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
                await self.close()
            else:
                self._state.start_next_cycle()

    async def begin(self, wanted: tuple[h11.Request, bytes]) -> None:
        """Send a request and do not wait."""
        if self.writer is None:
            self._reader, self.writer = await asyncio.open_connection(self.host, self.port)
            self._state = h11.Connection(h11.CLIENT)
        head, body = wanted
        events = [head, *([h11.Data(body)] if body else []), h11.EndOfMessage()]
        self.writer.write(b"".join(self._state.send(event) or b"" for event in events))
        await self.writer.drain()

    async def _answer(self, sent: float) -> Answer:
        assert self._reader is not None  # noqa: S101  # `begin` opened it
        status, headers, body = 0, {}, []
        while True:
            event = self._state.next_event()
            if event is h11.NEED_DATA:
                self._state.receive_data(await self._reader.read(_READ_BYTES))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                return Answer(status, headers, b"".join(body), sent, time.monotonic())
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                raise ConnectionError("the connection ended before the answer")

    async def close(self) -> None:
        """Close the connection, in the middle of a request too."""
        if self.writer is not None:
            writer, self.writer = self.writer, None
            writer.transport.abort()  # no farewell: that is what a client that dies does
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def request(
    method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[h11.Request, bytes]:
    """Return a request with a JSON body."""
    named = {"Host": "judge", "Content-Length": str(len(body)), **(headers or {})}
    if body:
        named["Content-Type"] = "application/json"
    return h11.Request(method=method, target=path, headers=list(named.items())), body
