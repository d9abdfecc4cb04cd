"""One item from its bytes to its record: opened, queued, judged, kept, or a problem that says why not.

Every wait ends at the request's deadline. Knows nothing about HTTP.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from llm_judge.content.content import Content
from llm_judge.content.open import from_bytes
from llm_judge.content.text import from_text
from llm_judge.errors import JudgeError, StoreUnavailable
from llm_judge.record import DecisionRecord
from llm_judge.service.engine_queue import EngineQueue, Ticket, log_error, log_fault
from llm_judge.service.judges import JudgeKey, Judges
from llm_judge.service.keeping import Keeping, Records
from llm_judge.service.media_fetch import MediaFetcher
from llm_judge.service.media_url import MediaUrl, media_url, no_url
from llm_judge.service.metrics import Metrics
from llm_judge.service.problems import Code, Problem, problem_of
from llm_judge.service.settings import ServiceSettings
from llm_judge.service.spans import Spans
from llm_judge.service.wire import Item, Media, Options

T = TypeVar("T")
_QUICK_CHARACTERS = 4096  # cutting this much text costs less than handing it to a thread


@dataclass(frozen=True, slots=True)
class Wanted:
    """One content to judge, not opened yet.

    Attributes:
        id: the caller's name for it, None to name it by its digest.
        data: the bytes of a file, or a text.
        name: file name to show.
        url: where the bytes are to be fetched; there are no ``data`` until then.
    """

    id: str | None
    data: str | bytes
    name: str | None = None
    url: MediaUrl | None = None

    @property
    def content(self) -> bytes:
        """The bytes that the digest in its record is of."""
        return self.data if isinstance(self.data, bytes) else self.data.encode("utf-8", "surrogatepass")


class Judging:
    """Joins opening, queue and record keeping.

    Args:
        judges, queue, settings, metrics: see there.
        records: keeps every record before its answer is given; None keeps nothing.
        spans: told of every step.
        fetcher: fetches media from URLs; None fetches none.
    """

    def __init__(
        self,
        judges: Judges,
        queue: EngineQueue,
        settings: ServiceSettings,
        metrics: Metrics,
        records: Records | None = None,
        spans: Spans | None = None,
        fetcher: MediaFetcher | None = None,
    ) -> None:
        self.judges = judges
        self.queue = queue
        self.settings = settings
        self.metrics = metrics
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

    async def decide(
        self, wanted: Sequence[Wanted], key: JudgeKey, asked: frozenset[str] | None, deadline_ms: int
    ) -> list[DecisionRecord | Problem]:
        """Judge several contents in the same way; one result each, in order.

        Args:
            wanted: what to judge.
            key: which judge.
            asked: policies to ask about, None for all.
            deadline_ms: from now.

        Raises:
            Problem: nothing was taken on: overloaded, or stopping.
        """
        with self._admitted(len(wanted), deadline_ms) as deadline:
            return list(await asyncio.gather(*(self._decide(each, key, asked, deadline) for each in wanted)))

    async def judge_again(
        self, opening: Callable[[], Content], key: JudgeKey, asked: frozenset[str] | None, deadline_ms: int
    ) -> DecisionRecord:
        """Judge a content without keeping or counting what comes out: it decides about nothing.

        Args:
            opening: opens the content; called in another thread.
            key, asked, deadline_ms: as for ``decide``.

        Raises:
            Problem: there is no record, and why.
        """

        async def work(deadline: float) -> DecisionRecord:
            with self._spans.step("perceive"):
                content = await self._elsewhere(opening)
            return await self._judged(content, key, asked, deadline)

        with self._admitted(1, deadline_ms) as deadline:
            result = await self._settled(work(deadline), deadline)
        if isinstance(result, Problem):
            result.action = None  # nothing waits for an action
            raise result
        return result

    @contextmanager
    def _admitted(self, count: int, deadline_ms: int) -> Iterator[float]:
        """Hold room for so many items; gives the moment at which nobody wants them any more."""
        seconds = deadline_ms / 1000
        self.queue.admit(count, seconds)
        try:
            yield time.monotonic() + seconds
        finally:
            self.queue.release(count)

    async def _decide(
        self, wanted: Wanted, key: JudgeKey, asked: frozenset[str] | None, deadline: float
    ) -> DecisionRecord | Problem:
        with self._spans.step("item") as step:
            result = await self._settled(self._answered(wanted, key, asked, deadline), deadline)
            step.ended(result)
        if isinstance(result, Problem):
            self.metrics.failed(result)
        else:
            self.metrics.decided(result)
        return result

    async def _answered(
        self, wanted: Wanted, key: JudgeKey, asked: frozenset[str] | None, deadline: float
    ) -> DecisionRecord:
        """Open, judge and keep. The record gets an id of its own: the judge names the question by it, and the
        same question answered twice is two answers, both of which somebody acts on."""
        async with self._fetched(wanted) as whole:
            with self._spans.step("perceive"):
                content = await self._open(whole)
            record = await self._judged(content, key, asked, deadline)
            record = replace(record, decision_id=secrets.token_hex(16))
            await self._keep(record, whole)
            return record

    @asynccontextmanager
    async def _fetched(self, wanted: Wanted) -> AsyncIterator[Wanted]:
        """Give the same with its data, fetched if need be."""
        if wanted.url is None or self._fetcher is None:
            yield wanted
            return
        async with AsyncExitStack() as stack:
            try:
                with self._spans.step("fetch"):
                    data = await stack.enter_async_context(self._fetcher.fetched(wanted.url))
            except Problem as problem:
                problem.action = self.judges.on_error.value
                raise
            yield replace(wanted, data=data, url=None)

    async def _judged(
        self, content: Content, key: JudgeKey, asked: frozenset[str] | None, deadline: float
    ) -> DecisionRecord:
        with self._spans.wait() as wait:
            ticket = Ticket(content, key, asked, deadline, wait)
            self.queue.put(ticket)
            return await asyncio.wrap_future(ticket.answer)

    async def _settled(
        self, work: Coroutine[Any, Any, DecisionRecord], deadline: float
    ) -> DecisionRecord | Problem:
        """Return what the work gives, or the problem that ended it or its time."""
        action = self.judges.on_error.value
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

    async def _open(self, wanted: Wanted) -> Content:
        data, limits = wanted.data, self.settings.limits
        if isinstance(data, bytes):
            return await self._elsewhere(lambda: from_bytes(data, wanted.id, wanted.name, limits=limits))
        if len(data) <= _QUICK_CHARACTERS:
            return from_text(data, wanted.id, max_bytes=limits.text_bytes)
        return await self._elsewhere(lambda: from_text(data, wanted.id, max_bytes=limits.text_bytes))

    async def _elsewhere(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._perceivers, call)

    async def _keep(self, record: DecisionRecord, wanted: Wanted) -> None:
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
            action = self.judges.on_error.value
            code = Code.RECORD_NOT_KEPT
            raise Problem(code, code.meaning, hint, retry_after=1, action=action) from None


def judge_key(options: Options, judges: Judges) -> JudgeKey:
    """Return which judge a request asks for; raises ``Problem`` for an overlay that is not there."""
    guidelines = judges.guidelines
    if options.overlays is not None:
        names = tuple(dict.fromkeys(options.overlays))
    else:
        names = guidelines.chosen_by(options.context) if options.context else ()
    if unknown := [name for name in names if name not in guidelines.overlays]:
        hint = f"overlays: {', '.join(sorted(guidelines.overlays)) or 'none'}"
        raise Problem(Code.UNKNOWN_OVERLAY, f"there is no overlay `{unknown[0]}`", hint)
    return JudgeKey(names, options.explain)


def asked_policies(options: Options, judges: Judges) -> frozenset[str] | None:
    """Return the policies to ask about; raises ``Problem`` for one that is not there."""
    if options.policies is None:
        return None
    known = {policy.policy for policy in judges.guidelines.policies}
    if unknown := [name for name in options.policies if name not in known]:
        hint = "GET /v1/policies lists them"
        raise Problem(Code.UNKNOWN_POLICY, f"there is no policy `{unknown[0]}`", hint)
    return frozenset(options.policies)


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
