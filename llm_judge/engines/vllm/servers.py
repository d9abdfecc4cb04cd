"""Requests to one of several servers: bounded, retried, cancelled when late, and never to a broken one.

The least loaded server answers; what belongs to one content stays together, so that its prefix is computed
once. Messages hold no content and no key: of a server's own words only its error type is repeated, since the
rest may quote the prompt. Knows nothing about what is asked.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm_judge.content.normalise import clean
from llm_judge.engines.vllm.breaker import CircuitBreaker
from llm_judge.errors import EngineError, EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    import httpx

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0
_CONNECT_S = 5.0
_PROBE_LOOK_S = 0.02
_MOST_BYTES = 16 * 1024 * 1024
_TRIES_AFTER_500 = 2  # a grammar that fails once may pass; a second time it is the request
_BUSY = frozenset({429, 503})
_BROKEN = frozenset({500, 502, 504})
_TELLING = re.compile(r"[A-Za-z0-9_.-]{1,60}")
API_KEY = "LLM_JUDGE_VLLM_API_KEY"


class _TryAgain(Exception):
    """This attempt failed and another may not.

    Attributes:
        told: what happened, for the message.
        after_s: seconds that the server asked for.
        broken: whether the server answered that it is broken, which is tried again once only.
    """

    def __init__(self, told: str, after_s: float = 0.0, broken: bool = False) -> None:
        super().__init__(told)
        self.told, self.after_s, self.broken = told, after_s, broken


class _HungUp(_TryAgain):
    """The connection broke; all that share a server's connections may break at once."""


@dataclass(eq=False)
class Server:
    """One server.

    Attributes:
        url: base address.
        client: with its connections.
        slots: requests in flight at most.
        load: requests that wait for a slot or are in flight.
        last_error: what happened last that was wrong, for the message when none answers.
    """

    url: str
    client: httpx.AsyncClient
    slots: asyncio.Semaphore
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    load: int = 0
    last_error: str = "not asked yet"


