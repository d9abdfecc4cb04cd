"""A file of answers that were given before, shared by all runs of one user: SQLite, safe to kill.

Losing it costs time and nothing else, so nothing that goes wrong with it stops a run: it says so once and
is left alone from then on. Several runs may use it at once, on one machine (not over a network file system).
Knows nothing about judges: keys and texts in, texts out.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from llm_judge.durable import reason_of
from llm_judge.errors import OutputError, UsageError
from llm_judge.packaged import cache_folder

FORGET_DAYS = 90  # without a run that judged alike
_VERSION = 1  # of the tables; in the file's name, so that two versions of llm-judge do not meet
_APPLICATION = 0x6C6A6163  # tells our files from other SQLite files
_WAIT_S = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS judges (
    id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, used TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS answers (
    judge INTEGER NOT NULL, content BLOB NOT NULL, policy TEXT NOT NULL, rules INTEGER NOT NULL,
    answer TEXT NOT NULL, PRIMARY KEY (judge, content, policy)
) WITHOUT ROWID;
"""
_FIND = "SELECT policy, answer FROM answers JOIN judges ON judge = id WHERE judges.digest = ? AND content = ?"
_NOTE_JUDGE = (
    "INSERT INTO judges (digest, used) VALUES (?, date('now')) "
    "ON CONFLICT (digest) DO UPDATE SET used = excluded.used"
)
# The first answer stays, so that runs agree; one with rules replaces one about the area alone.
_KEEP = (
    "INSERT INTO answers SELECT id, ?, ?, ?, ? FROM judges WHERE digest = ? "
    "ON CONFLICT (judge, content, policy) DO UPDATE SET rules = excluded.rules, answer = excluded.answer "
    "WHERE excluded.rules > answers.rules"
)


class Row(NamedTuple):
    """One answer: who gave it about what, by which policy, whether rules were asked, and what it was."""

    judge: bytes
    content: bytes
    policy: str
    rules: bool
    answer: str


@dataclass(frozen=True, slots=True)
class Size:
    """How much a cache holds: contents and answers about them, judges that gave them, bytes on the disk."""

    contents: int
    answers: int
    judges: int
    bytes: int


def answers_file() -> Path:
    """Return where the user's cache is or would be."""
    return cache_folder() / "answers" / f"answers-{_VERSION}.sqlite3"


