"""Media behind a URL that a client sent → their bytes, from public addresses only.

A host is looked up once, every address of it must be public, and the connection goes to one of these
addresses while TLS and the ``Host`` header keep the name: there is no second look-up that could say something
else. No redirect is followed, nothing is unpacked, no proxy is used, and bytes and seconds are capped.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpcore

from llm_judge import __version__
from llm_judge.content.limits import megabytes
from llm_judge.service.body import Bodies
from llm_judge.service.media_url import MediaUrl
from llm_judge.service.metrics import Metrics
from llm_judge.service.problems import Code, Problem
from llm_judge.service.public_address import is_public
from llm_judge.service.settings import ServiceSettings

HTTPS = 443
Resolve = Callable[[str], Sequence[str]]
_AT_ONCE = 16
_MOST_ADDRESSES = 16
_RESOLVERS = 4
_OK = 200
_HEADERS = [
    (b"Accept", b"image/*, audio/*, video/*"),
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", f"llm-judge/{__version__}".encode()),
    (b"Connection", b"close"),
]


class _Unreachable(Exception):
    """The host has no address, or one that is not public: a client is not told which."""


class _PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to public addresses only.

    Args:
        resolve: host name → addresses; blocks.
        network: connects.
    """

    def __init__(self, resolve: Resolve, network: httpcore.AsyncNetworkBackend) -> None:
        self._resolve = resolve
        self._network = network
        # Threads of its own: a name server that hangs must not use up those that others wait for.
        self._threads = ThreadPoolExecutor(_RESOLVERS, "resolver")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Look the host up, and connect to the first of its addresses that answers."""
        addresses = await asyncio.get_running_loop().run_in_executor(self._threads, self._looked_up, host)
        if not addresses or not all(map(is_public, addresses)):
            raise _Unreachable
        failed: Exception = _Unreachable()
        for address in addresses[:_MOST_ADDRESSES]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    def _looked_up(self, host: str) -> list[str]:
        try:
            return list(self._resolve(host))
        except (OSError, UnicodeError):
            return []

    def close(self) -> None:
        """End the threads, without waiting for a name server."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class MediaFetcher:
    """Fetches for one service.

    Args:
        settings: caps on bytes and seconds.
        bodies: keeps the sum of what is in memory.
        metrics: counts what came of each.
        resolve, network, tls: the machine's own where left out.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        bodies: Bodies,
        metrics: Metrics,
        resolve: Resolve | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._bodies = bodies
        self._metrics = metrics
        self._network = _PublicNetwork(resolve or addresses_of, network or httpcore.AnyIOBackend())
        self._tls = tls or ssl.create_default_context()
        self._room = asyncio.Semaphore(_AT_ONCE)

    def close(self) -> None:
        """Fetch nothing more."""
        self._network.close()

    @asynccontextmanager
    async def fetched(self, url: MediaUrl) -> AsyncIterator[bytes]:
        """Give the bytes behind a URL; their memory counts until the block is left.

        Raises:
            Problem: ``media_not_fetched``, or ``content_too_large``, or ``overloaded``.
        """
        kept = _Kept(self._bodies, self._settings.body_bytes)
        try:
            with self._counted():
                await self._read(url, kept)
            yield kept.joined()
        finally:
            kept.drop()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        outcome = "gone"
        try:
            yield
            outcome = "ok"
        except Problem as problem:
            outcome = problem.code.word
            raise
        finally:
            self._metrics.fetched(outcome)

    async def _read(self, url: MediaUrl, kept: _Kept) -> None:
        seconds = self._settings.fetch_seconds
        try:
            async with asyncio.timeout(seconds), self._room:
                await self._exchange(url, kept)
        except TimeoutError:
            raise _not_fetched(f"it took over {seconds:g} s") from None
        except _Unreachable:
            raise _not_fetched("its host has no public address") from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError):
            raise _not_fetched("the connection failed, or the answer was not whole") from None

    async def _exchange(self, url: MediaUrl, kept: _Kept) -> None:
        origin = httpcore.Origin(b"https", url.host.encode(), HTTPS)
        whole = httpcore.URL(scheme=b"https", host=url.host, port=None, target=url.target)
        connection = httpcore.AsyncHTTPConnection(
            origin, ssl_context=self._tls, network_backend=self._network, keepalive_expiry=0
        )
        headers = [(b"Host", url.host.encode()), *_HEADERS]
        async with connection, connection.stream("GET", whole, headers=headers) as response:
            if response.status != _OK:
                raise _not_fetched(f"the answer had status {response.status}")
            told = {name.lower(): value for name, value in response.headers}
            if told.get(b"content-encoding", b"identity").lower() != b"identity":
                raise _not_fetched("the answer is packed")
            if (announced := told.get(b"content-length", b"")).isdigit():
                kept.expect(int(announced[:18]))
            async for chunk in response.aiter_stream():
                kept.take(chunk)


class _Kept:
    """Bytes as they come in, counted."""

    def __init__(self, bodies: Bodies, most: int) -> None:
        self._bodies = bodies
        self._most = most
        self._chunks: list[bytes] = []
        self._size = 0

    def expect(self, size: int) -> None:
        """Raise ``Problem`` where so many are too many."""
        if size > self._most:
            told = f"the media behind the URL are over {megabytes(self._most)}"
            raise Problem(Code.CONTENT_TOO_LARGE, told, "send less")

    def take(self, chunk: bytes) -> None:
        """Keep a chunk; raises ``Problem`` where it is too much."""
        self.expect(self._size + len(chunk))
        self._bodies.hold(len(chunk))
        self._size += len(chunk)
        self._chunks.append(chunk)

    def joined(self) -> bytes:
        """All of it."""
        return b"".join(self._chunks)

    def drop(self) -> None:
        """Give the memory back."""
        self._bodies.give_back(self._size)


def addresses_of(host: str) -> list[str]:
    """Return the addresses of a host, as the machine's resolver gives them; raises ``OSError``."""
    found = socket.getaddrinfo(host, HTTPS, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _not_fetched(why: str) -> Problem:
    told = f"the media behind the URL could not be fetched: {why}"
    return Problem(Code.MEDIA_NOT_FETCHED, told, "look at the URL, or send the file itself in base64")
