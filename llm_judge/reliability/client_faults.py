"""Clients that leave, dawdle, repeat themselves or are too many, and a clock that jumps."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import h11

from llm_judge.reliability.connection import Connection, request
from llm_judge.reliability.scene import Fault, Scene
from llm_judge.reliability.service_process import HOST
from llm_judge.reliability.shifted_clock import OFFSET_FILE
from llm_judge.reliability.traffic import Sent, Traffic

_LEAVERS, _DAWDLERS, _REPEATERS = 8, 100, 4
_DAY_S = 86_400


@asynccontextmanager
async def client_gone(scene: Scene) -> AsyncIterator[None]:
    """Clients that close the connection: half way through the body, while they wait, as the answer comes."""
    leavers = scene.clients("gone")
    ends = time.monotonic() + scene.hold_s
    leaving = [asyncio.create_task(_leave_until(leavers, ends)) for _ in range(_LEAVERS)]
    try:
        yield
    finally:
        await asyncio.gather(*leaving)


async def _leave_until(traffic: Traffic, ends: float) -> None:
    while time.monotonic() < ends:
        sent = traffic.new()
        sent.left = True
        connection = Connection(HOST, traffic.port)
        head, body = request("POST", "/v1/judge", json.dumps(traffic.body(sent)).encode())
        if random.random() < 1 / 3:  # noqa: S311  # no secret
            await _send_half(connection, head, body)
        else:
            await connection.begin((head, body))
            await asyncio.sleep(random.uniform(0, 0.1))  # noqa: S311  # from before its turn to after its answer
        await connection.close()


async def _send_half(connection: Connection, head: h11.Request, body: bytes) -> None:
    """Send the headers and half of the body."""
    _, writer = await asyncio.open_connection(connection.host, connection.port)
    connection.writer = writer
    state = h11.Connection(h11.CLIENT)
    writer.write((state.send(head) or b"") + body[: len(body) // 2])
    await writer.drain()


@asynccontextmanager
async def slow_client(scene: Scene) -> AsyncIterator[None]:
    """Connections that send a byte now and then: half of them never end their headers, half their body."""
    before = _seconds_of(scene.traffic.sent)
    began = time.monotonic()
    dawdling = [
        asyncio.create_task(_dawdle(scene.service.port, number % 2 == 0)) for number in range(_DAWDLERS)
    ]
    try:
        yield
    finally:
        closed = [task.result() for task in dawdling if task.done()]
        for task in dawdling:
            task.cancel()
        await asyncio.gather(*dawdling, return_exceptions=True)
        during = _seconds_of([sent for sent in scene.traffic.sent if sent.began >= began])
        scene.notes["slow connections"] = len(dawdling)
        scene.notes["ended by the service meanwhile"] = len(closed)
        scene.notes["of these with a 408"] = sum(b" 408 " in words for words in closed)
        scene.notes["p50 of others before, ms"] = _ms(before)
        scene.notes["p50 of others meanwhile, ms"] = _ms(during)


async def _dawdle(port: int, headers: bool) -> bytes:
    """Send a byte every half second; returns what the service said when it had enough."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        begun = b"POST /v1/judge HTTP/1.1\r\nHost: judge\r\n"
        if not headers:
            begun += b'Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"text": "'
        writer.write(begun)
        reading = asyncio.create_task(reader.read(4096))
        while not reading.done():
            writer.write(b"x")
            await asyncio.wait({reading}, timeout=0.5)
        return reading.result()
    except OSError:
        return b""
    finally:
        writer.transport.abort()


def _seconds_of(sent: list[Sent]) -> list[float]:
    return [each.answer.seconds for each in sent if each.answer is not None and each.answer.status == 200]


def _ms(seconds: list[float]) -> float | None:
    return round(statistics.median(seconds) * 1000, 1) if seconds else None


@asynccontextmanager
async def duplicate_delivery(scene: Scene) -> AsyncIterator[None]:
    """A queue that delivers twice: each request twice at once and once more later, with one key each."""
    traffic = scene.clients("twice")
    ends = time.monotonic() + scene.hold_s
    deliveries = [asyncio.create_task(_deliver_until(traffic, ends)) for _ in range(_REPEATERS)]
    try:
        yield
    finally:
        same = [one for task in deliveries for one in await task]
        scene.notes["requests sent three times"] = len(same)
        scene.notes["with the same bytes each time they were answered"] = sum(same)


