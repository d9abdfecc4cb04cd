"""Records on their way to the store: those that come while a put is under way go together in the next one.

So a slow disk costs one wait for all of them, and a store that is gone tells all of them at once. Knows
nothing about HTTP or how a store keeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from llm_judge.errors import StoreUnavailable
from llm_judge.record import DecisionRecord

if TYPE_CHECKING:
    from llm_judge.store.decision_store import StoredDecision
    from llm_judge.store.reviews import Review


class Records(Protocol):
    """Where decision records are kept, such as a ``DecisionStore``; called from several threads."""

    def put_many(self, records: Iterable[tuple[DecisionRecord, bytes | None]]) -> Sequence[object]:
        """Keep records for good, all of them or none, or raise; a result that is an error was not kept."""
        ...

    def get(self, decision_id: str) -> StoredDecision | None:
        """Return one decision, erased or not; None where there is none."""
        ...

    def content(self, decision_id: str) -> bytes | None:
        """Return what was judged, where it is kept."""
        ...

    def check(self) -> None:
        """Raise ``StoreError`` where nothing could be kept now."""
        ...

    def add_review(self, review: Review) -> Review:
        """Keep what a person says of a decision."""
        ...


@dataclass(eq=False, slots=True)
class _Waiting:
    record: DecisionRecord
    content: bytes | None
    kept: asyncio.Future[None]


class Keeping:
    """Used from one event loop at a time.

    Args:
        records: where to.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._waiting: list[_Waiting] = []
        self._putting: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "records")

    def close(self) -> None:
        """End the thread, after what it is doing."""
        self._thread.shutdown()

    async def keep(self, record: DecisionRecord, content: bytes | None) -> None:
        """Return when the record is kept for good; raises whatever the store raises.

        Cancelled before its put began, it is not put.
        """
        waiting = _Waiting(record, content, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._putting is None or self._putting.done():
            self._putting = asyncio.create_task(self._put_all())
        await waiting.kept

    async def _put_all(self) -> None:
        loop = asyncio.get_running_loop()
        while wanted := [each for each in self._waiting if not each.kept.done()]:
            self._waiting.clear()
            pairs = [(each.record, each.content) for each in wanted]
            results = await loop.run_in_executor(self._thread, _put, self._records, pairs)
            for each, error in zip(wanted, results, strict=True):
                if each.kept.done():
                    continue
                if error is None:
                    each.kept.set_result(None)
                else:
                    each.kept.set_exception(error)


def _put(records: Records, pairs: Sequence[tuple[DecisionRecord, bytes | None]]) -> list[Exception | None]:
    """Put all of them together; one by one where the store refuses one of them. Returns what went wrong."""
    try:
        results = records.put_many(pairs)
    except StoreUnavailable as error:
        return [error] * len(pairs)
    except Exception as error:  # noqa: BLE001  # whatever a store raises: no record, no answer
        if len(pairs) == 1:
            return [error]
        return [_put(records, [pair])[0] for pair in pairs]
    return [result if isinstance(result, Exception) else None for result in results]