class _Patience:
    """How long one request goes on trying; the time begins when it is first sent.

    Attributes:
        failed_at: where the last attempt failed; another server is rather asked next.
    """

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._until: float | None = None
        self._attempts = self._broken = 0
        self.failed_at: Server | None = None

    def left(self) -> float:
        """Seconds for the next attempt."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._deadline_s
        return max(0.0, self._until - now)

    def after(self, server: Server, failure: _TryAgain) -> float:
        """Return the seconds to wait after a failed attempt.

        Raises:
            EngineUnavailable: they would pass the deadline.
            EngineError: it answered that it is broken, for the second time.
        """
        self.failed_at = server
        self._broken += failure.broken
        if self._broken >= _TRIES_AFTER_500:
            told = f"{server.url} {failure.told}, and again when asked once more"
            raise EngineError(told, "look at its log")
        longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**self._attempts)
        wait = max(failure.after_s, random.uniform(0, longest))  # noqa: S311
        self._attempts += 1
        if wait >= self.left():
            raise EngineUnavailable(
                f"{server.url} {failure.told}, and the {self._deadline_s:g} s for one question are over",
                "add servers, or allow more with `?deadline=`",
            )
        return wait


class Servers:
    """All servers of one engine; used on one event loop.

    Args:
        urls: base addresses.
        api_key: sent as a bearer token, or None.
        concurrency: requests in flight at each.
        deadline_s: for one request, attempts and waits together.

    Attributes:
        retries: attempts after the first one, so far.
    """

    def __init__(self, urls: Sequence[str], api_key: str | None, concurrency: int, deadline_s: float) -> None:
        import httpx

        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._deadline_s = deadline_s
        self.retries = 0
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        # Only the deadline bounds an answer: prefill of a long prompt sends nothing for a while.
        timeout = httpx.Timeout(None, connect=_CONNECT_S)
        self.all = [
            Server(
                url,
                # Content goes to these servers and nowhere else: no proxy of the environment, no redirect.
                httpx.AsyncClient(
                    base_url=url, headers=headers, limits=limits, timeout=timeout, trust_env=False
                ),
                asyncio.Semaphore(concurrency),
            )
            for url in urls
        ]

    def deal(self, sizes: Sequence[int]) -> list[Server]:
        """Return a server for each of several contents with so many questions each, evenly loaded.

        Raises:
            EngineUnavailable: every circuit breaker is open.
        """
        if not any(sizes):
            return [self.all[0]] * len(sizes)
        load = {server: server.load for server in self._ready()}
        dealt = []
        for size in sizes:
            server = min(load, key=lambda one: load[one])
            load[server] += size
            dealt.append(server)
        return dealt

    async def post(self, path: str, body: Mapping[str, Any], server: Server | None = None) -> tuple[Any, str]:
        """Send a request until it is answered.

        Args:
            path: such as ``/v1/completions``.
            body: the request as JSON data.
            server: the one to prefer.

        Returns:
            The answer as JSON data, and the address of the server that gave it.

        Raises:
            EngineUnavailable: no server answered, or all were busy until the deadline.
            EngineError: the answer was no answer, late, or a refusal.
        """
        content = json.dumps(body, separators=(",", ":")).encode()
        patience = _Patience(self._deadline_s)
        while True:
            if server is None or not server.breaker.available:
                server = min(self._ready(), key=lambda one: (one is patience.failed_at, one.load))
            # Where its one probe is in flight, what that finds decides for us too.
            wait = _PROBE_LOOK_S
            async with _turn(server):
                if server.breaker.claim():
                    try:
                        return await self._attempt(server, path, content, patience.left()), server.url
                    except _TryAgain as failure:
                        server.last_error = failure.told
                        wait = patience.after(server, failure)
                        self.retries += 1
            await asyncio.sleep(wait)
            server = None

    def _ready(self) -> list[Server]:
        """Servers that may be asked; where there are none, those that are being probed."""
        ready = [server for server in self.all if server.breaker.available]
        ready = ready or [server for server in self.all if server.breaker.probing]
        if not ready:
            told = "; ".join(f"{server.url} {server.last_error}" for server in self.all)
            raise EngineUnavailable(f"no vLLM server answers: {told}", "start it, or wait until it is back")
        return ready

    async def ask(
        self, server: Server, path: str, seconds: float, body: Mapping[str, Any] | None = None
    ) -> Any:
        """Ask one server once, before there is any content: its own words are repeated.

        Raises:
            EngineUnavailable: it cannot be reached, is late, or is not up yet.
            EngineError: it refuses, or answers no JSON.
        """
        content = b"" if body is None else json.dumps(body).encode()
        method = "GET" if body is None else "POST"
        try:
            async with asyncio.timeout(seconds):
                status, _, data = await self._exchange(server, method, path, content)
        except TimeoutError:
            raise EngineUnavailable(f"{server.url} did not answer {path} within {seconds:g} s") from None
        except _TryAgain as failure:
            raise EngineUnavailable(f"{server.url} {failure.told}", "start it, or mend the address") from None
        if status in _BUSY or status in _BROKEN - {500}:
            raise EngineUnavailable(f"{server.url} answered {status} to {path}", "wait until it is up")
        if status != 200:
            raise _refusal(server, status, data, told=True)
        return _parsed(server, data)

    async def close(self) -> None:
        """Close every connection."""
        for server in self.all:
            await server.client.aclose()

    async def _attempt(self, server: Server, path: str, content: bytes, seconds: float) -> Any:
        """Send once; the breaker hears how it went."""
        breaker, began = server.breaker, time.monotonic()
        try:
            # Leaving the block closes the connection, and vLLM stops computing what nobody reads.
            async with asyncio.timeout(seconds):
                status, headers, data = await self._exchange(server, "POST", path, content)
            if status in _BROKEN:
                raise _TryAgain(f"answered {status}{_type_of(data)}", broken=status == 500)
            answer = _parsed(server, data) if status == 200 else None
        except TimeoutError:
            breaker.failed()
            server.last_error = f"did not answer within {self._deadline_s:g} s"
            hint = "look at its log and its load, or allow more with `?deadline=`"
            raise EngineUnavailable(f"{server.url} {server.last_error}", hint) from None
        except (_TryAgain, EngineError) as failure:
            breaker.failed(began if isinstance(failure, _HungUp) else None)
            raise
        except BaseException:
            breaker.abandoned()
            raise
        breaker.succeeded()
        if status in _BUSY:
            raise _TryAgain(f"is busy ({status})", after_s=_seconds(headers.get("retry-after")))
        if status != 200:
            raise _refusal(server, status, data)
        return answer

    async def _exchange(
        self, server: Server, method: str, path: str, content: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send and read one answer whole, unless it is longer than any right one."""
        import httpx

        headers = {"Content-Type": "application/json"} if content else {}
        try:
            async with server.client.stream(method, path, content=content, headers=headers) as answer:
                data = bytearray()
                async for piece in answer.aiter_bytes():
                    data += piece
                    if len(data) > _MOST_BYTES:
                        raise EngineError(f"{server.url} answered more than {_MOST_BYTES >> 20} MiB")
                return answer.status_code, answer.headers, bytes(data)
        except httpx.ConnectTimeout:
            raise _TryAgain(f"could not be reached within {_CONNECT_S:g} s") from None
        except httpx.ConnectError as error:
            raise _TryAgain(f"cannot be reached: {_reason(error)}") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _HungUp(f"hung up before its answer was whole ({type(error).__name__})") from None


@asynccontextmanager
async def _turn(server: Server) -> AsyncIterator[None]:
    server.load += 1
    try:
        async with server.slots:
            yield
    finally:
        server.load -= 1


def _parsed(server: Server, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise EngineError(
            f"{server.url} answered {len(data)} bytes that are no JSON", "point the engine at a vLLM server"
        ) from None


def _refusal(server: Server, status: int, data: bytes, told: bool = False) -> EngineError:
    why = _words_of(data) if told else _type_of(data)
    if status in (401, 403):
        return EngineError(
            f"{server.url} refuses the API key ({status})", f"set {API_KEY} to the server's key"
        )
    if status == 404:
        return EngineError(f"{server.url} has no such model or route ({status}{why})", "see its /v1/models")
    return EngineError(f"{server.url} refused the request ({status}{why})", "its log says why")


def _type_of(data: bytes) -> str:
    """The type and parameter of an error in vLLM's form; its message may quote the prompt."""
    try:
        error = json.loads(data)["error"]
        words = [error.get("type"), error.get("param")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ""
    told = [word for word in words if isinstance(word, str) and _TELLING.fullmatch(word)]
    return f" {' '.join(told)}" if told else ""


def _words_of(data: bytes) -> str:
    """The first line of an error's message, fit to be printed."""
    try:
        message = str(json.loads(data)["error"]["message"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return f" {clean(message)[0][:200]}"


def _seconds(text: str | None) -> float:
    """The seconds of a ``Retry-After``; dates, which vLLM does not write, count as nothing said."""
    return min(60.0, float(text)) if text and re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text) else 0.0


def _reason(error: Exception) -> str:
    """What the system says of a connection that failed, without Python's numbers."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)).lower().splitlines()[0] if str(error) else "no reason"
