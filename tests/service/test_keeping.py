"""Records on their way: together where they wait together, and none is told to be kept that is not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from samples import record

from llm_judge.errors import RecordConflict, StoreError, StoreUnavailable
from llm_judge.record import DecisionRecord
from llm_judge.service.keeping import Keeping

Pairs = Iterable[tuple[DecisionRecord, bytes | None]]


class SlowShelf:
    """Waits in every put until ``go`` is set; refuses what is named in ``refused``."""

    def __init__(self, *refused: str, lost: bool = False) -> None:
        self.puts: list[list[str]] = []
        self.go = threading.Event()
        self.refused = refused
        self.lost = lost

    def put_many(self, records: Pairs) -> list[Any]:
        ids = [each.decision_id for each, _ in records]
        self.puts.append(ids)
        assert self.go.wait(10)
        if self.lost:
            raise StoreUnavailable("the record store was locked")
        if any(id in self.refused for id in ids):
            raise StoreError("this one cannot be kept")
        return [RecordConflict("another one is stored") if id == "conflict" else None for id in ids]


def named(id: str) -> DecisionRecord:
    return replace(record(id), decision_id=id)


async def kept(shelf: Any, ids: list[str], cancel: str | None = None) -> dict[str, str]:
    """Keep the first alone and the others while its put is under way; what became of each."""
    keeping = Keeping(shelf)
    tasks = {ids[0]: asyncio.create_task(keeping.keep(named(ids[0]), None))}
    while not shelf.puts:
        await asyncio.sleep(0.001)
    tasks |= {id: asyncio.create_task(keeping.keep(named(id), None)) for id in ids[1:]}
    await asyncio.sleep(0)
    if cancel is not None:
        tasks[cancel].cancel()
    shelf.go.set()
    results = await asyncio.gather(*tasks.values(), return_exceptions=True)
    keeping.close()
    return {id: type(result).__name__ for id, result in zip(tasks, results, strict=True)}


def test_what_waits_is_put_together() -> None:
    shelf = SlowShelf()
    assert set(asyncio.run(kept(shelf, ["a", "b", "c", "d"])).values()) == {"NoneType"}
    assert shelf.puts == [["a"], ["b", "c", "d"]]


def test_one_that_is_refused_fails_alone() -> None:
    results = asyncio.run(kept(SlowShelf("c"), ["a", "b", "c", "conflict"]))
    assert results == {"a": "NoneType", "b": "NoneType", "c": "StoreError", "conflict": "RecordConflict"}


def test_a_store_that_is_gone_is_asked_once_for_all_of_them() -> None:
    shelf = SlowShelf(lost=True)
    assert set(asyncio.run(kept(shelf, ["a", "b", "c"])).values()) == {"StoreUnavailable"}
    assert shelf.puts == [["a"], ["b", "c"]]


@pytest.mark.parametrize("gone", ["a", "b"])
def test_one_that_nobody_waits_for_any_more_harms_no_other(gone: str) -> None:
    shelf = SlowShelf()
    results = asyncio.run(kept(shelf, ["a", "b", "c"], cancel=gone))
    assert results.pop(gone) == "CancelledError" and set(results.values()) == {"NoneType"}
    assert shelf.puts[1] == [id for id in ("b", "c") if id != gone]
