"""Appending to the chain, one writer at a time, and reading entries back.

The row of ``chain_head`` is the lock: on PostgreSQL it is locked until the transaction ends, on SQLite the
whole database is. So sequences have no gap and every entry follows the one before it, however many processes
write. Knows nothing about what entries say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from llm_judge.errors import StoreError
from llm_judge.record import now
from llm_judge.store.chain import Kind, link, new_part
from llm_judge.store.tables import ENTRIES, HEAD


@dataclass(frozen=True, slots=True)
class New:
    """An entry to append: its id within its kind, and its two parts."""

    kind: Kind
    id: str
    payload: Mapping[str, Any]
    private: Mapping[str, Any] | None = None


def lock_head(connection: Connection) -> Row[int, str]:
    """Take the turn to write, until the transaction ends; returns sequence and hash of the last entry."""
    return the_head(connection, lock=True)


def the_head(connection: Connection, *, lock: bool = False) -> Row[int, str]:
    """The sequence and hash of the last entry.

    Raises:
        StoreError: the row was taken away.
    """
    query = select(HEAD.c.sequence, HEAD.c.hash)
    head = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if head is None:
        raise StoreError("the record store has lost the end of its chain", "restore it from a backup")
    return head


def append(connection: Connection, entries: Sequence[New]) -> list[int]:
    """Append entries in order and return their sequences. The caller holds the head."""
    head = the_head(connection)
    sequence, previous = head.sequence, head.hash
    rows = []
    for entry in entries:
        sequence += 1
        row = _row(entry, sequence, previous)
        previous = row["hash"]
        rows.append(row)
    if rows:
        connection.execute(insert(ENTRIES), rows)
        connection.execute(update(HEAD).values(sequence=sequence, hash=previous))
    return [row["sequence"] for row in rows]


def find_entry(connection: Connection, kind: Kind, id: str) -> Row[Any] | None:
    """Return one entry, erased or not; None where there is none."""
    return connection.execute(select(ENTRIES).where(ENTRIES.c.kind == kind, ENTRIES.c.id == id)).one_or_none()


def parsed(text: str | None) -> Any:
    """A part as data; None where it is gone or never was.

    Raises:
        StoreError: the part was changed and is no JSON any more.
    """
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        raise StoreError(
            "an entry of the record store was changed", "`llm-judge records verify` says which"
        ) from None


def _row(entry: New, sequence: int, previous: str) -> dict[str, Any]:
    payload = new_part(entry.payload)
    private = None if entry.private is None else new_part(entry.private)
    recorded_at = now()
    digest = None if private is None else private.digest
    return {
        "sequence": sequence,
        "kind": entry.kind.value,
        "id": entry.id,
        "recorded_at": recorded_at,
        "payload": payload.text,
        "payload_salt": payload.salt,
        "payload_digest": payload.digest,
        "private": None if private is None else private.text,
        "private_salt": None if private is None else private.salt,
        "private_digest": digest,
        "previous_hash": previous,
        "hash": link(previous, sequence, entry.kind, entry.id, recorded_at, payload.digest, digest),
        "erased_by": None,
    }
