"""The version of the tables: made new, looked at, moved up or down. Every move is one transaction."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, inspect, text

from llm_judge.errors import StoreError
from llm_judge.store.database import Database
from llm_judge.store.tables import ENTRIES

_SCRIPTS = Path(__file__).parent / "migrations"
EMPTY = "base"
NEWEST = "head"
_MIGRATING = 0x6C6A7265  # names our lock among PostgreSQL's advisory locks


@cache
def newest() -> str:
    """The revision that this version of llm-judge works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None  # noqa: S101  # the package holds the scripts
    return head


def ensure(database: Database, *, create: bool = True) -> None:
    """Make the tables of an empty database, or find that those there are ours and new enough.

    Args:
        create: whether to make them; otherwise an empty database is refused.

    Raises:
        StoreError: they are older, newer, or somebody else's.
        StoreUnavailable: as for any use of the database.
    """
    there = create or database.file is None or database.file.exists()  # SQLite would make the file
    found = database.read(_revision) if there else None
    if found is None and not create:
        raise StoreError(
            f"there is no record store at {database.name}", "`llm-judge records import` makes one"
        )
    if found is None:
        found = database.write(_make)
    if found == newest():
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found in known:
        raise StoreError(
            f"the record store {database.name} has older tables (revision {found})",
            "back it up, then run `llm-judge records migrate`",
        )
    raise StoreError(
        f"the record store {database.name} has tables of revision `{found}`, which is not known",
        "it was made by a newer llm-judge: use that, or one newer still",
    )


def migrate(database: Database, revision: str = NEWEST) -> tuple[str | None, str | None]:
    """Move the tables to a revision, up or down; all of it or nothing.

    Args:
        revision: ``head``, a number such as ``0001``, or ``base`` for no tables: then every record goes.

    Returns:
        The revisions before and after, None for no tables.

    Raises:
        StoreError: there is no such revision, or the tables are somebody else's.
    """
    return database.write(lambda connection: _move(connection, revision))


def _make(connection: Connection) -> str | None:
    _, found = _move(connection, NEWEST)  # perhaps another process was faster, and there is nothing to do
    return found


def _move(connection: Connection, revision: str) -> tuple[str | None, str | None]:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
    before = _revision(connection)
    if before is None and inspect(connection).has_table(ENTRIES.name):
        raise StoreError(
            f"the database has a table `{ENTRIES.name}` that is not ours",
            "give the store a database of its own",
        )
    config = _config()
    config.attributes["connection"] = connection
    try:
        wanted = ScriptDirectory.from_config(config).get_revision(revision)
        down = wanted is None or (before is not None and wanted.revision < before)
        (command.downgrade if down else command.upgrade)(config, revision)
    except CommandError as error:
        what = " ".join(str(error).split())
        raise StoreError(f"cannot migrate to `{revision}`: {what}", f"the newest is {newest()}") from None
    return before, _revision(connection)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