async def _deliver_until(traffic: Traffic, ends: float) -> list[bool]:
    """Returns, for each request, whether all of its decisions were the same bytes."""
    connections = [Connection(HOST, traffic.port) for _ in range(3)]
    same = []
    while time.monotonic() < ends:
        first = traffic.new()
        more = [Sent(first.id, first.known, time.monotonic(), again=True) for _ in range(2)]
        traffic.sent += more
        three = list(zip([first, *more], connections, strict=True))
        await asyncio.gather(*(traffic.ask_about(sent, at, first.id) for sent, at in three[:2]))
        await traffic.ask_about(*three[2], key=first.id)
        bodies = {each.answer.body for each, _ in three if each.answer and each.answer.status == 200}
        same.append(len(bodies) == 1)
    for connection in connections:
        await connection.close()
    return same


@asynccontextmanager
async def clock_jump(scene: Scene) -> AsyncIterator[None]:
    """The wall clock goes a day forward, then two back, then right again."""
    offset = scene.folder / OFFSET_FILE
    offset.write_text(str(_DAY_S), "utf-8")
    await scene.traffic.until_decided(10)
    forward = _hours_ahead(scene)
    offset.write_text(str(-_DAY_S), "utf-8")
    await scene.traffic.until_decided(10)
    scene.notes["hours that decisions were ahead"] = [forward, _hours_ahead(scene)]
    try:
        yield
    finally:
        offset.write_text("0", "utf-8")


def _hours_ahead(scene: Scene) -> int | None:
    """How far the newest decision's time is from ours."""
    for sent in reversed(scene.traffic.sent):
        if sent.answer is not None and sent.answer.status == 200:
            made = datetime.fromisoformat(json.loads(sent.answer.body)["created_at"])
            return round((made - datetime.now(made.tzinfo)).total_seconds() / 3600)
    return None


@asynccontextmanager
async def overload(scene: Scene) -> AsyncIterator[None]:
    """Ten times as many requests a second as the engine can answer."""
    answered_before, began = scene.traffic.decided(), time.monotonic()
    await asyncio.sleep(2)
    rate = 10 * (scene.traffic.decided() - answered_before) / (time.monotonic() - began)
    storm = scene.clients("storm", deadline_ms=2000)
    storming = asyncio.create_task(storm.storm(rate, scene.hold_s))
    try:
        yield
    finally:
        await storming
        accepted = sorted(_seconds_of(storm.sent))
        scene.notes["requests a second"] = round(len(storm.sent) / scene.hold_s)
        scene.notes["deadline of requests, ms"] = 2000
        scene.notes["p50 and longest of those decided, ms"] = (
            [_ms(accepted), round(accepted[-1] * 1000, 1)] if accepted else None
        )
        turned_away = [each.answer for each in storm.sent if each.answer and each.answer.status == 503]
        scene.notes["turned away with 503"] = len(turned_away)
        scene.notes["of these with Retry-After"] = sum("retry-after" in each.headers for each in turned_away)


CLIENT_FAULTS = (
    Fault("client-gone", "clients close the connection before their answer is out", client_gone),
    Fault(
        "slow-client",
        f"{_DAWDLERS} connections send a byte every half second and never end",
        slow_client,
        hold_s=35.0,
    ),
    Fault(
        "duplicate-delivery",
        "requests are delivered three times, two of them at once, with an `Idempotency-Key`",
        duplicate_delivery,
    ),
    Fault(
        "clock-jump",
        "what Python reads as the time goes a day forward, two back and right again",
        clock_jump,
        module="llm_judge.reliability.shifted_clock",
    ),
    Fault(
        "overload",
        "ten times as many requests come as the engine can answer",
        overload,
        hold_s=10.0,
        delay_ms=200.0,
        clients=4,
        words=("--engine-items", "4"),
    ),
)
