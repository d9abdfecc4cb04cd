"""Migrations: up, down and up again on both databases, made once by many, and never guessed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect
from stored_records import clear

from llm_judge.errors import StoreError
from llm_judge.store.database import Database
from llm_judge.store.decision_store import DecisionStore
from llm_judge.store.schema import EMPTY, migrate, newest
from llm_judge.store.tables import METADATA
from llm_judge.store.verification import verify


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


def test_up_down_and_up_again(where: str) -> None:
    database = Database(where)
    assert migrate(database) == (None, newest())
    assert database.read(tables) == set(METADATA.tables)
    assert migrate(database, EMPTY) == (newest(), None)
    assert database.read(tables) == set()
    assert migrate(database) == (None, newest())
    database.close()
    with DecisionStore(where) as store:
        store.put(clear(1))
        assert verify(store.database).good
        assert migrate(store.database) == (newest(), newest())
        assert store.get("d1") is not None


def test_the_migrations_build_the_tables_that_the_code_knows(store: DecisionStore) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, METADATA))

    assert store.database.read(differences) == []


def test_a_migration_that_fails_leaves_everything_as_it_was(where: str) -> None:
    database = Database(where)

    def half(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE findings (a int)")

    database.write(half)
    with pytest.raises(StoreError, match="findings"):
        migrate(database)
    assert database.read(tables) == {"findings"}
    database.close()


def test_tables_of_somebody_else_are_left_alone(where: str) -> None:
    database = Database(where)
    database.write(lambda connection: connection.exec_driver_sql("CREATE TABLE entries (a int)"))
    with pytest.raises(StoreError, match="a table `entries` that is not ours"):
        DecisionStore(where)
    assert database.read(tables) == {"entries"}
    database.close()


def test_tables_of_a_newer_version_are_refused(store: DecisionStore, where: str) -> None:
    store.database.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="revision `9999`, which is not known") as caught:
        DecisionStore(where)
    assert "newer llm-judge" in str(caught.value.hint)


def test_a_store_that_must_be_there_is_not_made(where: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no record store"):
        DecisionStore(where, create=False)
    assert list(tmp_path.iterdir()) == []


def test_many_processes_make_one_store(where: str) -> None:
    names = "import sys; from llm_judge.store.decision_store import DecisionStore"
    code = f"{names}; DecisionStore(sys.argv[1]).close()"
    makers = [subprocess.Popen([sys.executable, "-c", code, where]) for _ in range(2)]
    assert [maker.wait(60) for maker in makers] == [0, 0]
    with DecisionStore(where, create=False) as store:
        assert verify(store.database).good


def test_another_file_of_sqlite_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (a int)")
    database.close()
    with DecisionStore(path) as store:  # a database may be shared with other tables, as on a server
        store.put(clear(1))
        assert {"mine", "entries"} <= store.database.read(tables)
