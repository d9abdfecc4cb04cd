"""Ready means that decisions can be kept too; looking is cheap however often it is asked for."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from serving import running, scripted, service_with, until

from llm_judge.errors import StoreUnavailable
from llm_judge.service.store_health import StoreHealth
from llm_judge.store.decision_store import DecisionStore


def test_a_service_that_cannot_keep_records_is_not_ready(tmp_path: Path) -> None:
    file = tmp_path / "records.sqlite3"
    with DecisionStore(file, wait_s=0.1) as store:
        service = service_with(scripted(), records=store)
        assert service.health.check() is None
        with running(service) as url, httpx.Client(base_url=url, timeout=30) as client:
            assert client.get("/readyz").status_code == 200
            other = sqlite3.connect(file, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            until(lambda: client.get("/readyz").status_code == 503, 20)
            error = client.get("/readyz").json()["error"]
            assert error["code"] == "not_ready" and str(tmp_path) not in error["message"]
            assert "judge_ready 0.0" in client.get("/metrics").text
            other.execute("ROLLBACK")
            other.close()
            until(lambda: client.get("/readyz").status_code == 200, 20)
            assert "judge_ready 1.0" in client.get("/metrics").text
        service.close()


class Shelf:
    """Counts looks; each takes a moment, and fails while ``lost``."""

    def __init__(self) -> None:
        self.looks = 0
        self.lost = False

    def check(self) -> None:
        self.looks += 1
        time.sleep(0.05)
        if self.lost:
            raise StoreUnavailable("gone at db.internal")


def test_many_who_ask_share_one_look() -> None:
    shelf: Any = Shelf()

    async def ask() -> None:
        health = StoreHealth(shelf, seconds=60)
        assert await asyncio.gather(*(health.look() for _ in range(50))) == [None] * 50
        assert await health.look() is None

    asyncio.run(ask())
    assert shelf.looks == 1


def test_who_asks_while_a_look_is_under_way_hears_what_it_finds() -> None:
    shelf: Any = Shelf()
    shelf.lost = True

    async def ask() -> list[str | None]:
        health = StoreHealth(shelf, seconds=60)
        return await asyncio.gather(*(health.look() for _ in range(9)))

    assert None not in asyncio.run(ask())


def test_a_look_grows_old_and_one_who_leaves_does_not_end_it() -> None:
    shelf: Any = Shelf()
    shelf.lost = True

    async def ask() -> list[str | None]:
        health = StoreHealth(shelf, seconds=0)
        first = asyncio.create_task(health.look())
        second = asyncio.create_task(health.look())
        await asyncio.sleep(0.01)
        first.cancel()
        wrong = await second
        shelf.lost = False
        return [wrong, await health.look()]

    wrong, later = asyncio.run(ask())
    assert wrong is not None and "internal" not in wrong and later is None
    assert shelf.looks == 2 and threading.active_count() < 50


def test_without_a_store_there_is_nothing_to_look_at() -> None:
    assert asyncio.run(StoreHealth(None).look()) is None
