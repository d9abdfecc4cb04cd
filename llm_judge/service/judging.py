"""One item from its bytes to its record: opened, queued, judged, kept, or a problem that says why not.

Every wait ends at the request's deadline. Knows nothing about HTTP.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from llm_judge.content.content import Content
from llm_judge.content.limits import Limits
from llm_judge.content.open import from_bytes
from llm_judge.content.text import from_text
from llm_judge.errors import JudgeError, StoreUnavailable
from llm_judge.record import DecisionRecord
from llm_judge.service.admission import Admission
from llm_judge.service.engine_queue import Ticket, log_error, log_fault
from llm_judge.service.keeping import Keeping, Records
from llm_judge.service.media_fetch import MediaFetcher
from llm_judge.service.media_url import MediaUrl, media_url, no_url
from llm_judge.service.metrics import Metrics
from llm_judge.service.orders import Order, Wanted, Way
from llm_judge.service.problems import Code, Problem, problem_of
from llm_judge.service.settings import ServiceSettings
from llm_judge.service.spans import Spans
from llm_judge.service.wire import Item, Media, Options

T = TypeVar("T")
_FAULTS = frozenset({Code.ENGINE_FAILED, Code.INTERNAL, Code.NOT_USABLE})  # of a revision, not of the item
_QUICK_CHARACTERS = 4096  # cutting this much text costs less than handing it to a thread


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, and which way it was made."""

    record: DecisionRecord
    way: Way


class Watcher(Protocol):
    """Is told what became of items; from the event loop, and must be quick."""

    def answered(self, way: Way, result: DecisionRecord | Problem, seconds: float, /) -> None:
        """Take note of what a revision made of an item, also where another one answered instead."""
        ...

    def offer(self, order: Order, decided: Decided, content: Content, /) -> None:
        """Take note of an answer that is given, and of what else could judge the content."""
        ...


class Judging:
    """Joins opening, queue and record keeping.

    Args:
        admission, settings, metrics: see there.
        records: keeps every record before its answer is given; None keeps nothing.
        watchers: are told what became of items.
        spans: told of every step.
        fetcher: fetches media from URLs; None fetches none.
    """

    def __init__(
        self,
        admission: Admission,
        settings: ServiceSettings,
        metrics: Metrics,
        records: Records | None = None,
        watchers: Sequence[Watcher] = (),
        spans: Spans | None = None,
        fetcher: MediaFetcher | None = None,
    ) -> None:
        self.admission = admission
        self.settings = settings
        self.metrics = metrics
        self._watchers = tuple(watchers)
        self._spans = spans or Spans()
        self._fetcher = fetcher
        self._keeping = None if records is None else Keeping(records)
        self._perceivers = ThreadPoolExecutor(settings.perceivers, "perceiver")

    def close(self) -> None:
        """End the threads, after what they are doing."""
        self._perceivers.shutdown(cancel_futures=True)
        if self._keeping is not None:
            self._keeping.close()

    def url_of(self, text: str, where: str = "") -> MediaUrl:
        """Return what a client's URL says; raises ``Problem`` for one that is not fetched."""
        if self._fetcher is None:
            return no_url(text, where)
        return media_url(text, where, self.settings.fetch_hosts)

    async def decide(self, orders: Sequence[Order], deadline_ms: int) -> list[Decided | Problem]:
        """Judge several contents; one result each, in order.

        Args:
            orders: what to judge and how; their revisions must be in hand.
            deadline_ms: from now.

        Raises:
            Problem: nothing was taken on: overloaded, or stopping.
        """
        with self._admitted(len(orders), deadline_ms) as deadline:
            return list(await asyncio.gather(*(self._decide(order, deadline) for order in orders)))

    async def judge_again(self, opening: Callable[[], Content], way: Way, deadline_ms: int) -> DecisionRecord:
        """Judge a content without keeping or counting what comes out: it decides about nothing.

        Args:
            opening: opens the content; called in another thread.
            way, deadline_ms: as for ``decide``.

        Raises:
            Problem: there is no record, and why.
        """

        async def work(deadline: float) -> DecisionRecord:
            with self._spans.step("perceive"):
                content = await self._elsewhere(opening)
            return await self._judged(content, way, deadline)

        with self._admitted(1, deadline_ms) as deadline:
            result = await self._settled(work(deadline), way, deadline)
        if isinstance(result, Problem):
            result.action = None  # nothing waits for an action
            raise result
        return result

    @contextmanager
    def _admitted(self, count: int, deadline_ms: int) -> Iterator[float]:
        """Hold room for so many items; gives the moment at which nobody wants them any more."""
        seconds = deadline_ms / 1000
        self.admission.admit(count, seconds)
        try:
            yield time.monotonic() + seconds
        finally:
            self.admission.release(count)

    async def _decide(self, order: Order, deadline: float) -> Decided | Problem:
        """Answer one item."""
        with self._spans.step("item") as step:
            if order.wanted.url is None:
                result = await self._tried(order, deadline)
            else:
                result = await self._settled(self._fetched(order, deadline), order.way, deadline)
            step.ended(result if isinstance(result, Problem) else result[0].record)
        if isinstance(result, Problem):
            self.metrics.failed(result)
            return result
        decided, content = result
        self.metrics.decided(decided.record)
        for watcher in self._watchers:
            watcher.offer(order, decided, content)
        return decided

    async def _fetched(self, order: Order, deadline: float) -> tuple[Decided, Content] | Problem:
        """Fetch what is to be judged, and answer; its memory counts until there is an answer."""
        assert self._fetcher is not None and order.wanted.url is not None  # noqa: S101  # by ``url_of``
        async with AsyncExitStack() as stack:
            try:
                with self._spans.step("fetch"):
                    data = await stack.enter_async_context(self._fetcher.fetched(order.wanted.url))
            except Problem as problem:
                problem.action = order.way.on_error
                raise
            return await self._tried(replace(order, wanted=replace(order.wanted, data=data)), deadline)

    async def _tried(self, order: Order, deadline: float) -> tuple[Decided, Content] | Problem:
        """Answer; where a candidate fails, the stable revision answers instead."""
        result = await self._watched(order.wanted, order.way, deadline)
        if isinstance(result, Problem) and result.code in _FAULTS and order.instead is not None:
            return await self._watched(order.wanted, order.instead, deadline)
        return result

    async def _watched(self, wanted: Wanted, way: Way, deadline: float) -> tuple[Decided, Content] | Problem:
        started = time.monotonic()
        result = await self._settled(self._answered(wanted, way, deadline), way, deadline)
        told = result if isinstance(result, Problem) else result[0].record
        for watcher in self._watchers:
            watcher.answered(way, told, time.monotonic() - started)
        return result

    async def _answered(self, wanted: Wanted, way: Way, deadline: float) -> tuple[Decided, Content]:
        """Open, judge and keep. The record gets an id of its own: the judge names the question by it, and the
        same question answered twice is two answers, both of which somebody acts on."""
        with self._spans.step("perceive"):
            content = await self._open(wanted, way.limits(self.settings.limits))
        record = await self._judged(content, way, deadline)
        record = replace(record, decision_id=secrets.token_hex(16))
        await self._keep(record, wanted, way)
        return Decided(record, way), content

    async def _judged(self, content: Content, way: Way, deadline: float) -> DecisionRecord:
        with self._spans.wait() as wait:
            ticket = Ticket(content, way.revision.judges, way.key, way.asked, deadline, wait)
            way.revision.queue.put(ticket)
            return await asyncio.wrap_future(ticket.answer)

    async def _settled(self, work: Coroutine[Any, Any, T], way: Way, deadline: float) -> T | Problem:
        """Return what the work gives, or the problem that ended it or its time."""
        action = way.on_error
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await work
        except TimeoutError:
            hint = "allow more time, or send less"
            return Problem(Code.DEADLINE_PASSED, Code.DEADLINE_PASSED.meaning, hint, action=action)
        except JudgeError as error:
            return problem_of(error, action)
        except Problem as found:
            return found
        except Exception as error:  # noqa: BLE001  # a fault of one item is not its neighbours'
            log_fault(error)
            return Problem(Code.INTERNAL, Code.INTERNAL.meaning, action=action)

    async def _open(self, wanted: Wanted, limits: Limits) -> Content:
        data = wanted.data
        if isinstance(data, bytes):
            return await self._elsewhere(lambda: from_bytes(data, wanted.id, wanted.name, limits=limits))
        if len(data) <= _QUICK_CHARACTERS:
            return from_text(data, wanted.id, max_bytes=limits.text_bytes)
        return await self._elsewhere(lambda: from_text(data, wanted.id, max_bytes=limits.text_bytes))

    async def _elsewhere(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._perceivers, call)

    async def _keep(self, record: DecisionRecord, wanted: Wanted, way: Way) -> None:
        if self._keeping is None:
            return
        try:
            with self._spans.step("store"):
                await self._keeping.keep(record, wanted.content)
        except Exception as error:  # noqa: BLE001  # whatever a store raises: no record, no answer
            if isinstance(error, StoreUnavailable):
                log_error("record not kept", error)
            else:
                log_fault(error)
            hint = "try again; the operator finds the reason in the service's log"
            code = Code.RECORD_NOT_KEPT
            raise Problem(code, code.meaning, hint, retry_after=1, action=way.on_error) from None


