"""One database, SQLite or PostgreSQL: transactions that wait their turn, and errors in one tree.

SQLite: write-ahead log, every commit is on the disk when it returns (``synchronous=FULL``), what is deleted
is overwritten (``secure_delete``). PostgreSQL: as the server is set; by default it, too, returns when the
commit is on the disk. Knows nothing about records.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from llm_judge.errors import StoreError, StoreUnavailable, UsageError

T = TypeVar("T")
WAIT_S = 10.0  # for a lock, or for a server that is being restarted
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5
_POOL = 8
# SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
_PG_LOCKED = ("55P03", "40001", "40P01")  # lock not available, serialisation failure, deadlock
_PG_STARTING = (
    "57P01",
    "57P02",
    "57P03",
    "08",
    "53300",
)  # shutting down, starting, connection lost, too many
_PG_FULL = ("53100",)
_WRITES = "llm_judge_writes"


class Database:
    """Opens nothing until it is used; may be used by several threads and processes.

    Args:
        where: a file for SQLite, or ``postgresql://user@host/name`` (passwords are better left to
            ``PGPASSWORD`` or ``~/.pgpass``).
        wait_s: longest wait for a lock or a lost server, in seconds; then ``StoreUnavailable``.

    Attributes:
        name: for messages; without the password.
        file: of SQLite, else None.

    Raises:
        UsageError: it is neither.
    """

    def __init__(self, where: str | Path, *, wait_s: float = WAIT_S) -> None:
        url = _url(where)
        self.wait_s = wait_s
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.file = Path(url.database) if self.is_sqlite and url.database else None
        self.name = f"`{url.database}`" if self.is_sqlite else f"`{url.render_as_string(hide_password=True)}`"
        self._engine = _engine(url, wait_s)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do what reads, in one transaction, which sees one state; again where the server was lost."""
        return self._patiently(work, writes=False)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do what writes, in one transaction: all of it is kept when this returns, or nothing of it.

        ``work`` may be called again after a lock or a lost server, also where the server kept the first go
        and was lost before it could say so.

        Raises:
            StoreUnavailable: locked, lost or full for longer than ``wait_s``.
            StoreError: the database is damaged or refuses.
        """
        return self._patiently(work, writes=True)

    def checkpoint(self) -> None:
        """Empty SQLite's log, where older states of the pages stay; PostgreSQL sees to its own."""
        if self.is_sqlite:
            raw = self._engine.raw_connection()
            try:
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                raw.close()

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    def _patiently(self, work: Callable[[Connection], T], writes: bool) -> T:
        until = time.monotonic() + self.wait_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                with self._engine.connect() as connection:
                    connection.execution_options(**{_WRITES: writes})
                    with connection.begin():
                        return work(connection)
            except (DBAPIError, sqlite3.Error, NoConnectionFree) as error:
                told = self._told(error)
                left = until - time.monotonic()
                if not _passes(error) or left <= 0:
                    raise told from None
                time.sleep(min(left, pause * random.uniform(0.5, 1.5)))  # noqa: S311  # jitter, no secret
                pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _told(self, error: Exception) -> StoreError:
        """The error in our words; never the statement, whose values may be content."""
        if _locked(error):
            return StoreUnavailable(
                f"the record store {self.name} was locked for {self.wait_s:g} s",
                "another process holds it; wait for it, or give more --wait",
            )
        if _full(error):
            return StoreUnavailable(
                f"no room on the disk of the record store {self.name}; what was stored before stays",
                "make room and do the same again: what is stored is not stored twice",
            )
        if _lost(error):
            return StoreUnavailable(
                f"the record store {self.name} cannot be reached: {_reason(error)}",
                "check that it is there and may be used by this user",
            )
        return StoreError(f"the record store {self.name} failed: {_reason(error)}")


def _url(where: str | Path) -> URL:
    text = str(where)
    if "://" not in text:
        if not text.strip() or "\0" in text:
            raise UsageError("the record store has no name", "give a file, or postgresql://user@host/name")
        return URL.create("sqlite", database=text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # its own message repeats the address, and so a password
        raise UsageError(
            "the address of the record store cannot be read", "postgresql://user@host/name"
        ) from None
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url
    raise UsageError(
        f"a record store cannot be `{url.drivername}`",
        "give a file for SQLite, or postgresql://user@host/name",
    )


def _engine(url: URL, wait_s: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        arguments: dict[str, Any] = {"timeout": wait_s}
    else:
        arguments = {"connect_timeout": max(2, round(wait_s))}
    engine = create_engine(
        url,
        connect_args=arguments,
        pool_size=_POOL,
        max_overflow=0,
        pool_timeout=max(wait_s, 0.1),
        pool_pre_ping=url.get_backend_name() != "sqlite",
        hide_parameters=True,
    )
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", lambda raw, _: _set_up_postgres(raw, wait_s))
    return engine


def _set_up_sqlite(raw: Any, _record: object) -> None:
    raw.isolation_level = None  # the driver begins nothing by itself; `_begin_sqlite` does
    raw.text_factory = _text  # its own error would quote what it cannot read
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("PRAGMA secure_delete = ON")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _begin_sqlite(connection: Connection) -> None:
    """Take the turn to write at once: a reader that turns into a writer could not wait for it."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_up_postgres(raw: Any, wait_s: float) -> None:
    before, raw.autocommit = raw.autocommit, True
    raw.execute(f"SET lock_timeout = '{max(1, round(wait_s * 1000))}ms'")
    raw.autocommit = before


def _passes(error: Exception) -> bool:
    """Whether waiting may help: not where there is no such folder."""
    return _locked(error) or (_lost(error) and not isinstance(_cause(error), sqlite3.Error))


def _locked(error: Exception) -> bool:
    if isinstance(error, NoConnectionFree):
        return True
    return _sqlite_is(error, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or _state(error).startswith(
        _PG_LOCKED
    )


def _lost(error: Exception) -> bool:
    if _sqlite_is(error, sqlite3.SQLITE_CANTOPEN):
        return True
    if isinstance(_cause(error), sqlite3.Error):
        return False
    state = _state(error)
    no_state = not state and type(_cause(error)).__name__ == "OperationalError"  # no server answered at all
    return no_state or state.startswith(_PG_STARTING) or getattr(error, "connection_invalidated", False)


def _full(error: Exception) -> bool:
    return _sqlite_is(error, sqlite3.SQLITE_FULL) or _state(error).startswith(_PG_FULL)


def _sqlite_is(error: Exception, *codes: int) -> bool:
    code = getattr(_cause(error), "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in codes  # extended codes carry the plain one in their low byte


def _state(error: Exception) -> str:
    return str(getattr(_cause(error), "sqlstate", None) or "")


def _cause(error: Exception) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _reason(error: Exception) -> str:
    """The first line of what the driver says: later ones may quote values."""
    lines = str(_cause(error)).strip().splitlines()
    return lines[0].strip().rstrip(".").removeprefix("FATAL:").strip() if lines else type(error).__name__
