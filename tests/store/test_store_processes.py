"""The record store among other processes: killed, locked out, out of room, and with the server gone."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from stored_records import clear, firing

from llm_judge.errors import StoreError, StoreUnavailable
from llm_judge.reliability.postgres import PostgresServer
from llm_judge.store.database import Database
from llm_judge.store.decision_store import DecisionStore, Put
from llm_judge.store.verification import verify

WRITER = """
import sys
from sqlalchemy import event
from stored_records import clear, firing
from llm_judge.store.decision_store import DecisionStore
with DecisionStore(sys.argv[1], wait_s=60) as store:
    for number in range(int(sys.argv[2]), int(sys.argv[3])):
        store.put(clear(number))
        print(f"d{number}", flush=True)
"""


def writer(where: str, first: int, end: int) -> subprocess.Popen[str]:
    """A process that puts records one by one and names each once it is stored."""
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent), *sys.path])}
    command = [sys.executable, "-c", WRITER, where, str(first), str(end)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def named(process: subprocess.Popen[str]) -> list[str]:
    out, _ = process.communicate(timeout=120)
    return [line for line in out.split("\n")[:-1] if line]


def test_processes_that_write_at_once_keep_one_chain(store: DecisionStore, where: str) -> None:
    writers = [writer(where, first, first + 30) for first in (0, 20)]  # ten of them twice
    assert all(len(named(each)) == 30 for each in writers)
    found = verify(store.database)
    assert (found.problems, found.sequence) == ([], 50)


def test_nothing_that_was_stored_is_lost_when_the_writer_is_killed(store: DecisionStore, where: str) -> None:
    stored: list[str] = []
    for round_ in range(2):
        process = writer(where, round_ * 1000, round_ * 1000 + 1000)
        assert process.stdout is not None
        for _ in range(random.randint(1, 15)):
            stored.append(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
        stored += named(process)
    found = verify(store.database)
    assert found.problems == []
    assert all(store.get(id) is not None for id in stored)
    # At most the one that was stored and not yet named when the writer died.
    assert len(stored) <= found.sequence <= len(stored) + 2


STEPS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.booleans()), max_size=12)


@settings(max_examples=12)
@given(steps=STEPS)
def test_two_stores_of_one_file_agree_whatever_the_order(
    steps: list[tuple[int, int, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("two") / "a"
    known: set[int] = set()
    with DecisionStore(path) as one, DecisionStore(path) as other:
        for which, number, in_a_batch in steps:
            store = (one, other)[which]
            numbers = [number, number + 1] if in_a_batch else [number]
            expected = [Put.KNOWN if each in known else Put.STORED for each in numbers]
            assert store.put_many([(clear(each), None) for each in numbers]) == expected
            known.update(numbers)
        assert {each.decision_id for each in one.latest()} == {f"d{number}" for number in known}
        assert verify(other.database).problems == []


def test_a_locked_file_is_waited_for_and_then_it_is_an_error(
    file_store: Callable[..., DecisionStore], tmp_path: Path
) -> None:
    store = file_store(wait_s=0.3)
    other = sqlite3.connect(tmp_path / "records.sqlite3", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"was locked for 0\.3 s"):
        store.put(clear(1))
    assert 0.25 < time.monotonic() - started < 3
    assert store.latest() == []  # readers do not wait for writers
    patient = file_store(wait_s=20)
    threading.Timer(0.3, lambda: other.execute("ROLLBACK")).start()
    assert patient.put(clear(1)) is Put.STORED
    other.close()


def test_a_locked_server_is_waited_for_and_then_it_is_an_error(postgres: PostgresServer) -> None:
    where = postgres.new_database()
    with DecisionStore(where, wait_s=0.3) as store:
        other = Database(where)

        def hold(connection: Any) -> None:
            connection.exec_driver_sql("SELECT * FROM chain_head FOR UPDATE")
            with pytest.raises(StoreUnavailable, match="was locked for"):
                store.put(clear(1))

        other.write(hold)
        other.close()
        assert store.put(clear(1)) is Put.STORED


def test_a_full_disk_keeps_what_was_stored(file_store: Callable[..., DecisionStore]) -> None:
    """SQLite's own limit gives the error that a full disk gives."""
    store = file_store()
    store.put(clear(0))
    many = [(firing(f"secret {number}"), None) for number in range(40)]

    def limit(raw: Any, *_: object) -> None:
        (pages,) = raw.execute("PRAGMA page_count").fetchone()
        raw.execute(f"PRAGMA max_page_count = {pages + 1}")

    event.listen(store.database._engine, "checkout", limit)
    with pytest.raises(StoreUnavailable, match="no room on the disk") as caught:
        store.put_many(many)
    assert "secret" not in f"{caught.value!r}{caught.value.__context__!r}"
    store = file_store()  # with room again
    assert [each.decision_id for each in store.latest()] == ["d0"]
    assert verify(store.database).good
    assert store.put_many(many) == [Put.STORED] * 40


def test_a_server_that_restarts_is_waited_for(postgres: PostgresServer) -> None:
    where = postgres.new_database()
    with DecisionStore(where, wait_s=30) as store:
        store.put(clear(0))
        postgres.stop(signal.SIGQUIT)  # as in a crash: every connection is cut
        starter = threading.Timer(0.5, postgres.start)
        starter.start()
        assert store.put(clear(1)) is Put.STORED
        starter.join()
        assert verify(store.database).sequence == 2


def test_a_server_that_stays_away_is_an_error(postgres: PostgresServer) -> None:
    where = postgres.new_database()
    with DecisionStore(where, wait_s=0.5) as store:
        postgres.stop()
        try:
            with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
                store.put(clear(1))
            assert "\n" not in caught.value.message
        finally:
            postgres.start()
        assert store.put(clear(1)) is Put.STORED


def test_sqlite_waits_for_the_disk_and_overwrites_what_is_deleted(
    file_store: Callable[..., DecisionStore],
) -> None:
    def settings_of(connection: Any) -> list[Any]:
        names = ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]

    assert file_store().database.read(settings_of) == ["wal", 2, 1, 1]  # 2 is FULL


def test_a_folder_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        DecisionStore(tmp_path / "no" / "such" / "store")
    assert time.monotonic() - started < 5


def test_a_password_is_in_no_message() -> None:
    where = "postgresql://judge:hush@127.0.0.1:1/records"
    with pytest.raises(StoreError) as caught:
        DecisionStore(where, wait_s=0)
    assert "hush" not in f"{caught.value.message}{caught.value.hint}{caught.value!r}"
    assert caught.value.__cause__ is None