class AnswerCache:
    """Use as a context manager; may be used by several threads.

    Args:
        path: made if need be. A damaged file, or one that is no such cache, is moved aside.
        warn: told one line when something is wrong with the file; raises nothing.
    """

    def __init__(self, path: Path, warn: Callable[[str], None] = lambda _: None) -> None:
        self.path = path
        self._warn = warn
        self._turn = threading.Lock()
        self._used: set[bytes] = set()
        self._guard: int | None = None
        self._db: sqlite3.Connection | None = None
        with self._attempt():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._guard, alone = _guard(path)
            self._db = self._opened(alone)
            fcntl.flock(self._guard, fcntl.LOCK_SH)

    def __enter__(self) -> AnswerCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(self, judge: bytes, content: bytes) -> dict[str, str]:
        """Return what this judge answered about a content, by policy; empty where nothing is known."""
        with self._turn, self._attempt():
            if self._db is not None:
                found = dict(self._db.execute(_FIND, (judge, content)))
                if found:
                    self._used.add(judge)
                return found
        return {}

    def keep(self, rows: Sequence[Row]) -> None:
        """Write all of them, or none where that fails."""
        with self._turn, self._attempt():
            if self._db is None or not rows:
                return
            with _transaction(self._db):
                self._db.executemany(_NOTE_JUDGE, {(row.judge,) for row in rows})
                self._db.executemany(
                    _KEEP, ((row.content, row.policy, row.rules, row.answer, row.judge) for row in rows)
                )

    def size(self) -> Size:
        """Count what it holds; zeros where it cannot be read."""
        with self._turn, self._attempt():
            if self._db is not None:
                contents, answers, judges = self._db.execute(
                    "SELECT (SELECT count(DISTINCT content) FROM answers), (SELECT count(*) FROM answers), "
                    "(SELECT count(*) FROM judges)"
                ).fetchone()
                there = sum(each.stat().st_size for each in _files(self.path) if each.exists())
                return Size(contents, answers, judges, there)
        return Size(0, 0, 0, 0)

    def close(self) -> None:
        """Note which judges were of use, and let go of the file."""
        with self._turn, self._attempt():
            if self._db is not None and self._used:
                with _transaction(self._db):
                    self._db.executemany(_NOTE_JUDGE, [(judge,) for judge in self._used])
        self._let_go()

    def _opened(self, alone: bool) -> sqlite3.Connection:
        """Return the file, set up where nobody else has it open; raises ``sqlite3.Error`` or ``OSError``."""
        try:
            return _connected(self.path, alone)
        except sqlite3.DatabaseError as error:
            if not alone or isinstance(error, sqlite3.OperationalError):  # not damaged: locked, full, …
                raise
        aside = self.path.with_suffix(".damaged")
        for each in _files(self.path)[1:]:
            each.unlink(missing_ok=True)
        self.path.replace(aside)
        self._warn(
            f"the answer cache `{self.path}` is damaged: it is now `{aside.name}`, and a new one begins"
        )
        return _connected(self.path, alone)

    @contextmanager
    def _attempt(self) -> Iterator[None]:
        """Leave the cache alone for good where something is wrong with it, and say so."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            self._let_go()
            self._warn(f"the answer cache `{self.path}` is left alone: {reason}; the run goes on without it")

    def _let_go(self) -> None:
        database, self._db = self._db, None
        guard, self._guard = self._guard, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()
        if guard is not None:
            os.close(guard)


def clear_answers(path: Path) -> int:
    """Delete the cache at ``path`` and those of other versions beside it; returns the bytes freed.

    Raises:
        UsageError: a run is using it.
        OutputError: it cannot be deleted.
    """
    if not path.parent.is_dir():
        return 0
    freed = 0
    try:
        guard, alone = _guard(path, wait=False)
        try:
            if not alone:
                raise UsageError("a run is using the answer cache", "clear it when the run has ended")
            for each in path.parent.glob("answers-*"):
                freed += each.stat().st_size
                each.unlink()
        finally:
            os.close(guard)
    except OSError as error:
        raise OutputError(f"cannot clear `{path.parent}`: {reason_of(error)}") from error
    return freed


def _guard(path: Path, *, wait: bool = True) -> tuple[int, bool]:
    """Return a lock on the cache, held until it is closed, and whether nobody else held one.

    SQLite files must not be moved or deleted under those who have them open, so that needs to be alone.
    """
    guard = os.open(path.with_name("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if wait:
            fcntl.flock(guard, fcntl.LOCK_SH)  # until the first one has set the file up
        return guard, False
    except OSError:
        os.close(guard)
        raise
    return guard, True


def _connected(path: Path, alone: bool) -> sqlite3.Connection:
    # Isolation None: we say where a transaction begins. Threads take turns by our own lock.
    database = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != _APPLICATION:
            raise sqlite3.DatabaseError("the file is not a cache of answers")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # in WAL mode a power cut loses the last rows only
        if alone:
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.executescript(_TABLES)
            _forget(database)
    except BaseException:
        database.close()
        raise
    return database


def _forget(database: sqlite3.Connection) -> None:
    since = (f"-{FORGET_DAYS} days",)
    with _transaction(database):
        database.execute(
            "DELETE FROM answers WHERE judge IN (SELECT id FROM judges WHERE used < date('now', ?))", since
        )
        database.execute("DELETE FROM judges WHERE used < date('now', ?)", since)


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _files(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
