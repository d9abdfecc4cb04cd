"""Clients that ask the endpoint about known contents, and remember every request and what came of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from llm_judge.reliability.connection import Answer, Connection
from llm_judge.reliability.known import Known, known
from llm_judge.reliability.service_process import HOST

_ANSWER_S = 60.0
_AFTER_ERROR_S = 0.05  # before the next request of a client that was told no
_AFTER_SILENCE_S = 0.2  # and of one that was told nothing


@dataclass(slots=True)
class Sent:
    """One request.

    Attributes:
        id: of its item; no other request has it, but for one that repeats this one.
        known: what it was about.
        began: ``time.monotonic()``.
        answer: None where no whole answer came.
        left: whether the client went away on purpose.
        again: whether it repeats another request, with the same ``Idempotency-Key``.
    """

    id: str
    known: Known
    began: float
    answer: Answer | None = None
    left: bool = False
    again: bool = False


@dataclass(slots=True)
class Traffic:
    """Use as an asynchronous context manager: clients ask one request after another until it is left.

    Args:
        port: of the service.
        name: begins the ids of its items.
        clients: how many ask at once.
        pause_s: of every client between two requests.
        deadline_ms: that requests name; None for the service's own.
        explain: as requests name it.
    """

    port: int
    name: str = "calm"
    clients: int = 8
    pause_s: float = 0.0
    deadline_ms: int | None = None
    explain: str = "auto"
    sent: list[Sent] = field(default_factory=list)
    _running: list[asyncio.Task[None]] = field(default_factory=list)
    _stopped: bool = False

    async def __aenter__(self) -> Traffic:
        self._running = [asyncio.create_task(self._client()) for _ in range(self.clients)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        await asyncio.gather(*self._running)

    async def _client(self) -> None:
        connection = Connection(HOST, self.port)
        while not self._stopped:
            sent = await self.ask(connection)
            await asyncio.sleep(max(self.pause_s, _pause_after(sent.answer)))
        await connection.close()

    def new(self) -> Sent:
        """Return the next request, noted but not sent yet."""
        number = len(self.sent)
        sent = Sent(f"{self.name}-{number:06d}", known(number), time.monotonic())
        self.sent.append(sent)
        return sent

    def body(self, sent: Sent) -> dict[str, Any]:
        """What a request says."""
        body = {"id": sent.id, "text": f"{sent.known.text} {sent.id}", "explain": self.explain}
        return body if self.deadline_ms is None else {**body, "deadline_ms": self.deadline_ms}

    async def ask(self, connection: Connection) -> Sent:
        """Send the next request and wait for what comes of it."""
        sent = self.new()
        await self.ask_about(sent, connection)
        return sent

    async def ask_about(self, sent: Sent, connection: Connection, key: str | None = None) -> None:
        """Send a request, with an ``Idempotency-Key`` where one is given, and note what comes of it."""
        headers = {} if key is None else {"Idempotency-Key": key}
        try:
            sent.answer = await connection.post("/v1/judge", self.body(sent), headers, _ANSWER_S)
        except OSError:  # among them TimeoutError and a connection that was lost
            sent.answer = None

    async def storm(self, rate: float, seconds: float) -> None:
        """Send so many requests a second, whether or not answers come; return when all of them came.

        The opposite of clients that wait their turn: what is turned away does not slow down what follows.
        """
        free: list[Connection] = []
        asking: set[asyncio.Task[None]] = set()
        began, count = time.monotonic(), 0
        while (now := time.monotonic()) - began < seconds:
            while count < (now - began) * rate:
                count += 1
                task = asyncio.create_task(self._ask_on_one_of(free))
                asking.add(task)
                task.add_done_callback(asking.discard)
            await asyncio.sleep(min(0.005, 1 / rate))
        await asyncio.gather(*asking)
        await asyncio.gather(*(connection.close() for connection in free))

    async def _ask_on_one_of(self, free: list[Connection]) -> None:
        connection = free.pop() if free else Connection(HOST, self.port)
        await self.ask(connection)
        free.append(connection)

    def decided(self) -> int:
        """How many requests got a 200 so far."""
        return sum(each.answer is not None and each.answer.status == 200 for each in self.sent)

    async def until_decided(self, more: int, seconds: float = 60) -> float | None:
        """Wait until so many more requests, all begun from now on, got a 200.

        Returns:
            Seconds from now until then; None where it took too long.
        """
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            fresh = [each for each in self.sent if each.began >= began and each.answer is not None]
            good = sorted(each.answer.received for each in fresh if each.answer and each.answer.status == 200)
            if len(good) >= more:
                return good[more - 1] - began
            await asyncio.sleep(0.02)
        return None


def _pause_after(answer: Answer | None) -> float:
    if answer is None:
        return _AFTER_SILENCE_S
    return 0.0 if answer.status == 200 else _AFTER_ERROR_S