def deadline_of(options: Options, settings: ServiceSettings) -> int:
    """Return the milliseconds a request may take."""
    return min(options.deadline_ms or settings.deadline_ms, settings.max_deadline_ms)


def wanted_of(item: Item, place: str = "", url_of: Callable[[str, str], MediaUrl] = no_url) -> Wanted:
    """Return what an item of a request wants judged.

    Args:
        item: from the wire.
        place: where it stands in the request, such as ``items[3]``, for messages.
        url_of: reads a URL, or refuses it.

    Raises:
        Problem: it has neither text nor media, or both, or media that are neither base64 data nor behind a
            URL that is fetched.
    """
    where = f"{place}: " if place else ""
    if (item.text is None) == (item.media is None):
        hint = 'write {"text": "…"} or {"media": {"data": "…"}}'
        raise Problem(Code.BAD_REQUEST, f"{where}an item needs either `text` or `media`", hint)
    if item.text is not None:
        return Wanted(item.id, item.text)
    assert item.media is not None  # noqa: S101  # one of the two is there
    return _wanted_media(item.id, item.media, where, url_of)


def _wanted_media(id: str | None, media: Media, where: str, url_of: Callable[[str, str], MediaUrl]) -> Wanted:
    if media.url is not None:
        if media.data is not None:
            raise Problem(Code.BAD_REQUEST, f"{where}`media` has both `data` and `url`", "send one of them")
        return Wanted(id, b"", media.name, url_of(media.url, where))
    if media.data is None:
        raise Problem(Code.BAD_REQUEST, f"{where}`media` needs `data`", "send the file in base64")
    return Wanted(id, decoded(media.data, where), media.name)


def decoded(data: str, where: str = "") -> bytes:
    """Return the bytes behind base64 (RFC 4648, padded); raises ``Problem`` for anything else."""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        message = f"{where}the data are not base64"
        raise Problem(Code.BAD_REQUEST, message, "send the standard alphabet with padding") from None
